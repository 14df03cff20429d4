//! What a request must be beyond what the crate asks for (RFC 9113 section 8), and what the phases take.

use std::hash::{BuildHasher, RandomState};

use base64ct::{Base64, Encoding};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::uri::{PathAndQuery, Scheme};
use http::{Method, StatusCode, Uri, request};
use shunt_config::model::{Http2, Limits};
use shunt_wire::authority::is_host;

use crate::http::h1::framing::decimal;
use crate::http::phases::{authority_of, is_same_authority};

/// A request that does not come to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// RFC 9113 section 8.1.1: a stream error. Says why.
    Malformed(&'static str),
    /// The client may be told.
    Status(StatusCode),
}

use Refused::{Malformed, Status};

/// A request as the phases take it.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) parts: request::Parts,
    pub(super) length: Option<u64>,
    /// It is to become a tunnel, of a WebSocket or another: what follows is no body.
    pub(super) tunnel: bool,
}

/// Checks a head that the crate let through, and makes it one in origin form.
///
/// # Errors
/// It is malformed, or beyond a limit.
pub(super) fn check(mut parts: request::Parts, limits: &Limits, http2: &Http2) -> Result<Head, Refused> {
    let length = check_fields(&parts, limits)?;
    let websocket = match parts.extensions.remove::<h2::ext::Protocol>() {
        Some(protocol) if http2.websocket && protocol.as_str() == "websocket" => true,
        // RFC 8441 section 4, RFC 9220 section 3.
        Some(_) => return Err(Status(StatusCode::NOT_IMPLEMENTED)),
        None => false,
    };
    if parts.method == Method::CONNECT && !websocket {
        // The phases know whether there is anything to connect to.
        return Ok(Head { parts, length, tunnel: true });
    }
    check_method(&parts.method)?;
    let uri = std::mem::take(&mut parts.uri).into_parts();
    let scheme = uri.scheme;
    if scheme.as_ref().is_some_and(|scheme| *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS) {
        return Err(Malformed(":scheme is neither http nor https"));
    }
    let path = uri.path_and_query.unwrap_or(PathAndQuery::from_static("/"));
    check_path(&path, &parts.method)?;
    parts.uri = Uri::from(path);
    let authority = uri.authority.as_ref().map(|it| it.as_str());
    check_authority(&mut parts.headers, authority, scheme.as_ref() == Some(&Scheme::HTTPS))?;
    join_cookies(&mut parts.headers);
    if websocket {
        become_upgrade(&mut parts);
    }
    Ok(Head { parts, length, tunnel: websocket })
}

/// The same of a request that no connection has: what the phases take of it.
///
/// # Errors
/// The status that the client is told, else its stream is reset; and why.
pub(crate) fn read_head(
    parts: request::Parts,
    limits: &Limits,
    http2: &Http2,
) -> Result<request::Parts, (Option<StatusCode>, &'static str)> {
    check(parts, limits, http2).map(|head| head.parts).map_err(|refused| match refused {
        Malformed(why) => (None, why),
        Status(status) => (Some(status), status.canonical_reason().unwrap_or_default()),
    })
}

