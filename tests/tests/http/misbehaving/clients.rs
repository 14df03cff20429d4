//! Clients of both versions, before a member of HTTP/1.1.

use std::net::Shutdown;
use std::time::Duration;

use shunt_tests::daemon::until;
use shunt_tests::frames::{self, CANCEL, END_STREAM, Frame, INITIAL_WINDOW_SIZE, RST_STREAM};
use shunt_tests::origin::{Origin, ok};
use shunt_tests::raw::Client;
use shunt_tests::site::Site;
use socket2::SockRef;

use super::compare;

struct Case {
    what: &'static str,
    /// Says what the client gets.
    plays: fn(&Site, &Origin) -> String,
}

const CASES: &[Case] = &[
    Case { what: "connects and says nothing", plays: |site, _| one(site, &[]) },
    Case { what: "stops in its head", plays: |site, _| one(site, &["GET / HTTP/1.1\r\nHo"]) },
    Case {
        what: "ends its side in its head",
        plays: |site, _| {
            let mut client = site.client();
            client.send("GET / HTTP/1.1\r\nHo");
            client.end();
            gets(&mut client)
        },
    },
    Case {
        what: "stops in its body",
        plays: |site, _| one(site, &["POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf"]),
    },
    Case {
        what: "ends its side in its body",
        plays: |site, origin| {
            let mut client = site.client();
            client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf");
            origin.wait_mark("began");
            client.end();
            gets(&mut client)
        },
    },
    Case {
        what: "sends a malformed chunk",
        plays: |site, origin| {
            let mut client = site.client();
            client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
            origin.wait_mark("began");
            client.send("xyz\r\n");
            gets(&mut client)
        },
    },
    Case {
        what: "waits for 100, and sends no body",
        plays: |site, _| {
            one(site, &["POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"])
        },
    },
    Case {
        what: "sends a body byte by byte",
        plays: |site, _| {
            let mut pieces =
                vec!["POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 9\r\n\r\n"];
            pieces.extend(["x"; 9]);
            one(site, &pieces)
        },
    },
    Case {
        what: "resets before the answer",
        plays: |site, origin| {
            let mut client = site.client();
            client.send("GET /late HTTP/1.1\r\nHost: h\r\n\r\n");
            origin.wait_requests(1);
            SockRef::from(client.stream()).set_linger(Some(Duration::ZERO)).unwrap();
            "nothing".to_owned()
        },
    },
    Case {
        what: "resets in the answer",
        plays: |site, origin| {
            let mut client = site.client();
            client.send("GET /endless HTTP/1.1\r\nHost: h\r\n\r\n");
            origin.wait_requests(1);
            let status = client.answer_head().status();
            SockRef::from(client.stream()).set_linger(Some(Duration::ZERO)).unwrap();
            format!("{status}, cut off")
        },
    },
    Case {
        what: "does not read the answer",
        plays: |site, origin| {
            let mut client = site.client();
            client.send("GET /endless HTTP/1.1\r\nHost: h\r\n\r\n");
            origin.wait_mark("cut");
            let status = client.answer_head().status();
            while client.try_chunk().is_ok() {}
            format!("{status}, cut off")
        },
    },
    Case {
        what: "HTTP/2: connects and says nothing more",
        plays: |site, _| {
            let mut client = frames::Client::connect(site.address);
            client.rest();
            ends(&client)
        },
    },
    Case {
        what: "HTTP/2: stops in a body",
        plays: |site, _| {
            let mut client = frames::Client::connect(site.address);
            let stream = client.upload("/", &[]);
            client.data(stream, b"half", 0);
            said(&mut client, stream)
        },
    },
    Case {
        what: "HTTP/2: sends less than its length",
        plays: |site, origin| {
            let mut client = frames::Client::connect(site.address);
            let stream = client.upload("/", &[("content-length", "9")]);
            origin.wait_mark("began");
            client.data(stream, b"half", END_STREAM);
            said(&mut client, stream)
        },
    },
    Case {
        what: "HTTP/2: sends more than its length",
        plays: |site, origin| {
            let mut client = frames::Client::connect(site.address);
            let stream = client.upload("/", &[("content-length", "2")]);
            origin.wait_mark("began");
            client.data(stream, b"half", END_STREAM);
            said(&mut client, stream)
        },
    },
    Case {
        what: "HTTP/2: resets a stream in its body",
        plays: |site, origin| {
            let mut client = frames::Client::connect(site.address);
            let stream = client.upload("/", &[]);
            client.data(stream, b"half", 0);
            origin.wait_mark("began");
            client.send(&Frame::new(RST_STREAM, 0, stream, CANCEL.to_be_bytes()));
            until("it is cut off", || origin.marks().contains(&"cut".to_owned()));
            "nothing".to_owned()
        },
    },
    Case {
        what: "HTTP/2: resets a stream before the answer",
        plays: |site, origin| {
            let mut client = frames::Client::connect(site.address);
            let stream = client.request("GET", "/late", &[]);
            origin.wait_requests(1);
            client.send(&Frame::new(RST_STREAM, 0, stream, CANCEL.to_be_bytes()));
            origin.wait_mark("cut");
            "nothing".to_owned()
        },
    },
    Case {
        what: "HTTP/2: makes no room for the answer",
        plays: |site, origin| {
            let mut client = frames::Client::with_settings(site.address, &[(INITIAL_WINDOW_SIZE, 0)]);
            let stream = client.request("GET", "/endless", &[]);
            origin.wait_mark("cut");
            said(&mut client, stream)
        },
    },
    Case {
        what: "HTTP/2: closes the connection before the answer",
        plays: |site, origin| {
            let mut client = frames::Client::connect(site.address);
            client.request("GET", "/late", &[]);
            origin.wait_requests(1);
            client.socket().shutdown(Shutdown::Both).unwrap();
            origin.wait_mark("cut");
            "nothing".to_owned()
        },
    },
];

