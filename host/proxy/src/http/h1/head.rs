//! Reads request heads as clients send them: where one ends, what its framing makes of the bytes behind it (RFC 9112
//! section 6.3), and what two readers could take for different things, which is refused (sections 2.2, 6.3 and 11.2).

use std::cell::RefCell;
use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header, request};
use memchr::{memchr, memchr_iter};

use super::body::Body;
use super::framing::{Chunk, decimal};
use super::refusal::Refusal;
use crate::http::phases::BareOptions;

/// Fields of a head that there is room for without an allocation.
const USUAL_FIELDS: usize = 100;
/// The longest target that [`Uri`] takes.
pub(super) const MOST_TARGET: usize = 65_534;
/// A length beyond it is one that no file has, and that members read as negative.
const MOST_LENGTH: u64 = i64::MAX as u64;

/// What a head, and the trailers of a request, may not exceed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes.
    pub(super) head: usize,
    pub(super) fields: usize,
}

/// A request head, and what follows it.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) parts: request::Parts,
    pub(super) body: Body,
    /// The client may send another request on the connection (RFC 9112 section 9.3).
    pub(super) keep_alive: bool,
}

/// Lines in search of the empty one that ends them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lines {
    /// So many bytes were looked at.
    seen: usize,
    /// Where the line begins that is not all there.
    line: usize,
}

impl Lines {
    /// Whether no line has begun.
    pub(super) fn is_new(&self) -> bool {
        self.line == 0
    }

    /// So many bytes are lines that are all there.
    pub(super) fn begun(&self) -> usize {
        self.line
    }

    /// The length of all lines, the empty one included, if it is there. `bytes` are those of the last call and more.
    ///
    /// # Errors
    /// A line ends with LF alone.
    pub(super) fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        for end in memchr_iter(b'\n', &bytes[self.seen..]) {
            let end = self.seen + end;
            if end == self.line || bytes[end - 1] != b'\r' {
                return Err(Refusal::BareLf);
            }
            let is_empty = end - self.line == 1;
            self.line = end + 1;
            if is_empty {
                return Ok(Some(end + 1));
            }
        }
        self.seen = bytes.len();
        Ok(None)
    }
}

/// How many bytes of empty lines stand before a request, which are ignored (RFC 9112 section 2.2).
pub(super) fn blank(bytes: &[u8]) -> usize {
    2 * bytes.chunks_exact(2).take_while(|pair| *pair == b"\r\n").count()
}

/// How far the lines were judged of a head that is not all there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Judged {
    /// So many bytes are lines that may stand in a head.
    lines: usize,
}

/// The part of a line that is judged before its end is there: no more, so that a line that comes byte by byte is not
/// read from its beginning each time for nothing.
const MOST_JUDGED: usize = 1 << 10;

impl Judged {
    /// Refuses a head that is not all there and can come to nothing, as far as that shows. Of `bytes` the first `whole`
    /// are lines that are all there.
    pub(super) fn judge(&mut self, bytes: &[u8], whole: usize) -> Result<(), Refusal> {
        let shown = &bytes[..bytes.len().min(whole + MOST_JUDGED)];
        if self.lines == 0 {
            let line = memchr(b'\n', shown).map_or(shown, |end| &shown[..=end]);
            judge_request_line(line)?;
            if whole == 0 {
                return Ok(());
            }
            self.lines = line.len();
        }
        judge_fields(&shown[std::mem::replace(&mut self.lines, whole)..])
    }
}

fn judge_request_line(line: &[u8]) -> Result<(), Refusal> {
    match httparse::Request::new(&mut []).parse(line) {
        Ok(_) | Err(httparse::Error::TooManyHeaders) => Ok(()),
        Err(httparse::Error::Version) if becomes_version(line) => Ok(()),
        Err(error) => Err(refusal(error, line)),
    }
}

/// Whether a line ends with a version that is taken, or with the beginning of one.
fn becomes_version(line: &[u8]) -> bool {
    let version = line.rsplit(|&byte| byte == b' ').next().unwrap_or_default().trim_ascii_end();
    match version.strip_prefix(b"HTTP/1.") {
        Some([b'0'..=b'9']) => true,
        _ => !line.ends_with(b"\n") && b"HTTP/1.".starts_with(version),
    }
}

