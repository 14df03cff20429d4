//! HTTP/2 with members. The member is another virtual of the same daemon, which counts its connections.

use std::net::SocketAddr;

use shunt_tests::address;
use shunt_tests::daemon::until;
use shunt_tests::frames::{Client, END_HEADERS, END_STREAM, Frame, HEADERS, Server, block};
use shunt_tests::origin::{Origin, ok};
use shunt_tests::site::{self, Site};

/// Clients → `web` → HTTP/2 → `member` → HTTP/1.1 → origin.
fn chain(member_keys: &str, origin: SocketAddr) -> Site {
    let member = address::free();
    Site::configured(|listen| {
        let keys = "http2 = { start = \"prior-knowledge\", streams = 200 }";
        let rest = site::pool("web", "protocol = \"h2\"", &[member])
            + &site::virtual_("member", member, "origins", member_keys)
            + &site::pool("origins", "", &[origin]);
        site::config(listen, keys, &rest)
    })
}

const PRIOR_KNOWLEDGE: &str = "http2 = { start = \"prior-knowledge\" }";

/// What the virtual that is the member has counted.
fn counted(site: &Site, what: &str) -> u64 {
    site.daemon.status()["virtuals"][1][what].as_u64().unwrap()
}

fn echo() -> Origin {
    Origin::start(|call| {
        loop {
            let request = call.request()?;
            if request.head.line.contains("/trailers") {
                call.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")?;
                call.send(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 1\r\n\r\n",
                )?;
            } else if request.head.line.starts_with("HEAD") {
                call.send("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")?;
            } else {
                call.send(ok(&format!("{} {}", request.head.line, request.body.len())))?;
            }
        }
    })
}

#[test]
fn requests_of_http_1_go_to_members_of_http_2() {
    let origin = echo();
    let site = chain(PRIOR_KNOWLEDGE, origin.address());
    let mut client = site.client();
    assert_eq!(client.get("/a?b").text(), "GET /a?b HTTP/1.1 0");
    assert_eq!(origin.request().get("host"), Some("test"));
    client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.answer_head().get("content-length"), Some("99"));
    for body in
        ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
    {
        let answer = client.ask(format!("POST / HTTP/1.1\r\nHost: h\r\n{body}"));
        assert_eq!(answer.text(), "POST / HTTP/1.1 5");
    }
    let large = "x".repeat(1 << 20);
    let answer =
        client.ask(format!("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{large}", large.len()));
    assert_eq!(answer.text(), "PUT / HTTP/1.1 1048576");
    client.send("GET /trailers HTTP/1.1\r\nHost: h\r\nConnection: te\r\nTE: trailers\r\n\r\n");
    assert_eq!(client.answer().status(), 103);
    let answer = client.answer();
    assert_eq!((answer.text().as_str(), answer.trailers.len()), ("hi", 1));
    assert_eq!(counted(&site, "connections"), 1, "they share one");
}

#[test]
fn http_2_on_both_sides() {
    let origin = echo();
    let site = chain(PRIOR_KNOWLEDGE, origin.address());
    let mut client = Client::connect(site.address);
    assert_eq!(client.get("/").text(), "GET / HTTP/1.1 0");
    let stream = client.upload("/trailers", &[("te", "trailers")]);
    client.data(stream, b"hello", 0);
    client.send(&Frame::new(HEADERS, END_STREAM | END_HEADERS, stream, block(&[("x-digest", "2")])));
    let answer = client.answer(stream);
    assert_eq!((answer.text().as_str(), answer.trailers), ("hi", true));
    assert_eq!(answer.interim, [103]);
    let request = &origin.requests()[1];
    assert_eq!((request.text().as_str(), request.trailers.len()), ("hello", 1));
}

/// Both directions at once, as streaming calls of gRPC do.
#[test]
fn an_answer_that_begins_before_the_request_ends() {
    let origin = Origin::start(|call| {
        call.head()?;
        call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        loop {
            let chunk = call.wire().try_chunk()?;
            if chunk.is_empty() {
                return call.send("0\r\n\r\n");
            }
            call.send(format!("{:x}\r\n", chunk.len()))?;
            call.send(chunk)?;
            call.send("\r\n")?;
        }
    });
    let site = chain(PRIOR_KNOWLEDGE, origin.address());
    let mut client = Client::connect(site.address);
    let stream = client.upload("/", &[]);
    assert_eq!(client.status(stream), 200);
    for count in 1..=3 {
        client.data(stream, b"ping", 0);
        client.read_body(stream, 4 * count);
    }
    client.data(stream, b"", END_STREAM);
    assert_eq!(client.answer(stream).text(), "pingpingping");
}

