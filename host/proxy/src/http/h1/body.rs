//! The body of a request, as its framing makes it of the bytes that come (RFC 9112 sections 6 and 7.1).

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;

use super::framing::{BadChunk, Chunk, take_data};
use super::head::{Limits, Lines, read_trailers};
use super::refusal::Refusal;

/// What is still to come of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// So many bytes.
    Length(u64),
    Chunked(Chunk),
}

/// A step through a body.
#[derive(Debug, PartialEq)]
pub(super) enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
    /// It has ended.
    End,
    /// More bytes are needed.
    More,
}

impl Body {
    pub(super) const ENDED: Body = Body::Length(0);

    pub(super) fn is_ended(self) -> bool {
        self == Body::ENDED
    }

    /// Bytes to come, where that is known.
    pub(super) fn left(self) -> Option<u64> {
        match self {
            Body::Length(length) => Some(length),
            Body::Chunked(_) => None,
        }
    }

    /// Takes what is next off the front of `buffer`. Behind data it looks whether that was the end.
    ///
    /// # Errors
    /// The framing is broken.
    pub(super) fn take(&mut self, buffer: &mut BytesMut, limits: Limits) -> Result<Piece, Refusal> {
        loop {
            match self {
                Body::Length(0) => return Ok(Piece::End),
                Body::Length(left) => return Ok(take_data(buffer, left).map_or(Piece::More, Piece::Data)),
                Body::Chunked(Chunk::Data(left)) if *left > 0 => {
                    let Some(data) = take_data(buffer, left) else { return Ok(Piece::More) };
                    // What is wrong behind it is found again when it is asked for.
                    let _ = self.pass_end(buffer);
                    return Ok(Piece::Data(data));
                }
                Body::Chunked(Chunk::Trailers) => {
                    let Some(trailers) = take_trailers(buffer, limits)? else { return Ok(Piece::More) };
                    *self = Body::ENDED;
                    if !trailers.is_empty() {
                        return Ok(Piece::Trailers(trailers));
                    }
                }
                Body::Chunked(chunk) => {
                    if !chunk.pass_line(buffer)? {
                        return Ok(Piece::More);
                    }
                }
            }
        }
    }

    /// Goes past the end of the body, if that is all that comes.
    fn pass_end(&mut self, buffer: &mut BytesMut) -> Result<(), Refusal> {
        while let Body::Chunked(chunk) = self {
            if *chunk == Chunk::Trailers && buffer.starts_with(b"\r\n") {
                buffer.advance(2);
                *self = Body::ENDED;
            } else if matches!(chunk, Chunk::Trailers | Chunk::Data(1..)) || !chunk.pass_line(buffer)? {
                break;
            }
        }
        Ok(())
    }

    /// Whether all of it is in `bytes`, or what makes its end a matter of opinion.
    pub(super) fn is_within(mut self, bytes: &[u8], limits: Limits) -> bool {
        match self {
            Body::Length(left) => left <= bytes.len() as u64,
            Body::Chunked(_) => {
                let mut rest = BytesMut::from(bytes);
                loop {
                    match self.take(&mut rest, limits) {
                        Ok(Piece::Data(_) | Piece::Trailers(_)) => {}
                        Ok(Piece::More) => return false,
                        Ok(Piece::End) | Err(_) => return true,
                    }
                }
            }
        }
    }
}

impl From<BadChunk> for Refusal {
    fn from(bad: BadChunk) -> Refusal {
        match bad {
            BadChunk::BareLf => Refusal::BareLf,
            BadChunk::Other => Refusal::BadChunk,
        }
    }
}

fn take_trailers(buffer: &mut BytesMut, limits: Limits) -> Result<Option<HeaderMap>, Refusal> {
    match Lines::default().end(buffer)? {
        Some(length) if length <= limits.head => {
            let lines = buffer.split_to(length).freeze();
            read_trailers(&lines, limits.fields).map(Some)
        }
        None if buffer.len() < limits.head => Ok(None),
        Some(_) | None => Err(Refusal::Trailers),
    }
}

#[cfg(test)]
mod tests;
