//! Heads of answers as HTTP/2 says them (RFC 9113 section 8.3.2), without what says something about a connection (section
//! 8.2.2).

use http::header::{self, HeaderMap, HeaderName};
use http::{StatusCode, response};
use memchr::memchr;

use super::session::{FRAME_SIZE, frame_header};
use crate::http::frames::{HEADER, flag, kind};
use crate::http::h1::answer::with_date;
use crate::http::h1::write::with_decimal;
use crate::http::hpack::encoder::Encoder;
use crate::http::lines::Lines;

/// What an answer says of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// There is none, or it comes instead of one: what the fields say of a length is of another.
    None,
    /// There is one, whose length the fields may not know.
    Length(Option<u64>),
    /// What follows is no content (RFC 8441 section 5).
    Tunnel,
}

/// Writes a head. `lines`: fields beside those of `head`.
pub(super) fn write_head(
    encoder: &mut Encoder,
    out: &mut Vec<u8>,
    head: &response::Parts,
    lines: Option<&Lines>,
    content: Content,
) {
    let switched = head.status == StatusCode::SWITCHING_PROTOCOLS;
    // RFC 8441 section 5.
    let status = if switched { StatusCode::OK } else { head.status };
    encoder.status(status.as_u16(), out);
    let mut dated = switched;
    if let Some(lines) = lines {
        dated |= lines.is_dated();
        write_lines(encoder, out, lines.as_bytes());
    }
    let mut said_length = false;
    for (name, value) in &head.headers {
        match *name {
            header::DATE => dated = true,
            header::CONTENT_LENGTH => said_length = true,
            header::SEC_WEBSOCKET_ACCEPT if switched => continue,
            _ if is_of_connection(name) => continue,
            _ => {}
        }
        encoder.field(name.as_str().as_bytes(), value.as_bytes(), value.is_sensitive(), out);
    }
    if let Content::Length(Some(length)) = content
        && !said_length
        && !is_bodiless(status)
    {
        with_decimal(length, |digits| {
            encoder.field(header::CONTENT_LENGTH.as_str().as_bytes(), digits, false, out);
        });
    }
    if !dated && content != Content::Tunnel {
        // RFC 9110 section 6.6.1.
        with_date(|date| encoder.field(header::DATE.as_str().as_bytes(), date.as_bytes(), false, out));
    }
}

/// Writes an informational answer (RFC 9110 section 15.2).
pub(super) fn write_interim(
    encoder: &mut Encoder,
    out: &mut Vec<u8>,
    status: StatusCode,
    fields: &HeaderMap,
) {
    encoder.status(status.as_u16(), out);
    write_fields(encoder, out, fields);
}

pub(super) fn write_fields(encoder: &mut Encoder, out: &mut Vec<u8>, fields: &HeaderMap) {
    for (name, value) in fields.iter().filter(|(name, _)| !is_of_connection(name)) {
        encoder.field(name.as_str().as_bytes(), value.as_bytes(), value.is_sensitive(), out);
    }
}

/// Lines of HTTP/1, which are sound.
fn write_lines(encoder: &mut Encoder, out: &mut Vec<u8>, mut lines: &[u8]) {
    while let Some(end) = memchr(b'\n', lines) {
        let (line, rest) = lines.split_at(end + 1);
        lines = rest;
        if let Some(colon) = memchr(b':', line)
            && let Some(value) = line.get(colon + 2..line.len() - 2)
        {
            encoder.field(&line[..colon], value, false, out);
        }
    }
}

fn is_of_connection(name: &HeaderName) -> bool {
    matches!(*name, header::CONNECTION | header::UPGRADE | header::TRANSFER_ENCODING)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

fn is_bodiless(status: StatusCode) -> bool {
    matches!(status.as_u16(), 100..=199 | 204 | 304)
}

/// Makes frames of a block that stands behind room for the header of one, from `begin` on (RFC 9113 section 6.2).
pub(super) fn frame_block(out: &mut Vec<u8>, begin: usize, stream: u32, flags: u8) {
    let length = out.len() - begin - HEADER;
    if length <= FRAME_SIZE {
        let header = frame_header(length, kind::HEADERS, flags | flag::END_HEADERS, stream);
        out[begin..begin + HEADER].copy_from_slice(&header);
        return;
    }
    let block = out.split_off(begin + HEADER);
    out.truncate(begin);
    let (mut kind, mut flags) = (kind::HEADERS, flags);
    let mut pieces = block.chunks(FRAME_SIZE).peekable();
    while let Some(piece) = pieces.next() {
        let last = if pieces.peek().is_none() { flag::END_HEADERS } else { 0 };
        out.extend_from_slice(&frame_header(piece.len(), kind, flags | last, stream));
        out.extend_from_slice(piece);
        (kind, flags) = (kind::CONTINUATION, 0);
    }
}
