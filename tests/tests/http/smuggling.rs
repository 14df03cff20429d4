//! Requests that two parsers could read differently are refused, and what hides behind them reaches nobody.

use shunt_tests::origin::Origin;
use shunt_tests::raw::Client;
use shunt_tests::site::Site;

/// What an attacker wants to be served.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n";

/// Sends it, in one piece or byte by byte; the daemon may close before all of it is out.
fn send(client: &mut Client, bytes: &[u8], piece: usize) {
    for piece in bytes.chunks(piece) {
        if client.try_send(piece).is_err() {
            return;
        }
    }
}

#[track_caller]
fn refused(cases: &[(&str, String)]) {
    let origin = Origin::named("a");
    let site = Site::of(&[&origin]);
    for (what, request) in cases {
        for piece in [usize::MAX, 1] {
            let mut client = site.client();
            send(&mut client, format!("{request}{HIDDEN}").as_bytes(), piece);
            let answer = client.try_answer().unwrap_or_else(|error| panic!("{what}: no answer: {error}"));
            assert_eq!(answer.status(), 400, "{what}: {}", answer.text());
            assert_eq!(answer.get("connection"), Some("close"), "{what}");
            assert!(client.ended(), "{what}");
        }
    }
    assert_eq!(
        origin.count(),
        0,
        "{:?}",
        origin.requests().iter().map(|it| &it.head.line).collect::<Vec<_>>()
    );
    assert_eq!(site.client().get("/").text(), "a", "the site is there for others");
    let web = &site.daemon.status()["virtuals"][0];
    let counted = (&web["errors"], &web["answers"][3], &web["answers"][1]);
    assert_eq!(counted, (&(2 * cases.len()).into(), &(2 * cases.len()).into(), &1.into()), "each is counted");
}

fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n{body}")
}

#[test]
fn two_lengths() {
    refused(&[
        ("length, then chunks", post("Content-Length: 6\r\nTransfer-Encoding: chunked", "0\r\n\r\nG")),
        ("chunks, then length", post("Transfer-Encoding: chunked\r\nContent-Length: 4", "0\r\n\r\n")),
        ("two that differ", post("Content-Length: 5\r\nContent-Length: 6", "hello!")),
        ("a list", post("Content-Length: 5, 5", "hello")),
        ("a list that differs", post("Content-Length: 5, 6", "hello")),
        ("a sign", post("Content-Length: +5", "hello")),
        ("negative", post("Content-Length: -5", "hello")),
        ("hexadecimal", post("Content-Length: 0x5", "hello")),
        ("empty", post("Content-Length:", "")),
        ("a space inside", post("Content-Length: 1 0", "hello")),
        ("past 2^64", post("Content-Length: 18446744073709551621", "hello")),
        ("2^64 - 1", post("Content-Length: 18446744073709551615", "hello")),
        ("2^64 - 2", post("Content-Length: 18446744073709551614", "hello")),
    ]);
}

