//! Connections that become something else (RFC 9110 section 7.8).

use shunt_tests::daemon::until;
use shunt_tests::origin::{Origin, ok};
use shunt_tests::site::Site;

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Key: k\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: a\r\n\r\n";

/// Switches, says `greeting` in the same breath, and sends every line back.
fn echoing(greeting: &'static str) -> Origin {
    Origin::start(move |call| {
        call.request()?;
        call.send(format!("{SWITCH}{greeting}"))?;
        loop {
            match call.wire().try_until(b"\n") {
                Ok(line) => call.send([b"> ", &line[..]].concat())?,
                Err(_) => {
                    call.mark("ended");
                    // Still has something to say to a client that has not.
                    return call.send("bye\n");
                }
            }
        }
    })
}

#[test]
fn bytes_flow_both_ways_after_a_switch() {
    let origin = echoing("");
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    client.send(ASK);
    let head = client.answer_head();
    assert_eq!(head.status(), 101);
    assert_eq!((head.get("upgrade"), head.get("connection")), (Some("websocket"), Some("upgrade")));
    assert_eq!(head.get("sec-websocket-accept"), Some("a"));
    assert!(!head.has("content-length") && !head.has("transfer-encoding"));
    let seen = origin.request();
    assert_eq!((seen.get("upgrade"), seen.get("connection")), (Some("websocket"), Some("upgrade")));
    assert_eq!(seen.get("sec-websocket-key"), Some("k"));
    for _ in 0..3 {
        client.send("GET / HTTP/1.1\r\n");
        assert_eq!(client.try_until(b"\n").unwrap(), b"> GET / HTTP/1.1\r\n", "it is no HTTP any more");
    }
    assert_eq!(site.daemon.status()["pools"][0]["members"][0]["active"], 1);

    // One side ends first; what the other still says arrives.
    client.end();
    origin.wait_mark("ended");
    assert_eq!(client.try_rest().unwrap(), b"bye\n");
    until("the member is free", || site.daemon.status()["pools"][0]["members"][0]["active"] == 0);
    assert_eq!(site.daemon.status()["virtuals"][0]["open"], 0);
}

#[test]
fn nothing_that_is_said_early_is_lost() {
    let origin = echoing("welcome\n");
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    client.send(format!("{ASK}early\nbird\n"));
    assert_eq!(client.answer_head().status(), 101);
    let mut lines: Vec<_> = (0..3).map(|_| client.try_until(b"\n").unwrap()).collect();
    assert_eq!(lines.remove(0), b"welcome\n");
    assert_eq!(lines.concat(), b"> early\n> bird\n");
}

#[test]
fn much_goes_through_a_tunnel() {
    let origin = Origin::start(|call| {
        call.request()?;
        call.send(SWITCH)?;
        let all = call.wire().try_rest()?;
        call.send(format!("{}\n", all.iter().map(|&it| u64::from(it)).sum::<u64>()))
    });
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    client.send(ASK);
    assert_eq!(client.answer_head().status(), 101);
    client.send(vec![1; 8 << 20]);
    client.end();
    assert_eq!(client.try_rest().unwrap(), format!("{}\n", 8 << 20).as_bytes());
}

/// A member that does not want to switch answers, and all continues as before.
#[test]
fn a_switch_that_is_declined() {
    let origin = Origin::answering(ok("no"));
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    for _ in 0..3 {
        let answer = client.ask(ASK);
        assert_eq!((answer.status(), answer.text().as_str()), (200, "no"));
        assert!(!answer.head.has("upgrade"));
    }
    assert_eq!(client.get("/").text(), "no");
    assert_eq!(origin.accepts(), 1);
}

/// The client goes away; the member must notice.
#[test]
fn a_tunnel_ends_with_its_client() {
    let origin = echoing("");
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    client.send(ASK);
    assert_eq!(client.answer_head().status(), 101);
    drop(client);
    origin.wait_mark("ended");
    origin.wait_ended(1);
}

/// The member switches by the head; the other protocol begins where the request ends (RFC 9110 section 7.8).
#[test]
fn a_tunnel_begins_behind_the_request() {
    for (framing, pieces) in [
        ("Content-Length: 10", ["01234", "56789", "tunnel"]),
        ("Content-Length: 10", ["01234", "56789tun", "nel"]),
        ("Content-Length: 10", ["", "0123456789", "tunnel"]),
        ("Transfer-Encoding: chunked", ["5\r\n01234\r\n", "5\r\n56789\r\n0\r\n\r\n", "tunnel"]),
        ("Transfer-Encoding: chunked", ["5\r\n01234\r\n", "5\r\n56789\r\n0\r\n\r", "\ntunnel"]),
    ] {
        let origin = Origin::start(|call| {
            let head = call.head()?;
            call.send(SWITCH)?;
            let body = call.wire().try_request_body(head)?.body;
            call.mark(String::from_utf8_lossy(&body));
            let said = call.wire().try_exact(6)?;
            call.send([b"> ", &said[..]].concat())?;
            call.until_end();
            Ok(())
        });
        let site = Site::of(&[&origin]);
        let mut client = site.client();
        let [first, second, third] = pieces;
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{framing}\r\n\r\n{first}"
        ));
        assert_eq!(client.answer_head().status(), 101, "{pieces:?}");
        client.send(second);
        client.send(third);
        assert_eq!(client.exact(8), b"> tunnel", "{pieces:?}");
        assert!(origin.marks().contains(&"0123456789".to_owned()), "{pieces:?}: {:?}", origin.marks());
    }
}

/// A request that never ends makes no tunnel, and holds nothing.
#[test]
fn a_tunnel_that_never_begins() {
    let origin = Origin::start(|call| {
        call.head()?;
        call.send(SWITCH)?;
        call.until_end();
        call.mark("ended");
        Ok(())
    });
    let site = Site::with("timeouts = { idle = \"1s\" }", &[&origin]);
    let mut client = site.client();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 10\r\n\r\n01234");
    assert_eq!(client.answer_head().status(), 101);
    origin.wait_mark("ended");
    let _ = client.try_rest();
    until("the member is free", || site.daemon.status()["pools"][0]["members"][0]["active"] == 0);
}
