use http::{HeaderName, HeaderValue, Response};

use super::*;

const ASKED: Asked = Asked { http_11: true, head: false, keep_alive: true };

/// The head of an answer, without its date.
fn written(status: u16, fields: &[(&str, &str)], asked: Asked, length: Option<u64>, stays: bool) -> String {
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.status = StatusCode::from_u16(status).unwrap();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        parts.headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    let mut out = Vec::new();
    let framing = Framing::of(asked, parts.status, length);
    write_head(&mut out, &parts, None, asked, framing, length, stays);
    let text = String::from_utf8(out).unwrap();
    let lines = text.split_inclusive("\r\n").filter(|line| !line.starts_with("date: "));
    assert_eq!(lines.clone().count() + 1, text.matches("\r\n").count(), "one date");
    lines.collect()
}

#[test]
fn bodies_are_framed_by_what_is_known_of_them() {
    let old = Asked { http_11: false, ..ASKED };
    let head = Asked { head: true, ..ASKED };
    let claimed = [("content-length", "7"), ("trailer", "x")];
    for (status, fields, asked, length, expected) in [
        (200, &[][..], ASKED, Some(5), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"),
        (404, &[], ASKED, Some(0), "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"),
        (200, &claimed, ASKED, Some(5), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"),
        (200, &claimed, ASKED, None, "HTTP/1.1 200 OK\r\ntrailer: x\r\ntransfer-encoding: chunked\r\n\r\n"),
        (200, &[], old, Some(5), "HTTP/1.0 200 OK\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\n"),
        (200, &claimed, head, Some(0), "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n"),
        (200, &[], head, Some(5), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"),
        (200, &[], head, Some(0), "HTTP/1.1 200 OK\r\n\r\n"),
        (204, &[("content-length", "0")], ASKED, Some(0), "HTTP/1.1 204 No Content\r\n\r\n"),
        (304, &[("etag", "\"1\"")], ASKED, Some(0), "HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\n\r\n"),
        (299, &[], ASKED, Some(0), "HTTP/1.1 299 \r\ncontent-length: 0\r\n\r\n"),
        (
            101,
            &[("connection", "upgrade"), ("upgrade", "x")],
            ASKED,
            Some(0),
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        ),
    ] {
        assert_eq!(written(status, fields, asked, length, true), expected, "{status} {fields:?} {asked:?}");
    }
}

#[test]
fn the_end_of_a_connection_is_said() {
    let old = Asked { http_11: false, ..ASKED };
    for (fields, asked, expected) in [
        (&[][..], ASKED, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"),
        (
            &[("connection", "upgrade")],
            ASKED,
            "HTTP/1.1 200 OK\r\nconnection: upgrade, close\r\ncontent-length: 0\r\n\r\n",
        ),
        (&[], old, "HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"),
    ] {
        assert_eq!(written(200, fields, asked, Some(0), false), expected);
    }
    assert_eq!(Framing::of(old, StatusCode::OK, None), Framing::UntilClosed);
}

#[test]
fn what_is_no_request_is_told_so() {
    let mut out = Vec::new();
    let answer = Response::builder().status(StatusCode::BAD_REQUEST);
    write_refusal(&mut out, answer.body(Bytes::from("bad request: malformed field\n")).unwrap(), false);
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{text}");
    assert!(
        text.contains("\r\nconnection: close\r\n") && text.contains("\r\ncontent-length: 29\r\n"),
        "{text}"
    );
    assert!(text.ends_with("\r\n\r\nbad request: malformed field\n"), "{text}");
}
