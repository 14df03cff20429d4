//! Fields that belong to one connection, that name the client, or that stand behind a body.

use shunt_tests::origin::{Origin, ok};
use shunt_tests::raw::Message;
use shunt_tests::site::Site;

fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n")
}

/// What a member gets of a request with these fields.
#[track_caller]
fn seen(site: &Site, origin: &Origin, fields: &str) -> Message {
    let before = origin.count();
    assert_eq!(site.client().ask(get(fields)).status(), 200, "{fields:?}");
    origin.requests().swap_remove(before)
}

#[test]
fn what_is_appended_to_an_empty_list_begins_it() {
    let origin = Origin::named("a");
    let site = Site::with("forwarded = \"append\"", &[&origin]);
    for (sent, expected) in [
        ("X-Forwarded-For:\r\n", "127.0.0.1"),
        ("X-Forwarded-For: ,\r\n", "127.0.0.1"),
        ("X-Forwarded-For:\r\nX-Forwarded-For:\r\n", "127.0.0.1"),
        ("X-Forwarded-For: 10.0.0.1,\r\n", "10.0.0.1, 127.0.0.1"),
        ("X-Forwarded-For: 10.0.0.1, , 10.0.0.2 ,\r\n", "10.0.0.1, 10.0.0.2, 127.0.0.1"),
        ("X-Forwarded-For:\r\nX-Forwarded-For: 10.0.0.1\r\n", "10.0.0.1, 127.0.0.1"),
    ] {
        let seen = seen(&site, &origin, sent);
        assert_eq!(seen.head.all("x-forwarded-for"), [expected], "{sent:?}");
    }
    let ours = "for=127.0.0.1;proto=http;host=h";
    for (sent, expected) in [
        ("Forwarded:\r\n", ours.to_owned()),
        ("Forwarded: for=10.0.0.1,\r\n", format!("for=10.0.0.1, {ours}")),
        ("Forwarded: for=\"10.0.0.1\r\n", ours.to_owned()),
    ] {
        assert_eq!(seen(&site, &origin, sent).head.all("forwarded"), [expected], "{sent:?}");
    }
    assert_eq!(seen(&site, &origin, "X-Forwarded-Proto:\r\n").head.all("x-forwarded-proto"), ["http"]);
}

#[test]
fn look_alikes_of_framing_and_of_the_client_reach_no_member() {
    let origin = Origin::named("a");
    let claims = "X_Forwarded_For: 6.6.6.6\r\nx-forwarded_proto: https\r\n";
    let framing = "Content_Length: 5\r\nTransfer_Encoding: chunked\r\nContent-Length: 0\r\nUser_Id: 7\r\n";
    for (keys, passed) in [("", false), ("forwarded = \"append\"", false), ("forwarded = \"off\"", true)] {
        let site = Site::with(keys, &[&origin]);
        let seen = seen(&site, &origin, &format!("{claims}{framing}"));
        for name in ["content_length", "transfer_encoding"] {
            assert!(!seen.head.has(name), "{keys:?}: {name}");
        }
        for name in ["x_forwarded_for", "x-forwarded_proto"] {
            assert_eq!(seen.head.has(name), passed, "{keys:?}: {name}");
        }
        assert_eq!(seen.get("user_id"), Some("7"), "{keys:?}: other names are the application's");
    }
}

#[test]
fn a_request_cannot_switch_to_http_again() {
    let origin = Origin::named("a");
    let site = Site::of(&[&origin]);
    for (sent, passed) in [
        ("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n", None),
        ("Connection: Upgrade\r\nUpgrade: H2C\r\nHTTP2-Settings: AAMA\r\n", None),
        ("Connection: Upgrade\r\nUpgrade: HTTP/2.0\r\n", None),
        ("Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: TLS/1.2\r\n", None),
        ("Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n", Some("websocket")),
        ("Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n", Some("websocket")),
        ("Connection: Upgrade\r\nUpgrade: x/1, y\r\n", Some("x/1, y")),
    ] {
        let seen = seen(&site, &origin, sent);
        assert_eq!(seen.get("upgrade"), passed, "{sent:?}");
        assert_eq!(seen.get("connection"), passed.map(|_| "upgrade"), "{sent:?}");
        assert!(!seen.head.has("http2-settings"), "{sent:?}");
    }
}

/// A member that switches all the same, to what nobody may switch to.
#[test]
fn a_switch_that_was_not_asked_for_is_no_answer() {
    let switch = |protocol: &str| {
        format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n")
    };
    for (asked, switched) in [("h2c", "h2c"), ("h2c, websocket", "h2c"), ("websocket", "HTTP/2.0")] {
        let origin = Origin::answering(switch(switched));
        let site = Site::of(&[&origin]);
        let mut client = site.client();
        let answer = client.ask(get(&format!("Connection: Upgrade\r\nUpgrade: {asked}\r\n")));
        assert_eq!(answer.status(), 502, "{asked} {switched}");
    }
}

