//! Answers that go wrong, one by one.

use std::io;

use shunt_tests::frames::{
    CANCEL, CONTINUATION, Client, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frame, HEADERS, INTERNAL_ERROR,
    NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM, Server, block,
};
use shunt_tests::site::Site;

use super::{counted, in_front, member};

/// How an answer goes wrong, what HTTP/1 sees of it (the status, or the status and how much of the body before the
/// connection ends), what HTTP/2 sees, and what is counted.
struct Case {
    name: &'static str,
    plays: fn(&mut Server, u32) -> io::Result<()>,
    /// Of a client of HTTP/1: `None`: a whole answer.
    cut_after: Option<usize>,
    status: u16,
    /// Of a client of HTTP/2.
    reset: Option<u32>,
    counts: &'static [(&'static str, u64)],
}

const WHOLE: Option<usize> = None;

/// Resets the stream in the middle of the body.
fn cut(server: &mut Server, stream: u32, code: u32) -> io::Result<()> {
    server.head(stream, &[(":status", "200"), ("content-length", "10")], 0)?;
    server.data(stream, b"hello", 0)?;
    server.reset(stream, code)
}

/// Each is played to one request, and the next on the connection gets its answer where the connection goes on.
const CASES: &[Case] = &[
    Case {
        name: "RST_STREAM before the answer",
        plays: |server, stream| server.reset(stream, INTERNAL_ERROR),
        cut_after: WHOLE,
        status: 502,
        reset: None,
        counts: &[("failures", 1), ("http2-resets", 1), ("http2-broken", 0)],
    },
    Case {
        name: "RST_STREAM in the body",
        plays: |server, stream| cut(server, stream, INTERNAL_ERROR),
        cut_after: Some(5),
        status: 200,
        reset: Some(INTERNAL_ERROR),
        counts: &[("failures", 1), ("http2-resets", 1)],
    },
    Case {
        name: "RST_STREAM with CANCEL in the body",
        plays: |server, stream| cut(server, stream, CANCEL),
        cut_after: Some(5),
        status: 200,
        reset: Some(CANCEL),
        counts: &[("failures", 1), ("http2-resets", 1)],
    },
    Case {
        name: "RST_STREAM with ENHANCE_YOUR_CALM in the body",
        plays: |server, stream| cut(server, stream, ENHANCE_YOUR_CALM),
        cut_after: Some(5),
        status: 200,
        reset: Some(ENHANCE_YOUR_CALM),
        counts: &[("failures", 1), ("http2-resets", 1)],
    },
    Case {
        name: "RST_STREAM with PROTOCOL_ERROR in the body",
        plays: |server, stream| cut(server, stream, PROTOCOL_ERROR),
        cut_after: Some(5),
        status: 200,
        reset: Some(INTERNAL_ERROR),
        counts: &[("failures", 1), ("http2-resets", 1)],
    },
    Case {
        name: "RST_STREAM with REFUSED_STREAM in the body",
        plays: |server, stream| cut(server, stream, REFUSED_STREAM),
        cut_after: Some(5),
        status: 200,
        reset: Some(INTERNAL_ERROR),
        counts: &[("failures", 1)],
    },
    Case {
        name: "RST_STREAM with a code that is not registered in the body",
        plays: |server, stream| cut(server, stream, 99),
        cut_after: Some(5),
        status: 200,
        reset: Some(INTERNAL_ERROR),
        counts: &[("failures", 1), ("http2-resets", 1)],
    },
    Case {
        name: "RST_STREAM with NO_ERROR in the body, without a length",
        plays: |server, stream| {
            server.head(stream, &[(":status", "200")], 0)?;
            server.data(stream, b"hello", 0)?;
            server.reset(stream, NO_ERROR)
        },
        cut_after: Some(5),
        status: 200,
        reset: Some(INTERNAL_ERROR),
        counts: &[("failures", 1), ("http2-resets", 1)],
    },
    Case {
        name: "RST_STREAM with NO_ERROR behind the whole answer",
        plays: |server, stream| {
            server.answer(stream, b"hello")?;
            server.reset(stream, NO_ERROR)
        },
        cut_after: WHOLE,
        status: 200,
        reset: None,
        counts: &[("failures", 0), ("http2-resets", 0)],
    },
    Case {
        name: "less than Content-Length",
        plays: |server, stream| {
            server.head(stream, &[(":status", "200"), ("content-length", "10")], 0)?;
            server.data(stream, b"hello", END_STREAM)
        },
        cut_after: Some(0),
        status: 200,
        reset: Some(INTERNAL_ERROR),
        counts: &[("failures", 1), ("http2-broken", 0)],
    },
    Case {
        name: "more than Content-Length",
        plays: |server, stream| {
            server.head(stream, &[(":status", "200"), ("content-length", "4")], 0)?;
            server.data(stream, b"hello", END_STREAM)
        },
        cut_after: Some(0),
        status: 200,
        reset: Some(INTERNAL_ERROR),
        counts: &[("failures", 1), ("http2-broken", 0)],
    },
    Case {
        name: "two lengths",
        plays: |server, stream| {
            let fields = [(":status", "200"), ("content-length", "4"), ("content-length", "5")];
            server.head(stream, &fields, END_STREAM)
        },
        cut_after: WHOLE,
        status: 502,
        reset: None,
        counts: &[("failures", 1), ("http2-broken", 0)],
    },
    Case {
        name: "a field of HTTP/1 connections",
        plays: |server, stream| {
            server.head(stream, &[(":status", "200"), ("transfer-encoding", "chunked")], 0)
        },
        cut_after: WHOLE,
        status: 502,
        reset: None,
        counts: &[("failures", 1), ("http2-broken", 0)],
    },
    Case {
        name: "a blank behind a value",
        plays: |server, stream| server.head(stream, &[(":status", "200"), ("x", "a ")], 0),
        cut_after: WHOLE,
        status: 502,
        reset: None,
        counts: &[("failures", 1), ("http2-broken", 0)],
    },
    Case {
        name: "no status",
        plays: |server, stream| server.head(stream, &[("x", "a")], 0),
        cut_after: WHOLE,
        status: 502,
        reset: None,
        counts: &[("failures", 1)],
    },
    Case {
        name: "101",
        plays: |server, stream| server.head(stream, &[(":status", "101")], 0),
        cut_after: WHOLE,
        status: 502,
        reset: None,
        counts: &[("failures", 1)],
    },
    Case {
        name: "an informational answer that ends the stream",
        plays: |server, stream| server.head(stream, &[(":status", "103")], END_STREAM),
        cut_after: WHOLE,
        status: 502,
        reset: None,
        counts: &[("failures", 1)],
    },
    Case {
        name: "a thousand informational answers",
        plays: |server, stream| {
            for _ in 0..1_000 {
                server.head(stream, &[(":status", "103"), ("link", "</a>")], 0)?;
            }
            server.answer(stream, b"hello")
        },
        cut_after: WHOLE,
        status: 200,
        reset: None,
        counts: &[("failures", 0)],
    },
    Case {
        name: "a head larger than 64 KiB",
        plays: |server, stream| {
            let large = "x".repeat(16_000);
            let fields: Vec<_> = (0..5).map(|_| ("x", large.as_str())).collect();
            let block = block(&[&[(":status", "200")], &fields[..]].concat());
            let mut pieces = block.chunks(16_384).peekable();
            let mut kind = HEADERS;
            while let Some(piece) = pieces.next() {
                let end = if pieces.peek().is_none() { END_HEADERS } else { 0 };
                server.send(&Frame::new(kind, end, stream, piece))?;
                kind = CONTINUATION;
            }
            Ok(())
        },
        cut_after: WHOLE,
        status: 502,
        reset: None,
        counts: &[("failures", 1)],
    },
    Case {
        name: "DATA before the head",
        plays: |server, stream| server.data(stream, b"hello", 0),
        cut_after: WHOLE,
        status: 502,
        reset: None,
        counts: &[("failures", 1)],
    },
    Case {
        name: "DATA behind the end",
        plays: |server, stream| {
            server.answer(stream, b"hello")?;
            server.data(stream, b"more", END_STREAM)
        },
        cut_after: WHOLE,
        status: 200,
        reset: None,
        counts: &[("failures", 0)],
    },
    Case {
        name: "a frame on a stream that nobody opened",
        plays: |server, stream| server.head(stream + 100, &[(":status", "200")], 0),
        cut_after: WHOLE,
        status: 502,
        reset: None,
        counts: &[("failures", 1), ("http2-broken", 1)],
    },
    Case {
        name: "GOAWAY with an error behind the beginning of the answer",
        plays: |server, stream| {
            server.head(stream, &[(":status", "200"), ("content-length", "10")], 0)?;
            server.data(stream, b"hello", 0)?;
            server.goaway(stream, INTERNAL_ERROR)?;
            Err(io::ErrorKind::Other.into())
        },
        cut_after: Some(5),
        status: 200,
        reset: Some(INTERNAL_ERROR),
        counts: &[("failures", 1), ("http2-broken", 1)],
    },
    Case {
        name: "the connection ends before the answer",
        plays: |_, _| Err(io::ErrorKind::Other.into()),
        cut_after: WHOLE,
        status: 502,
        reset: None,
        counts: &[("failures", 1), ("http2-broken", 1)],
    },
];