/// The fields, and what `Content-Length` says.
fn check_fields(parts: &request::Parts, limits: &Limits) -> Result<Option<u64>, Refused> {
    // As it would stand in HTTP/1.1, so that the limit means the same.
    let mut size = parts.method.as_str().len() + "  HTTP/1.1\r\n\r\n".len();
    size += parts.uri.path_and_query().map_or(0, |it| it.as_str().len());
    size += parts.uri.authority().map_or(0, |it| "host: \r\n".len() + it.as_str().len());
    let mut lengths = 0;
    let mut length = None;
    for (name, value) in &parts.headers {
        let bytes = value.as_bytes();
        size += name.as_str().len() + bytes.len() + ": \r\n".len();
        let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        if blank(bytes.first()) || blank(bytes.last()) {
            // RFC 9113 section 8.2.1.
            return Err(Malformed("blanks around a value"));
        }
        if *name == header::CONTENT_LENGTH {
            lengths += 1;
            length = decimal(bytes);
        }
    }
    if lengths > 1 || lengths == 1 && length.is_none() {
        return Err(Malformed("Content-Length is not one number"));
    }
    if size > limits.head || parts.headers.len() > limits.fields {
        return Err(Status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
    }
    Ok(length)
}

/// Methods are told apart by case (RFC 9110 section 9.1), and a member may not do that.
fn check_method(method: &Method) -> Result<(), Refused> {
    let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    let method = method.as_str();
    match known.iter().any(|known| known.eq_ignore_ascii_case(method) && *known != method) {
        true => Err(Malformed("the method is in lower case")),
        false => Ok(()),
    }
}

/// RFC 9113 section 8.3.1.
fn check_path(path: &PathAndQuery, method: &Method) -> Result<(), Refused> {
    let text = path.as_str();
    if !text.is_ascii() {
        // RFC 3986 section 2: such are sent as percent-encodings.
        return Err(Malformed(":path has octets that are not ASCII"));
    }
    match text {
        "*" if *method != Method::OPTIONS => Err(Malformed("the path * is for OPTIONS")),
        "*" => Ok(()),
        _ if text.starts_with('/') => Ok(()),
        _ => Err(Malformed(":path does not begin with /")),
    }
}

/// RFC 9113 section 8.3.1: `:authority` and `Host` say the same, and one of them is there. `Host` stands for both then.
fn check_authority(headers: &mut HeaderMap, authority: Option<&str>, https: bool) -> Result<(), Refused> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (host, another) = (hosts.next(), hosts.next());
    if another.is_some() {
        return Err(Malformed("more than one Host"));
    }
    let sound = |value: &[u8]| is_host(value) && !value.is_empty();
    match (authority, host) {
        (None, None) => Err(Malformed("neither :authority nor Host")),
        (None, Some(host)) if sound(host.as_bytes()) => Ok(()),
        (None, Some(_)) => Err(Malformed("Host is not a valid host")),
        // User information is refused with it (RFC 9110 section 4.2.4).
        (Some(authority), _) if !sound(authority.as_bytes()) => {
            Err(Malformed(":authority is not a valid host"))
        }
        (Some(authority), host) => {
            if host.is_some_and(|host| !is_same_authority(authority.as_bytes(), host.as_bytes(), https)) {
                return Err(Malformed(":authority and Host differ"));
            }
            let text = authority_of(authority.as_bytes(), https);
            let value =
                HeaderValue::from_bytes(text).map_err(|_| Malformed(":authority is not a valid host"))?;
            headers.insert(header::HOST, value);
            Ok(())
        }
    }
}

/// RFC 9113 section 8.2.3: HTTP/2 may have them apart, which HTTP/1.1 may not.
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(header::COOKIE).iter();
    if cookies.next().is_none() || cookies.next().is_none() {
        return;
    }
    let all: Vec<_> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    let joined = HeaderValue::from_maybe_shared(Bytes::from(all.join(&b"; "[..])));
    if let Ok(joined) = joined {
        headers.insert(header::COOKIE, joined);
    }
}

/// RFC 8441 section 5: what HTTP/1.1 says by `Upgrade`. Its key and its answer prove that a server knows the
/// protocol, which 101 says too.
fn become_upgrade(parts: &mut request::Parts) {
    parts.method = Method::GET;
    let headers = &mut parts.headers;
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    // RFC 6455 section 4.1: 16 bytes that nobody can know before.
    let random = RandomState::new();
    let key = [random.hash_one(0).to_be_bytes(), random.hash_one(1).to_be_bytes()].concat();
    if let Ok(key) = HeaderValue::from_str(&Base64::encode_string(&key)) {
        headers.insert(header::SEC_WEBSOCKET_KEY, key);
    }
}

#[cfg(test)]
mod tests;
