use proptest::prelude::*;

use super::*;
use crate::http::fields::prepare_response;
use crate::http::h1::framing::MOST_CHUNK_LINE;

fn head_of(text: &str) -> Result<Option<Head>, Broken> {
    take_head(&mut text.into(), &Method::GET, false)
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
    let head = take_head(&mut buffer, &Method::GET, false).unwrap().unwrap();
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
        let head = take_head(&mut buffer, &Method::GET, false).unwrap().unwrap();
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
    assert_eq!(take_head(&mut buffer, &Method::HEAD, false).unwrap().unwrap().body, Body::ENDED);
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

/// The fields that a client gets, without those of framing.
fn passed_on(mut head: Head) -> Vec<(String, Vec<u8>)> {
    let mut fields: Vec<(String, Vec<u8>)> = match head.lines {
        Some(lines) => {
            let lines = std::str::from_utf8(lines.as_bytes()).unwrap().split_terminator("\r\n");
            let field = |line: &str| line.split_once(": ").map(|(name, value)| (name.into(), value.into()));
            lines.map(|line| field(line).unwrap()).collect()
        }
        None => {
            prepare_response(&mut head.parts.headers, head.parts.status, false);
            let map = head.parts.headers.iter();
            map.map(|(name, value)| (name.to_string(), value.as_bytes().into())).collect()
        }
    };
    fields.retain(|(name, _)| !["content-length", "transfer-encoding"].contains(&name.as_str()));
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    fields
}

/// Takes a head in both ways: what is framed and what a client gets are the same. Whether the fields stayed lines.
fn is_passed(text: &str, method: &Method) -> bool {
    let mut buffers = [BytesMut::from(text), BytesMut::from(text)];
    let [as_lines, as_fields] =
        [true, false].map(|passes| take_head(&mut buffers[usize::from(!passes)], method, passes));
    let (as_lines, as_fields) = match (as_lines, as_fields) {
        (Ok(Some(as_lines)), Ok(Some(as_fields))) => (as_lines, as_fields),
        (Ok(None), Ok(None)) | (Err(_), Err(_)) => return false,
        _ => panic!("{text:?}: it is a head in one way"),
    };
    let is_passed = as_lines.lines.is_some();
    let said =
        |head: &Head| (head.parts.status, head.parts.version, head.body, head.keep_alive, head.kept_for);
    assert_eq!(said(&as_lines), said(&as_fields), "{text:?}");
    assert_eq!(passed_on(as_lines), passed_on(as_fields), "{text:?}");
    assert_eq!(buffers[0], buffers[1], "{text:?}");
    is_passed
}

#[test]
fn fields_stay_lines_where_passing_them_on_is_all() {
    let head = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
    for fields in [
        "",
        "Server: x\r\nDate: now\r\nContent-Length: 0\r\n",
        "Connection: Keep-Alive\r\nKeep-Alive: timeout=5\r\nSet-Cookie: a\r\nset-cookie: b\r\n",
        "connection: close\r\ntransfer-encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
    ] {
        assert!(is_passed(&head(fields), &Method::GET), "{fields:?}");
        assert!(!is_passed(&head(fields), &Method::HEAD), "{fields:?}");
    }
    for fields in [
        "Connection: x-a\r\nX-A: 1\r\n",
        "Connection: keep-alive, te\r\n",
        "Trailer: x\r\n",
        "Upgrade: h2c\r\n",
        "TE: trailers\r\n",
        "Proxy-Connection: close\r\n",
        "HTTP2-Settings: x\r\n",
        "X-Space : 1\r\n",
    ] {
        assert!(!is_passed(&head(fields), &Method::GET), "{fields:?}");
    }
    for line in [
        "HTTP/1.1 204 No Content",
        "HTTP/1.1 304 x",
        "HTTP/1.1 103 x",
        "HTTP/1.1 299 Mine",
        "HTTP/1.2 200 OK",
    ] {
        assert!(!is_passed(&format!("{line}\r\n\r\n"), &Method::GET), "{line}");
    }
}

fn field() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "Server",
        "date",
        "X-A",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Upgrade",
        "Proxy-Connection",
        "HTTP2-Settings",
        "x_b",
        "Set-Cookie",
        "a b",
        "Content-Length ",
    ]);
    let value = prop::sample::select(vec![
        "",
        "1",
        "3",
        "3, 3",
        "3, 4",
        "+3",
        "chunked",
        "gzip, chunked",
        "close",
        "keep-alive",
        "Keep-Alive, X-A",
        "x-a",
        "timeout=5",
        " a\tb ",
        "a\rb",
        "\0",
    ]);
    (name, value).prop_map(|(name, value)| format!("{name}: {value}\r\n"))
}

proptest! {
    #[test]
    fn passed_on_as_lines_or_as_fields_is_the_same(
        line in prop::sample::select(vec!["1.1 200 OK", "1.0 200 OK", "1.1 404 ", "1.1 304 x", "1.2 500 x"]),
        fields in prop::collection::vec(field(), 0..6),
    ) {
        is_passed(&format!("HTTP/{line}\r\n{}\r\nabc", fields.concat()), &Method::GET);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, chunked: bool) {
        let mut buffer = BytesMut::from(&bytes[..]);
        let _ = take_head(&mut buffer, &Method::GET, false);
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
