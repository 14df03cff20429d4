//! What a request must be (RFC 9113 section 8), and what the phases take.

use std::hash::{BuildHasher, RandomState};

use base64ct::{Base64, Encoding};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery};
use http::{Method, Request, StatusCode, Uri, Version, request};
use shunt_config::model::{Http2, Limits};
use shunt_wire::authority::is_host;

use super::fields::Fields;
use crate::http::h1::framing::decimal;
use crate::http::h1::head::take_spare;
use crate::http::hpack::names;
use crate::http::hpack::table::Name;
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

/// Fields that are not of the message but say how it is asked for (section 8.3.1).
#[derive(Debug, Default)]
struct Pseudo {
    method: Option<Bytes>,
    scheme: Option<Bytes>,
    authority: Option<Bytes>,
    path: Option<Bytes>,
    /// RFC 8441 section 4.
    protocol: Option<Bytes>,
}

impl Pseudo {
    fn set(&mut self, name: Name<'_>, value: Bytes) -> Result<(), Refused> {
        let place = match name {
            Name::Known(names::METHOD) => &mut self.method,
            Name::Known(names::SCHEME) => &mut self.scheme,
            Name::Known(names::AUTHORITY) => &mut self.authority,
            Name::Known(names::PATH) => &mut self.path,
            Name::Text(b":protocol") => &mut self.protocol,
            _ => return Err(Malformed("a pseudo-field that no request has")),
        };
        match place.replace(value) {
            None => Ok(()),
            Some(_) => Err(Malformed("a pseudo-field is there twice")),
        }
    }
}

