use super::*;

/// Feeds a connection's bytes in one piece; gives the refusal and the request it falls on.
fn read(bytes: &[u8]) -> Result<u64, (u64, Refusal)> {
    let mut framing = Framing::default();
    framing.follow(&mut bytes.to_vec()).map_err(|why| (framing.ordinal, why))?;
    Ok(framing.ordinal)
}

#[test]
fn counts_requests_through_every_kind_of_body() {
    let conversation = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\
        POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /\
        \r\nPOST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
        5;ext=\"x\"\r\nab\r\nc\r\n0\r\nX-Trailer: 1\r\n\r\n\
        GET /d HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(read(conversation), Ok(5));
}

#[test]
fn refuses_what_two_parsers_could_read_differently() {
    let head = |rest: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{rest}");
    for (what, bytes, why) in [
        (
            "both lengths",
            head("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Refusal::BothLengths,
        ),
        (
            "both lengths, other order and case",
            head("tRaNsFeR-eNcOdInG: chunked\r\ncOnTeNt-LeNgTh: 4\r\n\r\n"),
            Refusal::BothLengths,
        ),
        ("LF in the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n".to_owned(), Refusal::BareLf),
        ("LF after a field", head("X: 1\n\r\n"), Refusal::BareLf),
        ("LF as the end of the head", head("X: 1\r\n\n"), Refusal::BareLf),
        ("another coding", head("Transfer-Encoding: gzip, chunked\r\n\r\n"), Refusal::Coding),
        (
            "chunked twice",
            head("Transfer-Encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n"),
            Refusal::Coding,
        ),
        ("hidden coding", head("Transfer-Encoding: xchunked\r\n\r\n"), Refusal::Coding),
        ("a sign", head("Content-Length: +4\r\n\r\n"), Refusal::BadLength),
        ("a list", head("Content-Length: 4, 4\r\n\r\n"), Refusal::BadLength),
        ("two that differ", head("Content-Length: 4\r\nContent-Length: 5\r\n\r\n"), Refusal::BadLength),
        ("no number", head("Content-Length:\r\n\r\n"), Refusal::BadLength),
        ("past 2^64", head("Content-Length: 18446744073709551616\r\n\r\n"), Refusal::BadLength),
        ("2^64 - 1", head("Content-Length: 18446744073709551615\r\n\r\n"), Refusal::LengthTooLarge),
        ("2^64 - 2", head("Content-Length: 18446744073709551614\r\n\r\n"), Refusal::LengthTooLarge),
        ("a fragment", "GET /a#b HTTP/1.1\r\n\r\n".to_owned(), Refusal::Fragment),
        ("an empty fragment", "GET /# HTTP/1.1\r\n\r\n".to_owned(), Refusal::Fragment),
        ("a fragment behind a query", "GET /?a=b#/c HTTP/1.1\r\n\r\n".to_owned(), Refusal::Fragment),
        ("a fragment behind a host", "GET http://h#b HTTP/1.1\r\n\r\n".to_owned(), Refusal::Fragment),
        ("an octet beyond ASCII", "GET /caf\u{e9} HTTP/1.1\r\n\r\n".to_owned(), Refusal::BeyondAscii),
        ("no hex digit", head("Transfer-Encoding: chunked\r\n\r\nz\r\n"), Refusal::BadChunk),
        ("0x", head("Transfer-Encoding: chunked\r\n\r\n0x5\r\n"), Refusal::BadChunk),
        ("17 digits", head("Transfer-Encoding: chunked\r\n\r\n00000000000000001\r\n"), Refusal::BadChunk),
        ("2^64 - 1", head("Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"), Refusal::BadChunk),
        ("empty size", head("Transfer-Encoding: chunked\r\n\r\n\r\n"), Refusal::BadChunk),
        ("data past its size", head("Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n"), Refusal::BadChunk),
        ("LF after a size", head("Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n"), Refusal::BareLf),
    ] {
        assert_eq!(read(bytes.as_bytes()), Err((1, why)), "{what}");
    }
}

#[test]
fn names_the_request_that_is_wrong_not_the_one_before_it() {
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\n\
        Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(read(bytes), Err((2, Refusal::BothLengths)));
    let findings = Findings::default();
    findings.refused.set(Some((2, Refusal::BothLengths)));
    assert_eq!(findings.refusal(1), None);
    assert_eq!(findings.refusal(2), Some(Refusal::BothLengths));
    assert_eq!(findings.refusal(3), Some(Refusal::BothLengths), "nothing after it is served either");
}

#[test]
fn the_largest_length_is_taken_and_a_method_may_have_any_sign() {
    assert_eq!(read(b"POST / HTTP/1.1\r\nContent-Length: 18446744073709551613\r\n\r\n"), Ok(1));
    assert_eq!(read(b"A#B / HTTP/1.1\r\n\r\n"), Ok(2));
}

/// What hyper reads of these bytes when they come in pieces of this size.
fn passed_on(bytes: &str, piece: usize) -> String {
    let mut framing = Framing::default();
    let mut passed = bytes.as_bytes().to_vec();
    for piece in passed.chunks_mut(piece) {
        let _ = framing.follow(piece);
    }
    String::from_utf8(passed).unwrap()
}

#[test]
fn a_later_minor_version_is_read_as_1_1_however_it_is_cut() {
    let with = |line: &str| {
        format!("{line}\r\nHost: HTTP/1.3\r\nContent-Length: 14\r\n\r\nA / HTTP/1.2\r\n{line}\r\n")
    };
    for (sent, expected) in [
        ("GET / HTTP/1.2", "GET / HTTP/1.1"),
        ("GET /1.2 HTTP/1.9", "GET /1.2 HTTP/1.1"),
        ("GET / HTTP/1.0", "GET / HTTP/1.0"),
        ("GET / HTTP/1.1", "GET / HTTP/1.1"),
        ("GET / HTTP/2.2", "GET / HTTP/2.2"),
        ("GET /HTTP/1.2", "GET /HTTP/1.2"),
        ("GET / http/1.2", "GET / http/1.2"),
        ("GET / HTTP/1.x", "GET / HTTP/1.x"),
    ] {
        for piece in 1..40 {
            assert_eq!(passed_on(&with(sent), piece), with(expected), "{sent} in pieces of {piece}");
        }
    }
    // One with two digits is none, and stays none.
    assert_eq!(passed_on("GET / HTTP/1.25\r\n", 100), "GET / HTTP/1.25\r\n");
    assert_eq!(passed_on("GET / HTTP/1.25\r\n", 1), "GET / HTTP/1.15\r\n");
}

#[test]
fn a_length_that_hyper_misreads_is_spoiled() {
    let sent = "POST / HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n";
    for piece in 1..60 {
        let expected = sent.replace("615\r\n", "615\r\0");
        assert_eq!(passed_on(sent, piece), expected, "in pieces of {piece}");
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
        let mut framing = Framing::default();
        assert_eq!(framing.follow(&mut format!("{line}\r\n\r\n{line}\r\n").into_bytes()), Ok(()));
        assert_eq!(framing.bare_options, if noted { vec![1, 2] } else { vec![] }, "{line}");
    }
}

#[test]
fn empty_lines_before_a_request_are_ignored() {
    assert_eq!(read(b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(2));
}

#[test]
fn says_when_a_head_is_incomplete() {
    let mut framing = Framing::default();
    assert!(!framing.inside_head());
    for (bytes, inside) in [
        (&b"GE"[..], true),
        (b"T / HTTP/1.1\r\nHo", true),
        (b"st: a\r\n", true),
        (b"Content-Length: 2\r\n\r\n", false),
        (b"xy", false),
        (b"G", true),
    ] {
        assert_eq!(framing.follow(&mut bytes.to_vec()), Ok(()));
        assert_eq!(framing.inside_head(), inside, "after {:?}", String::from_utf8_lossy(bytes));
    }
}

/// A client that takes what it is given, and what is to be flushed only at the second attempt.
struct Slow {
    flushes: u32,
}

impl AsyncWrite for Slow {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushes += 1;
        if self.flushes == 1 { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// TLS may hold back what it took, and let go of it without another write.
#[tokio::test]
async fn a_flush_that_catches_up_lets_the_connection_rest() {
    let findings = Rc::<Findings>::default();
    let second = std::time::Duration::from_secs(1);
    let deadline = Deadline::new(Waiting::Request, tokio::time::Instant::now() + second, second, second);
    let mut guarded = Guarded::new(Slow { flushes: 0 }, Rc::clone(&findings), Rc::new(deadline), 1, true);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(Pin::new(&mut guarded).poll_write(&mut cx, b"answer").is_ready());
    assert!(findings.at_rest());
    assert!(Pin::new(&mut guarded).poll_flush(&mut cx).is_pending());
    assert!(!findings.at_rest());
    assert!(Pin::new(&mut guarded).poll_flush(&mut cx).is_ready());
    assert!(findings.at_rest());
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    /// A message whose framing is known, or a piece of garbage.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            Just(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
            Just(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc".to_vec()),
            Just(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_vec()),
            Just(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..40),
            "[0-9a-fA-F;\r\n:]{0,20}".prop_map(String::into_bytes),
        ]
    }

    proptest! {
        /// How the network cuts the bytes must not change what is seen, and nothing panics.
        #[test]
        fn cuts_do_not_matter(pieces in proptest::collection::vec(piece(), 0..6),
                              cuts in proptest::collection::vec(1usize..9, 1..40)) {
            let bytes = pieces.concat();
            let whole = read(&bytes);
            let mut framing = Framing::default();
            let mut cut = Ok(());
            let mut rest = &bytes[..];
            for size in cuts.iter().cycle() {
                if rest.is_empty() || cut.is_err() {
                    break;
                }
                let (now, later) = rest.split_at((*size).min(rest.len()));
                cut = framing.follow(&mut now.to_vec());
                rest = later;
            }
            prop_assert_eq!(whole, cut.map(|()| framing.ordinal).map_err(|why| (framing.ordinal, why)));
        }
    }
}
