//! Rules that see and replace the bodies of answers.

use shunt_tests::frames;
use shunt_tests::origin::{Call, Origin};
use shunt_tests::packs;
use shunt_tests::raw::Message;
use shunt_tests::site::{self, Site, rule};

/// In front of an origin, with the guest.
fn between(origin: &Origin, settings: &str, of_rule: &str) -> Site {
    let of_rule = format!("settings = {{ {settings} }}\n{of_rule}");
    let rule = rule("rewrites", &packs::guest("rewrites"), &of_rule);
    Site::configured(|at| site::config(at, "", &(rule + &site::pool("web", "", &[origin.address()]))))
}

fn ask(site: &Site, method: &str, to_do: &str) -> Message {
    let mut client = site.client();
    client.ask(format!(
        "{method} / HTTP/1.1\r\nHost: h\r\nX-Do: {to_do}\r\nTE: trailers\r\nConnection: te\r\n\r\n"
    ))
}

fn answering(head: &str, body: &str) -> Origin {
    Origin::answering(format!("HTTP/1.1 {head}\r\n\r\n{body}"))
}

#[test]
fn bodies_are_seen_replaced_and_answered() {
    let fields = "200 OK\r\nETag: \"a\"\r\nAccept-Ranges: bytes\r\nContent-Length: 4";
    let origin = answering(fields, "text");
    let site = between(&origin, "", "");
    let answer = ask(&site, "GET", "look");
    assert_eq!((answer.text().as_str(), answer.get("x-seen")), ("text", Some("4 true")));
    assert_eq!((answer.get("content-length"), answer.get("etag")), (Some("4"), Some("\"a\"")));
    let answer = ask(&site, "GET", "replace");
    assert_eq!((answer.text().as_str(), answer.get("content-length")), ("other", Some("5")));
    assert_eq!((answer.get("etag"), answer.get("accept-ranges")), (Some("W/\"a\""), None));
    let answer = ask(&site, "GET", "respond");
    assert_eq!((answer.status(), answer.text().as_str()), (418, "instead"));
    assert_eq!(ask(&site, "GET", "panic").status(), 500);
    // Not asked.
    let answer = site.client().get("/");
    assert_eq!((answer.text().as_str(), answer.get("x-seen")), ("text", None));
    assert_eq!(origin.accepts(), 1, "the member's connection is used again");
}

#[test]
fn the_rest_of_a_longer_body_follows() {
    let long = "x".repeat(100_000);
    let origin = answering(&format!("200 OK\r\nContent-Length: {}", long.len()), &long);
    let site = between(&origin, "most = 10", "");
    let answer = ask(&site, "GET", "look");
    assert_eq!((answer.text().len(), answer.get("x-seen")), (100_000, Some("10 false")));
    let answer = ask(&site, "GET", "replace");
    assert_eq!(answer.text(), format!("other{}", &long[10..]));
    assert_eq!(answer.get("content-length"), Some("99995"));
    let empty = between(&origin, "most = 10, text = \"\"", "");
    assert_eq!(ask(&empty, "GET", "replace").text(), long[10..]);
}

#[test]
fn framing_follows_what_is_sent() {
    let chunked = "200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum";
    let origin = answering(chunked, "2\r\nab\r\n1\r\nc\r\n0\r\nx-sum: 7\r\n\r\n");
    let site = between(&origin, "", "");
    for (to_do, text, seen) in [("look", "abc", "3 true"), ("replace", "other", "3 true")] {
        let answer = ask(&site, "GET", to_do);
        assert_eq!((answer.text().as_str(), answer.get("x-seen")), (text, Some(seen)));
        assert_eq!(answer.get("transfer-encoding"), Some("chunked"), "there are trailers");
        assert_eq!(answer.trailers.len(), 1);
    }
    let until_closed = Origin::start(|call: &mut Call| {
        call.request()?;
        call.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nlast")?;
        call.end()
    });
    let answer = ask(&between(&until_closed, "", ""), "GET", "look");
    assert_eq!((answer.text().as_str(), answer.get("content-length")), ("last", Some("4")));
    let empty = answering("200 OK\r\nContent-Length: 0", "");
    let answer = ask(&between(&empty, "", ""), "GET", "replace");
    assert_eq!((answer.text().as_str(), answer.get("x-seen")), ("other", Some("0 true")));
}

