//! Writes answers as a client gets them: the head from its parts, the framing our own (RFC 9112 section 6).

use std::cell::RefCell;
use std::time::SystemTime;

use bytes::Bytes;
use http::{StatusCode, header, response};

use super::write::{write_decimal, write_field};
use crate::http::lines::Lines;
use crate::http::reason::ReasonPhrase;

/// What an answer is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) http_11: bool,
    pub(super) head: bool,
    /// The client wants to keep the connection.
    pub(super) keep_alive: bool,
}

/// How the length of an answer's body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is no body, whatever the fields say of it (RFC 9110 section 6.4.1).
    None,
    Length(u64),
    Chunked,
    UntilClosed,
}

impl Framing {
    /// `length`: that of the body, where it is known.
    pub(super) fn of(asked: Asked, status: StatusCode, length: Option<u64>) -> Self {
        if asked.head
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        {
            return Framing::None;
        }
        match length {
            Some(length) => Framing::Length(length),
            None if asked.http_11 => Framing::Chunked,
            // RFC 9112 section 6.3, item 8.
            None => Framing::UntilClosed,
        }
    }
}

/// Appends the head of an answer. `lines`: fields beside those of `parts`; `length` is that of the body, where it is
/// known; `stays`: the connection does.
pub(super) fn write_head(
    out: &mut Vec<u8>,
    parts: &response::Parts,
    lines: Option<&Lines>,
    asked: Asked,
    framing: Framing,
    length: Option<u64>,
    stays: bool,
) {
    write_status(out, parts, asked.http_11);
    let (mut dated, mut said_length, mut switched) = (false, false, false);
    if let Some(lines) = lines {
        dated = lines.is_dated();
        out.extend_from_slice(lines.as_bytes());
    }
    for (name, value) in &parts.headers {
        match *name {
            header::CONTENT_LENGTH => {
                // Only where it stands for a body that does not come, it is the member's.
                if asked.head && framing == Framing::None && !said_length {
                    said_length = true;
                    write_field(out, name, value.as_bytes());
                }
                continue;
            }
            header::TRANSFER_ENCODING => continue,
            header::TRAILER if framing != Framing::Chunked => continue,
            header::CONNECTION => {
                switched = true;
                out.extend_from_slice(b"connection: ");
                out.extend_from_slice(value.as_bytes());
                if !stays && parts.status != StatusCode::SWITCHING_PROTOCOLS {
                    out.extend_from_slice(b", close");
                }
                out.extend_from_slice(b"\r\n");
                continue;
            }
            header::DATE => dated = true,
            _ => {}
        }
        write_field(out, name, value.as_bytes());
    }
    match framing {
        Framing::Length(length) => write_length(out, length),
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        // To HEAD the answer says what a GET would get (RFC 9110 section 9.3.2).
        Framing::None if asked.head && !said_length => {
            if let Some(length @ 1..) = length {
                write_length(out, length);
            }
        }
        Framing::None | Framing::UntilClosed => {}
    }
    if !switched {
        match (stays, asked.http_11) {
            (false, _) => out.extend_from_slice(b"connection: close\r\n"),
            // RFC 9112 section 9.3: HTTP/1.0 needs to be told.
            (true, false) => out.extend_from_slice(b"connection: keep-alive\r\n"),
            (true, true) => {}
        }
    }
    if !dated {
        // RFC 9110 section 6.6.1.
        write_date(out);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends the head of an informational answer (RFC 9110 section 15.2).
pub(super) fn write_interim(out: &mut Vec<u8>, parts: &response::Parts) {
    write_status(out, parts, true);
    for (name, value) in &parts.headers {
        if *name != header::CONTENT_LENGTH && *name != header::TRANSFER_ENCODING {
            write_field(out, name, value.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends an answer to what is no request; it is the last. `head`: its method is HEAD.
pub(super) fn write_refusal(out: &mut Vec<u8>, answer: http::Response<Bytes>, head: bool) {
    let (parts, body) = answer.into_parts();
    let asked = Asked { http_11: true, head, keep_alive: false };
    let length = Some(body.len() as u64);
    let framing = Framing::of(asked, parts.status, length);
    write_head(out, &parts, None, asked, framing, length, false);
    if framing != Framing::None {
        out.extend_from_slice(&body);
    }
}

fn write_status(out: &mut Vec<u8>, parts: &response::Parts, http_11: bool) {
    if http_11 && parts.status == StatusCode::OK {
        return out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    }
    out.extend_from_slice(if http_11 { b"HTTP/1.1 " } else { b"HTTP/1.0 " });
    out.extend_from_slice(parts.status.as_str().as_bytes());
    out.push(b' ');
    // RFC 9112 section 4: the reason phrase may be empty, the space before it not.
    match parts.extensions.get::<ReasonPhrase>() {
        Some(reason) => out.extend_from_slice(reason.as_bytes()),
        None => out.extend_from_slice(parts.status.canonical_reason().unwrap_or_default().as_bytes()),
    }
    out.extend_from_slice(b"\r\n");
}

fn write_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"content-length: ");
    write_decimal(out, length);
    out.extend_from_slice(b"\r\n");
}

thread_local! {
    /// The date of the second that it was made in.
    static DATE: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
}

fn write_date(out: &mut Vec<u8>) {
    with_date(|date| {
        out.extend_from_slice(b"date: ");
        out.extend_from_slice(date.as_bytes());
        out.extend_from_slice(b"\r\n");
    });
}

/// The date as a value of `Date` (RFC 9110 section 5.6.7).
pub(crate) fn with_date<T>(take: impl FnOnce(&str) -> T) -> T {
    let now = SystemTime::now();
    let second = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    DATE.with_borrow_mut(|(made, date)| {
        if *made != second || date.is_empty() {
            *date = httpdate::fmt_http_date(now);
            *made = second;
        }
        take(date)
    })
}

#[cfg(test)]
mod tests;
