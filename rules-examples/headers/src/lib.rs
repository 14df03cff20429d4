use std::collections::BTreeMap;

use shunt_sdk::prelude::*;

/// Fields that every response should have (OWASP Secure Headers Project).
const SECURITY: [(&str, &str); 3] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
];

const REQUEST_ID: &str = "x-request-id";

/// Adds security headers, removes fields that reveal the server, gives each request an id.
#[derive(Settings)]
struct Headers {
    /// More fields for responses. Those that the member sends are kept.
    #[settings(default)]
    add: BTreeMap<String, String>,
    /// Fields to remove from responses.
    #[settings(default = ["server", "x-powered-by", "x-aspnet-version", "x-aspnetmvc-version"])]
    hide: Vec<String>,
    /// Days for which browsers use HTTPS only (Strict-Transport-Security); 0: the field is not sent.
    #[settings(default = 365)]
    hsts_days: u32,
}

#[rule]
impl Headers {
    fn on_request(&self, request: &Request) -> Result<request::Verdict, FieldError> {
        let id = request.header_bytes(REQUEST_ID).unwrap_or_else(|| new_id().into_bytes());
        request.set_header(REQUEST_ID, &id)?;
        request.set_response_header(REQUEST_ID, &id)?;
        Ok(next())
    }

    fn on_response(&self, request: &Request, response: &Response) -> Result<response::Verdict, FieldError> {
        for name in &self.hide {
            response.remove_header(name)?;
        }
        let own = self.add.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        // The operator's fields come first: a field that exists is kept.
        for (name, value) in own.chain(SECURITY) {
            set_if_absent(response, name, value)?;
        }
        if self.hsts_days > 0 && request.scheme() == Scheme::Https {
            let seconds = u64::from(self.hsts_days) * 86_400;
            set_if_absent(response, "strict-transport-security", &format!("max-age={seconds}"))?;
        }
        Ok(next())
    }
}

fn set_if_absent(response: &Response, name: &str, value: &str) -> Result<(), FieldError> {
    match response.header_bytes(name) {
        Some(_) => Ok(()),
        None => response.set_header(name, value),
    }
}

fn new_id() -> String {
    format!("{:016x}{:016x}", random::number(), random::number())
}
