//! What members get of a request, what clients get of an answer, and what is refused.

use shunt_tests::frames::{Client, END_STREAM, Frame, HEADERS, PROTOCOL_ERROR, block, head};
use shunt_tests::origin::{Origin, ok};

use super::site;

#[test]
fn a_request_and_its_answer() {
    let origin = Origin::named("a");
    let site = site("", &origin);
    let mut client = Client::connect(site.address);
    let stream = client.request("GET", "/x?y", &[("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers")]);
    let answer = client.answer(stream);
    assert_eq!((answer.status, answer.text()), (200, "a".to_owned()));
    let request = origin.request();
    assert_eq!(request.head.line, "GET /x?y HTTP/1.1");
    // RFC 9113 section 8.2.3.
    assert_eq!(request.head.all("cookie"), ["a=1; b=2"]);
    assert_eq!(request.head.all("host"), ["h"]);
    assert_eq!(request.get("te"), Some("trailers"));
    assert!(!request.head.raw.windows(2).any(|it| it == b"\n:"), "no pseudo-field goes on");
    // HTTP/1 is there beside it.
    assert_eq!(site.client().get("/").text(), "a");
}

#[test]
fn streams_at_once_are_answered_in_any_order() {
    let origin = Origin::start(|call| {
        let request = call.request()?;
        if request.head.line.contains("/late") {
            call.await_mark("go on")?;
        }
        call.send(ok(&request.head.line))
    });
    let site = site("", &origin);
    let mut client = Client::connect(site.address);
    let late = client.request("GET", "/late", &[]);
    let soon: Vec<_> = (0..20).map(|_| client.request("GET", "/soon", &[])).collect();
    for stream in soon {
        assert_eq!(client.answer(stream).text(), "GET /soon HTTP/1.1");
    }
    origin.tell("go on");
    assert_eq!(client.answer(late).text(), "GET /late HTTP/1.1");
    assert_eq!(site.daemon.status()["virtuals"][0]["requests"], 21);
}

#[test]
fn bodies_and_trailers() {
    let origin = Origin::start(|call| {
        loop {
            call.request()?;
            call.send(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 1\r\n\r\n",
            )?;
        }
    });
    let site = site("", &origin);
    let mut client = Client::connect(site.address);
    let stream = client.upload("/", &[("te", "trailers")]);
    client.data(stream, b"hel", 0);
    client.data(stream, b"lo", 0);
    client.send(&Frame::new(HEADERS, END_STREAM | 4, stream, block(&[("x-digest", "2")])));
    let answer = client.answer(stream);
    assert_eq!((answer.text().as_str(), answer.trailers), ("hi", true));
    let request = origin.request();
    assert_eq!(
        (request.text().as_str(), &request.trailers),
        ("hello", &vec![("x-digest".into(), "2".into())])
    );

    // With a length, and to a client that does not ask for trailers.
    let stream = client.upload("/", &[("content-length", "5")]);
    client.data(stream, b"hello", END_STREAM);
    let answer = client.answer(stream);
    assert_eq!((answer.text().as_str(), answer.trailers), ("hi", false));
    let request = &origin.requests()[1];
    assert_eq!((request.text().as_str(), request.get("content-length")), ("hello", Some("5")));
}

#[test]
fn informational_answers() {
    let origin = Origin::start(|call| {
        loop {
            let head = call.head()?;
            call.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")?;
            let request = call.wire().try_request_body(head)?;
            call.send(ok(&request.text()))?;
        }
    });
    let site = site("", &origin);
    let mut client = Client::connect(site.address);
    let stream = client.request("GET", "/", &[]);
    let answer = client.answer(stream);
    assert_eq!((answer.interim, answer.status), (vec![103], 200));
    // 100 comes of Shunt, when it asks for the body.
    let stream = client.upload("/", &[("expect", "100-continue")]);
    while client.step().unwrap().stream != stream {}
    client.data(stream, b"hi", END_STREAM);
    let answer = client.answer(stream);
    assert!(answer.interim.contains(&100), "{answer:?}");
    assert_eq!((answer.status, answer.text().as_str()), (200, "hi"));
}

#[test]
fn answers_without_a_body() {
    let origin = Origin::start(|call| {
        loop {
            let request = call.request()?;
            let status =
                if request.head.line.contains("/204") { "204 No Content" } else { "304 Not Modified" };
            let head = if request.head.line.starts_with("HEAD") {
                "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n".to_owned()
            } else {
                format!("HTTP/1.1 {status}\r\n\r\n")
            };
            call.send(head)?;
        }
    });
    let site = site("", &origin);
    let mut client = Client::connect(site.address);
    for (method, path, status) in [("GET", "/204", 204), ("GET", "/304", 304), ("HEAD", "/", 200)] {
        let stream = client.request(method, path, &[]);
        let answer = client.answer(stream);
        assert_eq!((answer.status, answer.body.len(), answer.reset), (status, 0, None), "{method} {path}");
    }
}