#[test]
fn answers_that_go_wrong() {
    let mut wrong = Vec::new();
    for case in CASES {
        for http_2 in [false, true] {
            let origin = member(|call, server| {
                if call.number() == 1 {
                    let stream = server.request()?;
                    (case.plays)(server, stream)?;
                }
                loop {
                    let stream = server.request()?;
                    server.answer(stream, b"next")?;
                }
            });
            let site = in_front("", &[&origin]);
            let (seen, expected, next) = if http_2 {
                let mut client = Client::connect(site.address);
                let answer = client.get("/");
                let seen = format!("{} {:?}", answer.status, answer.reset);
                (seen, format!("{} {:?}", case.status, case.reset), client.get("/").text())
            } else {
                let (status, cut_after) = by_http_1(&site);
                let expected = format!("{} {:?}", case.status, case.cut_after);
                (format!("{status} {cut_after:?}"), expected, site.client().get("/").text())
            };
            let counts: Vec<_> = case.counts.iter().map(|(what, _)| (*what, counted(&site, what))).collect();
            if seen != expected || next != "next" || counts != case.counts {
                wrong.push(format!(
                    "{}, HTTP/2: {http_2}: {seen} for {expected}, then {next:?}, {counts:?} for {:?}",
                    case.name, case.counts
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The status that a client of HTTP/1 sees, and where the body breaks off how much of it came.
fn by_http_1(site: &Site) -> (u16, Option<usize>) {
    let mut client = site.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let head = loop {
        let head = client.answer_head();
        if head.status() >= 200 {
            break head;
        }
    };
    let body = client.try_rest().unwrap_or_default();
    if head.get("transfer-encoding").is_some() {
        let (end, size) = (body.ends_with(b"0\r\n\r\n"), body.len());
        // One chunk, with its size and two line ends.
        return (head.status(), (!end).then(|| size.saturating_sub(5)));
    }
    let length: usize = head.get("content-length").and_then(|it| it.parse().ok()).expect("a length");
    (head.status(), (body.len() < length).then_some(body.len()))
}
