use shunt_sdk::prelude::*;

/// Lets requests with a valid token through.
#[derive(Settings)]
struct JwtGate {
    /// Who must have issued the token, its `iss`.
    issuer: String,
    /// Whom it must be for, one of its `aud`; left out: anyone.
    audience: Option<String>,
    /// By how many seconds clocks may differ.
    #[settings(default = 60)]
    leeway: u32,
}

#[rule]
impl JwtGate {
    fn on_request(&self, request: &Request) -> Result<request::Verdict, FieldError> {
        // RFC 6750 section 2.1.
        let field = request.header("authorization").unwrap_or_default();
        let token = match field.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => return Ok(refuse("Bearer")),
        };
        let Ok(claims) = crypto::verify_token("issuer", token, self.leeway) else {
            return Ok(refuse("Bearer error=\"invalid_token\""));
        };
        let is_for = |audience: &String| claims.audience.contains(audience);
        if claims.issuer.as_deref() != Some(self.issuer.as_str())
            || !self.audience.as_ref().is_none_or(is_for)
        {
            return Ok(refuse("Bearer error=\"invalid_token\""));
        }
        // What a client says of itself is not passed on.
        request.set_header("x-subject", claims.subject.unwrap_or_default())?;
        Ok(next())
    }
}

/// RFC 6750 section 3.
fn refuse(challenge: &str) -> request::Verdict {
    respond(401).header("www-authenticate", challenge).header("cache-control", "no-store")
}
