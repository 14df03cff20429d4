//! How connections end.

use shunt_tests::daemon::{Signal, until};
use shunt_tests::frames::{
    ACK, ANY_STREAM, Client, ENHANCE_YOUR_CALM, Frame, HEADERS, PING, REFUSED_STREAM, block, head,
};
use shunt_tests::origin::{Origin, ok};

use super::site;

fn patient() -> Origin {
    Origin::start(|call| {
        loop {
            let request = call.request()?;
            if request.head.line.contains("/late") {
                call.await_mark("go on")?;
            }
            call.send(ok("a"))?;
        }
    })
}

#[test]
fn a_drain_lets_streams_finish() {
    let origin = patient();
    let mut site = site("", &origin);
    let mut client = Client::connect(site.address);
    client.polite = false;
    let late = client.request("GET", "/late", &[]);
    origin.wait_requests(1);
    site.daemon.signal(Signal::SIGTERM);
    // RFC 9113 section 6.8: first that no more are to come, of whatever number.
    assert_eq!(client.goaway(), (0, ANY_STREAM));
    // What was on its way is served.
    let crossing = client.request("GET", "/", &[]);
    assert_eq!(client.answer(crossing).text(), "a");
    client.polite = true;
    let ping = client.pings.remove(0);
    client.send(&Frame::new(PING, ACK, 0, ping));
    assert_eq!(client.goaway(), (0, crossing));
    origin.tell("go on");
    assert_eq!(client.answer(late).text(), "a");
    client.rest();
    assert!(site.daemon.wait().success());
}

#[test]
fn a_client_that_does_not_know_of_a_drain() {
    let origin = patient();
    let mut site = site("", &origin);
    let mut client = Client::connect(site.address);
    client.polite = false;
    let late = client.request("GET", "/late", &[]);
    origin.wait_requests(1);
    site.daemon.signal(Signal::SIGTERM);
    assert_eq!(client.goaway(), (0, ANY_STREAM));
    loop {
        let stream = client.request("GET", "/", &[]);
        if client.answer(stream).reset == Some(REFUSED_STREAM) {
            break;
        }
    }
    origin.tell("go on");
    assert_eq!(client.answer(late).text(), "a");
    assert_eq!(client.goaway().0, 0);
    client.rest();
    assert!(site.daemon.wait().success());
}

#[test]
fn a_connection_without_streams_is_ended() {
    let origin = patient();
    let site = site("timeouts = { idle = \"1s\" }", &origin);
    let fresh = Client::connect(site.address);
    let mut used = Client::connect(site.address);
    assert_eq!(used.get("/").text(), "a");
    for mut client in [fresh, used] {
        assert_eq!(client.goaway(), (0, ANY_STREAM));
        assert_eq!(client.goaway().0, 0);
        client.rest();
    }
    until("they are gone", || site.daemon.status()["virtuals"][0]["open"] == 0);
}

#[test]
fn a_head_that_does_not_come() {
    let origin = patient();
    let site = site("timeouts = { head = \"1s\" }", &origin);
    let head = Frame::new(HEADERS, 0, 1, block(&head("GET", "/")));
    let mut open = Client::connect(site.address);
    open.send(&head);
    let mut half = Client::connect(site.address);
    let _ = half.send_bytes(&head.bytes()[..15]);
    for mut client in [open, half] {
        // No frame may come between the parts of a head.
        client.polite = false;
        assert_eq!(client.goaway().0, ENHANCE_YOUR_CALM);
        client.rest();
    }
}

/// A line of another version than HTTP/1 is no request either: it gets no answer of a version that the client does not
/// speak (RFC 9113 section 3.4).
#[test]
fn what_is_no_preface() {
    let origin = patient();
    let site = site("timeouts = { idle = \"1s\" }", &origin);
    for bytes in [
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        "INVALID CONNECTION PREFACE\r\n\r\n",
        "GET / HTTP/3.0\r\n\r\n",
        "PRI * HT",
    ] {
        let mut client = site.client();
        client.send(bytes);
        assert!(client.ended(), "{bytes}");
    }
    let answer = site.client().ask("GET / HTTP/1.1\r\nHost: a b\r\n\r\n");
    assert_eq!((answer.status(), origin.count()), (400, 0), "it speaks HTTP/1");
    let counted = &site.daemon.status()["virtuals"][0];
    assert_eq!((&counted["errors"], &counted["answers"][3]), (&4.into(), &1.into()), "{counted}");
}