fn judge_fields(lines: &[u8]) -> Result<(), Refusal> {
    let mut fields = [httparse::EMPTY_HEADER; USUAL_FIELDS];
    match httparse::parse_headers(lines, &mut fields) {
        // There may be more fields; that shows when all are there.
        Ok(_) | Err(httparse::Error::TooManyHeaders) => Ok(()),
        Err(error) => Err(refusal(error, lines)),
    }
}

/// Reads a head that is all there, its empty line included.
///
/// # Errors
/// It is not that of an HTTP/1 request, or its framing can be read in more than one way.
pub(super) fn read(bytes: &[u8], most_fields: usize) -> Result<Head, Refusal> {
    let head = Bytes::copy_from_slice(bytes);
    let mut usual = [const { MaybeUninit::uninit() }; USUAL_FIELDS];
    if most_fields <= USUAL_FIELDS {
        return parse(&head, &mut usual[..most_fields]);
    }
    // As many as there are lines.
    let mut many = vec![MaybeUninit::uninit(); most_fields.min(memchr_iter(b'\n', &head).count())];
    parse(&head, &mut many)
}

fn parse<'b>(head: &'b Bytes, room: &mut [MaybeUninit<httparse::Header<'b>>]) -> Result<Head, Refusal> {
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(head, room) {
        Ok(httparse::Status::Complete(_)) => {}
        // Its last line is there.
        Ok(httparse::Status::Partial) => return Err(Refusal::Field),
        Err(httparse::Error::Version) => {
            return match lower_version(head) {
                Some(lower) => read(&lower, room.len()),
                None => Err(Refusal::Version),
            };
        }
        Err(error) => return Err(refusal(error, head)),
    }
    let http_11 = parsed.version == Some(1);
    let target = parsed.path.ok_or(Refusal::Target)?;
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.version = if http_11 { Version::HTTP_11 } else { Version::HTTP_10 };
    parts.method =
        Method::from_bytes(parsed.method.unwrap_or_default().as_bytes()).map_err(|_| Refusal::Method)?;
    parts.uri = uri(head, target)?;
    if parts.method == Method::OPTIONS && has_neither_path_nor_query(target.as_bytes()) {
        parts.extensions.insert(BareOptions);
    }
    parts.headers = take_spare();
    let framing = Framing::read(&mut parts.headers, head, parsed.headers, http_11)?;
    let body = framing.body()?;
    Ok(Head { keep_alive: framing.keep_alive, parts, body })
}

/// Of what is no head: why.
fn refusal(error: httparse::Error, bytes: &[u8]) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => Refusal::HeadTooLarge,
        httparse::Error::Version => Refusal::Version,
        // It stands in a method or a target.
        httparse::Error::Token if memchr(b' ', bytes).is_some() => Refusal::Target,
        httparse::Error::Token => Refusal::Method,
        _ => Refusal::Field,
    }
}

/// A head of a later minor version of HTTP/1 as one of 1.1: such a message is read as one of the highest minor version
/// that is known (RFC 9110 section 2.5).
fn lower_version(head: &[u8]) -> Option<Vec<u8>> {
    let line = &head[..memchr(b'\n', head)?];
    let version = line.strip_suffix(b"\r")?;
    match version {
        [.., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'] => {
            let mut lower = head.to_vec();
            lower[version.len() - 1] = b'1';
            Some(lower)
        }
        _ => None,
    }
}

fn uri(head: &Bytes, target: &str) -> Result<Uri, Refusal> {
    if target.len() > MOST_TARGET {
        return Err(Refusal::TargetTooLong);
    }
    // One pass without a branch, for nearly every target is sound.
    if target.bytes().fold(false, |odd, byte| odd | (byte == b'#') | (byte >= 0x80)) {
        return Err(if target.contains('#') { Refusal::Fragment } else { Refusal::BeyondAscii });
    }
    Uri::from_maybe_shared(head.slice_ref(target.as_bytes())).map_err(|_| Refusal::Target)
}