#[test]
fn a_member_may_ask_for_another_protocol() {
    let origin = Origin::answering(
        "HTTP/1.1 426 Upgrade Required\r\nUpgrade: HTTP/2.0\r\nUpgrade: x/1\r\nConnection: Upgrade\r\n\
         Content-Length: 2\r\n\r\nno",
    );
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    for _ in 0..2 {
        let answer = client.get("/");
        assert_eq!((answer.status(), answer.text().as_str()), (426, "no"));
        assert_eq!(answer.head.all("upgrade"), ["HTTP/2.0, x/1"]);
        assert_eq!(answer.head.all("connection"), ["upgrade"]);
    }
    // Where it is only an offer, it is one to its own client: Shunt.
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nok",
    );
    let answer = Site::of(&[&origin]).client().get("/");
    assert!(!answer.head.has("upgrade") && !answer.head.has("connection"));
}

#[test]
fn trailers_of_a_request_say_nothing_that_the_head_decides() {
    let origin = Origin::named("a");
    let trailers = "X-Sum: 7\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\n\
                    X-Forwarded-Proto: https\r\nHost: evil\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\n\
                    Authorization: evil\r\nCookie: evil\r\nContent-Type: evil\r\nX-Hop: 1\r\nDigest: 9\r\n";
    for keys in ["", "forwarded = \"append\"", "forwarded = \"off\""] {
        let site = Site::with(keys, &[&origin]);
        let before = origin.count();
        let answer = site.client().ask(format!(
            "POST / HTTP/1.1\r\nHost: h\r\nConnection: x-hop\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nhi\r\n0\r\n{trailers}\r\n"
        ));
        assert_eq!(answer.text(), "a", "{keys:?}");
        let seen = origin.requests().swap_remove(before);
        let mut passed = seen.trailers.clone();
        passed.sort();
        let expected =
            [("digest", "9"), ("x-sum", "7")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!((seen.text().as_str(), passed), ("hi", expected.to_vec()), "{keys:?}");
    }
}

/// A client that takes trailers gets them, whether `Trailer` named them or not.
#[test]
fn trailers_reach_a_client_that_takes_them() {
    let chunks = |named: &str, body: &str| {
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: x-hop\r\n{named}\r\n{body}")
    };
    let end = "0\r\nX-Sum: 7\r\nX-Hop: 1\r\nSet-Cookie: evil\r\nContent-Length: 5\r\nX-Sum: 8\r\n\r\n";
    let long = "x".repeat(300_000);
    for (what, named, body) in [
        ("not named", "", "hi"),
        ("named", "Trailer: x-sum\r\n", "hi"),
        ("others named", "Trailer: x-other\r\n", "hi"),
        ("a long body", "", long.as_str()),
    ] {
        let origin = Origin::answering(chunks(named, &format!("{:x}\r\n{body}\r\n{end}", body.len())));
        let site = Site::of(&[&origin]);
        let mut client = site.client();
        let expected = ["7", "8"].map(|value| ("x-sum".to_owned(), value.to_owned()));
        for te in ["TE: trailers\r\nConnection: TE\r\n", "TE: gzip;q=0.5, Trailers;q=1\r\nConnection: te\r\n"]
        {
            let answer = client.ask(get(te));
            assert_eq!((answer.text().as_str(), &answer.trailers[..]), (body, &expected[..]), "{what}: {te}");
            // Two at once: the end of one is told from the beginning of the next.
            client.send(get(te).repeat(3));
            for _ in 0..3 {
                let answer = client.answer();
                assert_eq!(
                    (answer.text().as_str(), &answer.trailers[..]),
                    (body, &expected[..]),
                    "{what}: {te}"
                );
            }
        }
        for te in ["", "TE: gzip\r\n"] {
            let answer = client.ask(get(te));
            assert_eq!((answer.text().as_str(), answer.trailers.len()), (body, 0), "{what}: {te:?}");
        }
        let mut old = site.client();
        let answer = old.ask("GET / HTTP/1.0\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
        assert_eq!(answer.text(), body, "{what}: HTTP/1.0");
    }
    // Nothing but trailers, and nothing of them that may pass.
    for (body, count) in [("0\r\nX-Sum: 7\r\n\r\n", 1), ("2\r\nhi\r\n0\r\nHost: x\r\n\r\n", 0)] {
        let origin = Origin::answering(chunks("", body));
        let site = Site::of(&[&origin]);
        let mut client = site.client();
        for _ in 0..2 {
            assert_eq!(client.ask(get("TE: trailers\r\n")).trailers.len(), count, "{body:?}");
        }
    }
}

/// Trailers that come long after what they belong to.
#[test]
fn trailers_do_not_hold_the_body_back() {
    let origin = Origin::start(|call| {
        loop {
            call.request()?;
            call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")?;
            call.await_mark("go on")?;
            call.send("0\r\nX-Sum: 7\r\n\r\n")?;
        }
    });
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    client.send(get("TE: trailers\r\n"));
    client.answer_head();
    assert_eq!(client.try_chunk().unwrap(), b"hi");
    origin.tell("go on");
    assert_eq!(client.exact(15), b"0\r\nx-sum: 7\r\n\r\n");
}

#[test]
fn an_answer_that_ends_with_its_connection_says_so_in_http_1_0() {
    let ask = "GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n";
    let chunked =
        Origin::answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
    let unframed = Origin::start(|call| {
        call.request()?;
        call.send("HTTP/1.0 200 OK\r\n\r\nhi")
    });
    for origin in [&chunked, &unframed] {
        let site = Site::of(&[origin]);
        let mut client = site.client();
        client.send(ask);
        let head = client.answer_head();
        assert_eq!(head.all("connection"), ["close"]);
        assert!(!head.has("content-length") && !head.has("transfer-encoding"));
        assert_eq!(client.try_rest().unwrap(), b"hi");
    }
    // One that Shunt ends.
    let site = Site::with("limits = { body = \"1B\" }", &[&chunked]);
    let mut client = site.client();
    let answer = client.ask("POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 9\r\n\r\n");
    assert_eq!((answer.status(), answer.head.all("connection")), (413, vec!["close"]));
    assert!(client.ended());
    // What has no body needs no end.
    let site = Site::of(&[&chunked]);
    let mut client = site.client();
    for _ in 0..2 {
        client.send("HEAD / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(client.answer_head().all("connection"), ["keep-alive"]);
    }
}

#[test]
fn an_unknown_status_keeps_the_reason_phrase_of_the_member() {
    for (line, expected) in [
        ("HTTP/1.1 299 All Right", "HTTP/1.1 299 All Right"),
        ("HTTP/1.1 299 ", "HTTP/1.1 299 "),
        ("HTTP/1.1 299", "HTTP/1.1 299 "),
        ("HTTP/1.1 799 Far Away", "HTTP/1.1 799 Far Away"),
        ("HTTP/1.1 404 Nothing Here", "HTTP/1.1 404 Not Found"),
    ] {
        let origin = Origin::answering(format!("{line}\r\nContent-Length: 2\r\n\r\nok"));
        let answer = Site::of(&[&origin]).client().get("/");
        assert_eq!((answer.head.line.as_str(), answer.text().as_str()), (expected, "ok"));
    }
}

#[test]
fn who_gets_max_forwards_0_answers() {
    let origin = Origin::answering(ok("a"));
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    for target in ["/", "*", "http://h"] {
        let answer = client.ask(format!("OPTIONS {target} HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n"));
        assert_eq!((answer.status(), answer.get("content-length")), (200, Some("0")), "{target}");
        assert!(answer.get("allow").is_some_and(|it| it.contains("OPTIONS")), "{target}");
    }
    let mut other = site.client();
    let answer = other.ask("TRACE / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\nCookie: secret\r\n\r\n");
    assert_eq!(answer.status(), 405);
    assert!(!answer.text().contains("secret") && answer.head.has("allow"));
    assert_eq!(origin.count(), 0);
    let status = site.daemon.status();
    assert_eq!(
        (&status["virtuals"][0]["requests"], &status["virtuals"][0]["errors"]),
        (&4.into(), &1.into())
    );

    for (method, sent, passed) in
        [("OPTIONS", "1", "0"), ("TRACE", "10", "9"), ("GET", "0", "0"), ("GET", "x", "x")]
    {
        let before = origin.count();
        client.ask(format!("{method} / HTTP/1.1\r\nHost: h\r\nMax-Forwards: {sent}\r\n\r\n"));
        let seen = origin.requests().swap_remove(before);
        assert_eq!(seen.head.all("max-forwards"), [passed], "{method} {sent}");
    }
    for wrong in ["x", "-1", "", "1, 0"] {
        let answer =
            site.client().ask(format!("OPTIONS / HTTP/1.1\r\nHost: h\r\nMax-Forwards: {wrong}\r\n\r\n"));
        assert_eq!(answer.status(), 400, "{wrong:?}");
    }
}
