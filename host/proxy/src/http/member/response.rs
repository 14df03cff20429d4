//! Reads responses as a member sends them: the head, and what its framing makes of the bytes behind it
//! (RFC 9112 section 6.3).

use std::mem::MaybeUninit;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, header, response};

mod passed;
mod unusual;

use super::Broken;
use crate::http::h1::framing::{BadChunk, Chunk, decimal, take_data};
use crate::http::lines::Lines;
use crate::http::reason::ReasonPhrase;

/// Fields of a head, and of the trailers, that there is room for without an allocation.
const USUAL_FIELDS: usize = 128;
/// Bytes of a head, and of the trailers, at most.
const MOST_HEAD: usize = (64 << 10) - 1;
/// A response head, and what follows it.
pub(super) struct Head {
    pub(super) parts: response::Parts,
    /// The fields, where they are not in `parts`.
    pub(super) lines: Option<Lines>,
    pub(super) body: Body,
    /// The member will take another request on the connection.
    pub(super) keep_alive: bool,
    /// For so many seconds, where it says so.
    pub(super) kept_for: Option<u64>,
}

/// Takes a response head off the front of `buffer`; `None`: not all of it is there. `passes`: nothing looks at its
/// fields, so they may stay lines.
///
/// # Errors
/// It is no HTTP/1 response, or its framing can be read in more than one way.
pub(super) fn take_head(
    buffer: &mut BytesMut,
    request: &Method,
    passes: bool,
) -> Result<Option<Head>, Broken> {
    if passes && let Some(head) = passed::take(buffer, request) {
        return Ok(Some(head));
    }
    let mut places = [Place::default(); USUAL_FIELDS];
    let found = {
        let mut fields = [const { MaybeUninit::uninit() }; USUAL_FIELDS];
        find(buffer, &httparse::ParserConfig::default(), &mut fields, &mut places)
    };
    let taken = match found {
        Ok(found) => found.map(|found| found.take(buffer, &places)).transpose()?,
        Err(Broken::Head(error)) => unusual::take(buffer, error)?,
        Err(error) => return Err(error),
    };
    let Some(parts) = taken else { return Ok(None) };
    Ok(Some(Framing::read(&parts.headers, parts.version)?.head(parts, request)))
}

/// A head that is whole.
struct Found {
    length: usize,
    status: StatusCode,
    reason: Option<ReasonPhrase>,
    version: Version,
    /// How many fields it has.
    count: usize,
}

/// Finds the end of a head, and the `places` of its fields; `None`: not all of it is there.
fn find<'b>(
    bytes: &'b [u8],
    config: &httparse::ParserConfig,
    fields: &mut [MaybeUninit<httparse::Header<'b>>],
    places: &mut [Place],
) -> Result<Option<Found>, Broken> {
    let mut parsed = httparse::Response::new(&mut []);
    let read = config.parse_response_with_uninit_headers(&mut parsed, bytes, fields);
    let length = match read.map_err(Broken::Head)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial if bytes.len() < MOST_HEAD => return Ok(None),
        httparse::Status::Partial => return Err(Broken::HeadTooLarge),
    };
    if length > MOST_HEAD {
        return Err(Broken::HeadTooLarge);
    }
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(Broken::Status)?;
    // A status that is not registered keeps the reason phrase of the member.
    let reason = match status.canonical_reason() {
        Some(_) => None,
        None => parsed.reason.map(ReasonPhrase::new),
    };
    let version = if parsed.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    for (place, field) in places.iter_mut().zip(parsed.headers.iter()) {
        *place = Place::of(bytes.as_ptr() as usize, field);
    }
    Ok(Some(Found { length, status, reason, version, count: parsed.headers.len() }))
}

impl Found {
    fn take(self, buffer: &mut BytesMut, places: &[Place]) -> Result<response::Parts, Broken> {
        let bytes = buffer.split_to(self.length).freeze();
        let (mut parts, ()) = Response::new(()).into_parts();
        parts.status = self.status;
        parts.version = self.version;
        if let Some(reason) = self.reason {
            parts.extensions.insert(reason);
        }
        parts.headers = fields_at(&bytes, &places[..self.count])?;
        Ok(parts)
    }
}

/// Where a field stands in the bytes of its head.
#[derive(Clone, Copy, Default)]
struct Place {
    name: (u16, u16),
    value: (u16, u16),
}

