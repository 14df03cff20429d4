//! How much and how long: what a client or a member may not exceed, and what it gets when it does.

use std::io::ErrorKind;
use std::thread;

use shunt_tests::daemon::until;
use shunt_tests::origin::Origin;
use shunt_tests::raw::Client;
use shunt_tests::site::Site;

#[test]
fn bodies_that_are_too_large() {
    let origin = Origin::named("a");
    let site = Site::with("limits = { body = \"8B\" }", &[&origin]);
    let length =
        |body: &str| format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let chunks =
        |chunks: &str| format!("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
    for (what, request, status) in [
        ("just enough", length("12345678"), 200),
        ("just enough in chunks", chunks("4\r\n1234\r\n4\r\n5678\r\n0\r\n\r\n"), 200),
        ("one more", length("123456789"), 413),
        ("one more in chunks", chunks("4\r\n1234\r\n5\r\n56789\r\n0\r\n\r\n"), 413),
        (
            "declared only",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n".to_owned(),
            413,
        ),
        ("a chunk that never ends", chunks("fffffff\r\n123456789"), 413),
    ] {
        let mut client = site.client();
        assert_eq!(client.ask(request).status(), status, "{what}");
        if status == 413 {
            assert!(client.ended(), "{what}");
        }
    }
    assert_eq!(origin.count(), 2);
}

#[test]
fn heads_that_are_too_large() {
    let origin = Origin::named("a");
    let site = Site::with("limits = { head = \"8KiB\" }", &[&origin]);
    let with = |fields: &str| format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
    for (what, request, status) in [
        ("just enough", with(&format!("X: {}\r\n", "x".repeat(8_000))), 200),
        ("a field", with(&format!("X: {}\r\n", "x".repeat(9_000))), 431),
        ("much more", with(&format!("X: {}\r\n", "x".repeat(1_000_000))), 431),
        ("a target", format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(9_000)), 431),
        ("many fields", with(&"X: y\r\n".repeat(101)), 431),
        ("empty lines", "\r\n".repeat(10_000), 431),
    ] {
        let mut client = site.client();
        // The answer comes before all of it is out.
        let _ = client.try_send(&request);
        let answer = client.try_answer().unwrap_or_else(|error| panic!("{what}: no answer: {error}"));
        assert_eq!(answer.status(), status, "{what}");
        if status == 431 {
            assert!(client.ended(), "{what}");
        }
    }
    assert_eq!(origin.count(), 1);
}

/// The limit is the limit, however the head comes.
#[test]
fn a_head_of_just_the_limit() {
    let origin = Origin::named("a");
    const LIMIT: usize = 64 << 10;
    let site = Site::of(&[&origin]);
    let head = |length: usize| {
        let rest = "GET / HTTP/1.1\r\nHost: h\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(length - rest))
    };
    for (length, status) in
        [(LIMIT - 1, 200), (LIMIT, 200), (LIMIT + 1, 431), (LIMIT + 100, 431), (100_000, 431), (1 << 20, 431)]
    {
        for piece in [usize::MAX, 50_000, 1_000] {
            let mut client = site.client();
            // The answer may come before all of it is out.
            let _ = head(length).as_bytes().chunks(piece).try_for_each(|piece| client.try_send(piece));
            let answer = client.try_answer().unwrap_or_else(|error| panic!("{length} by {piece}: {error}"));
            assert_eq!(answer.status(), status, "{length} by {piece}");
        }
    }
    // The limit is each head's: what is sent together does not count together.
    let mut client = site.client();
    client.send(head(LIMIT).repeat(3));
    for _ in 0..3 {
        assert_eq!(client.answer().text(), "a");
    }
    assert_eq!(origin.count(), 9);
}

