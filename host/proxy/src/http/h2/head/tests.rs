use shunt_config::model::Http2Start;

use super::*;

const LIMITS: Limits =
    Limits { head: 8 << 10, fields: 20, body: None, connections: None, requests: None, data: 64 };
const HTTP2: Http2 = Http2 { start: Http2Start::Alpn, streams: 100, websocket: true };

/// The pseudo-fields of a usual request, with others in their place where they are given.
fn checked(fields: &[(&str, &str)]) -> Result<Head, Refused> {
    let usual = [(":method", "GET"), (":scheme", "http"), (":authority", "h"), (":path", "/")];
    let kept = usual.into_iter().filter(|(name, _)| fields.iter().all(|(other, _)| other != name));
    let (pseudo, others): (Vec<_>, Vec<_>) =
        fields.iter().copied().partition(|(name, _)| name.starts_with(':'));
    let all: Vec<_> = kept.chain(pseudo).chain(others).filter(|(_, value)| *value != NONE).collect();
    read(&Fields::of(&all), &LIMITS, &HTTP2)
}

/// In the place of a value: there is no such field.
const NONE: &str = "\0";

#[test]
fn a_request_gets_origin_form_and_a_host() {
    for (fields, target, host) in [
        (&[(":scheme", "https"), (":path", "/a?b")][..], "/a?b", "h"),
        (&[(":scheme", "https"), (":authority", "h:443")], "/", "h"),
        (&[(":authority", "h:443")], "/", "h:443"),
        (&[("host", "H:80")], "/", "h"),
        (&[(":authority", NONE), ("host", "h:81"), (":path", "/x")], "/x", "h:81"),
        (&[(":method", "OPTIONS"), (":path", "*")], "*", "h"),
        (&[(":scheme", "HTTP"), (":path", "/%23")], "/%23", "h"),
    ] {
        let head = checked(fields).unwrap();
        assert_eq!(head.parts.uri.path_and_query().unwrap().as_str(), target, "{fields:?}");
        assert!(head.parts.headers.get_all("host").iter().eq([host]), "{fields:?}");
    }
}

#[test]
fn malformed_requests() {
    for (what, fields) in [
        ("two lengths that agree", &[("content-length", "1"), ("content-length", "1")][..]),
        ("a length with a sign", &[("content-length", "+1")]),
        ("two hosts", &[("host", "h"), ("host", "h")]),
        ("another host", &[("host", "i")]),
        ("another port", &[("host", "h:81")]),
        ("no host", &[(":authority", NONE)]),
        ("an empty host", &[(":authority", NONE), ("host", "")]),
        ("an empty authority", &[(":authority", "")]),
        ("no valid host", &[("host", "h:x")]),
        ("user information", &[(":authority", "u@h")]),
        ("a blank before", &[("x", " a")]),
        ("a blank behind", &[("x", "a\t")]),
        ("a line end", &[("x", "a\r\nb")]),
        ("upper case", &[("X", "a")]),
        ("a blank in a name", &[("x y", "a")]),
        ("no name", &[("", "a")]),
        ("lower case", &[(":method", "get")]),
        ("mixed case", &[(":method", "Post")]),
        ("no method", &[(":method", NONE)]),
        ("a method that is none", &[(":method", "G T")]),
        ("no scheme", &[(":scheme", NONE)]),
        ("no scheme and no authority", &[(":scheme", NONE), (":authority", NONE), ("host", "h")]),
        ("another scheme", &[(":scheme", "ftp")]),
        ("another scheme and no authority", &[(":scheme", "ftp"), (":authority", NONE), ("host", "h")]),
        ("no path", &[(":path", NONE)]),
        ("an empty path", &[(":path", "")]),
        ("a query alone", &[(":path", "?a")]),
        ("*", &[(":path", "*")]),
        ("a fragment", &[(":path", "/a#b")]),
        ("not ASCII", &[(":path", "/\u{e9}")]),
        ("a blank in the path", &[(":path", "/a b")]),
        ("a status", &[(":status", "200")]),
        ("a pseudo-field that is unknown", &[(":x", "a")]),
        ("a protocol", &[(":protocol", "websocket")]),
        ("a connection", &[("connection", "close")]),
        ("a coding", &[("transfer-encoding", "chunked")]),
        ("more than trailers", &[("te", "trailers, gzip")]),
        ("CONNECT with a path", &[(":method", "CONNECT"), (":scheme", NONE)]),
        (
            "CONNECT without an authority",
            &[(":method", "CONNECT"), (":scheme", NONE), (":path", NONE), (":authority", NONE)],
        ),
    ] {
        let refused = checked(fields);
        assert!(matches!(refused, Err(Malformed(_))), "{what}: {refused:?}");
    }
    let refused = |fields: &[(&str, &str)]| read(&Fields::of(fields), &LIMITS, &HTTP2);
    let [method, scheme, authority, path] =
        [(":method", "GET"), (":scheme", "http"), (":authority", "h"), (":path", "/")];
    for (what, fields) in [
        ("there twice", [method, scheme, authority, path, path]),
        ("behind others", [method, scheme, authority, ("x", "y"), path]),
    ] {
        assert!(matches!(refused(&fields), Err(Malformed(_))), "{what}");
    }
}

