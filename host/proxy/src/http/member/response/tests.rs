use proptest::prelude::*;

use super::*;
use crate::http::h1::framing::MOST_CHUNK_LINE;

fn head_of(text: &str) -> Result<Option<Head>, Broken> {
    take_head(&mut text.into(), &Method::GET)
}

fn framed(fields: &str) -> Result<(Body, bool), Broken> {
    head_of(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).map(|head| {
        let head = head.expect("a whole head");
        (head.body, head.keep_alive)
    })
}

#[test]
fn a_head_is_taken_when_it_is_whole() {
    let text = "HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 3\r\n\r\n";
    for end in 0..text.len() {
        assert!(head_of(&text[..end]).unwrap().is_none(), "{end}");
    }
    let mut buffer = BytesMut::from(format!("{text}abc").as_str());
    let head = take_head(&mut buffer, &Method::GET).unwrap().unwrap();
    assert_eq!(head.parts.status, 200);
    assert_eq!(head.parts.headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(head.body, Body::Length(3));
    assert!(head.keep_alive);
    assert_eq!(buffer, "abc");
}

#[test]
fn what_is_no_head_is_refused() {
    for text in [
        "HTTP/2.0 200 OK\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\n : 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx y: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\n x: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: 1\r\n folded\r\n\r\n",
        "HTTP/1.20 200 OK\r\n\r\n",
        "HTTP/1.x 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: \0\r\n\r\n",
    ] {
        assert!(head_of(text).is_err(), "{text:?}");
    }
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(MOST_HEAD));
    assert!(matches!(head_of(&endless), Err(Broken::HeadTooLarge)));
    assert!(matches!(head_of(&format!("{endless}\r\n\r\n")), Err(Broken::HeadTooLarge)));
}

/// RFC 9110 section 2.5, RFC 9112 section 5.1.
#[test]
fn unusual_heads_are_read_however_they_are_cut() {
    let many = "Link: </a>\r\n".repeat(500);
    for (text, name, value) in [
        ("HTTP/1.1 200 OK\r\nX-XSS-Protection : 1\r\nA \t : 2\r\n\r\n".to_owned(), "x-xss-protection", "1"),
        ("HTTP/1.2 200 OK\r\nX: 1\r\n\r\n".to_owned(), "x", "1"),
        ("HTTP/1.9 200 OK\r\nX : 1\r\n\r\n".to_owned(), "x", "1"),
        (format!("HTTP/1.1 200 OK\r\n{many}X: 1\r\n\r\n"), "x", "1"),
        (format!("HTTP/1.1 200 OK\r\n{many}X : 1\r\n\r\n"), "x", "1"),
    ] {
        for end in (0..text.len()).step_by(if text.len() > 1000 { 97 } else { 1 }) {
            assert!(head_of(&text[..end]).unwrap().is_none(), "{:?}", &text[..end]);
        }
        let mut buffer = BytesMut::from(format!("{text}abc").as_str());
        let head = take_head(&mut buffer, &Method::GET).unwrap().unwrap();
        assert_eq!(head.parts.headers[name], value, "{text:?}");
        assert_eq!(head.parts.version, Version::HTTP_11, "{text:?}");
        assert_eq!(buffer, "abc", "{text:?}");
    }
    let count = |text: &str| head_of(text).unwrap().unwrap().parts.headers.len();
    assert_eq!(count(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "a:\r\n".repeat(128))), 128);
    assert_eq!(count(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "a:\r\n".repeat(129))), 129);
    assert_eq!(count(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "a:\r\n".repeat(16_000))), 16_000);
}

#[test]
fn unusual_framing_is_refused() {
    for wrong in [
        "content-length : 3\r\n",
        "transfer-encoding\t: chunked\r\n",
        "content-length: 3\r\ncontent-length : 3\r\n",
        "x : 1\r\ncontent-length:\r\n 3\r\n",
    ] {
        assert!(framed(wrong).is_err(), "{wrong:?}");
    }
    assert_eq!(framed("x : 1\r\ncontent-length: 3\r\n").unwrap(), (Body::Length(3), true));
}

