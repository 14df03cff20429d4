//! Members that misbehave over HTTP/2, frame by frame: what clients of HTTP/1 and of HTTP/2 see, and what is counted.

mod answers;

use std::io;

use shunt_tests::address;
use shunt_tests::daemon::until;
use shunt_tests::frames::{
    CANCEL, Client, DATA, END_STREAM, Frame, INITIAL_WINDOW_SIZE, INTERNAL_ERROR, MAX_CONCURRENT_STREAMS,
    NO_ERROR, PING, REFUSED_STREAM, SETTINGS, Server,
};
use shunt_tests::origin::{Call, Origin};
use shunt_tests::raw;
use shunt_tests::site::{self, Site};

/// Members that speak HTTP/2, played by the script on each connection.
fn member(script: impl Fn(&Call, &mut Server) -> io::Result<()> + Send + Sync + 'static) -> Origin {
    member_with(&[], script)
}

fn member_with(
    settings: &'static [(u16, u32)],
    script: impl Fn(&Call, &mut Server) -> io::Result<()> + Send + Sync + 'static,
) -> Origin {
    Origin::start(move |call| {
        let mut server = Server::begin(call, settings)?;
        script(call, &mut server)?;
        server.rest();
        Ok(())
    })
}

fn in_front(keys: &str, members: &[&Origin]) -> Site {
    let members: Vec<_> = members.iter().map(|it| it.address()).collect();
    Site::configured(|listen| {
        let keys = format!("http2 = {{ start = \"prior-knowledge\", streams = 200 }}\n{keys}");
        site::config(listen, &keys, &site::pool("web", "protocol = \"h2\"", &members))
    })
}

/// What is counted of the first member.
fn counted(site: &Site, what: &str) -> u64 {
    site.daemon.status()["pools"][0]["members"][0][what].as_u64().expect("a count")
}

/// Many requests at once, of which a member takes few on a connection.
#[test]
fn requests_wait_for_room_in_order() {
    let origin = member_with(&[(MAX_CONCURRENT_STREAMS, 2)], |call, server| {
        loop {
            let stream = server.request()?;
            call.mark("request");
            call.await_mark("go on")?;
            server.answer(stream, b"a")?;
        }
    });
    let site = in_front("", &[&origin]);
    let mut client = Client::connect(site.address);
    let streams: Vec<_> = (0..100).map(|_| client.request("GET", "/", &[])).collect();
    until("connections to be opened", || origin.accepts() == 16);
    origin.tell("go on");
    for stream in streams {
        assert_eq!(client.answer(stream).text(), "a");
    }
    assert_eq!((origin.accepts(), counted(&site, "connects")), (16, 16));
    assert_eq!(counted(&site, "http2-no-room"), 0);
}

#[test]
fn requests_do_not_wait_for_room_for_ever() {
    let origin = member_with(&[(MAX_CONCURRENT_STREAMS, 1)], |_, server| {
        server.rest();
        Ok(())
    });
    let site = in_front("timeouts = { connect = \"1s\" }", &[&origin]);
    let mut client = Client::connect(site.address);
    let streams: Vec<_> = (0..17).map(|_| client.request("GET", "/", &[])).collect();
    let last = client.answer(streams[16]);
    assert_eq!(last.status, 502);
    assert_eq!((origin.accepts(), counted(&site, "http2-no-room")), (16, 1));
    client.send(&Frame::new(3, 0, streams[0], CANCEL.to_be_bytes()));
    let next = client.request("GET", "/", &[]);
    until("its place is taken by the next", || counted(&site, "requests") == 17);
    client.send(&Frame::new(3, 0, next, CANCEL.to_be_bytes()));
}

#[test]
fn a_request_that_is_refused_is_sent_again_and_then_elsewhere() {
    let origin = member(|call, server| {
        loop {
            let stream = server.request()?;
            call.mark("request");
            server.reset(stream, REFUSED_STREAM)?;
        }
    });
    let other = member(|_, server| {
        loop {
            let stream = server.request()?;
            let body = server.body(stream)?;
            server.answer(stream, &body)?;
        }
    });
    let site = in_front("", &[&origin, &other]);
    let answer = site.client().ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(answer.text(), "hello");
    assert_eq!((counted(&site, "http2-unprocessed"), counted(&site, "failures")), (2, 1));
    assert_eq!(counted(&site, "connects"), 1, "what refuses one request may take others");
}