#[test]
fn connect_names_a_host_alone() {
    let head =
        checked(&[(":method", "CONNECT"), (":authority", "h:443"), (":scheme", NONE), (":path", NONE)])
            .unwrap();
    assert!(head.tunnel);
    assert_eq!(head.parts.uri.to_string(), "h:443");
}

/// RFC 7541 section 6.2.3.
#[test]
fn what_is_never_to_be_indexed_is_marked() {
    let head = checked(&[("secret", "a"), ("x", "a"), ("cookie", "c")]).unwrap();
    let marked = |name: &str| head.parts.headers[name].is_sensitive();
    assert_eq!((marked("secret"), marked("x"), marked("cookie")), (true, false, true));
    let both = checked(&[("cookie", "a"), ("cookie", "b")]).unwrap();
    assert!(both.parts.headers["cookie"].is_sensitive(), "joined they are what they were");
}

#[test]
fn trailers() {
    assert_eq!(read_trailers(&Fields::of(&[("x-sum", "1")])).unwrap()["x-sum"], "1");
    for fields in [[(":path", "/")], [("X", "a")], [("x", " a")], [("connection", "close")]] {
        assert!(read_trailers(&Fields::of(&fields)).is_err(), "{fields:?}");
    }
}

#[test]
fn limits_are_those_of_http_1() {
    let too_large = Some(Status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
    let with = |length: usize| checked(&[("x", &"y".repeat(length))]).err();
    // GET / HTTP/1.1, host: h, x: y, and the empty line.
    let rest = 16 + 9 + 5 + 2;
    assert_eq!(with(LIMITS.head - rest), None);
    assert_eq!(with(LIMITS.head - rest + 1), too_large);
    assert_eq!(checked(&[("x", "y"); 20]).err(), None);
    assert_eq!(checked(&[("x", "y"); 21]).err(), too_large);
}

#[test]
fn cookies_are_joined() {
    let head = checked(&[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")]).unwrap();
    assert!(head.parts.headers.get_all("cookie").iter().eq(["a=1; b=2"]));
}

#[test]
fn extended_connect_becomes_an_upgrade() {
    let connect = |protocol| {
        [
            (":method", "CONNECT"),
            (":protocol", protocol),
            (":path", "/chat"),
            (":scheme", "https"),
            (":authority", "h"),
            ("sec-websocket-version", "13"),
        ]
    };
    let head = checked(&connect("websocket")).unwrap();
    assert!(head.tunnel);
    assert_eq!((head.parts.method.as_str(), head.parts.uri.path()), ("GET", "/chat"));
    let headers = &head.parts.headers;
    assert_eq!(
        (&headers["upgrade"], &headers["connection"], &headers["host"]),
        (&"websocket".parse().unwrap(), &"upgrade".parse().unwrap(), &"h".parse().unwrap())
    );
    assert_eq!(headers["sec-websocket-key"].len(), 24);
    assert_eq!(checked(&connect("connect-udp")).err(), Some(Status(StatusCode::NOT_IMPLEMENTED)));

    let off = Http2 { websocket: false, ..HTTP2 };
    let refused = read(&Fields::of(&connect("websocket")), &LIMITS, &off);
    assert!(matches!(refused, Err(Malformed(_))), "{refused:?}");
}