impl Place {
    fn of(origin: usize, field: &httparse::Header<'_>) -> Self {
        let place = |bytes: &[u8]| {
            let start = bytes.as_ptr() as usize - origin;
            // A head has at most `MOST_HEAD` bytes.
            (start as u16, (start + bytes.len()) as u16)
        };
        Place { name: place(field.name.as_bytes()), value: place(field.value) }
    }
}

/// The fields, whose values share the memory of `bytes`.
fn fields_at(bytes: &Bytes, places: &[Place]) -> Result<HeaderMap, Broken> {
    let mut fields = HeaderMap::with_capacity(places.len());
    for place in places {
        let name = HeaderName::from_bytes(&bytes[usize::from(place.name.0)..usize::from(place.name.1)]);
        let value = bytes.slice(usize::from(place.value.0)..usize::from(place.value.1));
        match (name, HeaderValue::from_maybe_shared(value)) {
            (Ok(name), Ok(value)) => fields.append(name, value),
            _ => return Err(Broken::Field),
        };
    }
    Ok(fields)
}

/// What the fields say about the length, and about the connection.
struct Framing {
    http_11: bool,
    chunked: bool,
    length: Option<u64>,
    keep_alive: bool,
    kept_for: Option<u64>,
}

/// A field that says something of it.
#[derive(Clone, Copy)]
enum Name {
    Length,
    Coding,
    Connection,
    KeepAlive,
}

impl Framing {
    fn new(version: Version) -> Self {
        let http_11 = version == Version::HTTP_11;
        Framing { http_11, chunked: false, length: None, keep_alive: http_11, kept_for: None }
    }

    fn read(fields: &HeaderMap, version: Version) -> Result<Self, Broken> {
        let mut framing = Framing::new(version);
        for (name, value) in fields {
            let name = match *name {
                header::CONTENT_LENGTH => Name::Length,
                header::TRANSFER_ENCODING => Name::Coding,
                header::CONNECTION => Name::Connection,
                _ if name.as_str() == "keep-alive" => Name::KeepAlive,
                _ => continue,
            };
            framing.note(name, value.as_bytes())?;
        }
        Ok(framing)
    }

    fn note(&mut self, name: Name, value: &[u8]) -> Result<(), Broken> {
        match name {
            Name::Length => {
                for length in value.split(|&byte| byte == b',') {
                    let length = decimal(length.trim_ascii()).ok_or(Broken::Length)?;
                    // RFC 9112 section 6.3, item 5: several that are equal are one.
                    if self.length.is_some_and(|first| first != length) {
                        return Err(Broken::Length);
                    }
                    self.length = Some(length);
                }
            }
            Name::Coding => {
                // Another coding, or one in HTTP/1.0, leaves the end of the body a matter of opinion
                // (RFC 9112 section 6.1).
                if self.chunked || !self.http_11 || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Broken::Coding);
                }
                self.chunked = true;
            }
            Name::Connection => {
                for option in value.split(|&byte| byte == b',') {
                    let option = option.trim_ascii();
                    if option.eq_ignore_ascii_case(b"close") {
                        self.keep_alive = false;
                    } else if !self.http_11 && option.eq_ignore_ascii_case(b"keep-alive") {
                        self.keep_alive = true;
                    }
                }
            }
            Name::KeepAlive => self.kept_for = timeout(value),
        }
        Ok(())
    }

    /// The head whose fields these were.
    fn head(self, parts: response::Parts, request: &Method) -> Head {
        let body = match (self.chunked, self.length) {
            // RFC 9112 section 6.3, items 1 and 2.
            _ if *request == Method::HEAD || !has_content(parts.status) => Body::Length(0),
            _ if *request == Method::CONNECT && parts.status.is_success() => Body::Length(0),
            (true, _) => Body::Chunked(Chunk::Size),
            (false, Some(length)) => Body::Length(length),
            (false, None) => Body::UntilClosed,
        };
        // RFC 9112 section 6.3, item 3: the coding wins, and the connection is not trusted with more.
        let is_plain = !(self.chunked && self.length.is_some());
        let keep_alive = self.keep_alive && is_plain && body != Body::UntilClosed;
        Head { parts, lines: None, body, keep_alive, kept_for: self.kept_for }
    }
}

/// Whether a message with this status has content, if it is no answer to HEAD (RFC 9110 section 6.4.1).
fn has_content(status: StatusCode) -> bool {
    !status.is_informational() && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The seconds of `Keep-Alive: timeout=5, max=100` (RFC 2068 section 19.7.1.1).
fn timeout(value: &[u8]) -> Option<u64> {
    value.split(|&byte| byte == b',').find_map(|parameter| {
        let (name, seconds) = parameter.trim_ascii().split_at_checked("timeout=".len())?;
        name.eq_ignore_ascii_case(b"timeout=").then(|| decimal(seconds.trim_ascii()))?
    })
}

/// What is still to come of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// So many bytes.
    Length(u64),
    Chunked(Chunk),
    /// All until the member closes.
    UntilClosed,
}