#[test]
fn heads_with_too_many_fields_and_targets_that_are_too_long() {
    let origin = Origin::named("a");
    let large = Site::with("limits = { head = \"1MiB\" }", &[&origin]);
    let more = Site::with("limits = { head = \"1MiB\", fields = 1000 }", &[&origin]);
    let fewer = Site::with("limits = { fields = 10 }", &[&origin]);
    let fields = |count: usize| format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: y\r\n".repeat(count - 1));
    let target = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(length - 1));
    for (what, site, request, status) in [
        ("100 fields", &large, fields(100), 200),
        ("101 fields", &large, fields(101), 431),
        ("1,000 fields", &more, fields(1_000), 200),
        ("1,001 fields", &more, fields(1_001), 431),
        ("10 fields", &fewer, fields(10), 200),
        ("11 fields", &fewer, fields(11), 431),
        ("a target of 65,534 bytes", &large, target(65_534), 200),
        ("a target of 65,535 bytes", &large, target(65_535), 414),
        ("a target of 500,000 bytes", &large, target(500_000), 414),
    ] {
        let mut client = site.client();
        let _ = client.try_send(&request);
        let answer = client.try_answer().unwrap_or_else(|error| panic!("{what}: no answer: {error}"));
        assert_eq!(answer.status(), status, "{what}");
        if status != 200 {
            assert!(client.ended(), "{what}");
        }
    }
    let status = large.daemon.status();
    assert_eq!(
        (&status["virtuals"][0]["errors"], &status["virtuals"][0]["answers"][3]),
        (&3.into(), &3.into())
    );
}

/// Trailers are held to the limits of the head.
#[test]
fn trailers_that_are_too_many_or_too_large() {
    let origin = Origin::named("a");
    let usual = Site::of(&[&origin]);
    let more = Site::with("limits = { head = \"8KiB\", fields = 200 }", &[&origin]);
    let large = |length: usize| format!("X: {}\r\n", "x".repeat(length));
    for (what, site, trailers, status) in [
        ("100 fields", &usual, "X: y\r\n".repeat(100), 200),
        ("101 fields", &usual, "X: y\r\n".repeat(101), 400),
        ("60,000 bytes", &usual, large(60_000), 200),
        ("70,000 bytes", &usual, large(70_000), 400),
        ("200 fields", &more, "X: y\r\n".repeat(200), 200),
        ("201 fields", &more, "X: y\r\n".repeat(201), 400),
        ("9,000 bytes", &more, large(9_000), 400),
    ] {
        let mut client = site.client();
        let answer = client.ask(format!(
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n{trailers}\r\n"
        ));
        assert_eq!(answer.status(), status, "{what}");
    }
    assert_eq!(origin.count(), 3);
}

#[test]
fn a_head_that_does_not_come() {
    let origin = Origin::named("a");
    let site = Site::with("timeouts = { head = \"1s\" }", &[&origin]);
    let mut fresh = site.client();
    fresh.send("GET / HT");
    let mut used = site.client();
    assert_eq!(used.get("/").text(), "a");
    used.send("GET / HTTP/1.1\r\nHost: h\r\n");
    for mut client in [fresh, used] {
        let answer = client.answer();
        assert_eq!((answer.status(), answer.get("connection")), (408, Some("close")));
        assert!(client.ended());
    }
    // A body is not held to the time of a head.
    let mut client = site.client();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n1");
    head_time_passes(&site);
    assert_eq!(client.ask("2").text(), "a");
}

/// The daemon is its own clock: it gives up on a head that begins now.
fn head_time_passes(site: &Site) {
    assert_eq!(site.client().ask("G").status(), 408);
}

/// The next request has begun while an answer still streams: its time is not this answer's.
#[test]
fn a_late_head_does_not_spoil_the_answer_before_it() {
    let origin = Origin::start(|call| {
        call.request()?;
        call.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nfir")?;
        call.await_mark("go on")?;
        call.send("st!")
    });
    let site = Site::with("timeouts = { head = \"1s\" }", &[&origin]);
    let mut client = site.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /ne");
    assert_eq!(client.answer_head().status(), 200);
    assert_eq!(client.exact(3), b"fir");
    head_time_passes(&site);
    head_time_passes(&site);
    origin.tell("go on");
    assert_eq!(client.exact(3), b"st!");
    assert_eq!(client.answer().status(), 408, "now it is its turn");
    assert!(client.ended());
}