/// RFC 9112 section 6.3.
#[test]
fn framing_decides_what_follows() {
    assert_eq!(framed("").unwrap(), (Body::UntilClosed, false));
    assert_eq!(framed("content-length: 0\r\n").unwrap(), (Body::ENDED, true));
    assert_eq!(framed("content-length: 3, 3\r\ncontent-length: 3\r\n").unwrap(), (Body::Length(3), true));
    assert_eq!(framed("content-length: 3\r\nconnection: x, Close\r\n").unwrap(), (Body::Length(3), false));
    let chunked = Body::Chunked(Chunk::Size);
    assert_eq!(framed("transfer-encoding: Chunked\r\n").unwrap(), (chunked, true));
    assert_eq!(framed("transfer-encoding: chunked\r\ncontent-length: 3\r\n").unwrap(), (chunked, false));
    for wrong in [
        "content-length: 3\r\ncontent-length: 4\r\n",
        "content-length: 3,4\r\n",
        "content-length: +3\r\n",
        "content-length:\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: identity\r\n",
    ] {
        assert!(framed(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn some_answers_have_no_body_whatever_they_say() {
    let length = "content-length: 3\r\n\r\n";
    for status in [101, 204, 304] {
        let head = head_of(&format!("HTTP/1.1 {status} x\r\n{length}")).unwrap().unwrap();
        assert_eq!(head.body, Body::ENDED, "{status}");
    }
    let mut buffer = BytesMut::from(format!("HTTP/1.1 200 x\r\n{length}").as_str());
    assert_eq!(take_head(&mut buffer, &Method::HEAD).unwrap().unwrap().body, Body::ENDED);
}

#[test]
fn http_10_keeps_alive_only_if_it_says_so() {
    let keeps =
        |fields: &str| head_of(&format!("HTTP/1.0 200 OK\r\n{fields}\r\n")).map(|it| it.unwrap().keep_alive);
    assert!(!keeps("content-length: 3\r\n").unwrap());
    assert!(keeps("content-length: 3\r\nconnection: Keep-Alive\r\n").unwrap());
    assert!(keeps("transfer-encoding: chunked\r\n").is_err());
}

/// All of a body, given in two parts that are cut anywhere.
fn read_chunked(first: &[u8], second: &[u8]) -> Result<(Vec<u8>, Option<HeaderMap>, BytesMut), Broken> {
    let mut buffer = BytesMut::from(first);
    let mut second = Some(second);
    let mut body = Body::Chunked(Chunk::Size);
    let (mut data, mut trailers) = (Vec::new(), None);
    while !body.is_ended() {
        match body.take(&mut buffer)? {
            Piece::Data(bytes) => data.extend_from_slice(&bytes),
            Piece::Trailers(fields) => trailers = Some(fields),
            Piece::More if body.is_ended() => {}
            Piece::More => match second.take() {
                Some(bytes) => buffer.extend_from_slice(bytes),
                None => {
                    body.close()?;
                }
            },
        }
    }
    buffer.extend_from_slice(second.unwrap_or_default());
    Ok((data, trailers, buffer))
}

#[test]
fn chunks_are_read_however_they_are_cut() {
    let text = b"3;x=y\r\nabc\r\n00A\r\n0123456789\r\n0\r\nDigest: 1\r\n\r\nHTTP/1.1";
    for cut in 0..text.len() {
        let (data, trailers, rest) = read_chunked(&text[..cut], &text[cut..]).unwrap();
        assert_eq!(data, b"abc0123456789", "{cut}");
        assert_eq!(trailers.unwrap()["digest"], "1");
        assert_eq!(rest, "HTTP/1.1");
    }
    let text = b"3\r\nabc\r\n0\r\n\r\n";
    for cut in 0..text.len() {
        let (data, trailers, rest) = read_chunked(&text[..cut], &text[cut..]).unwrap();
        assert_eq!((&data[..], trailers, rest.len()), (&b"abc"[..], None, 0), "{cut}");
    }
}

#[test]
fn unusual_trailers_are_read() {
    let many = "a: 1\r\n".repeat(200);
    for (trailers, count) in [("Digest : 1\r\n", 1), (&many, 200)] {
        let text = format!("3\r\nabc\r\n0\r\n{trailers}\r\nHTTP/1.1");
        for cut in 0..text.len() {
            let (data, fields, rest) =
                read_chunked(&text.as_bytes()[..cut], &text.as_bytes()[cut..]).unwrap();
            assert_eq!((&data[..], fields.unwrap().len()), (&b"abc"[..], count), "{cut} {trailers:?}");
            assert_eq!(rest, "HTTP/1.1", "{cut} {trailers:?}");
        }
    }
}

#[test]
fn the_last_data_knows_that_it_is_the_last() {
    let mut body = Body::Chunked(Chunk::Size);
    let piece = body.take(&mut BytesMut::from("3\r\nabc\r\n0\r\n\r\n")).unwrap();
    assert_eq!(piece, Piece::Data(Bytes::from_static(b"abc")));
    assert!(body.is_ended());
}

#[test]
fn broken_chunks_are_refused() {
    for text in [
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "-3\r\n",
        "fffffffffffffffff\r\n",
        "0\r\nx y\r\n\r\n",
        "3\r\nab",
        "",
    ] {
        assert!(read_chunked(text.as_bytes(), b"").is_err(), "{text:?}");
    }
    let endless = [b"3;", &[b'x'; MOST_CHUNK_LINE][..]].concat();
    assert!(read_chunked(&endless, b"").is_err());
    let at_once = [&endless, &b"\r\nabc\r\n0\r\n\r\n"[..]].concat();
    assert!(read_chunked(&at_once, b"").is_err(), "however it is cut");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, chunked: bool) {
        let mut buffer = BytesMut::from(&bytes[..]);
        let _ = take_head(&mut buffer, &Method::GET);
        let mut buffer = BytesMut::from(&bytes[..]);
        let mut body = if chunked { Body::Chunked(Chunk::Size) } else { Body::UntilClosed };
        while let Ok(Piece::Data(_) | Piece::Trailers(_)) = body.take(&mut buffer) {}
    }

    #[test]
    fn what_is_written_in_chunks_is_read(pieces: Vec<Vec<u8>>, cut: usize) {
        use super::super::request::{Framing, write_data, write_end};
        let mut text = Vec::new();
        for piece in &pieces {
            write_data(&mut text, Framing::Chunked, piece);
        }
        write_end(&mut text, Framing::Chunked, None);
        let (first, second) = text.split_at(cut % text.len());
        prop_assert_eq!(read_chunked(first, second).unwrap().0, pieces.concat());
    }
}