#[test]
fn answers_without_a_body_are_sent_on() {
    for (method, head) in [
        ("HEAD", "200 OK\r\nContent-Length: 4"),
        ("GET", "204 No Content"),
        ("GET", "304 Not Modified\r\nContent-Length: 4"),
    ] {
        let origin = answering(head, "");
        let site = between(&origin, "", "");
        let mut client = site.client();
        for _ in 0..2 {
            client.send(format!("{method} / HTTP/1.1\r\nHost: h\r\nX-Do: replace\r\n\r\n"));
            let answer = client.answer_head();
            assert_eq!((answer.get("x-seen"), answer.get("content-length")), (None, None), "{method} {head}");
        }
    }
}

#[test]
fn a_part_of_something_is_not_replaced() {
    let part = "206 Partial Content\r\nContent-Range: bytes 0-3/9\r\nContent-Length: 4";
    let origin = answering(part, "text");
    let site = between(&origin, "", "on-fault = \"continue\"");
    let answer = ask(&site, "GET", "replace");
    assert_eq!((answer.status(), answer.text().as_str()), (206, "text"));
    site.daemon.wait_log("remove `range` from the request");
    assert_eq!(ask(&site, "GET", "look").get("x-seen"), Some("4 true"));
}

#[test]
fn a_member_that_breaks_off_is_told_as_one_without_an_answer() {
    let broken = Origin::start(|call: &mut Call| {
        call.request()?;
        call.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")?;
        call.end()
    });
    assert_eq!(ask(&between(&broken, "", ""), "GET", "look").status(), 502);
    // With enough of it for the rule the answer is on its way.
    let site = between(&broken, "most = 4", "");
    let mut client = site.client();
    client.send("GET / HTTP/1.1\r\nHost: h\r\nX-Do: look\r\n\r\n");
    let all = String::from_utf8(client.try_rest().unwrap_or_default()).unwrap();
    assert!(all.starts_with("HTTP/1.1 200 OK\r\n") && all.ends_with("\r\n\r\nhalf"), "{all}");
}

#[test]
fn clients_of_http2_get_the_same() {
    let over_http2 = |origin: &Origin, settings: &str| {
        let rule = rule("rewrites", &packs::guest("rewrites"), &format!("settings = {{ {settings} }}"));
        let rest = rule + &site::pool("web", "", &[origin.address()]);
        Site::configured(|at| site::config(at, "http2 = { start = \"prior-knowledge\" }", &rest))
    };
    let long = "x".repeat(100_000);
    let origin = answering(&format!("200 OK\r\nContent-Length: {}", long.len()), &long);
    let site = over_http2(&origin, "most = 10");
    let mut client = frames::Client::connect(site.address);
    // Streams of one connection, each with its own.
    let streams: Vec<_> = ["look", "replace", "respond", "panic"]
        .into_iter()
        .map(|to_do| client.request("GET", "/", &[("x-do", to_do)]))
        .collect();
    let answers: Vec<_> = streams.into_iter().map(|stream| client.answer(stream)).collect();
    let told: Vec<_> = answers.iter().map(|it| (it.status, it.text())).collect();
    assert_eq!(told[0], (200, long.clone()));
    assert_eq!(told[1], (200, format!("other{}", &long[10..])));
    assert_eq!(told[2], (418, "instead".to_owned()));
    assert_eq!(told[3].0, 500);

    let origin = answering(
        "200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum",
        "2\r\nab\r\n1\r\nc\r\n0\r\nx-sum: 7\r\n\r\n",
    );
    let site = over_http2(&origin, "");
    let mut client = frames::Client::connect(site.address);
    let stream = client.request("GET", "/", &[("x-do", "replace"), ("te", "trailers")]);
    let answer = client.answer(stream);
    assert_eq!((answer.text().as_str(), answer.trailers), ("other", true));
    let head = client.request("HEAD", "/", &[("x-do", "replace")]);
    assert_eq!(client.answer(head).text(), "");
}