/// A step through a body.
#[derive(Debug, PartialEq)]
pub(super) enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
    /// More bytes are needed, if more are to come.
    More,
}

impl Body {
    pub(super) const ENDED: Body = Body::Length(0);

    pub(super) fn is_ended(&self) -> bool {
        *self == Body::ENDED
    }

    /// Bytes to come, where that is known.
    pub(super) fn exact(&self) -> Option<u64> {
        match self {
            Body::Length(length) => Some(*length),
            Body::Chunked(_) | Body::UntilClosed => None,
        }
    }

    /// Takes what is next off the front of `buffer`. Behind data it looks whether that was the end.
    ///
    /// # Errors
    /// The framing is broken.
    pub(super) fn take(&mut self, buffer: &mut BytesMut) -> Result<Piece, Broken> {
        match self {
            Body::Length(left) => match take_data(buffer, left) {
                Some(data) => Ok(Piece::Data(data)),
                None => Ok(Piece::More),
            },
            Body::UntilClosed => match buffer.is_empty() {
                true => Ok(Piece::More),
                false => Ok(Piece::Data(buffer.split().freeze())),
            },
            Body::Chunked(_) => self.take_chunked(buffer),
        }
    }

    fn take_chunked(&mut self, buffer: &mut BytesMut) -> Result<Piece, Broken> {
        while let Body::Chunked(at) = self {
            match at {
                Chunk::Data(left) if *left > 0 => {
                    let Some(data) = take_data(buffer, left) else { break };
                    // What is wrong behind it is found again when it is asked for.
                    let _ = self.pass_end(buffer);
                    return Ok(Piece::Data(data));
                }
                Chunk::Trailers => {
                    let Some(trailers) = take_trailers(buffer)? else { break };
                    *self = Body::ENDED;
                    if !trailers.is_empty() {
                        return Ok(Piece::Trailers(trailers));
                    }
                }
                Chunk::Data(_) | Chunk::Size => {
                    if !at.pass_line(buffer)? {
                        break;
                    }
                }
            }
        }
        Ok(Piece::More)
    }

    /// Goes past the end of the body, if that is all that comes.
    fn pass_end(&mut self, buffer: &mut BytesMut) -> Result<(), Broken> {
        while let Body::Chunked(at) = self {
            if *at == Chunk::Trailers && buffer.starts_with(b"\r\n") {
                buffer.advance(2);
                *self = Body::ENDED;
            } else if matches!(at, Chunk::Trailers | Chunk::Data(1..)) || !at.pass_line(buffer)? {
                break;
            }
        }
        Ok(())
    }

    /// What the end of the connection means here.
    ///
    /// # Errors
    /// More was to come.
    pub(super) fn close(&mut self) -> Result<(), Broken> {
        match self {
            Body::UntilClosed | Body::Length(0) => {
                *self = Body::ENDED;
                Ok(())
            }
            Body::Length(_) | Body::Chunked(_) => Err(Broken::Truncated),
        }
    }
}

impl From<BadChunk> for Broken {
    fn from(_: BadChunk) -> Broken {
        Broken::Chunk
    }
}

fn take_trailers(buffer: &mut BytesMut) -> Result<Option<HeaderMap>, Broken> {
    let mut places = [Place::default(); USUAL_FIELDS];
    let found = {
        let mut fields = [httparse::EMPTY_HEADER; USUAL_FIELDS];
        match httparse::parse_headers(buffer, &mut fields) {
            Ok(httparse::Status::Complete((length, fields))) => {
                for (place, field) in places.iter_mut().zip(fields) {
                    *place = Place::of(buffer.as_ptr() as usize, field);
                }
                Ok(Some((length, fields.len())))
            }
            Ok(httparse::Status::Partial) => Ok(None),
            Err(error) => Err(error),
        }
    };
    match found {
        Ok(Some((length, count))) if length <= MOST_HEAD => {
            let bytes = buffer.split_to(length).freeze();
            fields_at(&bytes, &places[..count]).map(Some)
        }
        Ok(None) if buffer.len() < MOST_HEAD => Ok(None),
        Ok(_) => Err(Broken::HeadTooLarge),
        Err(error) => unusual::take_trailers(buffer, error),
    }
}

#[cfg(test)]
mod tests;
