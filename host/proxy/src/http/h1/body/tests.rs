use proptest::prelude::*;

use super::*;
use crate::http::h1::framing::MOST_CHUNK_LINE;

const LIMITS: Limits = Limits { head: 64 << 10, fields: 100 };

/// A body, its trailers, and what is behind it.
type Parts = (Vec<u8>, Vec<String>, Vec<u8>);

/// All of a body that comes in pieces of this size.
fn read(mut body: Body, bytes: &[u8], piece: usize) -> Result<Parts, Refusal> {
    let (mut data, mut trailers) = (Vec::new(), Vec::new());
    let mut buffer = BytesMut::new();
    let mut pieces = bytes.chunks(piece);
    loop {
        match body.take(&mut buffer, LIMITS)? {
            Piece::Data(more) => data.extend_from_slice(&more),
            Piece::Trailers(fields) => {
                trailers.extend(fields.iter().map(|(name, value)| format!("{name}: {value:?}")));
            }
            Piece::End => {
                let rest = [&buffer[..], &pieces.flatten().copied().collect::<Vec<_>>()].concat();
                return Ok((data, trailers, rest));
            }
            Piece::More => match pieces.next() {
                Some(more) => buffer.extend_from_slice(more),
                None => return Err(Refusal::HeadTooLate),
            },
        }
    }
}

const CHUNKED: Body = Body::Chunked(Chunk::Size);

#[test]
fn bodies_are_read_however_they_are_cut() {
    for (body, bytes, data, trailers) in [
        (Body::Length(5), &b"hellonext"[..], "hello", &[][..]),
        (CHUNKED, b"5;ext=\"x\"\r\nhello\r\n0\r\n\r\nnext", "hello", &[]),
        (CHUNKED, b"1\r\nh\r\n4 ;a\r\nello\r\n0\r\n\r\nnext", "hello", &[]),
        (CHUNKED, b"0\r\n\r\nnext", "", &[]),
        (CHUNKED, b"2\r\nhi\r\n000\r\nX: 1\r\ny:2\r\n\r\nnext", "hi", &["x: \"1\"", "y: \"2\""]),
    ] {
        for piece in 1..=bytes.len() {
            let (got, fields, rest) = read(body, bytes, piece).unwrap();
            assert_eq!(String::from_utf8_lossy(&got), data, "in pieces of {piece}");
            assert_eq!(fields, trailers, "in pieces of {piece}");
            assert_eq!(rest, b"next", "in pieces of {piece}");
        }
    }
}

#[test]
fn broken_framing_is_refused() {
    for (what, bytes, why) in [
        ("no hex digit", "z\r\n", Refusal::BadChunk),
        ("0x", "0x5\r\n", Refusal::BadChunk),
        ("17 digits", "00000000000000001\r\n", Refusal::BadChunk),
        ("2^64 - 1", "ffffffffffffffff\r\n", Refusal::BadChunk),
        ("2^63", "8000000000000000\r\n", Refusal::BadChunk),
        ("empty size", "\r\n", Refusal::BadChunk),
        ("data past its size", "3\r\nabcd\r\n", Refusal::BadChunk),
        ("LF after a size", "3\nabc\r\n", Refusal::BareLf),
        ("LF after data", "3\r\nabc\n0\r\n\r\n", Refusal::BadChunk),
        ("LF after a trailer", "0\r\nX: 1\n\r\n", Refusal::BareLf),
        ("LF as the end", "0\r\n\n", Refusal::BareLf),
        ("no trailer", "0\r\nGET / HTTP/1.1\r\n\r\n", Refusal::Trailers),
        ("a fold", "0\r\nX: 1\r\n 2\r\n\r\n", Refusal::Trailers),
    ] {
        for piece in 1..=bytes.len() {
            assert_eq!(read(CHUNKED, bytes.as_bytes(), piece), Err(why), "{what} in pieces of {piece}");
        }
    }
    let line = |length: usize| format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(length - "1;\r\n".len()));
    for piece in [100, MOST_CHUNK_LINE, usize::MAX] {
        assert!(read(CHUNKED, line(MOST_CHUNK_LINE).as_bytes(), piece).is_ok(), "in pieces of {piece}");
        let more = line(MOST_CHUNK_LINE + 1);
        assert_eq!(read(CHUNKED, more.as_bytes(), piece), Err(Refusal::BadChunk), "in pieces of {piece}");
    }
}

#[test]
fn trailers_have_the_limits_of_a_head() {
    let fields = |count: usize| format!("0\r\n{}\r\n", "X: y\r\n".repeat(count));
    assert_eq!(read(CHUNKED, fields(100).as_bytes(), 1_000).map(|(_, fields, _)| fields.len()), Ok(100));
    assert_eq!(read(CHUNKED, fields(101).as_bytes(), 1_000), Err(Refusal::Trailers));
    let large = format!("0\r\nX: {}", "x".repeat(LIMITS.head));
    assert_eq!(read(CHUNKED, large.as_bytes(), 1_000), Err(Refusal::Trailers));
}

#[test]
fn what_has_arrived() {
    for (body, bytes, arrived) in [
        (Body::Length(5), "hello", true),
        (Body::Length(5), "hell", false),
        (CHUNKED, "5\r\nhello\r\n0\r\n\r\n", true),
        (CHUNKED, "5\r\nhello\r\n0\r\nX: 1\r\n\r\n", true),
        (CHUNKED, "5\r\nhello\r\n0\r\n", false),
        (CHUNKED, "5\r\nhell", false),
    ] {
        assert_eq!(body.is_within(bytes.as_bytes(), LIMITS), arrived, "{bytes:?}");
    }
}

proptest! {
    /// How the network cuts the bytes must not change what is seen, and nothing panics.
    #[test]
    fn cuts_do_not_matter(chunks in proptest::collection::vec("[0-9a-fA-F]{0,2}(;[a-z=]{0,3})?(\r\n|\n)[a-z]{0,4}\r\n", 0..6),
                          end in "(0\r\n(X: [a-z]{0,5}\r\n){0,2}\r\n)?", piece in 1usize..20) {
        let bytes = chunks.concat() + &end;
        prop_assert_eq!(read(CHUNKED, bytes.as_bytes(), usize::MAX), read(CHUNKED, bytes.as_bytes(), piece));
    }
}
