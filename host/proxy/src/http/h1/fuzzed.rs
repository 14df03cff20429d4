//! What `host/fuzz` runs with any bytes: it panics where something does not hold.

use http::{HeaderMap, Method, header};

use super::body::Piece;
use super::head::{Head, Limits};
use super::input::Input;
use super::refusal::Refusal;
use crate::http::member::request::{Framing, write_data, write_end, write_head};

const LIMITS: Limits = Limits { head: 4 << 10, fields: 20 };
/// What is sent has a length that may not have been said, and a space behind each colon.
const LIMITS_AGAIN: Limits = Limits { head: 8 << 10, fields: 21 };

/// A request as it was read.
#[derive(Debug, PartialEq)]
struct Message {
    method: Method,
    target: String,
    fields: HeaderMap,
    body: Vec<u8>,
    is_chunked: bool,
    trailers: Option<HeaderMap>,
}

/// The requests that came whole, and why no more of them do.
type Read = (Vec<Message>, Option<Refusal>);

/// The first byte says how the others are cut. How they are does not change which requests are read, and each is the
/// same when it is read again as it is sent on.
pub(crate) fn http1(bytes: &[u8]) {
    let Some((piece, bytes)) = bytes.split_first() else { return };
    // Why no more are read may be seen earlier or later.
    let (whole, _) = read(bytes, usize::MAX, LIMITS);
    let (cut, _) = read(bytes, usize::from(*piece).max(1), LIMITS);
    assert_eq!(whole, cut, "cut into pieces of {piece}");
    for message in &whole {
        let sent = send(message);
        let (again, refusal) = read(&sent, usize::MAX, LIMITS_AGAIN);
        assert_eq!(
            (again.len(), refusal),
            (1, None),
            "{message:?} was sent as {:?}",
            sent.escape_ascii().to_string()
        );
        let Message { method, target, fields, body, trailers, .. } = &again[0];
        assert_eq!((method, target), (&message.method, &message.target));
        assert_eq!((unframed(fields), body), (unframed(&message.fields), &message.body));
        assert_eq!(
            trailers.as_ref().filter(|it| !it.is_empty()).map(passed),
            message.trailers.as_ref().map(passed).filter(|it| !it.is_empty())
        );
    }
}

fn read(bytes: &[u8], piece: usize, limits: Limits) -> Read {
    let mut pieces = bytes.chunks(piece.min(bytes.len()).max(1));
    let mut input = Input::default();
    let mut messages = Vec::new();
    loop {
        match read_one(&mut input, &mut pieces, limits) {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => return (messages, None),
            Err(why) => return (messages, Some(why)),
        }
    }
}

fn read_one<'b>(
    input: &mut Input,
    pieces: &mut impl Iterator<Item = &'b [u8]>,
    limits: Limits,
) -> Result<Option<Message>, Refusal> {
    let mut found = if input.bytes.is_empty() { None } else { input.take_head(limits)? };
    while found.is_none() {
        let Some(more) = pieces.next() else { return Ok(None) };
        found = input.head_in(more, limits)?;
    }
    let Some(Head { parts, body: mut framing, .. }) = found.map(|head| *head) else { return Ok(None) };
    let is_chunked = framing.left().is_none();
    let (mut body, mut trailers) = (Vec::new(), None);
    loop {
        match framing.take(&mut input.bytes, limits)? {
            Piece::Data(data) => body.extend_from_slice(&data),
            Piece::Trailers(fields) => trailers = Some(fields),
            Piece::End => break,
            Piece::More => match pieces.next() {
                Some(more) => input.bytes.extend_from_slice(more),
                None => return Ok(None),
            },
        }
    }
    let target = match parts.uri.path_and_query().map_or("/", |it| it.as_str()) {
        // RFC 9112 section 3.2.1; the phases do so.
        query if query.starts_with('?') => format!("/{query}"),
        target => target.to_owned(),
    };
    Ok(Some(Message { method: parts.method, target, fields: parts.headers, body, is_chunked, trailers }))
}

/// The request as a member gets it.
fn send(message: &Message) -> Vec<u8> {
    let framing = match (message.is_chunked, message.body.len() as u64) {
        (true, _) => Framing::Chunked,
        (false, 0) => Framing::Empty,
        (false, length) => Framing::Length(length),
    };
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = message.method.clone();
    parts.uri = message.target.parse().unwrap_or_else(|error| panic!("{:?}: {error}", message.target));
    parts.headers = message.fields.clone();
    let mut out = Vec::new();
    write_head(&mut out, &parts, framing);
    let (one, other) = message.body.split_at(message.body.len() / 2);
    write_data(&mut out, framing, one);
    write_data(&mut out, framing, other);
    write_end(&mut out, framing, message.trailers.as_ref());
    out
}

/// The fields that are not written anew.
fn unframed(fields: &HeaderMap) -> HeaderMap {
    let mut fields = fields.clone();
    fields.remove(header::CONTENT_LENGTH);
    fields.remove(header::TRANSFER_ENCODING);
    fields
}

/// The trailers that are passed on.
fn passed(trailers: &HeaderMap) -> HeaderMap {
    let kept = trailers.iter().filter(|(name, _)| crate::http::member::request::may_trail(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    #[test]
    fn every_stored_input() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/http1");
        let mut count = 0;
        for entry in fs::read_dir(corpus).unwrap() {
            super::http1(&fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 0);
    }
}