#[test]
fn malformed_requests_end_their_stream_alone() {
    let origin = Origin::named("a");
    let site = site("", &origin);
    let mut client = Client::connect(site.address);
    let get = head("GET", "/");
    let with = |more: &[(&'static str, &'static str)]| [&get[..], more].concat();
    let replaced = |name: &str, value: &'static str| {
        get.map(|(it, old)| if it == name { (it, value) } else { (it, old) }).to_vec()
    };
    let without = |name: &str| get.iter().copied().filter(|(it, _)| *it != name).collect::<Vec<_>>();
    let cases = [
        ("transfer-encoding", with(&[("transfer-encoding", "chunked")])),
        ("connection", with(&[("connection", "close")])),
        ("te", with(&[("te", "gzip")])),
        ("two hosts", with(&[("host", "h"), ("host", "h")])),
        ("another host", with(&[("host", "i")])),
        ("blanks", with(&[("x", " a")])),
        ("two lengths", with(&[("content-length", "0"), ("content-length", "0")])),
        ("a length without a body", with(&[("content-length", "5")])),
        ("no path", without(":path")),
        ("no scheme", without(":scheme")),
        ("no method", without(":method")),
        ("no authority", without(":authority")),
        ("a path that is none", replaced(":path", "x")),
        ("an empty path", replaced(":path", "")),
        ("*", replaced(":path", "*")),
        ("a fragment", replaced(":path", "/a#b")),
        ("another scheme, and no authority", {
            let mut fields = replaced(":scheme", "ftp");
            fields.retain(|(name, _)| *name != ":authority");
            [fields, vec![("host", "h")]].concat()
        }),
        ("a blank in the path", replaced(":path", "/a HTTP/1.1")),
        ("a scheme that is none", replaced(":scheme", "http/1")),
        ("another scheme", replaced(":scheme", "ftp")),
        ("lower case", replaced(":method", "get")),
        ("user information", replaced(":authority", "u@h")),
        ("an authority that is none", replaced(":authority", "h:x")),
    ];
    for (what, fields) in &cases {
        let stream = client.begin(fields, END_STREAM);
        let answer = client.answer(stream);
        assert_eq!((answer.status, answer.reset), (0, Some(PROTOCOL_ERROR)), "{what}");
    }
    // More than was announced, and less.
    for data in [&b"123456"[..], b"1234"] {
        let stream = client.upload("/", &[("content-length", "5")]);
        client.data(stream, data, END_STREAM);
        assert_eq!(client.answer(stream).reset, Some(PROTOCOL_ERROR), "{data:?}");
    }
    assert_eq!(client.get("/").text(), "a", "the connection goes on");
    assert_eq!(origin.requests().iter().filter(|it| it.head.line.starts_with("GET")).count(), 1);
    assert_eq!(site.daemon.status()["virtuals"][0]["http2-refused"], cases.len());
}

/// RFC 9113 section 8.2.1.
#[test]
fn octets_that_no_field_has() {
    let origin = Origin::named("a");
    let site = site("", &origin);
    let mut client = Client::connect(site.address);
    for (name, value) in [
        ("x", "a\r\nb: c"),
        ("x", "a\nb"),
        ("x", "a\0b"),
        ("x\r\ny", "a"),
        ("x y", "a"),
        ("X", "a"),
        ("", "a"),
        (":x", "a"),
    ] {
        let stream = client.request("GET", "/", &[(name, value)]);
        assert_eq!(client.answer(stream).reset, Some(PROTOCOL_ERROR), "{name:?}: {value:?}");
    }
    assert_eq!(origin.count(), 0);
    assert_eq!(client.get("/").text(), "a", "the connection goes on");
}

#[test]
fn limits_of_a_head() {
    let origin = Origin::named("a");
    let site = site("limits = { head = \"8KiB\", fields = 20, body = \"8B\" }", &origin);
    let mut client = Client::connect(site.address);
    let many = [("x", "y"); 21];
    for (what, more, status) in [
        ("a large field", &[("x", "y".repeat(9_000).as_str())][..], 431),
        ("a larger one", &[("x", "y".repeat(24_000).as_str())], 431),
        ("many fields", &many, 431),
        ("just enough", &[("x", "y".repeat(8_000).as_str())], 200),
    ] {
        let stream = client.request("GET", "/", more);
        assert_eq!(client.answer(stream).status, status, "{what}");
    }
    let stream = client.upload("/", &[("content-length", "9")]);
    assert_eq!(client.status(stream), 413);
    let stream = client.upload("/", &[]);
    client.data(stream, b"123456789", END_STREAM);
    assert_eq!(client.answer(stream).status, 413);
    assert_eq!(client.get("/").text(), "a");
    assert_eq!(origin.count(), 2);
}

#[test]
fn connect_is_not_served() {
    let origin = Origin::named("a");
    let site = site("", &origin);
    let mut client = Client::connect(site.address);
    let stream = client.begin(&[(":method", "CONNECT"), (":authority", "h:443")], 0);
    assert_eq!(client.status(stream), 405);
    assert_eq!(client.get("/").text(), "a");
}

#[test]
fn answers_of_shunt_to_grpc_clients() {
    let origin = Origin::start(|call| call.request().map(drop));
    let site = site("", &origin);
    let mut client = Client::connect(site.address);
    let stream =
        client.upload("/service/Method", &[("content-type", "application/grpc"), ("te", "trailers")]);
    client.data(stream, b"\0\0\0\0\0", END_STREAM);
    let answer = client.answer(stream);
    assert_eq!((answer.status, answer.body.len(), answer.trailers), (200, 0, false), "trailers only");
    let web = &site.daemon.status()["virtuals"][0];
    assert_eq!(web["answers"][4], 1, "it counts as what it is");
}