/// Streams above the last one that GOAWAY names go elsewhere, whatever their method; those below get their answers, and
/// new requests another connection.
#[test]
fn goaway_between_streams() {
    let origin = member(|call, server| {
        if call.number() > 1 {
            loop {
                let stream = server.request()?;
                let body = server.body(stream)?;
                server.answer(stream, &[&b"second "[..], &body].concat())?;
            }
        }
        let first = server.request()?;
        call.mark("first");
        let second = server.request()?;
        server.body(second)?;
        server.goaway(first, NO_ERROR)?;
        call.await_mark("go on")?;
        server.answer(first, b"first")
    });
    let site = in_front("", &[&origin]);
    let mut client = Client::connect(site.address);
    let first = client.request("GET", "/", &[]);
    origin.wait_mark("first");
    let second = client.upload("/", &[]);
    client.data(second, b"hello", END_STREAM);
    assert_eq!(client.answer(second).text(), "second hello");
    let third = client.get("/");
    assert_eq!(third.text(), "second ");
    origin.tell("go on");
    assert_eq!(client.answer(first).text(), "first");
    assert_eq!((counted(&site, "connects"), counted(&site, "http2-unprocessed")), (2, 1));
    assert_eq!((counted(&site, "failures"), counted(&site, "http2-broken")), (0, 0));
}

/// RFC 9113 section 8.7: what may have been processed is sent again only where that does no harm.
#[test]
fn a_connection_that_ends_under_requests() {
    let origin = member(|call, server| {
        let first = server.request()?;
        server.answer(first, b"a")?;
        if call.number() > 1 {
            loop {
                let stream = server.request()?;
                server.answer(stream, b"b")?;
            }
        }
        for _ in 0..2 {
            server.request()?;
        }
        Err(io::ErrorKind::Other.into())
    });
    let site = in_front("", &[&origin]);
    let mut client = Client::connect(site.address);
    assert_eq!(client.get("/").text(), "a");
    let get = client.request("GET", "/", &[]);
    let post = client.upload("/", &[]);
    client.data(post, b"hello", END_STREAM);
    assert_eq!(client.answer(get).text(), "a");
    assert_eq!(client.answer(post).status, 502);
    assert_eq!((counted(&site, "failures"), counted(&site, "http2-broken")), (1, 1));
}

#[test]
fn a_client_that_cancels_cancels_at_the_member() {
    let origin = member(|call, server| {
        let stream = server.request()?;
        server.head(stream, &[(":status", "200")], 0)?;
        call.mark(format!("reset {}", server.reset_of(stream)?));
        let stream = server.request()?;
        call.mark(format!("reset {} without an answer", server.reset_of(stream)?));
        let stream = server.request()?;
        server.answer(stream, b"a")
    });
    let site = in_front("", &[&origin]);
    let mut client = Client::connect(site.address);
    let stream = client.request("GET", "/", &[]);
    assert_eq!(client.status(stream), 200);
    client.send(&Frame::new(3, 0, stream, CANCEL.to_be_bytes()));
    origin.wait_mark("reset 8");
    // A client of HTTP/1 cancels by going away.
    let mut other = site.client();
    other.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    until("the member has it", || counted(&site, "requests") == 2);
    drop(other);
    origin.wait_mark("reset 8 without an answer");
    assert_eq!(client.get("/").text(), "a");
    assert_eq!(counted(&site, "connects"), 1);
}

/// A slow client of one stream holds back that stream of the member, and nothing else.
#[test]
fn a_slow_client_holds_back_its_own_stream() {
    let origin = member(|call, server| {
        let stuck = server.request()?;
        server.head(stuck, &[(":status", "200")], 0)?;
        // What it may send of one answer without being asked (RFC 9113 section 6.9.2).
        let mut left = 65_535;
        while left > 0 {
            let piece = left.min(16_384);
            server.data(stuck, &vec![b'x'; piece], 0)?;
            left -= piece;
        }
        let mut room = 0;
        for _ in 0..100 {
            let stream = server.request()?;
            server.answer(stream, &[b'y'; 16_000])?;
        }
        while room == 0 {
            let frame = server.step()?;
            if frame.kind == shunt_tests::frames::WINDOW_UPDATE && frame.stream == stuck {
                room += frame.number(0);
            }
        }
        call.mark("room");
        server.data(stuck, b"z", END_STREAM)
    });
    let site = in_front("", &[&origin]);
    let mut client = Client::with_settings(site.address, &[(INITIAL_WINDOW_SIZE, 0)]);
    client.polite = false;
    let stuck = client.request("GET", "/", &[]);
    assert_eq!(client.status(stuck), 200);
    client.make_room(0, 2_000_000);
    for _ in 0..100 {
        let stream = client.request("GET", "/", &[]);
        client.make_room(stream, 16_000);
        assert_eq!(client.answer(stream).body.len(), 16_000);
    }
    assert!(origin.marks().is_empty());
    client.make_room(stuck, 100_000);
    assert_eq!(client.answer(stuck).body.len(), 65_536);
    assert_eq!(origin.marks(), ["room"]);
}