/// Makes a request of the fields of a block, in origin form.
///
/// # Errors
/// It is malformed, or beyond a limit.
pub(super) fn read(fields: &Fields, limits: &Limits, http2: &Http2) -> Result<Head, Refused> {
    let text = Bytes::copy_from_slice(fields.text());
    let (mut pseudo, mut headers) = (Pseudo::default(), take_spare());
    // As it would stand in HTTP/1.1, so that the limit means the same.
    let mut size = "  HTTP/1.1\r\n\r\n".len();
    let (mut count, mut length) = (0, None);
    for field in fields.iter() {
        let value = field.value(&text);
        let name = match field.name {
            Name::Known(index) => names::header_name(index).ok_or(field.name),
            Name::Text([b':', ..]) => Err(field.name),
            // Upper case is none (section 8.2.1).
            Name::Text(text) => {
                Ok(HeaderName::from_lowercase(text).map_err(|_| Malformed("a name that no field has"))?)
            }
        };
        match name {
            Err(name) if count > 0 => {
                debug_assert!(name.as_bytes().starts_with(b":"));
                return Err(Malformed("a pseudo-field behind others"));
            }
            Err(name) => {
                size += value.len();
                pseudo.set(name, value)?;
            }
            Ok(name) => {
                count += 1;
                size += name.as_str().len() + value.len() + ": \r\n".len();
                let value = field.mark(checked(&name, value)?);
                if name == header::CONTENT_LENGTH {
                    let decimal = decimal(value.as_bytes());
                    if length.is_some() || decimal.is_none() {
                        return Err(Malformed("Content-Length is not one number"));
                    }
                    length = decimal;
                }
                if headers.try_append(name, value).is_err() {
                    return Err(Status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
                }
            }
        }
    }
    size += pseudo.authority.as_ref().map_or(0, |_| "host: \r\n".len());
    size -= pseudo.scheme.as_ref().map_or(0, Bytes::len);
    let head = make(pseudo, headers, length, http2)?;
    if size > limits.head || count > limits.fields {
        return Err(Status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
    }
    Ok(head)
}

/// The same of a request that no connection has: what the phases take of it.
///
/// # Errors
/// The status that the client is told, else its stream is reset; and why.
pub(crate) fn read_head(
    fields: &[(String, String)],
    limits: &Limits,
    http2: &Http2,
) -> Result<request::Parts, (Option<StatusCode>, &'static str)> {
    read(&Fields::said(fields), limits, http2).map(|head| head.parts).map_err(|refused| match refused {
        Malformed(why) => (None, why),
        Status(status) => (Some(status), status.canonical_reason().unwrap_or_default()),
    })
}

/// Sections 8.2.1 and 8.2.2.
fn checked(name: &HeaderName, value: Bytes) -> Result<HeaderValue, Refused> {
    match *name {
        header::CONNECTION | header::TRANSFER_ENCODING | header::UPGRADE => {
            return Err(Malformed("a field of a connection of HTTP/1"));
        }
        header::TE if value != "trailers" => return Err(Malformed("TE asks for more than trailers")),
        _ if matches!(name.as_str(), "keep-alive" | "proxy-connection") => {
            return Err(Malformed("a field of a connection of HTTP/1"));
        }
        _ => {}
    }
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    if blank(value.first()) || blank(value.last()) {
        return Err(Malformed("blanks around a value"));
    }
    HeaderValue::from_maybe_shared(value).map_err(|_| Malformed("an octet that no value has"))
}

/// Reads the fields behind a body.
///
/// # Errors
/// They are malformed: why.
pub(super) fn read_trailers(fields: &Fields) -> Result<HeaderMap, &'static str> {
    let text = Bytes::copy_from_slice(fields.text());
    let mut trailers = HeaderMap::new();
    for field in fields.iter() {
        let name = match field.name {
            Name::Known(index) => names::header_name(index).ok_or("a pseudo-field behind a body")?,
            Name::Text(text) => HeaderName::from_lowercase(text).map_err(|_| "a name that no field has")?,
        };
        let value = checked(&name, field.value(&text)).map_err(|_| "a value that no field has")?;
        trailers.try_append(name, field.mark(value)).map_err(|_| "too many fields")?;
    }
    Ok(trailers)
}

fn make(pseudo: Pseudo, mut headers: HeaderMap, length: Option<u64>, http2: &Http2) -> Result<Head, Refused> {
    let method = pseudo.method.ok_or(Malformed("no :method"))?;
    let method = Method::from_bytes(&method).map_err(|_| Malformed(":method is none"))?;
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.version = Version::HTTP_2;
    let websocket = match &pseudo.protocol {
        None => false,
        Some(_) if !http2.websocket => return Err(Malformed(":protocol was not offered")),
        Some(_) if method != Method::CONNECT => return Err(Malformed(":protocol is for CONNECT")),
        Some(protocol) if protocol == "websocket" => true,
        // RFC 8441 section 4, RFC 9220 section 3.
        Some(_) => return Err(Status(StatusCode::NOT_IMPLEMENTED)),
    };
    if method == Method::CONNECT && !websocket {
        // RFC 9113 section 8.5. The phases know whether there is anything to connect to.
        let (Some(authority), None, None) = (pseudo.authority, pseudo.scheme, pseudo.path) else {
            return Err(Malformed("CONNECT has :authority and no other pseudo-field"));
        };
        let authority = Authority::from_maybe_shared(authority)
            .map_err(|_| Malformed(":authority is not a valid host"))?;
        (parts.method, parts.headers, parts.uri) = (method, headers, Uri::from(authority));
        return Ok(Head { parts, length, tunnel: true });
    }
    check_method(&method)?;
    let scheme = pseudo.scheme.ok_or(Malformed("no :scheme"))?;
    let https = scheme.eq_ignore_ascii_case(b"https");
    if !https && !scheme.eq_ignore_ascii_case(b"http") {
        return Err(Malformed(":scheme is neither http nor https"));
    }
    let path = read_path(pseudo.path.ok_or(Malformed("no :path"))?, &method)?;
    check_authority(&mut headers, pseudo.authority.as_ref(), https)?;
    join_cookies(&mut headers);
    (parts.method, parts.headers, parts.uri) = (method, headers, Uri::from(path));
    if websocket {
        become_upgrade(&mut parts);
    }
    Ok(Head { parts, length, tunnel: websocket })
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
fn read_path(path: Bytes, method: &Method) -> Result<PathAndQuery, Refused> {
    match &path[..] {
        b"*" if *method != Method::OPTIONS => return Err(Malformed("the path * is for OPTIONS")),
        b"*" | [b'/', ..] => {}
        _ => return Err(Malformed(":path does not begin with /")),
    }
    if path.contains(&b'#') {
        return Err(Malformed(":path has a fragment"));
    }
    if !path.is_ascii() {
        // RFC 3986 section 2: such are sent as percent-encodings.
        return Err(Malformed(":path has octets that are not ASCII"));
    }
    PathAndQuery::from_maybe_shared(path).map_err(|_| Malformed(":path is none"))
}

/// RFC 9113 section 8.3.1: `:authority` and `Host` say the same, and one of them is there. `Host` stands for both then.
fn check_authority(headers: &mut HeaderMap, authority: Option<&Bytes>, https: bool) -> Result<(), Refused> {
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
        (Some(authority), _) if !sound(authority) => Err(Malformed(":authority is not a valid host")),
        (Some(authority), host) => {
            if host.is_some_and(|host| !is_same_authority(authority, host.as_bytes(), https)) {
                return Err(Malformed(":authority and Host differ"));
            }
            let value = HeaderValue::from_maybe_shared(authority.slice_ref(authority_of(authority, https)))
                .map_err(|_| Malformed(":authority is not a valid host"))?;
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
    let secret = headers.get_all(header::COOKIE).iter().any(HeaderValue::is_sensitive);
    let joined = HeaderValue::from_maybe_shared(Bytes::from(all.join(&b"; "[..])));
    if let Ok(mut joined) = joined {
        joined.set_sensitive(secret);
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
