//! What says how long a message is, accepted only where every parser reads it alike.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr;

/// A chunk size with its extensions, which are ignored.
pub(crate) const MOST_CHUNK_LINE: usize = 4 << 10;

/// A `Content-Length`: `1*DIGIT`, no sign and no list (RFC 9110 section 8.6).
pub(crate) fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0u64, |sum, &digit| {
        if !digit.is_ascii_digit() {
            return None;
        }
        sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

/// The size in the first line of a chunk, `chunk-size [ chunk-ext ]` without its line end (RFC 9112
/// section 7.1). White space before the extension is "bad whitespace" (section 7.1.1) and taken;
/// anything else after the digits is not. Nor are octets that no extension has: a reader may end the line at a CR
/// (section 2.2).
pub(crate) fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().position(|b| !b.is_ascii_hexdigit()).unwrap_or(line.len());
    if digits == 0 || digits > 16 {
        return None;
    }
    if !matches!(line[digits..].trim_ascii_start().first(), None | Some(b';')) {
        return None;
    }
    if line[digits..].iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return None;
    }
    let text = std::str::from_utf8(&line[..digits]).ok()?;
    u64::from_str_radix(text, 16).ok()
}

/// Where in a chunked body the next byte falls (RFC 9112 section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunk {
    Size,
    /// So many bytes of a chunk; 0: its line end.
    Data(u64),
    Trailers,
}

/// What is wrong around a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadChunk {
    /// The line with its size ends in LF without CR.
    BareLf,
    Other,
}

impl Chunk {
    /// Goes past the line end of a chunk, or past the line with a size. `false`: it is not all there.
    pub(crate) fn pass_line(&mut self, buffer: &mut BytesMut) -> Result<bool, BadChunk> {
        if *self != Chunk::Size {
            if !b"\r\n".starts_with(&buffer[..buffer.len().min(2)]) {
                return Err(BadChunk::Other);
            }
            if buffer.len() < 2 {
                return Ok(false);
            }
            buffer.advance(2);
            *self = Chunk::Size;
            return Ok(true);
        }
        // As much of a long line is refused however it is cut.
        let Some(end) = memchr(b'\n', &buffer[..buffer.len().min(MOST_CHUNK_LINE)]) else {
            return if buffer.len() >= MOST_CHUNK_LINE { Err(BadChunk::Other) } else { Ok(false) };
        };
        let line = buffer[..end].strip_suffix(b"\r").ok_or(BadChunk::BareLf)?;
        // A size near 2^64 is nothing that a body can have.
        let size = chunk_size(line).filter(|&size| size <= i64::MAX as u64).ok_or(BadChunk::Other)?;
        buffer.advance(end + 1);
        *self = if size == 0 { Chunk::Trailers } else { Chunk::Data(size) };
        Ok(true)
    }
}

/// Up to `left` bytes, of which it takes them off.
pub(crate) fn take_data(buffer: &mut BytesMut, left: &mut u64) -> Option<Bytes> {
    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
    if count == 0 {
        return None;
    }
    *left -= count as u64;
    Some(buffer.split_to(count).freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        for wrong in ["", "+1", "-1", "1 ", "0x1", "1,1", "18446744073709551616"] {
            assert_eq!(decimal(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    #[test]
    fn chunk_sizes() {
        assert_eq!(chunk_size(b"ffffffffffffffff"), Some(u64::MAX));
        assert_eq!(chunk_size(b"1A ;name=value"), Some(26));
        assert_eq!(chunk_size(b"3;name=\"a\tb\""), Some(3));
        for wrong in [
            "3;a\rb",
            "3\r",
            "3;a\0",
            "3;\x7f",
            "",
            ";x",
            " 1",
            "1 2",
            "0x1",
            "+1",
            "1g",
            "00000000000000001",
        ] {
            assert_eq!(chunk_size(wrong.as_bytes()), None, "{wrong:?}");
        }
    }
}