/// What a client of HTTP/1.1 gets that sends these pieces and no more.
fn one(site: &Site, pieces: &[&str]) -> String {
    let mut client = site.client();
    pieces.iter().for_each(|piece| client.send(piece));
    gets(&mut client)
}

fn gets(client: &mut Client) -> String {
    let mut gets = Vec::new();
    while let Ok(answer) = client.try_answer() {
        gets.push(answer.status().to_string());
    }
    if gets.is_empty() { "nothing".to_owned() } else { gets.join(", ") }
}

fn said(client: &mut frames::Client, stream: u32) -> String {
    let Ok(answer) = client.try_answer(stream) else { return ends(client) };
    match (answer.status, answer.reset) {
        (status, None) => status.to_string(),
        (0, Some(code)) => code_name(code),
        (status, Some(code)) => format!("{status}, then {}", code_name(code)),
    }
}

fn ends(client: &frames::Client) -> String {
    client.goaways.last().map_or("nothing".to_owned(), |(code, _)| format!("GOAWAY {}", code_name(*code)))
}

/// RFC 9113 section 7.
fn code_name(code: u32) -> String {
    match code {
        0 => "NO_ERROR".to_owned(),
        1 => "PROTOCOL_ERROR".to_owned(),
        2 => "INTERNAL_ERROR".to_owned(),
        8 => "CANCEL".to_owned(),
        11 => "ENHANCE_YOUR_CALM".to_owned(),
        other => other.to_string(),
    }
}

/// Answers what is whole, at once, late or for ever.
fn origin() -> Origin {
    Origin::start(|call| {
        loop {
            let head = call.head()?;
            call.mark("began");
            let line = head.line.clone();
            if call.wire().try_request_body(head).is_err() {
                call.mark("cut");
                return Ok(());
            }
            call.mark("whole");
            if line.contains("/late") {
                call.until_end();
                call.mark("cut");
                return Ok(());
            }
            if line.contains("/endless") {
                call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                while call.send(format!("1000\r\n{}\r\n", "x".repeat(0x1000))).is_ok() {}
                call.mark("cut");
                return Ok(());
            }
            call.send(ok("a"))?;
        }
    })
}

#[test]
fn clients_that_misbehave() {
    let mut missing = Vec::new();
    for case in CASES {
        let origin = origin();
        let keys = "http2 = { start = \"prior-knowledge\" }\ntimeouts = { head = \"1s\", idle = \"1s\" }";
        let site = Site::with(keys, &[&origin]);
        let before = site.daemon.status();
        let gets = (case.plays)(&site, &origin);
        until(&format!("{}: it is let go", case.what), || site.daemon.status()["virtuals"][0]["open"] == 0);
        let came = match (origin.count(), origin.marks().iter().any(|it| it == "whole")) {
            (0, _) => "nothing",
            (_, false) => "a part",
            (1, true) => "a request",
            (_, true) => "requests",
        };
        compare(&site, &before, 1, &[case.what, &gets, came], &mut missing);
    }
    assert!(missing.is_empty(), "not in the book:\n{}", missing.join("\n"));
}
