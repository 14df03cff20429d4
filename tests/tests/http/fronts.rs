//! Proxies in front of Shunt: what they say of the client is believed of those that the operator trusts.

use shunt_tests::daemon::until;
use shunt_tests::origin::{Origin, ok};
use shunt_tests::raw::Message;
use shunt_tests::site::Site;

const CLAIMS: &str = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\n\
     X-Forwarded-Port: 443\r\nForwarded: for=192.0.2.7\r\nX-Request-Id: of-the-front\r\n";

fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n")
}

#[track_caller]
fn told(seen: &Message, expected: [&str; 5]) {
    let names = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "forwarded"];
    for (name, expected) in names.into_iter().zip(expected) {
        assert_eq!(seen.head.all(name).join("|"), expected, "{name}");
    }
}

#[test]
fn the_word_of_trusted_proxies_is_kept() {
    let origin = Origin::named("a");
    for (trusted, is_kept) in [
        ("trusted-proxies = [\"198.51.100.0/24\", \"127.0.0.1\"]", true),
        ("trusted-proxies = \"198.51.100.0/24\"", false),
        ("", false),
    ] {
        let site = Site::with(&format!("{trusted}\nrequest-id = true"), &[&origin]);
        let port = site.address.port().to_string();
        let answer = site.client().ask(get(CLAIMS));
        let seen = origin.requests().pop().unwrap();
        let id = seen.get("x-request-id").unwrap();
        assert_eq!(answer.get("x-request-id"), Some(id));
        if is_kept {
            let appended = "for=192.0.2.7, for=127.0.0.1;proto=http;host=h";
            told(&seen, ["192.0.2.7, 127.0.0.1", "https", "shop.example", "443", appended]);
            assert_eq!(id, "of-the-front");
        } else {
            told(&seen, ["127.0.0.1", "http", "h", &port, "for=127.0.0.1;proto=http;host=h"]);
            assert_eq!(id.len(), 32, "{id}");
        }
        // Without a host there is none to tell of.
        site.client().ask("GET / HTTP/1.0\r\nX-Forwarded-Host: evil\r\n\r\n");
        let seen = origin.requests().pop().unwrap();
        assert_eq!(seen.get("x-forwarded-host"), if is_kept { Some("evil") } else { None }, "{trusted}");
    }
    // By default nobody numbers requests.
    let site = Site::of(&[&origin]);
    assert_eq!(site.client().ask(get("")).get("x-request-id"), None);
}

/// RFC 8470 section 5: who adds it says that the request may be a replay, and the answer is the origin's.
#[test]
fn early_data_of_a_front_and_its_refusal_pass() {
    let origin =
        Origin::answering("HTTP/1.1 425 Too Early\r\nContent-Length: 3\r\nRetry-After: 1\r\n\r\nnow");
    let site = Site::of(&[&origin]);
    let answer = site.client().ask(get("Early-Data: 1\r\n"));
    assert_eq!((answer.status(), answer.text().as_str()), (425, "now"));
    assert_eq!(origin.request().head.all("early-data"), ["1"], "sent once");
}

#[test]
fn a_proxy_header_of_a_trusted_source_says_who_the_client_is() {
    let origin = Origin::named("a");
    let site = Site::with("proxy-protocol = \"127.0.0.0/8\"", &[&origin]);
    // Version 2, PROXY, TCP over IPv6, with a TLV of TLS: the client's side is TLS.
    let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x2c".to_vec();
    v2.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    v2.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    v2.extend([0x0f, 0xa0, 0x20, 0xfb, 0x20, 0, 5, 1, 0, 0, 0, 0]);
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec();
    let port = site.address.port().to_string();
    for (header, expected) in [
        (
            b"PROXY TCP4 192.0.2.7 198.51.100.1 4000 8443\r\n".to_vec(),
            ["192.0.2.7", "http", "h", "8443", "for=192.0.2.7;proto=http;host=h"],
        ),
        (v2, ["2001:db8::7", "https", "h", "8443", "for=\"[2001:db8::7]\";proto=https;host=h"]),
        (b"PROXY UNKNOWN\r\n".to_vec(), ["127.0.0.1", "http", "h", &port, "for=127.0.0.1;proto=http;host=h"]),
        (local, ["127.0.0.1", "http", "h", &port, "for=127.0.0.1;proto=http;host=h"]),
    ] {
        let mut client = site.client();
        // At once with the request, and apart from it.
        for (half, rest) in [(header.len() / 2, true), (header.len(), false)] {
            client = site.client();
            client.send(&header[..half]);
            if rest {
                client.send([&header[half..], get("").as_bytes()].concat());
            } else {
                client.send(get(""));
            }
            assert_eq!(client.answer().text(), "a");
            told(&origin.requests().pop().unwrap(), expected);
        }
        assert_eq!(client.ask(get("")).text(), "a", "one header for all requests of a connection");
    }
}

#[test]
fn headers_that_lie_or_are_cut_are_refused_and_counted() {
    let origin = Origin::start(|call| {
        loop {
            call.request()?;
            call.send(ok("a"))?;
        }
    });
    let keys = "proxy-protocol = \"127.0.0.2\"\ntimeouts = { head = \"300ms\" }";
    let site = Site::with(keys, &[&origin]);
    let trusted = || shunt_tests::raw::Client::connect_from("127.0.0.2".parse().unwrap(), site.address);
    let lies: [&[u8]; 7] = [
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 1 65536\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 1\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2\nGET / HTTP/1.1\r\n\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04\xc0\0\x02\x07",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c",
    ];
    for lie in lies {
        let mut client = trusted();
        client.send(lie);
        assert_eq!(client.try_rest().unwrap_or_default(), b"", "{lie:?}");
    }
    // Cut: by its end, and by silence.
    let mut cut = trusted();
    cut.send("PROXY TCP4 192.0.2.7");
    cut.end();
    assert_eq!(cut.try_rest().unwrap_or_default(), b"");
    let mut silent = trusted();
    silent.send("PROXY TCP4 192.0.2.7");
    assert_eq!(silent.try_rest().unwrap_or_default(), b"");
    let count = || site.daemon.status()["virtuals"][0]["proxy-headers-refused"].clone();
    until("all are counted", || count() == lies.len() + 2);
    assert_eq!(origin.count(), 0);
    // One that nobody trusts has no word: it is no request.
    let mut other = site.client();
    other.send("PROXY TCP4 192.0.2.7 192.0.2.1 1 2\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(other.answer().status(), 400);
    assert_eq!(site.client().ask(get("")).text(), "a", "who sends none needs none");
    assert_eq!(count(), lies.len() + 2);
}
