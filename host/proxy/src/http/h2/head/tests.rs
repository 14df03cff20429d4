use http::Request;
use shunt_config::model::Http2Start;

use super::*;

const LIMITS: Limits =
    Limits { head: 8 << 10, fields: 20, body: None, connections: None, requests: None, data: 64 };
const HTTP2: Http2 = Http2 { start: Http2Start::Alpn, streams: 100, websocket: true };

fn parts(method: &str, uri: &str, fields: &[(&str, &str)]) -> request::Parts {
    let mut request = Request::builder().method(method).uri(uri).version(http::Version::HTTP_2);
    for (name, value) in fields {
        request = request.header(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    request.body(()).unwrap().into_parts().0
}

fn checked(method: &str, uri: &str, fields: &[(&str, &str)]) -> Result<Head, Refused> {
    check(parts(method, uri, fields), &LIMITS, &HTTP2)
}

#[test]
fn a_request_gets_origin_form_and_a_host() {
    for (uri, fields, target, host) in [
        ("https://h/a?b", &[][..], "/a?b", "h"),
        ("https://h:443/", &[], "/", "h"),
        ("http://h:443/", &[], "/", "h:443"),
        ("http://h/", &[("host", "H:80")], "/", "h"),
        ("/x", &[("host", "h:81")], "/x", "h:81"),
    ] {
        let head = checked("GET", uri, fields).unwrap();
        assert_eq!(head.parts.uri.to_string(), target, "{uri}");
        assert!(head.parts.headers.get_all("host").iter().eq([host]), "{uri}");
    }
    // The text form of such a Uri is another one.
    let mut options = parts("OPTIONS", "http://h/", &[]);
    options.uri = {
        let mut uri = options.uri.into_parts();
        uri.path_and_query = Some(PathAndQuery::from_static("*"));
        Uri::from_parts(uri).unwrap()
    };
    let head = check(options, &LIMITS, &HTTP2).unwrap();
    assert_eq!(head.parts.uri.path(), "*");
}

#[test]
fn malformed_requests() {
    for (what, method, uri, fields) in [
        (
            "two lengths that agree",
            "POST",
            "http://h/",
            &[("content-length", "1"), ("content-length", "1")][..],
        ),
        ("a length with a sign", "POST", "http://h/", &[("content-length", "+1")]),
        ("two hosts", "GET", "http://h/", &[("host", "h"), ("host", "h")]),
        ("another host", "GET", "http://h/", &[("host", "i")]),
        ("another port", "GET", "http://h/", &[("host", "h:81")]),
        ("no host", "GET", "/", &[]),
        ("an empty host", "GET", "/", &[("host", "")]),
        ("no valid host", "GET", "/", &[("host", "h:x")]),
        ("user information", "GET", "http://u@h/", &[]),
        ("a blank before", "GET", "http://h/", &[("x", " a")]),
        ("a blank behind", "GET", "http://h/", &[("x", "a\t")]),
        ("lower case", "get", "http://h/", &[]),
        ("mixed case", "Post", "http://h/", &[]),
        ("another scheme", "GET", "ftp://h/", &[]),
        ("not ASCII", "GET", "http://h/\u{e9}", &[]),
    ] {
        let refused = checked(method, uri, fields);
        assert!(matches!(refused, Err(Malformed(_))), "{what}: {refused:?}");
    }
    for path in ["*", "?a"] {
        let path = PathAndQuery::from_static(path);
        assert!(check_path(&path, &Method::GET).is_err(), "{path}");
    }
}

#[test]
fn limits_are_those_of_http_1() {
    let too_large = Some(Status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
    let with = |length: usize| checked("GET", "http://h/", &[("x", &"y".repeat(length))]).err();
    // GET / HTTP/1.1, host: h, x: y, and the empty line.
    let rest = 16 + 9 + 5 + 2;
    assert_eq!(with(LIMITS.head - rest), None);
    assert_eq!(with(LIMITS.head - rest + 1), too_large);
    assert_eq!(checked("GET", "http://h/", &[("x", "y"); 20]).err(), None);
    assert_eq!(checked("GET", "http://h/", &[("x", "y"); 21]).err(), too_large);
}

#[test]
fn cookies_are_joined() {
    let head = checked("GET", "http://h/", &[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")]).unwrap();
    assert!(head.parts.headers.get_all("cookie").iter().eq(["a=1; b=2"]));
}

#[test]
fn extended_connect_becomes_an_upgrade() {
    let mut connect = parts("CONNECT", "https://h/chat", &[("sec-websocket-version", "13")]);
    connect.extensions.insert(h2::ext::Protocol::from_static("websocket"));
    let head = check(connect.clone(), &LIMITS, &HTTP2).unwrap();
    assert!(head.tunnel);
    assert_eq!((head.parts.method.as_str(), head.parts.uri.path()), ("GET", "/chat"));
    let headers = &head.parts.headers;
    assert_eq!(
        (&headers["upgrade"], &headers["connection"], &headers["host"]),
        (&"websocket".parse().unwrap(), &"upgrade".parse().unwrap(), &"h".parse().unwrap())
    );
    assert_eq!(headers["sec-websocket-key"].len(), 24);

    let off = Http2 { websocket: false, ..HTTP2 };
    let not_there = Some(Status(StatusCode::NOT_IMPLEMENTED));
    assert_eq!(check(connect.clone(), &LIMITS, &off).err(), not_there);
    connect.extensions.insert(h2::ext::Protocol::from_static("connect-udp"));
    assert_eq!(check(connect, &LIMITS, &HTTP2).err(), not_there);
}