#[test]
fn more_connections_where_one_has_no_room() {
    let origin = Origin::start(|call| {
        call.request()?;
        call.await_mark("go on")?;
        call.send(ok("a"))
    });
    let site = chain("http2 = { start = \"prior-knowledge\", streams = 10 }", origin.address());
    let mut client = Client::connect(site.address);
    // The member has said how many it takes once this is there.
    let first = client.request("GET", "/", &[]);
    origin.wait_requests(1);
    let others: Vec<_> = (0..49).map(|_| client.request("GET", "/", &[])).collect();
    origin.wait_requests(50);
    origin.tell("go on");
    for stream in others.into_iter().chain([first]) {
        assert_eq!(client.answer(stream).text(), "a");
    }
    let connections = counted(&site, "connections");
    assert!((5..=10).contains(&connections), "{connections}");
}

#[test]
fn a_member_that_says_goaway_between_requests() {
    let origin = echo();
    let site = chain(&format!("{PRIOR_KNOWLEDGE}\ntimeouts = {{ idle = \"1s\" }}"), origin.address());
    let mut client = site.client();
    for count in 1..=2 {
        let answer = client.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(answer.text(), "POST / HTTP/1.1 5");
        assert_eq!(counted(&site, "connections"), count);
        until("the member has ended it", || counted(&site, "open") == 0);
    }
}

#[test]
fn a_member_that_speaks_no_http_2() {
    let origin = echo();
    let site = Site::configured(|listen| {
        site::config(listen, "", &site::pool("web", "protocol = \"h2\"", &[origin.address()]))
    });
    assert_eq!(site.client().get("/").status(), 502);
}

#[test]
fn monitors_speak_what_the_pool_speaks() {
    let origin = echo();
    let member = address::free();
    let monitor =
        "protocol = \"h2\"\nmonitor = { http = \"/health\", interval = \"100ms\", rise = 1, fall = 1 }";
    let site = Site::configured(|listen| {
        let rest = site::pool("web", monitor, &[member])
            + &site::virtual_("member", member, "origins", PRIOR_KNOWLEDGE)
            + &site::pool("origins", "", &[origin.address()])
            + &site::pool("other", monitor, &[origin.address()]);
        site::config(listen, "", &rest)
    });
    let told = |pool: usize, health: &str, reason: &str| {
        let member = site.daemon.status()["pools"][pool]["members"][0].clone();
        member["health"] == health && member["reason"] == reason
    };
    until("the member was asked", || told(0, "up", "status 200"));
    until("the other was asked", || told(2, "down", "the answer is not HTTP/2"));
    // What begins HTTP/2 came there as well.
    assert!(origin.requests().iter().any(|it| it.head.line == "GET /health HTTP/1.1"));
}

#[test]
fn connections_that_are_not_kept() {
    let origin = echo();
    let member = address::free();
    let site = Site::configured(|listen| {
        let rest = site::pool("web", "protocol = \"h2\"\nkeep-alive = \"0s\"", &[member])
            + &site::virtual_("member", member, "origins", PRIOR_KNOWLEDGE)
            + &site::pool("origins", "", &[origin.address()]);
        site::config(listen, "", &rest)
    });
    let mut client = site.client();
    for count in 1..=3 {
        assert_eq!(client.get("/").text(), "GET / HTTP/1.1 0");
        assert_eq!(counted(&site, "connections"), count);
    }
}

/// A client that reads nothing of its answer holds back the origin behind the member, whatever it speaks, and no other
/// request on the connection that they share.
#[test]
fn a_client_that_does_not_read_holds_back_the_origin() {
    for http_2 in [false, true] {
        let origin = Origin::start(|call| {
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
        });
        let site = chain(PRIOR_KNOWLEDGE, origin.address());
        let mut stuck = site.client();
        let mut stuck_stream = Client::connect(site.address);
        stuck_stream.polite = false;
        if http_2 {
            stuck_stream.request("GET", "/endless", &[]);
        } else {
            stuck.send("GET /endless HTTP/1.1\r\nHost: h\r\n\r\n");
        }
        origin.wait_mark("held back");
        for _ in 0..3 {
            assert_eq!(site.client().get("/").text(), "a");
        }
        assert_eq!(counted(&site, "connections"), 1);
        drop((stuck, stuck_stream));
        origin.wait_mark("cut");
    }
}

/// Each connection answers its first request when the test says so, and tells how Shunt ends it.
fn patient() -> Origin {
    Origin::start(|call| {
        let mut server = Server::begin(call, &[])?;
        let stream = server.request()?;
        call.mark("request");
        call.await_mark("go on")?;
        server.answer(stream, b"a")?;
        call.mark(format!("goaway {:?}", server.rest()));
        Ok(())
    })
}

#[test]
fn a_member_that_is_taken_out() {
    let (origin, other) = (patient(), patient());
    let config = |site: SocketAddr, member: &Origin| {
        let pool = "protocol = \"h2\"\nkeep-alive = \"30s\"";
        site::config(site, PRIOR_KNOWLEDGE, &site::pool("web", pool, &[member.address()]))
    };
    let site = Site::configured(|listen| config(listen, &origin));
    let mut client = Client::connect(site.address);
    let first = client.request("GET", "/", &[]);
    origin.wait_mark("request");
    site.daemon.reload(&config(site.address, &other));
    other.tell("go on");
    assert_eq!(client.get("/").text(), "a", "the next goes to the other");
    origin.tell("go on");
    assert_eq!(client.answer(first).text(), "a", "what is under way gets its answer");
    origin.wait_mark("goaway Some(0)");
    // One that is idle ends at once.
    site.daemon.reload(&config(site.address, &origin));
    other.wait_mark("goaway Some(0)");
}

