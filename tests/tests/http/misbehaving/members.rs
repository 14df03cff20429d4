//! Members of HTTP/1.1, before clients of both versions.

use std::io;
use std::time::Duration;

use shunt_tests::frames;
use shunt_tests::origin::{Call, Origin};
use shunt_tests::raw::Client;
use shunt_tests::site::Site;
use socket2::SockRef;

use super::compare;

struct Case {
    what: &'static str,
    /// What the member does once it has the head of a request.
    plays: fn(&mut Call) -> io::Result<()>,
}

const CASES: &[Case] = &[
    Case { what: "closes without an answer", plays: |_| Ok(()) },
    Case { what: "resets without an answer", plays: reset },
    Case {
        what: "ends its side, and stays",
        plays: |call| {
            call.end()?;
            stay(call)
        },
    },
    Case { what: "does not answer", plays: stay },
    Case { what: "sends half a head, and closes", plays: |call| call.send("HTTP/1.1 200 OK\r\nContent-Le") },
    Case {
        what: "sends half a head, and stays",
        plays: |call| {
            call.send("HTTP/1.1 200 OK\r\nContent-Le")?;
            stay(call)
        },
    },
    Case { what: "sends what is not HTTP", plays: |call| call.send("220 mail.example ESMTP\r\n\r\n") },
    Case {
        what: "sends a head that never ends",
        plays: |call| {
            call.send("HTTP/1.1 200 OK\r\n")?;
            loop {
                call.send("X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(100))?;
            }
        },
    },
    Case {
        what: "sends two lengths that differ",
        plays: |call| call.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"),
    },
    Case {
        what: "sends a length beside chunks",
        plays: |call| {
            call.send(
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            )
        },
    },
    Case {
        what: "sends less than its length, and closes",
        plays: |call| call.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"),
    },
    Case {
        what: "sends less than its length, and resets",
        plays: |call| {
            call.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok")?;
            call.await_mark("seen")?;
            reset(call)
        },
    },
    Case {
        what: "sends less than its length, and stays",
        plays: |call| {
            call.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok")?;
            stay(call)
        },
    },
    Case {
        what: "sends more than its length",
        plays: |call| call.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more"),
    },
    Case {
        what: "sends a body with 204",
        plays: |call| call.send("HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok"),
    },
    Case {
        what: "closes before the last chunk",
        plays: |call| call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"),
    },
    Case {
        what: "sends a chunk that is none",
        plays: |call| {
            call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nxyz\r\n")?;
            stay(call)
        },
    },
    Case {
        what: "ends a body without a length by its end",
        plays: |call| call.send("HTTP/1.1 200 OK\r\n\r\nok"),
    },
    Case {
        what: "sends byte by byte",
        plays: |call| {
            for byte in "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".chars() {
                call.send(byte.to_string())?;
            }
            Ok(())
        },
    },
    Case {
        what: "sends 1,000 times 103, then 200",
        plays: |call| {
            call.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(1_000))?;
            call.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        },
    },
    Case {
        what: "sends 103 for ever",
        plays: |call| loop {
            call.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")?;
        },
    },
    Case {
        what: "switches protocols unasked",
        plays: |call| {
            call.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")?;
            stay(call)
        },
    },
    Case { what: "answers two times", plays: |call| call.send(TWICE) },
];

const TWICE: &str =
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno";

fn stay(call: &mut Call) -> io::Result<()> {
    call.until_end();
    Ok(())
}

/// Closing now is a reset.
fn reset(call: &mut Call) -> io::Result<()> {
    SockRef::from(call.stream()).set_linger(Some(Duration::ZERO))
}

/// What a client of HTTP/1.1 gets.
fn over_http1(site: &Site, origin: &Origin) -> String {
    let mut client: Client = site.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut hints = "";
    loop {
        let Ok(head) = client.try_head() else { return "nothing".to_owned() };
        origin.tell("seen");
        if head.status() == 103 {
            hints = "103, ";
            continue;
        }
        let status = head.status();
        let whole = match (status, head.get("content-length"), head.get("transfer-encoding")) {
            (204, ..) => true,
            (_, Some(length), None) => client.try_exact(length.parse().unwrap()).is_ok(),
            (_, None, Some(_)) => loop {
                match client.try_chunk() {
                    Ok(chunk) if chunk.is_empty() => break true,
                    Ok(_) => {}
                    Err(_) => break false,
                }
            },
            framing => panic!("{framing:?}"),
        };
        return format!("{hints}{status}{}", if whole { "" } else { ", cut off" });
    }
}

/// What a client of HTTP/2 gets.
fn over_http2(site: &Site, origin: &Origin) -> String {
    let mut client = frames::Client::connect(site.address);
    let stream = client.request("GET", "/", &[]);
    client.status(stream);
    origin.tell("seen");
    let answer = client.answer(stream);
    let hints = if answer.interim.is_empty() { "" } else { "103, " };
    let cut = match answer.reset {
        None => String::new(),
        Some(2) => ", then INTERNAL_ERROR".to_owned(),
        Some(code) => format!(", then {code}"),
    };
    // The connection is another matter.
    assert_eq!(client.goaways, []);
    format!("{hints}{}{cut}", answer.status)
}

#[test]
fn members_that_misbehave() {
    let mut missing = Vec::new();
    for case in CASES {
        let plays = case.plays;
        let origin = Origin::start(move |call| {
            call.head()?;
            plays(call)
        });
        let keys =
            "http2 = { start = \"prior-knowledge\" }\ntimeouts = { first-byte = \"1s\", idle = \"1s\" }";
        let site = Site::with(keys, &[&origin]);
        let before = site.daemon.status();
        let (one, two) = (over_http1(&site, &origin), over_http2(&site, &origin));
        compare(&site, &before, 2, &[case.what, &one, &two], &mut missing);
    }
    assert!(missing.is_empty(), "not in the book:\n{}", missing.join("\n"));
}
