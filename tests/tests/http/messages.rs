//! Messages on their way through: versions, framing, fields, and what becomes of connections.

use shunt_tests::origin::{Origin, ok};
use shunt_tests::site::Site;

#[test]
fn a_client_of_http_1_0_is_served_and_left() {
    let origin = Origin::named("a");
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    let answer = client.ask("GET /old HTTP/1.0\r\n\r\n");
    assert_eq!((answer.status(), answer.text()), (200, "a".to_owned()));
    assert!(answer.head.line.starts_with("HTTP/1.0"), "{}", answer.head.line);
    assert!(client.ended());
    // Towards the member it is HTTP/1.1, which demands a Host.
    let seen = origin.request();
    assert_eq!(seen.head.line, "GET /old HTTP/1.1");
    assert_eq!(seen.get("host"), Some(site.address.to_string().as_str()));
}

#[test]
fn a_client_of_http_1_0_may_keep_its_connection() {
    let origin = Origin::named("a");
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    for _ in 0..3 {
        let answer = client.ask("GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(answer.get("connection"), Some("keep-alive"));
        assert_eq!(answer.text(), "a");
    }
    assert_eq!(origin.accepts(), 1);
}

#[test]
fn a_client_of_http_1_0_gets_no_chunks_and_cannot_upgrade() {
    let origin =
        Origin::answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    let answer = client.ask("GET / HTTP/1.0\r\nConnection: keep-alive, Upgrade\r\nUpgrade: x\r\n\r\n");
    assert_eq!(answer.text(), "abc");
    assert!(!answer.head.has("transfer-encoding"));
    assert!(client.ended(), "only the end of the connection ends such a body");
    assert!(!origin.request().head.has("upgrade"));
}

#[test]
fn origins_of_http_1_0_are_understood() {
    let origin = Origin::start(|call| {
        call.request()?;
        match call.number() {
            // Ended by the end of the connection.
            1 => return call.send("HTTP/1.0 200 OK\r\n\r\nold"),
            _ => call.send("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\nkept")?,
        }
        call.request()?;
        call.send("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nend")
    });
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    for (body, accepts) in [("old", 1), ("kept", 2), ("end", 2)] {
        let answer = client.get("/");
        assert_eq!((answer.status(), answer.text().as_str()), (200, body));
        assert!(answer.head.line.starts_with("HTTP/1.1"));
        assert!(!answer.head.has("connection"), "the origin's connection is its own affair");
        assert_eq!(origin.accepts(), accepts, "{body}");
    }
}

#[test]
fn an_origin_that_ends_its_connections_does_not_end_those_of_clients() {
    let origin = Origin::start(|call| {
        call.request()?;
        call.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na")
    });
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    for count in 1..4 {
        let answer = client.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!((answer.text().as_str(), answer.get("connection"), origin.accepts()), ("a", None, count));
    }
}

#[test]
fn connections_are_kept_on_both_sides() {
    let answers = [
        ok("length"),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nchunked\r\n0\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-t\r\n\r\n1\r\nt\r\n0\r\nX-T: 1\r\n\r\n"
            .to_owned(),
        "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n".to_owned(),
        ok(""),
        ok(&"x".repeat(300_000)),
    ];
    let count = answers.len();
    let origin = Origin::start(move |call| {
        for number in 0.. {
            call.request()?;
            call.send(&answers[number % answers.len()])?;
        }
        Ok(())
    });
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    for _ in 0..2 * count {
        assert!(client.get("/").status() < 400);
    }
    // Other clients of the same worker use the same connection.
    for _ in 0..count {
        assert!(site.client().get("/").status() < 400);
    }
    assert_eq!((origin.accepts(), origin.count()), (1, 3 * count));
}

#[test]
fn a_client_that_asks_for_the_end_gets_it() {
    let origin = Origin::named("a");
    let site = Site::of(&[&origin]);
    for _ in 0..2 {
        let mut client = site.client();
        let answer = client.ask("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        assert_eq!((answer.text().as_str(), answer.get("connection")), ("a", Some("close")));
        assert!(client.ended());
    }
    assert_eq!(origin.accepts(), 1, "the server side is kept all the same");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::start(|call| {
        loop {
            let request = call.request()?;
            call.send(ok(&format!("{} {}", request.head.line, request.body.len())))?;
        }
    });
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    const MANY: usize = 500;
    client.send("GET /many HTTP/1.1\r\nHost: h\r\n\r\n".repeat(MANY));
    for _ in 0..MANY {
        assert_eq!(client.answer().text(), "GET /many HTTP/1.1 0");
    }
    client.send(
        "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n\
         POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello\
         POST /3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n\
         GET /4 HTTP/1.1\r\nHost: h\r\n\r\n",
    );
    for expected in ["GET /1 HTTP/1.1 0", "POST /2 HTTP/1.1 5", "POST /3 HTTP/1.1 2", "GET /4 HTTP/1.1 0"] {
        assert_eq!(client.answer().text(), expected);
    }
}

/// An answer must not wait for the rest of the next request; nor for an empty line that old clients
/// send behind a body.
#[test]
fn what_comes_behind_a_request_does_not_hold_its_answer() {
    let origin = Origin::named("a");
    let site = Site::of(&[&origin]);
    for behind in ["\r\n", "G", "GET /2 HTTP/1.1\r\nHo"] {
        let mut client = site.client();
        let answer = client.ask(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi{behind}"));
        assert_eq!(answer.text(), "a", "{behind:?}");
        let rest = "GET /2 HTTP/1.1\r\nHost: h\r\n\r\n".strip_prefix(behind);
        let answer = client.ask(rest.unwrap_or("GET /2 HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!(answer.text(), "a", "{behind:?}");
    }
}

#[test]
fn answers_without_a_body() {
    for (method, answer, length) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n", Some("1234")),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", None),
        ("HEAD", "HTTP/1.1 404 Not Found\r\n\r\n", None),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", None),
        ("GET", "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n", None),
    ] {
        let origin = Origin::answering(answer);
        let site = Site::of(&[&origin]);
        let mut client = site.client();
        for _ in 0..2 {
            client.send(format!("{method} / HTTP/1.1\r\nHost: h\r\n\r\n"));
            let head = client.answer_head();
            assert_eq!(head.line, answer.lines().next().unwrap_or_default());
            assert_eq!(head.get("content-length"), length, "{method} {answer}");
            assert!(!head.has("transfer-encoding"), "{method} {answer}");
        }
        assert_eq!((origin.accepts(), origin.count()), (1, 2), "{method} {answer}");
    }
}

#[test]
fn request_bodies_are_framed_as_they_were() {
    for (what, sent, length, chunked, body) in [
        ("length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", Some("5"), false, "hello"),
        (
            "the same length twice",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
            Some("5"),
            false,
            "hello",
        ),
        ("no body", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", Some("0"), false, ""),
        (
            "chunks",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
            None,
            true,
            "hello",
        ),
        (
            "no chunks",
            "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
            None,
            true,
            "",
        ),
        (
            "GET with chunks",
            "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            None,
            true,
            "hello",
        ),
        (
            "GET with a length",
            "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi",
            Some("2"),
            false,
            "hi",
        ),
    ] {
        let origin = Origin::named("a");
        let site = Site::of(&[&origin]);
        let mut client = site.client();
        assert_eq!(client.ask(sent).text(), "a", "{what}");
        // What follows on both connections shows that the framing was right.
        assert_eq!(client.get("/after").text(), "a", "{what}");
        let seen = &origin.requests()[0];
        assert_eq!(seen.head.all("content-length").first().copied(), length, "{what}");
        assert!(seen.head.all("content-length").len() <= 1, "{what}");
        assert_eq!(seen.get("transfer-encoding"), chunked.then_some("chunked"), "{what}");
        assert_eq!(String::from_utf8_lossy(&seen.body), body, "{what}");
        assert_eq!((origin.accepts(), origin.count()), (1, 2), "{what}");
    }
}

#[test]
fn trailers_go_through_both_ways() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 7\r\n\r\n",
    );
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    let sent = "POST / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nConnection: te\r\nTrailer: X-Check\r\n\
                Transfer-Encoding: chunked\r\n\r\n2\r\nho\r\n0\r\nX-Check: 9\r\n\r\n";
    for _ in 0..2 {
        let answer = client.ask(sent);
        assert_eq!((answer.text().as_str(), answer.get("trailer")), ("hi", Some("X-Sum")));
        assert_eq!(answer.trailers, [("x-sum".to_owned(), "7".to_owned())]);
    }
    // A client that did not ask for them gets the body alone.
    let answer = client.get("/");
    assert_eq!((answer.text().as_str(), answer.trailers.len()), ("hi", 0));
    assert_eq!(origin.accepts(), 1);
    let seen = &origin.requests()[0];
    assert_eq!((seen.body.as_slice(), seen.get("te")), (&b"ho"[..], Some("trailers")));
    assert_eq!(seen.trailers, [("x-check".to_owned(), "9".to_owned())]);
}

#[test]
fn a_client_that_waits_for_100_is_told_to_go_on() {
    let origin = Origin::named("a");
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    for _ in 0..2 {
        client.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
        assert_eq!(client.answer_head().status(), 100);
        assert_eq!(client.ask("hello").text(), "a");
    }
    let seen = &origin.requests()[1];
    assert_eq!((seen.body.as_slice(), seen.get("expect")), (&b"hello"[..], None));
}

/// RFC 9110 section 10.1.1 defines no other expectation; Shunt ignores them, as nginx does.
#[test]
fn other_expectations_are_ignored() {
    let origin = Origin::named("a");
    let site = Site::of(&[&origin]);
    let answer =
        site.client().ask("POST / HTTP/1.1\r\nHost: h\r\nExpect: 200-ok\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "a"));
    let seen = &origin.requests()[0];
    assert_eq!((seen.body.as_slice(), seen.get("expect")), (&b"hello"[..], None));
}

#[test]
fn a_request_that_is_refused_is_not_told_to_go_on() {
    let origin = Origin::named("a");
    for (what, site, status) in [
        ("too large", Site::with("limits = { body = \"4B\" }", &[&origin]), 413),
        ("no member", Site::members("", &[shunt_tests::address::free()]), 502),
    ] {
        let mut client = site.client();
        client.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
        assert_eq!(client.answer().status(), status, "{what}");
    }
    assert_eq!(origin.count(), 0);
}

#[test]
fn fields_of_a_connection_stay_on_it() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nX-End: 1\r\n\
         Proxy-Connection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
    );
    let site = Site::of(&[&origin]);
    let answer = site.client().ask(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, x-hop, host, content-length\r\nKeep-Alive: timeout=9\r\n\
         X-Hop: 1\r\nX-End: 1\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi",
    );
    let gone =
        ["connection", "keep-alive", "x-hop", "proxy-connection", "te", "upgrade", "transfer-encoding"];
    let seen = origin.request();
    for (what, head) in [("answer", &answer.head), ("request", &seen.head)] {
        for name in gone {
            assert!(!head.has(name), "{what}: {name}: {:?}", head.get(name));
        }
        assert_eq!(head.get("x-end"), Some("1"), "{what}");
    }
    assert_eq!((seen.get("host"), seen.body.as_slice()), (Some("h"), &b"hi"[..]));
}

#[test]
fn members_are_told_of_the_client_as_the_operator_wants() {
    let claims = "X-Forwarded-For: 10.9.9.9\r\nX-Forwarded-For: 10.8.8.8\r\nX-Forwarded-Proto: https\r\nForwarded: for=10.9.9.9\r\n";
    let ours = [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("forwarded", "for=127.0.0.1;proto=http;host=h"),
    ];
    let appended = [
        ("x-forwarded-for", "10.9.9.9, 10.8.8.8, 127.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "for=10.9.9.9, for=127.0.0.1;proto=http;host=h"),
    ];
    let kept = [
        ("x-forwarded-for", "10.9.9.9|10.8.8.8"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "for=10.9.9.9"),
    ];
    let none = [("x-forwarded-for", ""), ("x-forwarded-proto", ""), ("forwarded", "")];
    for (policy, sent, expected) in [
        ("", claims, ours),
        ("", "", ours),
        ("forwarded = \"replace\"", claims, ours),
        ("forwarded = \"append\"", claims, appended),
        ("forwarded = \"append\"", "", ours),
        ("forwarded = \"off\"", claims, kept),
        ("forwarded = \"off\"", "", none),
        // Naming them in Connection must not take ours away.
        ("", "Connection: x-forwarded-for\r\nX-Forwarded-For: 10.9.9.9\r\n", ours),
    ] {
        let origin = Origin::named("a");
        let site = Site::with(policy, &[&origin]);
        site.client().ask(format!("GET / HTTP/1.1\r\nHost: h\r\n{sent}\r\n"));
        let seen = origin.request();
        for (name, value) in expected {
            assert_eq!(seen.head.all(name).join("|"), value, "{policy} {sent:?} {name}");
        }
    }
}

#[test]
fn targets_and_values_go_through_untouched() {
    let origin = Origin::named("a");
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    let long = format!("/long?{}", "q=%20&".repeat(2_000));
    let targets = ["/", "/a%2Fb//c/../d;p?x=%00&y=a/b?c", "/?", "*", long.as_str()];
    for target in targets {
        let method = if target == "*" { "OPTIONS" } else { "GET" };
        client.send(format!(
            "{method} {target} HTTP/1.1\r\nHost: H.example:81\r\nX-Odd: \t a  b\t\r\nX-Latin: "
        ));
        assert_eq!(client.ask(b"caf\xe9\r\n\r\n").text(), "a");
    }
    for (seen, target) in origin.requests().iter().zip(targets) {
        assert_eq!(seen.head.line.split(' ').nth(1), Some(target));
        assert_eq!((seen.get("host"), seen.get("x-odd")), (Some("H.example:81"), Some("a  b")));
        assert!(seen.head.raw.windows(5).any(|it| it == b"caf\xe9\r"));
    }
}

#[test]
fn the_absolute_form_names_the_host() {
    let origin = Origin::named("a");
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    for sent in [
        "GET http://shop.example/x?y HTTP/1.1\r\nHost: shop.example\r\n\r\n",
        "GET http://shop.example:80/x?y HTTP/1.1\r\nHost: Shop.Example\r\n\r\n",
        "GET http://shop.example/x?y HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    ] {
        assert_eq!(client.ask(sent).text(), "a", "{sent}");
    }
    for seen in origin.requests() {
        assert_eq!(seen.head.line, "GET /x?y HTTP/1.1");
        assert!(
            seen.get("host").is_some_and(|it| it.eq_ignore_ascii_case("shop.example")),
            "{:?}",
            seen.get("host")
        );
    }
}

/// The same name written in another way, and a target without path.
#[test]
fn the_absolute_form_becomes_a_path_and_a_host() {
    let origin = Origin::named("a");
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    for (method, target, host, line, seen_host) in [
        ("GET", "http://h?x=1", "h", "/?x=1", "h"),
        ("GET", "http://h?", "h", "/?", "h"),
        ("GET", "http://h", "h", "/", "h"),
        ("GET", "HTTP://h:80?x", "H", "/?x", "h"),
        ("OPTIONS", "http://h?x", "h", "/?x", "h"),
        ("OPTIONS", "http://h/", "h", "/", "h"),
        ("OPTIONS", "http://h", "h", "*", "h"),
        ("OPTIONS", "http://h:8080", "h:8080", "*", "h:8080"),
        ("GET", "http://h:/x", "h", "/x", "h"),
        ("GET", "http://h/x", "h:", "/x", "h"),
        ("GET", "http://h./x", "h", "/x", "h."),
        ("GET", "http://h/x", "h.", "/x", "h"),
        ("GET", "http://h:81/x", "", "/x", "h:81"),
    ] {
        let before = origin.count();
        let answer = client.ask(format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(answer.text(), "a", "{method} {target} {host}");
        let seen = origin.requests().swap_remove(before);
        assert_eq!(seen.head.line, format!("{method} {line} HTTP/1.1"), "{target}");
        assert_eq!(seen.head.all("host"), [seen_host], "{target} {host}");
    }
}

/// RFC 9110 section 2.5.
#[test]
fn a_later_minor_version_is_served_as_1_1() {
    let origin = Origin::named("a");
    let site = Site::of(&[&origin]);
    for piece in [usize::MAX, 1] {
        let mut client = site.client();
        for version in ["1.2", "1.9", "1.1"] {
            let request = format!("GET /{version} HTTP/{version}\r\nHost: h\r\n\r\n");
            request.as_bytes().chunks(piece).for_each(|piece| client.send(piece));
            let answer = client.answer();
            assert_eq!((answer.status(), answer.head.line.as_str()), (200, "HTTP/1.1 200 OK"), "{version}");
        }
        assert_eq!(client.ask("GET / HTTP/1.2\r\n\r\n").status(), 400, "it needs a Host as 1.1 does");
        for other in ["2.0", "1.10", "0.9", "1.", "1.x"] {
            let answer = site.client().ask(format!("GET / HTTP/{other}\r\nHost: h\r\n\r\n"));
            assert_eq!(answer.status(), 400, "{other}");
        }
    }
    let lines: Vec<_> = origin.requests().iter().map(|it| it.head.line.clone()).collect();
    assert_eq!(lines[..3], ["GET /1.2 HTTP/1.1", "GET /1.9 HTTP/1.1", "GET /1.1 HTTP/1.1"]);
    assert_eq!(lines.len(), 6);
}

#[test]
fn an_answer_with_two_lengths_is_framed_by_its_chunks() {
    for lengths in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 300",
    ] {
        let origin =
            Origin::answering(format!("HTTP/1.1 200 OK\r\n{lengths}\r\n\r\n5\r\nhello\r\n0\r\n\r\n"));
        let site = Site::of(&[&origin]);
        let mut client = site.client();
        for _ in 0..2 {
            let answer = client.get("/");
            assert_eq!((answer.text().as_str(), answer.get("content-length")), ("hello", None), "{lengths}");
        }
    }
    let origin = Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello");
    let answer = Site::of(&[&origin]).client().get("/");
    assert_eq!((answer.text().as_str(), answer.head.all("content-length")), ("hello", vec!["5"]));
}

#[test]
fn what_is_no_answer_is_answered_502() {
    for answer in [
        "",
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
        // No one asked to switch.
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.1 200 O",
        "HTTP/2.0 200 OK\r\n\r\n",
    ] {
        let origin = Origin::start(move |call| {
            call.request()?;
            call.send(answer)
        });
        let site = Site::of(&[&origin]);
        let mut client = site.client();
        let got = client.get("/");
        assert_eq!(got.status(), 502, "{answer:?}");
        assert_eq!(got.text(), "the member sent no valid response\n", "{answer:?}");
        let status = site.daemon.status();
        assert_eq!(status["pools"][0]["members"][0]["failures"], 1, "{answer:?}");
        assert_eq!(status["virtuals"][0]["errors"], 1, "{answer:?}");
    }
}

/// The client must not take half an answer for a whole one, and gets all that there was.
#[test]
fn an_answer_that_breaks_off_ends_the_connection() {
    for (answer, body) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "half"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "4\r\nhalf\r\n"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nZ\r\n", "4\r\nhalf\r\n"),
    ] {
        let origin = Origin::start(move |call| {
            call.request()?;
            call.send(answer)
        });
        let site = Site::of(&[&origin]);
        let mut client = site.client();
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(client.answer_head().status(), 200, "{answer:?}");
        let rest = client.try_rest().unwrap();
        assert_eq!(String::from_utf8_lossy(&rest), body, "{answer:?}");
    }
}

/// Bytes behind an answer belong to no request: the next client must not get them.
#[test]
fn bytes_behind_an_answer_go_to_nobody() {
    let origin = Origin::start(|call| {
        call.request()?;
        let evil = if call.number() == 1 { ok("evil") } else { String::new() };
        call.send(format!("{}{evil}", ok("good")))?;
        call.until_end();
        Ok(())
    });
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    assert_eq!(client.get("/1").text(), "good");
    assert_eq!(client.get("/2").text(), "good");
    assert_eq!(origin.accepts(), 2);
}