#[test]
fn other_codings() {
    refused(&[
        ("another before chunked", post("Transfer-Encoding: gzip, chunked", "0\r\n\r\n")),
        ("another behind chunked", post("Transfer-Encoding: chunked, identity", "0\r\n\r\n")),
        ("another alone", post("Transfer-Encoding: identity", "")),
        ("twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n")),
        ("chunked, then another", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: x", "0\r\n\r\n")),
        ("nearly", post("Transfer-Encoding: xchunked", "0\r\n\r\n")),
        ("a vertical tab", post("Transfer-Encoding: \x0bchunked", "0\r\n\r\n")),
        ("quoted", post("Transfer-Encoding: \"chunked\"", "0\r\n\r\n")),
        (
            "in HTTP/1.0",
            "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        ),
    ]);
}

#[test]
fn bad_chunks() {
    let chunks = |body: &str| post("Transfer-Encoding: chunked", body);
    refused(&[
        ("no size", chunks("\r\nhello\r\n0\r\n\r\n")),
        ("not hexadecimal", chunks("g\r\nhello\r\n0\r\n\r\n")),
        ("a prefix", chunks("0x5\r\nhello\r\n0\r\n\r\n")),
        ("negative", chunks("-1\r\nhello\r\n0\r\n\r\n")),
        ("a sign", chunks("+5\r\nhello\r\n0\r\n\r\n")),
        ("two sizes", chunks("5 5\r\nhello\r\n0\r\n\r\n")),
        ("past 2^64", chunks("10000000000000005\r\nhello\r\n0\r\n\r\n")),
        ("2^64 - 1", chunks("ffffffffffffffff\r\nhello\r\n0\r\n\r\n")),
        ("more digits than a size has", chunks("00000000000000005\r\nhello\r\n0\r\n\r\n")),
        ("too short", chunks("4\r\nhello\r\n0\r\n\r\n")),
        ("too long", chunks("6\r\nhello\r\n0\r\n\r\n")),
        ("LF behind a size", chunks("5\nhello\r\n0\r\n\r\n")),
        ("CR behind a size", chunks("5\rhello\r\n0\r\n\r\n")),
        ("LF in an extension", chunks("5;a\nb\r\nhello\r\n0\r\n\r\n")),
        ("LF behind the data", chunks("5\r\nhello\n0\r\n\r\n")),
        ("a trailer that is a request", chunks("0\r\nGET /hidden HTTP/1.1\r\n\r\n")),
    ]);
}

#[test]
fn bad_lines() {
    let head = |head: &str| head.to_owned();
    refused(&[
        ("a folded field", post("X: a\r\n b", "")),
        ("a folded length", post("Content-Length: 5\r\n 6", "hello")),
        ("a fold first", head("GET / HTTP/1.1\r\n Host: h\r\n\r\n")),
        ("space before a colon", head("GET / HTTP/1.1\r\nHost : h\r\n\r\n")),
        ("space before a colon of a length", post("Content-Length : 5", "hello")),
        ("space before a colon of a coding", post("Transfer-Encoding : chunked", "0\r\n\r\n")),
        ("no colon", post("Something", "")),
        ("no name", post(": a", "")),
        ("NUL in a value", post("X: a\0b", "")),
        ("NUL in a name", post("X\0: a", "")),
        ("CR in a value", post("X: a\rb", "")),
        ("CR before a name", post("\rX: a", "")),
        ("DEL in a value", post("X: a\x7fb", "")),
        ("LF as line end", head("GET / HTTP/1.1\nHost: h\n\n")),
        ("LF behind one field", post("X: a\nContent-Length: 5", "hello")),
        ("LF as the empty line", head("GET / HTTP/1.1\r\nHost: h\r\n\n")),
        ("LF before the request", head("\nGET / HTTP/1.1\r\nHost: h\r\n\r\n")),
        ("CR in the target", head("GET /\rx HTTP/1.1\r\nHost: h\r\n\r\n")),
        ("NUL in the target", head("GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n")),
        ("space in the target", head("GET /a b HTTP/1.1\r\nHost: h\r\n\r\n")),
        ("no version", head("GET /\r\nHost: h\r\n\r\n")),
        ("a version in lower case", head("GET / http/1.1\r\nHost: h\r\n\r\n")),
        ("no method", head(" / HTTP/1.1\r\nHost: h\r\n\r\n")),
        ("a method that is none", head("G(T / HTTP/1.1\r\nHost: h\r\n\r\n")),
    ]);
}

/// What the parser drops or takes for something else must not decide what a member or a rule sees.
#[test]
fn targets() {
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
    refused(&[
        ("a fragment", get("/admin#.png")),
        ("a fragment behind a query", get("/?q=a#b")),
        ("an empty fragment", get("/#")),
        ("a fragment first", get("#")),
        ("a fragment in absolute form", get("http://h/a#b")),
        ("a fragment behind a host", get("http://h#b")),
        ("a fragment behind an asterisk", "OPTIONS *# HTTP/1.1\r\nHost: h\r\n\r\n".to_owned()),
        ("a fragment in HTTP/1.0", "GET /a#b HTTP/1.0\r\nHost: h\r\n\r\n".to_owned()),
        ("octets beyond ASCII", get("/caf\u{e9}")),
        ("octets beyond ASCII in a query", get("/?q=\u{1f980}")),
        ("octets beyond ASCII in absolute form", get("http://h/\u{e9}")),
        ("an asterisk in a GET", get("*")),
        ("an asterisk in a POST", "POST * HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n".to_owned()),
        ("an asterisk in HTTP/1.0", "GET * HTTP/1.0\r\nHost: h\r\n\r\n".to_owned()),
        ("an asterisk and more", "OPTIONS *?a HTTP/1.1\r\nHost: h\r\n\r\n".to_owned()),
    ]);
}

#[test]
fn hosts() {
    let with = |lines: &str| format!("GET / HTTP/1.1\r\n{lines}\r\n");
    let absolute = |target: &str, host: &str| format!("GET {target} HTTP/1.1\r\n{host}\r\n");
    refused(&[
        ("none", with("")),
        ("two", with("Host: a\r\nHost: b\r\n")),
        ("the same twice", with("Host: a\r\nhost: a\r\n")),
        ("two words", with("Host: a b\r\n")),
        ("a user", with("Host: user@a\r\n")),
        ("a path", with("Host: a/b\r\n")),
        ("a port that is none", with("Host: h:abc\r\n")),
        ("a port that is too large", with("Host: h:65536\r\n")),
        ("two ports", with("Host: h:80:80\r\n")),
        ("a port alone", with("Host: :80\r\n")),
        ("a colon alone", with("Host: :\r\n")),
        ("a bracket alone", with("Host: [\r\n")),
        ("nothing in brackets", with("Host: []\r\n")),
        ("no address in brackets", with("Host: [h]\r\n")),
        ("a bracket that does not end", with("Host: [::1\r\n")),
        ("something behind a bracket", with("Host: [::1]x\r\n")),
        ("an IPv6 address without brackets", with("Host: ::1\r\n")),
        ("a zone", with("Host: [fe80::1%25eth0]\r\n")),
        ("half an escape", with("Host: a%4\r\n")),
        ("octets beyond ASCII", with("Host: caf\u{e9}\r\n")),
        ("a port that is none in HTTP/1.0", "GET / HTTP/1.0\r\nHost: h:abc\r\n\r\n".to_owned()),
        ("a user in the target in HTTP/1.0", "GET http://user@a/ HTTP/1.0\r\n\r\n".to_owned()),
        ("a user in the target and no host", absolute("http://user@a/", "Host:\r\n")),
        ("a port that is none in the target", absolute("http://a:x/", "Host: a:x\r\n")),
        ("two in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n".to_owned()),
        ("another in the target", absolute("http://a/", "Host: b\r\n")),
        ("another port in the target", absolute("http://a:81/", "Host: a\r\n")),
        ("a user in the target", absolute("http://user@a/", "Host: a\r\n")),
        ("none beside the target", absolute("http://a/", "")),
        ("two beside the target", absolute("http://a/", "Host: a\r\nHost: a\r\n")),
        ("a target that is only a host", absolute("a:80", "Host: a:80\r\n")),
    ]);
}

/// The second of two pipelined requests is refused; the first is served.
#[test]
fn only_what_comes_behind_the_doubt_is_refused() {
    let origin = Origin::named("a");
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    let bad = post("Content-Length: 4\r\nTransfer-Encoding: chunked", "0\r\n\r\n");
    client.send(format!("GET /good HTTP/1.1\r\nHost: h\r\n\r\n{bad}{HIDDEN}"));
    assert_eq!(client.answer().text(), "a");
    assert_eq!(client.answer().status(), 400);
    assert!(client.ended());
    assert_eq!(origin.request().head.line, "GET /good HTTP/1.1");
}

#[test]
fn connect_is_not_served() {
    let origin = Origin::named("a");
    let site = Site::of(&[&origin]);
    let mut client = site.client();
    let answer = client.ask(format!("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n{HIDDEN}"));
    assert_eq!(answer.status(), 405);
    assert!(answer.head.has("allow"));
    assert!(client.ended());
    assert_eq!(origin.count(), 0);
}