/// A member that makes no room for one request holds back its client, and no other request.
#[test]
fn a_member_that_takes_nothing_of_one_request() {
    let origin = member(|call, server| {
        let stuck = server.request()?;
        server.polite = false;
        for _ in 0..3 {
            let stream = server.request()?;
            server.answer(stream, b"a")?;
        }
        server.read_body(stuck, 65_535)?;
        call.await_mark("go on")?;
        server.make_room(0, 1 << 20)?;
        server.make_room(stuck, 1 << 20)?;
        let length = server.body(stuck)?.len();
        server.answer(stuck, length.to_string().as_bytes())
    });
    let site = in_front("", &[&origin]);
    let mut stuck = site.client();
    stuck
        .send(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n{}", "x".repeat(100_000)));
    until("the member has the first", || counted(&site, "requests") == 1);
    for _ in 0..3 {
        assert_eq!(site.client().get("/").text(), "a");
    }
    origin.tell("go on");
    assert_eq!(stuck.answer().text(), "100000");
    assert_eq!(counted(&site, "connects"), 1);
}

#[test]
fn a_member_that_never_makes_room() {
    let origin = member(|_, server| {
        server.polite = false;
        server.rest();
        Ok(())
    });
    let site = in_front("timeouts = { idle = \"1s\" }", &[&origin]);
    let mut client = site.client();
    client
        .send(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n{}", "x".repeat(100_000)));
    assert_eq!(client.answer().status(), 504);
    assert_eq!(counted(&site, "failures"), 1);
}

/// A connection on which nothing came for as long as a request may wait takes no more of them.
#[test]
fn a_member_that_is_gone_without_a_word() {
    let origin = member(|call, server| {
        loop {
            let stream = server.request()?;
            server.answer(stream, b"a")?;
            while call.number() == 1 {
                server.step()?;
            }
        }
    });
    let site = in_front("timeouts = { first-byte = \"1s\" }", &[&origin]);
    assert_eq!(site.client().get("/").text(), "a");
    assert_eq!(site.client().get("/").status(), 504);
    assert_eq!(site.client().get("/").text(), "a");
    assert_eq!(counted(&site, "connects"), 2);
}

/// A member that ends idle connections without GOAWAY shows how long it keeps them, and no request goes on one that has been
/// idle for as long. Another connection, that is closed for its silence, tells the time.
#[test]
fn a_member_that_ends_idle_connections_without_goaway() {
    let origin = member(|call, server| {
        loop {
            let stream = server.request()?;
            server.answer(stream, b"a")?;
            if call.number() == 1 {
                call.await_mark("end")?;
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
        }
    });
    let brief = address::free();
    let rest = site::pool("web", "protocol = \"h2\"", &[origin.address()])
        + &site::virtual_("brief", brief, "web", "timeouts = { idle = \"1200ms\" }");
    let site = Site::configured(|listen| site::config(listen, "", &rest));
    let pause = || assert!(raw::Client::connect(brief).ended());
    let mut client = site.client();
    assert_eq!(client.get("/").text(), "a");
    pause();
    origin.tell("end");
    origin.wait_ends_arrived(1);
    assert_eq!(client.get("/").text(), "a");
    assert_eq!(client.get("/").text(), "a");
    assert_eq!(origin.accepts(), 2);
    pause();
    pause();
    assert_eq!(client.get("/").text(), "a");
    assert_eq!(origin.accepts(), 3);
}

#[test]
fn members_that_do_not_begin_as_http_2_does() {
    let speaks_http_1 =
        Origin::start(|call| call.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"));
    let good = member(|_, server| {
        loop {
            let stream = server.request()?;
            server.answer(stream, b"a")?;
        }
    });
    let site = in_front("", &[&speaks_http_1, &good]);
    assert_eq!(site.client().get("/").text(), "a");
    assert_eq!((counted(&site, "connects"), counted(&site, "connects-failed")), (0, 1));
    site.daemon.wait_log("event=\"member-protocol-failed\"");
    site.daemon.wait_log("the member does not speak HTTP/2: use `protocol = \"http/1.1\"` for its pool");
    let silent = Origin::start(|call| {
        call.until_end();
        Ok(())
    });
    let site = in_front("timeouts = { connect = \"1s\" }", &[&silent, &good]);
    assert_eq!(site.client().get("/").text(), "a");
    assert_eq!(counted(&site, "connects-failed"), 1);
}

#[test]
fn floods_of_members_end_the_connection() {
    for kind in [SETTINGS, PING, DATA, 99] {
        let origin = member(move |_, server| {
            let stream = server.request()?;
            let payload = if kind == PING { &[0; 8][..] } else { &[] };
            let on = if kind == DATA { stream } else { 0 };
            server.head(stream, &[(":status", "200"), ("content-length", "1")], 0)?;
            while server.send(&Frame::new(kind, 0, on, payload)).is_ok() {}
            Ok(())
        });
        let site = in_front("", &[&origin]);
        let mut client = Client::connect(site.address);
        let answer = client.get("/");
        assert_eq!((answer.status, answer.reset), (200, Some(INTERNAL_ERROR)), "{kind}");
        assert_eq!((counted(&site, "http2-broken"), counted(&site, "failures")), (1, 1), "{kind}");
    }
}