#[test]
fn a_drain_lets_streams_of_members_finish() {
    let origin = patient();
    let mut site = Site::configured(|listen| {
        site::config(listen, PRIOR_KNOWLEDGE, &site::pool("web", "protocol = \"h2\"", &[origin.address()]))
    });
    let mut client = Client::connect(site.address);
    let stream = client.request("GET", "/", &[]);
    origin.wait_mark("request");
    site.daemon.signal(shunt_tests::daemon::Signal::SIGTERM);
    site.daemon.wait_log("draining");
    origin.tell("go on");
    assert_eq!(client.answer(stream).text(), "a");
    client.rest();
    assert!(site.daemon.wait().success());
}

/// Switches to a WebSocket, and sends back five bytes.
fn switching() -> Origin {
    Origin::start(|call| {
        let head = call.head()?;
        let accept = if head.get("upgrade") == Some("websocket") { "yes" } else { "no upgrade" };
        call.mark(format!("{} {accept} {}", head.line, head.has("sec-websocket-key")));
        call.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\nX-Of: member\r\n\r\n")?;
        let bytes = call.wire().try_exact(5)?;
        call.send(bytes)?;
        call.until_end();
        call.mark("ended");
        Ok(())
    })
}

const ASKS: &str = "GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const TAKES: &str = "http2 = { start = \"prior-knowledge\", websocket = true }";

#[test]
fn a_websocket_of_http_1_in_a_stream_to_the_member() {
    let origin = switching();
    let site = chain(TAKES, origin.address());
    let mut client = site.client();
    // Behind the request already.
    client.send([ASKS, "hello"].concat());
    let head = client.answer_head();
    assert_eq!(head.status(), 101);
    // RFC 6455 section 1.3 has this key, and what answers it.
    assert_eq!(head.get("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!((head.get("upgrade"), head.get("x-of")), (Some("websocket"), Some("member")));
    assert_eq!(client.exact(5), b"hello");
    client.end();
    origin.wait_mark("ended");
    assert!(client.ended());
    assert_eq!(origin.marks(), ["GET /chat HTTP/1.1 yes true", "ended"]);
    assert_eq!(counted(&site, "requests"), 1);
}

#[test]
fn a_websocket_in_a_stream_on_both_sides() {
    let origin = switching();
    let member = address::free();
    let site = Site::configured(|listen| {
        let rest = site::pool("web", "protocol = \"h2\"", &[member])
            + &site::virtual_("member", member, "origins", TAKES)
            + &site::pool("origins", "", &[origin.address()]);
        site::config(listen, TAKES, &rest)
    });
    let mut client = Client::connect(site.address);
    let fields = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":path", "/chat"),
        (":authority", "h"),
        ("sec-websocket-version", "13"),
    ];
    let stream = client.begin(&fields, 0);
    assert_eq!(client.status(stream), 200);
    client.data(stream, b"hello", 0);
    client.read_body(stream, 5);
    client.data(stream, b"", END_STREAM);
    origin.wait_mark("ended");
    assert_eq!(client.answer(stream).text(), "hello");
    // One that goes away takes the member's stream with it.
    let stream = client.begin(&fields, 0);
    assert_eq!(client.status(stream), 200);
    client.data(stream, b"hello", 0);
    client.read_body(stream, 5);
    drop(client);
    until("the second to end", || origin.marks().iter().filter(|mark| *mark == "ended").count() == 2);
    assert_eq!(counted(&site, "connections"), 1);
}

#[test]
fn a_websocket_that_the_member_answers_otherwise() {
    let origin = Origin::start(|call| {
        loop {
            call.request()?;
            call.send("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno")?;
        }
    });
    let site = chain(TAKES, origin.address());
    let mut client = site.client();
    for _ in 0..2 {
        let answer = client.ask(ASKS);
        assert_eq!((answer.status(), answer.text().as_str()), (404, "no"));
    }
    assert_eq!(client.get("/").text(), "no");
    assert_eq!(counted(&site, "connections"), 1);
}

#[test]
fn a_member_of_http_2_that_takes_no_websockets() {
    let origin = switching();
    let site = chain(PRIOR_KNOWLEDGE, origin.address());
    for _ in 0..2 {
        assert_eq!(site.client().ask(ASKS).status(), 502);
    }
    let status = site.daemon.status();
    let member = &status["pools"][0]["members"][0];
    assert_eq!(
        (&member["http2-no-websocket"], &member["connects-failed"]),
        (&2.into(), &0.into()),
        "{member}"
    );
    site.daemon.wait_log("takes no WebSockets by HTTP/2 (RFC 8441)");
    assert_eq!(origin.accepts(), 0);
}
