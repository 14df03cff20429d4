//! What a request becomes on its way to a member, and what an answer must be beyond what the crate asks for.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, Parts, Scheme};
use http::{Request, StatusCode, Uri, Version, request, response};

use crate::http::h1::framing::decimal;
use crate::http::member::Broken;

/// A request as a member gets it, with a body of this length, if that is known.
pub(super) fn of_member(head: &request::Parts, length: Option<u64>, scheme: &Scheme) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = head.method.clone();
    let headers = request.headers_mut();
    headers.clone_from(&head.headers);
    remove_per_connection(headers);
    detach(headers);
    // Said again, for a rule may have made the body another one.
    let said = headers.remove(header::CONTENT_LENGTH).is_some();
    if let Some(length) = length.filter(|length| said || *length > 0) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    let host = headers.get(header::HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let mut parts = Parts::default();
    parts.path_and_query = head.uri.path_and_query().cloned();
    // RFC 9113 section 8.3.1: `:authority` stands for `Host`.
    parts.scheme = host.is_some().then(|| scheme.clone());
    parts.authority = host;
    let (uri, absolute) = match (parts.authority.is_some(), Uri::from_parts(parts)) {
        (absolute, Ok(uri)) => (uri, absolute),
        (_, Err(_)) => (head.uri.clone(), false),
    };
    *request.uri_mut() = uri;
    if absolute {
        request.headers_mut().remove(header::HOST);
        *request.version_mut() = Version::HTTP_2;
    }
    request
}

/// RFC 9113 section 8.2.2.
fn remove_per_connection(headers: &mut HeaderMap) {
    let trailers = headers.get(header::TE).is_some_and(|te| te == "trailers");
    for name in [
        header::CONNECTION,
        header::UPGRADE,
        header::TRANSFER_ENCODING,
        header::TE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ] {
        headers.remove(name);
    }
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

/// The head of an answer as the phases take it, and what it says of the length.
///
/// # Errors
/// It is malformed (RFC 9113 section 8.1.1) in a way that the crate lets pass.
pub(super) fn of_answer(mut parts: response::Parts) -> Result<(response::Parts, Option<u64>), Broken> {
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        // RFC 9113 section 8.6.
        return Err(Broken::Status);
    }
    check_fields(&parts.headers)?;
    parts.version = Version::HTTP_11;
    let length = parts.headers.get(header::CONTENT_LENGTH);
    let length = length.map(|value| decimal(value.as_bytes()).ok_or(Broken::Length)).transpose()?;
    Ok((parts, length))
}

/// RFC 9113 section 8.2.1: no value begins or ends with a blank.
pub(super) fn check_fields(fields: &HeaderMap) -> Result<(), Broken> {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let bare = |value: &HeaderValue| !blank(value.as_bytes().first()) && !blank(value.as_bytes().last());
    if fields.values().all(bare) { Ok(()) } else { Err(Broken::Field) }
}

/// Gives values bytes of their own. Those that came by HTTP/1 are parts of what was read at once, and the crate keeps
/// values in its table (RFC 7541 section 2.3.2) for as long as the connection lives.
pub(super) fn detach(headers: &mut HeaderMap) {
    for value in headers.values_mut() {
        if let Ok(mut own) = HeaderValue::from_bytes(value.as_bytes()) {
            own.set_sensitive(value.is_sensitive());
            *value = own;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Response;

    use super::*;

    fn request(method: &str, target: &str, fields: &[(&str, &str)], length: Option<u64>) -> Request<()> {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        of_member(&request.body(()).unwrap().into_parts().0, length, &Scheme::HTTPS)
    }

    #[test]
    fn a_host_becomes_the_authority() {
        let made = request("GET", "/a?b=c", &[("host", "x:81"), ("accept", "*/*")], Some(0));
        assert_eq!(made.uri(), "https://x:81/a?b=c");
        assert_eq!(made.headers().len(), 1);
        let made = request("OPTIONS", "*", &[("host", "x")], Some(0));
        assert_eq!(made.uri().path_and_query().map(|it| it.as_str()), Some("*"));
        assert_eq!(made.uri().authority().map(Authority::as_str), Some("x"));
        let made = request("GET", "/", &[], Some(0));
        assert_eq!((made.uri().to_string().as_str(), made.version()), ("/", Version::HTTP_11));
    }

    #[test]
    fn what_is_of_a_connection_stays_there() {
        let fields = [
            ("host", "x"),
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("te", "trailers"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("content-length", "7"),
        ];
        let made = request("POST", "/", &fields, None);
        assert_eq!(made.headers().len(), 1);
        assert_eq!(made.headers()[header::TE], "trailers");
        assert_eq!(request("POST", "/", &fields, Some(3)).headers()[header::CONTENT_LENGTH], "3");
        assert!(request("POST", "/", &[("te", "gzip")], None).headers().is_empty());
    }

    #[test]
    fn a_request_holds_nothing_of_what_was_read_with_it() {
        let read = Bytes::from(b"x.example and all that came with it".to_vec());
        let value = HeaderValue::from_maybe_shared(read.slice(..9)).unwrap();
        let mut head = Request::new(()).into_parts().0;
        head.headers.insert(header::HOST, value.clone());
        head.headers.insert(header::ORIGIN, value);
        let made = of_member(&head, None, &Scheme::HTTP);
        drop(head);
        assert_eq!(made.headers()[header::ORIGIN], "x.example");
        assert!(read.is_unique(), "values are parts of what was read");
    }

    #[test]
    fn answers_are_checked() {
        let answer = |status: u16, name: &str, value: &str| {
            of_answer(Response::builder().status(status).header(name, value).body(()).unwrap().into_parts().0)
                .map(|(_, length)| length)
        };
        assert_eq!(answer(200, "content-length", "7").unwrap(), Some(7));
        assert_eq!(answer(204, "x", "").unwrap(), None);
        assert!(matches!(answer(200, "x", "a "), Err(Broken::Field)));
        assert!(matches!(answer(200, "x", "\ta"), Err(Broken::Field)));
        assert!(matches!(answer(200, "content-length", "+7"), Err(Broken::Length)));
        assert!(matches!(answer(101, "x", "a"), Err(Broken::Status)));
    }
}
