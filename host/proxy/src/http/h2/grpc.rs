//! Answers of Shunt's own to gRPC clients, in the form that these read: 200, and a status in fields of their own.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, response};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Whether a request is a call of gRPC: `application/grpc`, also with a subtype or parameters. gRPC-Web is another
/// protocol.
pub(super) fn is_call(request: &HeaderMap) -> bool {
    let Some(value) = request.get(header::CONTENT_TYPE) else { return false };
    let rest = value.as_bytes().strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// Makes an answer that is not of the call's server one that the client takes for the call's end ("Trailers-Only" of
/// the gRPC protocol over HTTP/2). Whether it did: a rule may have said itself how the call ended.
pub(super) fn make_answer(head: &mut response::Parts) -> bool {
    if head.status == StatusCode::OK || head.headers.contains_key(GRPC_STATUS) {
        return false;
    }
    for name in [header::CONTENT_LENGTH, header::CONTENT_ENCODING, header::ALLOW] {
        head.headers.remove(name);
    }
    let reason = head.status.canonical_reason().unwrap_or_default();
    let message = format!("{} {reason} by the load balancer", head.status.as_str());
    head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    head.headers.insert(GRPC_STATUS, HeaderValue::from(of_http(head.status)));
    if let Ok(message) = HeaderValue::from_str(&message) {
        head.headers.insert(GRPC_MESSAGE, message);
    }
    head.status = StatusCode::OK;
    true
}

/// What clients make of a status of HTTP by themselves (doc/http-grpc-status-mapping.md of gRPC).
fn of_http(status: StatusCode) -> u16 {
    match status.as_u16() {
        // INTERNAL
        400 => 13,
        // UNAUTHENTICATED
        401 => 16,
        // PERMISSION_DENIED
        403 => 7,
        // UNIMPLEMENTED
        404 => 12,
        // UNAVAILABLE
        429 | 502 | 503 | 504 => 14,
        // UNKNOWN
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    #[test]
    fn calls_are_told_by_their_content_type() {
        for (content_type, is) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            let headers =
                HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))]);
            assert_eq!(is_call(&headers), is, "{content_type}");
        }
        assert!(!is_call(&HeaderMap::new()));
    }

    #[test]
    fn a_status_of_http_becomes_one_of_grpc() {
        for (status, expected) in [(400, "13"), (403, "7"), (404, "12"), (502, "14"), (503, "14"), (500, "2")]
        {
            let mut head = Response::builder().status(status).header("content-length", "3").body(()).unwrap();
            head.headers_mut().insert("content-type", HeaderValue::from_static("text/plain"));
            let mut head = head.into_parts().0;
            assert!(make_answer(&mut head));
            assert_eq!(
                (head.status.as_u16(), &head.headers["grpc-status"]),
                (200, &HeaderValue::from_static(expected))
            );
            assert_eq!(head.headers["content-type"], "application/grpc");
            assert!(!head.headers.contains_key("content-length"));
        }
        let said = Response::builder().status(503).header("grpc-status", "8").body(()).unwrap();
        assert!(!make_answer(&mut said.into_parts().0), "a rule has said it");
    }
}