/// Whether a target is in absolute form and ends with the authority.
fn has_neither_path_nor_query(target: &[u8]) -> bool {
    match memchr::memmem::find(target, b"://").filter(|_| !target.starts_with(b"/")) {
        Some(scheme) => !target[scheme + 3..].iter().any(|byte| matches!(byte, b'/' | b'?')),
        None => false,
    }
}

/// What the fields say about the length, and about the connection.
struct Framing {
    length: Option<u64>,
    chunked: bool,
    keep_alive: bool,
}

impl Framing {
    /// Puts the fields into `headers`, whose values share the memory of `head`.
    fn read(
        headers: &mut HeaderMap,
        head: &Bytes,
        fields: &[httparse::Header<'_>],
        http_11: bool,
    ) -> Result<Self, Refusal> {
        let mut framing = Framing { length: None, chunked: false, keep_alive: http_11 };
        let mut closes = false;
        headers.reserve(fields.len());
        for field in fields {
            let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Refusal::Field)?;
            match name {
                header::CONTENT_LENGTH => {
                    let length = decimal(field.value).filter(|&length| length <= MOST_LENGTH);
                    if length.is_none() || framing.length.is_some() && framing.length != length {
                        return Err(Refusal::BadLength);
                    }
                    framing.length = length;
                }
                header::TRANSFER_ENCODING => {
                    if framing.chunked || !http_11 || !field.value.eq_ignore_ascii_case(b"chunked") {
                        return Err(Refusal::Coding);
                    }
                    framing.chunked = true;
                }
                header::CONNECTION => {
                    for option in field.value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                        closes |= option.eq_ignore_ascii_case(b"close");
                        framing.keep_alive |= !http_11 && option.eq_ignore_ascii_case(b"keep-alive");
                    }
                }
                _ => {}
            }
            headers.append(name, value(head, field.value)?);
        }
        framing.keep_alive &= !closes;
        Ok(framing)
    }

    fn body(&self) -> Result<Body, Refusal> {
        match (self.length, self.chunked) {
            (Some(_), true) => Err(Refusal::BothLengths),
            (None, true) => Ok(Body::Chunked(Chunk::Size)),
            (length, false) => Ok(Body::Length(length.unwrap_or(0))),
        }
    }
}

fn value(head: &Bytes, value: &[u8]) -> Result<HeaderValue, Refusal> {
    HeaderValue::from_maybe_shared(head.slice_ref(value)).map_err(|_| Refusal::Field)
}

/// Reads trailers that are all there, their empty line included.
///
/// # Errors
/// They are no fields, or too many.
pub(super) fn read_trailers(lines: &Bytes, most_fields: usize) -> Result<HeaderMap, Refusal> {
    let count = memchr_iter(b'\n', lines).count();
    let mut fields = vec![httparse::EMPTY_HEADER; count.min(most_fields)];
    let fields = match httparse::parse_headers(lines, &mut fields) {
        Ok(httparse::Status::Complete((_, fields))) => fields,
        Ok(httparse::Status::Partial) | Err(_) => return Err(Refusal::Trailers),
    };
    let mut trailers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Refusal::Trailers)?;
        trailers.append(name, value(lines, field.value)?);
    }
    Ok(trailers)
}

/// Header maps of requests that ended are kept for the next ones of the worker: so many, with room for so many fields.
const MOST_SPARE: usize = 8;
const MOST_SPARE_FIELDS: usize = 64;

thread_local! {
    static SPARE: RefCell<Vec<HeaderMap>> = const { RefCell::new(Vec::new()) };
}

/// Room for the fields of a message.
pub(crate) fn take_spare() -> HeaderMap {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Takes back the fields of a message that is out.
pub(crate) fn give_spare(mut headers: HeaderMap) {
    if headers.capacity() > 0 && headers.capacity() <= MOST_SPARE_FIELDS {
        headers.clear();
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < MOST_SPARE {
                spare.push(headers);
            }
        });
    }
}

#[cfg(test)]
mod tests;
