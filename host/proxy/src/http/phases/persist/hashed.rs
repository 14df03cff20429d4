//! What the balance of a pool hashes of a request.

use http::{HeaderMap, request};
use shunt_config::model::Pool;
use shunt_engine::balance::Balance;
use shunt_engine::hash;

use super::cookie::cookies;
use crate::http::target;

/// The stable hash of it; `None` where the balance hashes nothing of requests, or this one does not have it.
/// `any_host`: the clients ask many servers, whose paths may be the same.
pub(super) fn key(pool: &Pool, request: &request::Parts, any_host: bool) -> Option<u64> {
    let name = || pool.hashed.as_deref();
    match pool.balance {
        Balance::UrlHash => Some(target::hash(request, any_host)),
        Balance::HeaderHash => header(&request.headers, name()?),
        Balance::CookieHash => cookies(&request.headers, name()?).find(|it| !it.is_empty()).map(hash::stable),
        _ => None,
    }
}

/// Several lines of a field are one with commas (RFC 9110 section 5.3). A field without a value says nothing.
fn header(headers: &HeaderMap, name: &str) -> Option<u64> {
    let mut lines = headers.get_all(name).iter().map(|line| line.as_bytes());
    let first = lines.next()?;
    let mut parts = vec![first];
    lines.for_each(|line| parts.extend([b", ".as_slice(), line]));
    parts.iter().any(|part| !part.is_empty()).then(|| hash::stable_of(&parts))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn lines_of_a_field_are_one() {
        let of = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-user", HeaderValue::from_static(line));
            }
            header(&headers, "x-user")
        };
        assert_eq!((of(&[]), of(&[""])), (None, None));
        assert_eq!(of(&["a"]), Some(hash::stable(b"a")));
        assert_eq!(of(&["a", "b"]), of(&["a, b"]));
        assert_ne!(of(&["a", "b"]), of(&["b", "a"]));
    }
}
