//! Which protocols a connection may switch to (RFC 9110 section 7.8).

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, request};

/// The protocols that a request may switch to, as one value. Those with HTTP inside are left out: no check and no
/// rule would see the requests in such a tunnel (for `h2c` see RFC 9113 section 3.1, for TLS RFC 2817).
pub(super) fn protocols(headers: &HeaderMap) -> Option<HeaderValue> {
    joined(headers, |protocol| !has_http_inside(protocol))
}

/// All protocols that a response names, as one value.
pub(super) fn all(headers: &HeaderMap) -> Option<HeaderValue> {
    joined(headers, |_| true)
}

/// Whether a member says that it switches to a protocol that no request may ask for.
pub(crate) fn switches_to_http(headers: &HeaderMap) -> bool {
    headers.get_all(header::UPGRADE).iter().flat_map(listed).any(has_http_inside)
}

/// Whether a request asks for a WebSocket and for nothing else (RFC 6455 section 4.1).
pub(crate) fn asks_for_websocket(head: &request::Parts) -> bool {
    let mut asked = head.headers.get_all(header::UPGRADE).iter().flat_map(listed);
    head.method == Method::GET
        && asked.next().is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
        && asked.next().is_none()
        && head.headers.contains_key(header::SEC_WEBSOCKET_KEY)
}

fn has_http_inside(protocol: &[u8]) -> bool {
    let name = protocol.split(|&byte| byte == b'/').next().unwrap_or_default().trim_ascii();
    [&b"h2c"[..], b"h2", b"h3", b"http", b"https", b"tls"].iter().any(|it| name.eq_ignore_ascii_case(it))
}

fn listed(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value
        .as_bytes()
        .split(|&byte| byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|protocol| !protocol.is_empty())
}

fn joined(headers: &HeaderMap, keep: impl Fn(&[u8]) -> bool) -> Option<HeaderValue> {
    let mut values = headers.get_all(header::UPGRADE).iter();
    let first = values.next()?;
    if values.next().is_none() && listed(first).all(&keep) {
        return listed(first).next().is_some().then(|| first.clone());
    }
    let kept: Vec<_> =
        headers.get_all(header::UPGRADE).iter().flat_map(listed).filter(|protocol| keep(protocol)).collect();
    if kept.is_empty() {
        return None;
    }
    HeaderValue::from_bytes(&kept.join(&b", "[..])).ok()
}
