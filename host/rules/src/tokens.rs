//! JSON Web Tokens (RFC 7519) in the compact form of signatures (RFC 7515 section 7.1).

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde_json::{Map, Value};

use crate::keys::Keys;

/// Bytes of a token.
pub(crate) const LONGEST: usize = 16 << 10;

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenError {
    /// It is no token, or asks for something that is not known.
    Malformed,
    /// It is of an algorithm that the keys are not for.
    Algorithm,
    /// None of the keys made its signature.
    Signature,
    Expired,
    NotYetValid,
}

/// What a token says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Claims {
    pub subject: Option<String>,
    pub issuer: Option<String>,
    pub audience: Vec<String>,
    /// Seconds since 1970.
    pub expires: Option<u64>,
    /// All of them.
    pub json: String,
}

/// Verifies a token: by the algorithm of the keys and no other, and at this second, give or take so many.
pub(crate) fn verify(token: &str, keys: &Keys, now: u64, leeway: u32) -> Result<Claims, TokenError> {
    if token.len() > LONGEST {
        return Err(TokenError::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
    let header = object(header)?.1;
    // RFC 7515 section 4.1.11: what is critical must be understood, and nothing of it is here.
    if header.contains_key("crit") {
        return Err(TokenError::Malformed);
    }
    let algorithm = header.get("alg").and_then(Value::as_str).ok_or(TokenError::Malformed)?;
    if !keys.has_algorithm(algorithm) {
        return Err(TokenError::Algorithm);
    }
    let signature = Base64UrlUnpadded::decode_vec(signature).map_err(|_| TokenError::Malformed)?;
    if !keys.signed(algorithm, signed.as_bytes(), &signature) {
        return Err(TokenError::Signature);
    }
    let (json, claims) = object(payload)?;
    let leeway = u64::from(leeway);
    let expires = time(&claims, "exp")?;
    // RFC 7519 section 4.1.4: on or after which it must not be accepted.
    if expires.is_some_and(|expires| now >= expires.saturating_add(leeway)) {
        return Err(TokenError::Expired);
    }
    if time(&claims, "nbf")?.is_some_and(|begin| now.saturating_add(leeway) < begin) {
        return Err(TokenError::NotYetValid);
    }
    let audience = match claims.get("aud") {
        None => Vec::new(),
        Some(Value::Array(all)) => all.iter().map(owned).collect::<Result<_, _>>()?,
        Some(one) => vec![owned(one)?],
    };
    let text = |name: &str| claims.get(name).map(owned).transpose();
    Ok(Claims { subject: text("sub")?, issuer: text("iss")?, audience, expires, json })
}

/// A part that is a JSON object.
fn object(part: &str) -> Result<(String, Map<String, Value>), TokenError> {
    let bytes = Base64UrlUnpadded::decode_vec(part).map_err(|_| TokenError::Malformed)?;
    let text = String::from_utf8(bytes).map_err(|_| TokenError::Malformed)?;
    let object = serde_json::from_str(&text).map_err(|_| TokenError::Malformed)?;
    Ok((text, object))
}

fn owned(value: &Value) -> Result<String, TokenError> {
    value.as_str().map(str::to_owned).ok_or(TokenError::Malformed)
}

/// A NumericDate (RFC 7519 section 2), whose fraction is cut.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, TokenError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let whole = value.as_u64();
    let fraction = || value.as_f64().filter(|it| (0.0..1e15).contains(it)).map(|it| it as u64);
    whole.or_else(fraction).map(Some).ok_or(TokenError::Malformed)
}

#[cfg(test)]
mod tests {
    use base64ct::Base64;

    use super::*;

    const NOW: u64 = 1_000_000;

    fn keys() -> Keys {
        Keys::parse("k", Base64::encode_string(&[1; 32]).as_bytes()).unwrap()
    }

    fn token(header: &str, payload: &str) -> String {
        let part = |text: &str| Base64UrlUnpadded::encode_string(text.as_bytes());
        let signed = format!("{}.{}", part(header), part(payload));
        let signature = Base64UrlUnpadded::encode_string(&keys().sign(signed.as_bytes()).unwrap());
        format!("{signed}.{signature}")
    }

    fn verified(payload: &str) -> Result<Claims, TokenError> {
        verify(&token(r#"{"alg":"HS256","typ":"JWT"}"#, payload), &keys(), NOW, 60)
    }

    #[test]
    fn the_claims_of_a_token_are_read() {
        let payload = r#"{"sub":"ann","iss":"https://id.example","aud":["a","b"],"exp":1000001,"role":"x"}"#;
        let claims = verified(payload).unwrap();
        assert_eq!(claims.subject.as_deref(), Some("ann"));
        assert_eq!(claims.issuer.as_deref(), Some("https://id.example"));
        assert_eq!(
            (claims.audience, claims.expires),
            (vec!["a".to_owned(), "b".to_owned()], Some(1_000_001))
        );
        assert_eq!(claims.json, payload);
        assert_eq!(verified(r#"{"aud":"a"}"#).unwrap().audience, ["a"]);
        assert_eq!(verified("{}").unwrap(), Claims { json: "{}".to_owned(), ..Claims::default() });
    }

    #[test]
    fn times_count_with_the_leeway() {
        for (payload, expected) in [
            (r#"{"exp":999941}"#, Ok(())),
            (r#"{"exp":999940}"#, Err(TokenError::Expired)),
            (r#"{"exp":999941.5}"#, Ok(())),
            (r#"{"exp":0}"#, Err(TokenError::Expired)),
            (r#"{"nbf":1000060}"#, Ok(())),
            (r#"{"nbf":1000061}"#, Err(TokenError::NotYetValid)),
            (r#"{"exp":"soon"}"#, Err(TokenError::Malformed)),
            (r#"{"exp":-1}"#, Err(TokenError::Malformed)),
            (r#"{"sub":5}"#, Err(TokenError::Malformed)),
            ("[]", Err(TokenError::Malformed)),
        ] {
            assert_eq!(verified(payload).map(drop), expected, "{payload}");
        }
    }

    #[test]
    fn the_key_says_which_algorithm_counts() {
        let of = |header: &str| verify(&token(header, "{}"), &keys(), NOW, 0).map(drop);
        for algorithm in ["none", "None", "RS256", "ES256", "HS512", "hs256", ""] {
            assert_eq!(of(&format!(r#"{{"alg":"{algorithm}"}}"#)), Err(TokenError::Algorithm), "{algorithm}");
        }
        assert_eq!(of(r#"{"alg":"HS256","crit":["exp"]}"#), Err(TokenError::Malformed));
        assert_eq!(of("{}"), Err(TokenError::Malformed));
        let good = token(r#"{"alg":"HS256"}"#, r#"{"sub":"ann"}"#);
        let (signed, _) = good.rsplit_once('.').unwrap();
        assert_eq!(verify(&format!("{signed}."), &keys(), NOW, 0).map(drop), Err(TokenError::Signature));
        let other = good.replacen(
            signed,
            token(r#"{"alg":"HS256"}"#, r#"{"sub":"bob"}"#).rsplit_once('.').unwrap().0,
            1,
        );
        assert_eq!(verify(&other, &keys(), NOW, 0).map(drop), Err(TokenError::Signature));
        for damaged in ["", ".", "..", "a.b", "a.b.c.d", &good.replace('.', "=.")] {
            assert_eq!(verify(damaged, &keys(), NOW, 0).map(drop), Err(TokenError::Malformed), "{damaged}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_refused(text in "[a-zA-Z0-9_.-]{0,80}") {
            assert!(verify(&text, &keys(), NOW, 0).is_err());
        }
    }
}
