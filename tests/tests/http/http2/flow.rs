//! Who is slow holds back what is its own, and nothing else.

use shunt_tests::daemon::until;
use shunt_tests::frames::{CANCEL, Client, END_STREAM, INITIAL_WINDOW_SIZE};
use shunt_tests::origin::{Origin, ok};

use super::site;

/// Without an end: more than anything on the way could hold.
fn endless() -> Origin {
    Origin::start(|call| {
        let request = call.request()?;
        if !request.head.line.contains("/endless") {
            return call.send(ok("a"));
        }
        call.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n")?;
        call.stream().set_write_timeout(Some(std::time::Duration::from_millis(300)))?;
        while call.send([b'x'; 1 << 16]).is_ok() {}
        call.mark("held back");
        call.until_end();
        call.mark("cut");
        Ok(())
    })
}

#[test]
fn a_client_that_takes_nothing_of_one_stream() {
    let origin = endless();
    let site = site("", &origin);
    let mut client = Client::with_settings(site.address, &[(INITIAL_WINDOW_SIZE, 0)]);
    client.polite = false;
    let stuck = client.request("GET", "/endless", &[]);
    assert_eq!(client.status(stuck), 200);
    origin.wait_mark("held back");
    // Others go on.
    for _ in 0..3 {
        let stream = client.request("GET", "/", &[]);
        client.make_room(stream, 10);
        assert_eq!(client.answer(stream).text(), "a");
    }
    assert_eq!(client.came(stuck), 0);
    client.make_room(stuck, 70_000);
    // The connection has room for less than that.
    client.read_body(stuck, 60_000);
}

#[test]
fn a_client_that_takes_nothing_for_too_long() {
    let origin = endless();
    let site = site("timeouts = { idle = \"1s\" }", &origin);
    let mut client = Client::with_settings(site.address, &[(INITIAL_WINDOW_SIZE, 0)]);
    let stuck = client.request("GET", "/endless", &[]);
    assert_eq!(client.answer(stuck).reset, Some(CANCEL));
    origin.wait_mark("cut");
    assert_eq!(site.daemon.status()["virtuals"][0]["http2-stalled"], 1);
}

#[test]
fn a_member_that_takes_nothing_of_one_request() {
    let origin = Origin::start(|call| {
        loop {
            let head = call.head()?;
            if head.line.contains("/stuck") {
                call.await_mark("go on")?;
            }
            let request = call.wire().try_request_body(head)?;
            call.send(ok(&request.body.len().to_string()))?;
        }
    });
    let site = site("", &origin);
    let mut client = Client::connect(site.address);
    // Now the client knows how much room the connection has.
    let stream = client.upload("/", &[]);
    client.data(stream, b"x", END_STREAM);
    assert_eq!(client.answer(stream).text(), "1");
    let stuck: Vec<_> = (0..30).map(|_| client.upload("/stuck", &[])).collect();
    // What the client may send of each without being asked (RFC 9113 section 6.9.2).
    for stream in &stuck {
        let mut left = 65_535;
        while left > 0 {
            let piece = left.min(16_384);
            client.data(*stream, &vec![b'x'; piece], 0);
            left -= piece;
        }
    }
    let stream = client.upload("/", &[]);
    client.data(stream, &[b'x'; 10_000], END_STREAM);
    assert_eq!(client.answer(stream).text(), "10000", "others go on");
    origin.tell("go on");
    for stream in stuck {
        client.data(stream, b"", END_STREAM);
        assert_eq!(client.answer(stream).text(), "65535");
    }
}

/// More than the connection has room for at once, in requests that are read, and in some that nobody reads.
#[test]
fn what_was_read_makes_room_for_more() {
    let origin = Origin::start(|call| {
        loop {
            let request = call.request()?;
            call.send(ok(&request.body.len().to_string()))?;
        }
    });
    let site = site(
        "http2 = { start = \"prior-knowledge\", streams = 10 }\nlimits = { body = \"60000B\" }",
        &origin,
    );
    let mut client = Client::connect(site.address);
    for number in 0..20 {
        let stream = client.upload("/", &[]);
        for _ in 0..6 {
            client.data(stream, &[b'x'; 10_000], 0);
        }
        client.data(stream, if number % 2 == 0 { b"" } else { b"y" }, END_STREAM);
        let answer = client.answer(stream);
        assert_eq!(answer.status, if number % 2 == 0 { 200 } else { 413 }, "{number}: {answer:?}");
    }
    assert!(client.goaways.is_empty());
}

#[test]
fn a_client_that_cancels() {
    let origin = endless();
    let site = site("", &origin);
    let mut client = Client::connect(site.address);
    let stream = client.request("GET", "/endless", &[]);
    assert_eq!(client.status(stream), 200);
    client.send(&shunt_tests::frames::Frame::new(3, 0, stream, CANCEL.to_be_bytes()));
    origin.wait_mark("cut");
    assert_eq!(client.get("/").text(), "a");
}

#[test]
fn a_client_that_does_not_read() {
    let origin = endless();
    let site = site("timeouts = { idle = \"1s\" }", &origin);
    let room = (1 << 31) - 1;
    let mut client = Client::with_settings(site.address, &[(INITIAL_WINDOW_SIZE, room)]);
    client.make_room(0, room - 65_535);
    let stream = client.request("GET", "/endless", &[]);
    assert_eq!(client.status(stream), 200);
    origin.wait_mark("cut");
    until("the connection is let go", || site.daemon.status()["virtuals"][0]["open"] == 0);
}
