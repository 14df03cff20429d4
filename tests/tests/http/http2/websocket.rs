//! WebSocket in a stream (RFC 8441) towards a member of HTTP/1.1.

use shunt_tests::frames::{Client, END_STREAM};
use shunt_tests::origin::Origin;

use super::site;

const FIELDS: [(&str, &str); 6] = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "http"),
    (":path", "/chat"),
    (":authority", "h"),
    ("sec-websocket-version", "13"),
];

/// Sends back what comes in the tunnel.
fn echo() -> Origin {
    Origin::start(|call| {
        let head = call.head()?;
        assert!(head.get("sec-websocket-key").is_some());
        call.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n")?;
        let bytes = call.wire().try_exact(5)?;
        call.send(bytes)?;
        call.until_end();
        call.mark("ended");
        Ok(())
    })
}

#[test]
fn a_websocket_in_a_stream() {
    let origin = echo();
    let site = site("http2 = { start = \"prior-knowledge\", websocket = true }", &origin);
    let mut client = Client::connect(site.address);
    let stream = client.begin(&FIELDS, 0);
    assert_eq!(client.status(stream), 200);
    client.data(stream, b"hello", 0);
    client.read_body(stream, 5);
    client.data(stream, b"", END_STREAM);
    origin.wait_mark("ended");
    assert_eq!(client.answer(stream).text(), "hello");
    let request = origin.marks();
    assert_eq!(request, ["ended"]);
}

#[test]
fn a_member_that_does_not_switch() {
    let origin = Origin::named("no");
    let site = site("http2 = { start = \"prior-knowledge\", websocket = true }", &origin);
    let mut client = Client::connect(site.address);
    let stream = client.begin(&FIELDS, 0);
    // 200 would say that it is open (RFC 8441 section 5).
    let answer = client.answer(stream);
    assert_eq!((answer.status, answer.text().as_str()), (502, "the member sent no valid response\n"));
}

#[test]
fn where_it_is_not_configured() {
    let origin = echo();
    let site = site("", &origin);
    let mut client = Client::connect(site.address);
    let stream = client.begin(&FIELDS, 0);
    assert!(client.answer(stream).reset.is_some());
    assert_eq!(origin.count(), 0);
}
