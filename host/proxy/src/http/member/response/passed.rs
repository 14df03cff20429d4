//! Heads whose fields are passed on as lines: most are, where no rule looks at them.

use http::header::{self, HeaderName};

use super::*;
use crate::http::lines::Lines;

/// As [`super::take_head`], of which it takes the usual heads alone; `None`: the head is not all there, or another
/// one, or none.
pub(super) fn take(buffer: &mut BytesMut, request: &Method) -> Option<Head> {
    if *request == Method::HEAD {
        return None;
    }
    let mut fields = [const { MaybeUninit::uninit() }; USUAL_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let length = match config.parse_response_with_uninit_headers(&mut parsed, buffer, &mut fields) {
        Ok(httparse::Status::Complete(length)) if length <= MOST_HEAD => length,
        _ => return None,
    };
    let status = StatusCode::from_u16(parsed.code?).ok()?;
    if !has_content(status) || status.canonical_reason().is_none() {
        return None;
    }
    let version = if parsed.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    let mut framing = Framing::new(version);
    let mut lines = Lines::new();
    for field in parsed.headers.iter() {
        match Kind::of(field.name) {
            Kind::EndToEnd => lines.push(field.name, field.value),
            Kind::Framing(name) => framing.note(name, field.value).ok()?,
            Kind::Connection if names_no_field(field.value) => {
                framing.note(Name::Connection, field.value).ok()?;
            }
            Kind::Connection | Kind::Other => return None,
        }
    }
    buffer.advance(length);
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.status = status;
    parts.version = version;
    Some(Head { lines: Some(lines), ..framing.head(parts, request) })
}

/// What becomes of a field on its way to the client (RFC 9110 section 7.6.1).
enum Kind {
    EndToEnd,
    /// It is read and not passed on.
    Framing(Name),
    Connection,
    /// It takes more than reading it.
    Other,
}

impl Kind {
    fn of(name: &str) -> Self {
        let is = |other: &HeaderName| name.eq_ignore_ascii_case(other.as_str());
        let is_named = |other: &str| name.eq_ignore_ascii_case(other);
        match name.len() {
            2 if is(&header::TE) => Kind::Other,
            7 if is(&header::UPGRADE) || is(&header::TRAILER) => Kind::Other,
            10 if is(&header::CONNECTION) => Kind::Connection,
            10 if is_named("keep-alive") => Kind::Framing(Name::KeepAlive),
            14 if is(&header::CONTENT_LENGTH) => Kind::Framing(Name::Length),
            14 if is_named("http2-settings") => Kind::Other,
            16 if is_named("proxy-connection") => Kind::Other,
            17 if is(&header::TRANSFER_ENCODING) => Kind::Framing(Name::Coding),
            _ => Kind::EndToEnd,
        }
    }
}

/// Whether a value of `Connection` says only whether the connection stays.
fn names_no_field(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close")
}