#[test]
fn a_body_that_does_not_come() {
    let origin = Origin::named("a");
    let site = Site::with("timeouts = { idle = \"1s\", first-byte = \"1s\" }", &[&origin]);
    for body in [
        "Content-Length: 9\r\n\r\nhalf",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "Content-Length: 9\r\n\r\n",
    ] {
        let mut client = site.client();
        let answer = client.ask(format!("POST / HTTP/1.1\r\nHost: h\r\n{body}"));
        assert_eq!(answer.status(), 408, "{body:?}");
        assert!(client.ended(), "{body:?}");
    }
    assert_eq!(origin.count(), 0);
    assert_eq!(site.daemon.status()["pools"][0]["members"][0]["failures"], 0, "it was not the member");
}

/// Each time bounds one thing: `first-byte` the member that has the whole request, `idle` a body that does
/// not continue. The daemon is its own clock.
#[test]
fn a_slow_body_is_not_a_slow_answer() {
    let origin = Origin::start(|call| {
        loop {
            let head = call.head()?;
            if head.line.contains("/silent") {
                call.until_end();
                return Ok(());
            }
            let request = call.wire().try_request_body(head)?;
            call.send(shunt_tests::origin::ok(&request.text()))?;
        }
    });
    let site = Site::with("timeouts = { first-byte = \"1s\", idle = \"1h\" }", &[&origin]);
    let first_byte_passes = || assert_eq!(site.client().get("/silent").status(), 504);
    for (framing, parts, expected) in [
        ("Content-Length: 4", ["", "hi", "ho"], "hiho"),
        ("Transfer-Encoding: chunked", ["2\r\nh", "i\r\n", "0\r\n\r\n"], "hi"),
    ] {
        let mut client = site.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n"));
        for part in parts {
            client.send(part);
            first_byte_passes();
        }
        assert_eq!(client.answer().text(), expected, "{framing}");
        // All of it is there: now it is the member's time.
        let mut client = site.client();
        client.send(format!("POST /silent HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n"));
        first_byte_passes();
        client.send(parts.concat());
        assert_eq!(client.answer().status(), 504, "{framing}");
    }
}

#[test]
fn a_slow_answer_is_not_an_idle_connection() {
    let origin = Origin::start(|call| {
        loop {
            call.request()?;
            call.await_mark("go on")?;
            call.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")?;
            call.send("ok")?;
        }
    });
    let site = Site::with("timeouts = { first-byte = \"1h\", idle = \"1s\" }", &[&origin]);
    let mut clients = [site.client(), site.client()];
    clients[0].send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    clients[1].send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi");
    for _ in 0..3 {
        assert!(site.client().ended(), "the idle time passes");
    }
    // A body that stops is ended by the idle time, whatever a member may take.
    let mut stopped = site.client();
    stopped.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nh");
    assert_eq!(stopped.answer().status(), 408);
    assert!(stopped.ended());
    origin.tell("go on");
    for client in &mut clients {
        assert_eq!(client.answer().text(), "ok");
    }
}

#[test]
fn an_answer_that_does_not_come() {
    let origin = Origin::start(|call| {
        call.request()?;
        call.until_end();
        Ok(())
    });
    let site = Site::with("timeouts = { first-byte = \"1s\" }", &[&origin]);
    let mut client = site.client();
    for request in [
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        let answer = client.ask(request);
        assert_eq!(answer.status(), 504, "{request}");
        assert!(!answer.head.has("connection"), "the client may go on: {request}");
    }
    origin.wait_ended(3);
    assert_eq!((origin.accepts(), origin.count()), (3, 3), "nothing is sent twice");
    assert_eq!(site.daemon.status()["pools"][0]["members"][0]["failures"], 3);
}

#[test]
fn an_answer_that_stops() {
    let origin = Origin::start(|call| {
        call.request()?;
        call.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")?;
        call.until_end();
        call.mark("cut");
        Ok(())
    });
    let site = Site::with("timeouts = { idle = \"1s\" }", &[&origin]);
    let mut client = site.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.answer_head().status(), 200);
    assert_eq!(client.try_rest().unwrap(), b"half");
    origin.wait_mark("cut");
}

#[test]
fn a_client_that_stops_reading() {
    let origin = Origin::start(|call| {
        call.request()?;
        call.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")?;
        while call.send([0; 1 << 16]).is_ok() {}
        call.mark("cut");
        Ok(())
    });
    let site = Site::with("timeouts = { idle = \"1s\" }", &[&origin]);
    let mut client = site.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.answer_head().status(), 200);
    origin.wait_mark("cut");
    until("the connection is let go", || site.daemon.status()["virtuals"][0]["open"] == 0);
}

