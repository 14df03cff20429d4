//! What members say before their answer (RFC 9110 section 15.2).

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use shunt_tests::origin::{Origin, ok};
use shunt_tests::site::Site;

/// What a member says in between is not its answer. It reaches who can read it, but for 100, which is between each two
/// (RFC 9110 sections 10.1.1 and 15.2).
#[test]
fn informational_answers_are_passed_on() {
    let origin = Origin::start(|call| {
        loop {
            call.request()?;
            call.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")?;
            call.send("HTTP/1.1 103 Early Hints\r\nConnection: x-hop\r\nX-Hop: 1\r\nLink: </b.css>\r\n\r\n")?;
            call.send(ok("a"))?;
        }
    });
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    for _ in 0..3 {
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        for link in ["</a.css>", "</b.css>"] {
            let interim = client.answer_head();
            assert_eq!(
                (interim.line.as_str(), interim.get("link")),
                ("HTTP/1.1 103 Early Hints", Some(link))
            );
            assert!(!interim.has("x-hop") && !interim.has("connection"), "{interim:?}");
        }
        assert_eq!(client.answer().text(), "a");
    }
    assert_eq!(site.client().ask("GET / HTTP/1.0\r\n\r\n").text(), "a");
    assert_eq!(origin.accepts(), 1);
}

/// It comes when the member says it, not with the answer.
#[test]
fn early_hints_are_early() {
    let origin = Origin::start(|call| {
        call.request()?;
        call.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")?;
        call.await_mark("seen")?;
        call.send(ok("a"))
    });
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.answer_head().status(), 103);
    origin.tell("seen");
    assert_eq!(client.answer().text(), "a");
}

/// A client can do without informational answers (RFC 9110 section 15.2): they do not pile up for one that does not
/// read.
#[test]
fn informational_answers_do_not_wait_for_a_client_that_does_not_read() {
    const BURST: usize = 7;
    const BURSTS: usize = 700;
    let interim = format!("HTTP/1.1 103 Early Hints\r\nLink: </{}>\r\n\r\n", "a".repeat(8_000));
    let burst = interim.repeat(BURST);
    let (sent, bursts) = sync_channel(1);
    let origin = Origin::start(move |call| {
        loop {
            if call.request()?.head.line.starts_with("GET /storm ") {
                for number in 0..BURSTS {
                    call.send(&burst)?;
                    let _ = sent.send(());
                    call.await_mark(&number.to_string())?;
                }
            }
            call.send(ok("a"))?;
        }
    });
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    client.send("GET /storm HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut other = site.client();
    for number in 0..BURSTS {
        bursts.recv_timeout(Duration::from_secs(20)).unwrap();
        // The worker that answers this has looked at the burst.
        assert_eq!(other.get("/").text(), "a");
        origin.tell(&number.to_string());
    }
    let mut passed = 0;
    while client.answer_head().status() == 103 {
        passed += interim.len();
    }
    // What the buffers of two sockets take is much less than all.
    let most = BURSTS * BURST * interim.len() / 2;
    assert!(passed < most, "{passed} bytes waited");
}
