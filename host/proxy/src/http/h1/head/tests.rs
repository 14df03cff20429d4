use super::*;

/// The head at the front of these bytes, as the connection finds it.
fn head(bytes: &[u8]) -> Result<Option<Head>, Refusal> {
    let bytes = &bytes[blank(bytes)..];
    match Lines::default().end(bytes)? {
        Some(length) => read(&bytes[..length], USUAL_FIELDS).map(Some),
        None => Ok(None),
    }
}

fn whole(text: &str) -> Head {
    head(text.as_bytes()).unwrap_or_else(|why| panic!("{text:?}: {why:?}")).expect("a whole head")
}

fn refused(text: &str) -> Refusal {
    head(text.as_bytes()).expect_err(text)
}

#[test]
fn a_head_is_read_when_it_is_whole() {
    let text = "\r\nGET /a?b HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: \t2 \r\n\r\n";
    for end in 0..text.len() {
        assert!(head(&text.as_bytes()[..end]).unwrap().is_none(), "{end}");
    }
    let Head { parts, body, keep_alive } = whole(text);
    assert_eq!((parts.method, parts.uri.to_string().as_str()), (Method::GET, "/a?b"));
    assert_eq!((parts.version, body, keep_alive), (Version::HTTP_11, Body::ENDED, true));
    assert_eq!(parts.headers["host"], "h");
    assert_eq!(parts.headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
}

/// How the bytes are cut does not change where the head ends.
#[test]
fn lines_are_followed_however_they_are_cut() {
    let text = b"GET / HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\nGET / HTTP/1.1\r\n";
    let length = text.len() - "GET / HTTP/1.1\r\n".len();
    for piece in 1..text.len() {
        let mut lines = Lines::default();
        let mut cuts = (piece..text.len() + piece).step_by(piece).map(|end| &text[..end.min(text.len())]);
        assert_eq!(cuts.find_map(|so_far| lines.end(so_far).unwrap()), Some(length), "in pieces of {piece}");
    }
}

#[test]
fn framing() {
    for (fields, body) in [
        ("", Body::ENDED),
        ("Content-Length: 0\r\n", Body::ENDED),
        ("Content-Length: 5\r\n", Body::Length(5)),
        ("Content-Length: 5\r\ncontent-length: 5\r\n", Body::Length(5)),
        ("Content-Length: 9223372036854775807\r\n", Body::Length(MOST_LENGTH)),
        ("Transfer-Encoding: Chunked\r\n", Body::Chunked(Chunk::Size)),
    ] {
        assert_eq!(whole(&format!("POST / HTTP/1.1\r\n{fields}\r\n")).body, body, "{fields}");
    }
}

#[test]
fn what_two_parsers_could_read_differently_is_refused() {
    let post = |fields: &str| refused(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    for (what, fields, why) in [
        ("both lengths", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", Refusal::BothLengths),
        ("in other order", "tRaNsFeR-eNcOdInG: chunked\r\ncOnTeNt-LeNgTh: 4\r\n", Refusal::BothLengths),
        ("LF after a field", "X: 1\n", Refusal::BareLf),
        ("another coding", "Transfer-Encoding: gzip, chunked\r\n", Refusal::Coding),
        ("twice", "Transfer-Encoding: chunked\r\ntransfer-encoding: chunked\r\n", Refusal::Coding),
        ("hidden coding", "Transfer-Encoding: xchunked\r\n", Refusal::Coding),
        ("no coding", "Transfer-Encoding:\r\n", Refusal::Coding),
        ("a sign", "Content-Length: +4\r\n", Refusal::BadLength),
        ("a list", "Content-Length: 4, 4\r\n", Refusal::BadLength),
        ("two that differ", "Content-Length: 4\r\nContent-Length: 5\r\n", Refusal::BadLength),
        ("no number", "Content-Length:\r\n", Refusal::BadLength),
        ("past 2^64", "Content-Length: 18446744073709551616\r\n", Refusal::BadLength),
        ("2^63", "Content-Length: 9223372036854775808\r\n", Refusal::BadLength),
        ("a fold", "X: 1\r\n 2\r\n", Refusal::Field),
        ("a space before a colon", "Content-Length : 4\r\n", Refusal::Field),
        ("no colon", "X\r\n", Refusal::Field),
        ("CR in a value", "X: a\rb\r\n", Refusal::Field),
        ("NUL in a value", "X: a\0b\r\n", Refusal::Field),
    ] {
        assert_eq!(post(fields), why, "{what}");
    }
    for (what, text, why) in [
        ("LF in the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", Refusal::BareLf),
        ("LF as the end of the head", "GET / HTTP/1.1\r\nX: 1\r\n\n", Refusal::BareLf),
        ("LF before the request", "\nGET / HTTP/1.1\r\n\r\n", Refusal::BareLf),
        ("a coding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Refusal::Coding),
        ("a fragment", "GET /a#b HTTP/1.1\r\n\r\n", Refusal::Fragment),
        ("an empty fragment", "GET /# HTTP/1.1\r\n\r\n", Refusal::Fragment),
        ("a fragment behind a query", "GET /?a=b#/c HTTP/1.1\r\n\r\n", Refusal::Fragment),
        ("a fragment behind a host", "GET http://h#b HTTP/1.1\r\n\r\n", Refusal::Fragment),
        ("an octet beyond ASCII", "GET /caf\u{e9} HTTP/1.1\r\n\r\n", Refusal::BeyondAscii),
        ("no method", " / HTTP/1.1\r\n\r\n", Refusal::Target),
        ("no target", "GET  HTTP/1.1\r\n\r\n", Refusal::Target),
        ("a method that is none", "G(T / HTTP/1.1\r\n\r\n", Refusal::Target),
        ("no version", "GET /\r\n\r\n", Refusal::Target),
    ] {
        assert_eq!(refused(text), why, "{what}");
    }
}

#[test]
fn a_method_may_have_any_sign() {
    assert_eq!(whole("A#B / HTTP/1.1\r\n\r\n").parts.method, "A#B");
}

/// RFC 9110 section 2.5.
#[test]
fn a_later_minor_version_is_read_as_1_1() {
    for (line, version) in [
        ("GET / HTTP/1.2", Some(Version::HTTP_11)),
        ("GET /1.2 HTTP/1.9", Some(Version::HTTP_11)),
        ("GET / HTTP/1.0", Some(Version::HTTP_10)),
        ("GET / HTTP/1.1", Some(Version::HTTP_11)),
        ("GET / HTTP/2.2", None),
        ("GET / HTTP/1.10", None),
        ("GET / HTTP/1.25", None),
        ("GET /HTTP/1.2", None),
        ("GET / http/1.2", None),
        ("GET / HTTP/1.x", None),
    ] {
        let read = head(format!("{line}\r\nHost: HTTP/1.3\r\n\r\n").as_bytes());
        assert_eq!(read.ok().flatten().map(|head| head.parts.version), version, "{line}");
    }
}

#[test]
fn options_of_a_whole_server_are_noted() {
    for (line, noted) in [
        ("OPTIONS http://h HTTP/1.1", true),
        ("OPTIONS http://h:80 HTTP/1.1", true),
        ("OPTIONS http://h/ HTTP/1.1", false),
        ("OPTIONS http://h? HTTP/1.1", false),
        ("OPTIONS / HTTP/1.1", false),
        ("OPTIONS * HTTP/1.1", false),
        ("OPTIONS /?http://h HTTP/1.1", false),
        ("GET http://h HTTP/1.1", false),
    ] {
        let head = whole(&format!("{line}\r\n\r\n"));
        assert_eq!(head.parts.extensions.get::<BareOptions>().is_some(), noted, "{line}");
    }
}

#[test]
fn connections_stay_as_both_sides_want() {
    for (version, fields, stays) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: x, CLOSE\r\n", false),
        ("1.1", "Connection: close\r\nConnection: keep-alive\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
    ] {
        let head = whole(&format!("GET / HTTP/{version}\r\n{fields}\r\n"));
        assert_eq!(head.keep_alive, stays, "{version} {fields:?}");
    }
}

#[test]
fn fields_are_counted_and_targets_measured() {
    let fields = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(count));
    for (most, count, fits) in [(100, 100, true), (100, 101, false), (3, 3, true), (3, 4, false)]
        .into_iter()
        .chain([(1_000, 1_000, true), (1_000, 1_001, false)])
    {
        let read = read(fields(count).as_bytes(), most).map(|head| head.parts.headers.len());
        assert_eq!(read, if fits { Ok(count) } else { Err(Refusal::HeadTooLarge) }, "{count} of {most}");
    }
    let target = |length: usize| format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(length - 1));
    assert!(head(target(MOST_TARGET).as_bytes()).is_ok());
    assert_eq!(refused(&target(MOST_TARGET + 1)), Refusal::TargetTooLong);
}

/// What is found of a head that comes in pieces of so many bytes, and does not end.
fn judged(head: &[u8], piece: usize) -> Result<(), Refusal> {
    let (mut lines, mut judged) = (Lines::default(), Judged::default());
    let cuts = (piece..head.len() + piece).step_by(piece).map(|end| &head[..end.min(head.len())]);
    for so_far in cuts {
        assert_eq!(lines.end(so_far), Ok(None), "it does not end");
        judged.judge(so_far, lines.begun())?;
    }
    Ok(())
}

/// What can come to nothing is refused before it is all there, however it is cut.
#[test]
fn a_beginning_is_judged() {
    let many = format!("GET / HTTP/1.1\r\n{}", "X: y\r\n".repeat(300));
    let long = format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(3 * MOST_JUDGED));
    for good in
        ["G", "GET / HTT", "GET / HTTP/1.3", "GET / HTTP/1.3\r\nA: b\r", "GET / HTTP/1.1\r\nHo", &many, &long]
    {
        for piece in [1, 2, 7, good.len()] {
            assert_eq!(judged(good.as_bytes(), piece), Ok(()), "{good:?} in pieces of {piece}");
        }
    }
    for (bad, why) in [
        // A TLS hello to a port without TLS.
        (&b"\x16\x03\x01\x02\x00"[..], Refusal::Method),
        (b"G\0T", Refusal::Method),
        (b"GET /\x01", Refusal::Target),
        (b"GET / HTTQ", Refusal::Version),
        (b"GET / HTTP/2.0", Refusal::Version),
        (b"GET / HTTP/1\r\n", Refusal::Version),
        (b"GET / HTTP/1.10\r\n", Refusal::Field),
        (b"GET /\r\n", Refusal::Target),
        (b"GET / HTTP/1.1\r\nA B", Refusal::Field),
        (b"GET / HTTP/1.1\r\nA: b\r\n fold", Refusal::Field),
        (b"GET / HTTP/1.1\r\nA: b\r\nno colon\r\nC: d", Refusal::Field),
        (b"GET / HTTP/1.1\r\nA: b\0", Refusal::Field),
    ] {
        for piece in [1, 2, 7, bad.len()] {
            assert_eq!(judged(bad, piece), Err(why), "{} in pieces of {piece}", bad.escape_ascii());
        }
    }
    let late = [many.as_bytes(), b"no colon\r\n"].concat();
    for piece in [1, 11, 4_000] {
        let found = judged(&late, piece);
        assert!(found == Err(Refusal::Field) || piece == 4_000, "{found:?} in pieces of {piece}");
    }
}