#[test]
fn clients_that_say_nothing() {
    let origin = Origin::named("a");
    let site = Site::with("timeouts = { idle = \"1s\" }", &[&origin]);
    let fresh = site.client();
    let mut used = site.client();
    assert_eq!(used.get("/").text(), "a");
    for mut client in [fresh, used] {
        assert!(client.ended());
    }
    until("all are gone", || site.daemon.status()["virtuals"][0]["open"] == 0);
}

#[test]
fn more_connections_than_allowed() {
    let origin = Origin::named("a");
    let site = Site::with("limits = { connections = 2 }", &[&origin]);
    let mut clients = [site.client(), site.client()];
    clients.iter_mut().for_each(|client| assert_eq!(client.get("/").text(), "a"));
    // One too many is reset at once; it may notice as early as it connects.
    let refused = Client::try_connect(site.address).and_then(|mut client| {
        client.try_send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")?;
        client.try_answer()
    });
    let error = refused.expect_err("a refusal").kind();
    assert!(
        matches!(error, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof),
        "{error}"
    );
    let status = site.daemon.status();
    assert_eq!((&status["virtuals"][0]["refused"], &status["virtuals"][0]["open"]), (&1.into(), &2.into()));
    // The log says so, once for many.
    let told = "limits.connections is reached";
    site.daemon.wait_log(told);
    for _ in 0..20 {
        let _ = Client::try_connect(site.address).and_then(|mut client| client.try_rest());
    }
    until("all are counted", || site.daemon.status()["virtuals"][0]["refused"] == 21);
    let lines = site.daemon.log().lines().filter(|line| line.contains(told)).count();
    assert!((1..10).contains(&lines), "{lines} lines for 21 refusals");

    let [first, mut second] = clients;
    drop(first);
    until("its place is free", || site.daemon.status()["virtuals"][0]["open"] == 1);
    assert_eq!(site.client().get("/").text(), "a");
    assert_eq!(second.get("/").text(), "a");
}

/// The answer comes while the client still sends. It must arrive whole, though nobody reads the body.
#[test]
fn an_answer_before_the_body_has_come() {
    let early = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";
    let origin = Origin::start(move |call| {
        call.head()?;
        call.send(early)?;
        call.end()?;
        call.until_end();
        Ok(())
    });
    let silent = Origin::start(|call| {
        call.until_end();
        Ok(())
    });
    let patient = Site::of(&[&origin]);
    let limited = Site::with("limits = { body = \"1MiB\" }", &[&silent]);
    for (what, site, framing, status) in [
        ("by the member", &patient, "Content-Length: 67108864", 403),
        ("by the member, chunks", &patient, "Transfer-Encoding: chunked", 403),
        ("by the daemon", &limited, "Content-Length: 67108864", 413),
        ("by the daemon, chunks", &limited, "Transfer-Encoding: chunked", 413),
    ] {
        let mut client = site.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n"));
        let chunked = framing.starts_with('T');
        let mut twin = client.twin();
        // It reads nothing before it has sent everything, as simple clients do.
        let sender = thread::spawn(move || {
            let block = vec![b'x'; 1 << 16];
            for _ in 0..1024 {
                if chunked {
                    twin.try_send("10000\r\n")?;
                }
                twin.try_send(&block)?;
                if chunked {
                    twin.try_send("\r\n")?;
                }
            }
            if chunked { twin.try_send("0\r\n\r\n") } else { Ok(()) }
        });
        sender.join().unwrap().unwrap_or_else(|error| panic!("{what}: reset while it sent: {error}"));
        let answer = client.try_answer().unwrap_or_else(|error| panic!("{what}: no answer: {error}"));
        assert_eq!(answer.status(), status, "{what}");
        match answer.get("connection") {
            Some("close") => assert!(client.ended(), "{what}"),
            // The member took all of it, and the connection continues.
            _ => assert_eq!(client.get("/").status(), 403, "{what}"),
        }
        // A member that ends its connection behind an answer without a word ends it as well for the next POST, if
        // that is quicker than its FIN.
        origin.wait_fins_arrived();
    }
}
