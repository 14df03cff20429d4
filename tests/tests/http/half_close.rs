//! Clients that end their side behind the request and wait for the answer, and those that are gone.

use shunt_tests::daemon::until;
use shunt_tests::origin::{Origin, ok};
use shunt_tests::site::{self, Site};

/// Answers when it is told to.
fn waiting() -> Origin {
    Origin::start(|call| {
        loop {
            call.request()?;
            call.await_mark("go on")?;
            call.send(ok("answer"))?;
        }
    })
}

const REQUESTS: [&str; 5] = [
    "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
];

#[test]
fn a_client_that_has_said_all_gets_its_answer() {
    for request in REQUESTS {
        let origin = waiting();
        let site = Site::of(&[&origin]);
        let mut client = site.client();
        client.send(request);
        client.end();
        origin.wait_requests(1);
        // That the end was noticed shows before the answer is there.
        assert_eq!(client.exact(7), b"HTTP/1.", "{request:?}");
        origin.tell("go on");
        let rest = String::from_utf8(client.try_rest().unwrap()).unwrap();
        let (head, body) = rest.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{request:?}: {rest:?}"));
        assert!(
            head.starts_with("1 200 OK\r\n") || head.starts_with("0 200 OK\r\n"),
            "{request:?}: {rest:?}"
        );
        assert_eq!(body, "answer", "{request:?}");
        until("it is let go", || site.daemon.status()["virtuals"][0]["open"] == 0);
        assert_eq!(site.daemon.status()["virtuals"][0]["errors"], 0);
    }
}

#[test]
fn answers_that_are_quick_and_pipelines_that_end() {
    let origin = Origin::named("a");
    let site = Site::of(&[&origin]);
    for _ in 0..50 {
        let mut client = site.client();
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        client.end();
        assert_eq!(client.answer().text(), "a");
        assert!(client.ended());
        let mut client = site.client();
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(3));
        client.end();
        for _ in 0..3 {
            assert_eq!(client.answer().text(), "a");
        }
        assert!(client.ended());
    }
    // What Shunt answers itself.
    let site = Site::configured(|at| site::config(at, "", "").replace("pool = \"web\"", ""));
    let mut client = site.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    client.end();
    assert_eq!(client.answer().status(), 404);
    assert!(client.ended());
}

#[test]
fn no_answer_in_time_is_an_answer_too() {
    let origin = waiting();
    let site = Site::with("timeouts = { first-byte = \"1s\" }", &[&origin]);
    let mut client = site.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    client.end();
    assert_eq!(client.answer().status(), 504);
    assert!(client.ended());
}

/// The client ends its side in the middle of the answer, which continues to its end.
#[test]
fn an_answer_goes_on_for_a_client_that_has_ended() {
    for (framing, first, rest) in [
        ("Content-Length: 10", "first", "later"),
        ("Transfer-Encoding: chunked", "5\r\nfirst\r\n", "5\r\nlater\r\n0\r\n\r\n"),
        ("Connection: close", "first", "later"),
    ] {
        let origin = Origin::start(move |call| {
            call.request()?;
            call.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{first}"))?;
            call.await_mark("go on")?;
            call.send(rest)
        });
        let site = Site::of(&[&origin]);
        let mut client = site.client();
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        let head = client.answer_head();
        assert_eq!(head.status(), 200);
        let chunked = head.has("transfer-encoding");
        let piece = if chunked { client.try_chunk().unwrap() } else { client.exact(5) };
        assert_eq!(piece, b"first");
        client.end();
        // Another client's answer, for what came before it was dealt with before it.
        let mut other = site.client();
        other.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(other.answer_head().status(), 200);
        origin.tell("go on");
        let piece = if chunked { client.try_chunk().unwrap() } else { client.exact(5) };
        assert_eq!(piece, b"later", "{framing}");
        if chunked {
            assert!(client.try_chunk().unwrap().is_empty());
        }
        let rest = client.try_rest().unwrap();
        assert!(rest.is_empty() || rest == b"\r\n", "{framing}: {rest:?}");
    }
}

/// A client that is gone is told from one that waits, and the member is told, long before the time is up.
#[test]
fn a_client_that_is_gone_is_noticed() {
    for request in REQUESTS {
        let origin = Origin::start(|call| {
            call.request()?;
            call.until_end();
            call.mark("cut");
            Ok(())
        });
        let site = Site::of(&[&origin]);
        let mut client = site.client();
        client.send(request);
        origin.wait_requests(1);
        drop(client);
        origin.wait_mark("cut");
        until("it is let go", || site.daemon.status()["virtuals"][0]["open"] == 0);
    }
}

/// The same where it has its side ended before, and where the answer has begun and pauses.
#[test]
fn a_client_that_goes_later_is_noticed() {
    let origin = Origin::start(|call| {
        if call.request()?.head.line.contains("stream") {
            call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")?;
        }
        call.until_end();
        call.mark(format!("cut {}", call.number()));
        Ok(())
    });
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    client.end();
    origin.wait_requests(1);
    // Not read: closing now is a reset.
    until("the end was noticed", || client.stream().peek(&mut [0]).is_ok_and(|count| count == 1));
    drop(client);
    origin.wait_mark("cut 1");

    let mut client = site.client();
    client.send("GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.answer_head().status(), 200);
    assert_eq!(client.try_chunk().unwrap(), b"hello");
    drop(client);
    origin.wait_mark("cut 2");
    until("all are let go", || site.daemon.status()["virtuals"][0]["open"] == 0);
}

/// An end in the middle of a request is no half-close: there is nothing to answer.
#[test]
fn half_a_request_is_no_request() {
    let origin = Origin::named("a");
    let site = Site::of(&[&origin]);
    for half in [
        "GET / HTTP/1.1\r\nHost: h\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let mut client = site.client();
        client.send(half);
        client.end();
        let _ = client.try_rest();
    }
    until("all are let go", || site.daemon.status()["virtuals"][0]["open"] == 0);
    assert_eq!(origin.count(), 0);
}

/// What comes behind a request is kept for the next one, and the end behind that is seen all the same.
#[test]
fn a_client_that_leaves_behind_what_it_sent_ahead_is_noticed() {
    for ahead in ["\r\n", "G", "GET /next HTTP/1.1\r\nHost: h\r\n\r\n"] {
        for apart in [false, true] {
            let origin = waiting();
            let site = Site::of(&[&origin]);
            let mut client = site.client();
            client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
            if apart {
                origin.wait_requests(1);
            }
            client.send(ahead);
            if !apart {
                origin.wait_requests(1);
            }
            drop(client);
            until("it is let go", || site.daemon.status()["virtuals"][0]["open"] == 0);
            origin.tell("go on");
        }
    }
}

/// Who only ends its side behind several requests gets all their answers.
#[test]
fn the_end_behind_requests_that_wait_is_no_end_to_them() {
    let origin = waiting();
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    origin.wait_requests(1);
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(2));
    client.end();
    for count in 1..4 {
        origin.wait_requests(count);
        origin.tell("go on");
        assert_eq!(client.answer().text(), "answer", "{count}");
    }
    assert!(client.ended());
}
