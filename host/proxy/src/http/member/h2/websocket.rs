//! A request of HTTP/1.1 that asks for a WebSocket, as HTTP/2 says it (RFC 8441), and the answer to it.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64ct::{Base64, Encoding};
use h2::ext::Protocol;
use http::header::{self, HeaderValue};
use http::{Method, Request, StatusCode, response};

/// RFC 6455 section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Makes the request an extended CONNECT (RFC 8441 section 4), which has no key (section 5). Returns what answers the key.
pub(super) fn become_connect(request: &mut Request<()>) -> Option<HeaderValue> {
    let key = request.headers_mut().remove(header::SEC_WEBSOCKET_KEY)?;
    *request.method_mut() = Method::CONNECT;
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key.as_bytes(), GUID].concat());
    HeaderValue::from_str(&Base64::encode_string(hash.as_ref())).ok()
}

/// Makes an answer of success what HTTP/1.1 says (RFC 6455 section 4.2.2). The phases see one kind of answer.
pub(super) fn become_switch(head: &mut response::Parts, accept: HeaderValue) {
    head.status = StatusCode::SWITCHING_PROTOCOLS;
    // RFC 9110 section 8.6: it says nothing in an answer to CONNECT.
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    head.headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    head.headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_answered() {
        let mut request = Request::builder()
            .uri("https://h/chat")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("sec-websocket-version", "13")
            .body(())
            .unwrap();
        // The example of RFC 6455 section 1.3.
        let accept = become_connect(&mut request).unwrap();
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!((request.method(), request.headers().len()), (&Method::CONNECT, 1));
        assert_eq!(request.extensions().get::<Protocol>().unwrap().as_str(), "websocket");
    }
}
