use super::*;

fn head(lines: &[(&str, &str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        })
        .collect()
}

fn text(headers: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    lines
}

/// Prepares a request as it is; no field about the client is added.
fn prepare(headers: &mut HeaderMap, http_11: bool) -> Result<Requested, Problem> {
    prepare_request(headers, http_11, Forwarded::Off, || unreachable!("nobody is told"))
}

#[test]
fn fields_of_one_connection_stay_on_it() {
    let mut headers = head(&[
        ("host", "a"),
        ("connection", "close, X-Secret, host"),
        ("x-secret", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("expect", "100-continue"),
        ("accept", "*/*"),
    ]);
    prepare(&mut headers, true).unwrap();
    assert_eq!(text(&headers), ["accept: */*", "host: a"]);
}

#[test]
fn an_upgrade_is_asked_for_again() {
    let mut headers = head(&[("host", "a"), ("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]);
    assert!(prepare(&mut headers, true).unwrap().upgrade);
    assert_eq!(text(&headers), ["connection: upgrade", "host: a", "upgrade: websocket"]);

    // Without the connection option it is no request to switch (RFC 9110 section 7.8).
    let mut headers = head(&[("host", "a"), ("upgrade", "websocket")]);
    assert!(!prepare(&mut headers, true).unwrap().upgrade);
    assert_eq!(text(&headers), ["host: a"]);
}

#[test]
fn trailers_are_asked_for_again() {
    let mut headers = head(&[("host", "a"), ("te", "gzip;q=0.5, trailers"), ("connection", "te")]);
    prepare(&mut headers, true).unwrap();
    assert_eq!(text(&headers), ["connection: te", "host: a", "te: trailers"]);
}

#[test]
fn hosts_are_checked() {
    let refused = |lines: &[(&str, &str)]| prepare(&mut head(lines), true).is_err();
    assert!(refused(&[]));
    assert!(refused(&[("host", "a"), ("host", "a")]));
    assert!(refused(&[("host", "a b")]));
    assert!(refused(&[("host", "user@a")]));
    assert!(refused(&[("host", "a/b")]));
    assert!(!refused(&[("host", "[2001:db8::1]:8080")]));
    assert!(prepare(&mut HeaderMap::new(), false).is_ok(), "HTTP/1.0 may leave it out");
}

#[test]
fn what_a_client_claims_of_itself_is_replaced_or_kept() {
    let sent = [("host", "a"), ("x-forwarded-for", "10.0.0.1"), ("x-forwarded-for", "10.0.0.2")];
    let with = |policy, client: &str| {
        let mut headers = head(&sent);
        let forwarding = Forwarding::new(client.parse().unwrap(), 443, true);
        prepare_request(&mut headers, true, policy, || &forwarding).unwrap();
        text(&headers)
    };
    assert_eq!(
        with(Forwarded::Replace, "192.0.2.7"),
        [
            "forwarded: for=192.0.2.7;proto=https;host=a",
            "host: a",
            "x-forwarded-for: 192.0.2.7",
            "x-forwarded-host: a",
            "x-forwarded-port: 443",
            "x-forwarded-proto: https"
        ]
    );
    assert_eq!(
        with(Forwarded::Append, "2001:db8::7"),
        [
            "forwarded: for=\"[2001:db8::7]\";proto=https;host=a",
            "host: a",
            "x-forwarded-for: 10.0.0.1, 10.0.0.2, 2001:db8::7",
            "x-forwarded-host: a",
            "x-forwarded-port: 443",
            "x-forwarded-proto: https"
        ]
    );
    assert_eq!(
        with(Forwarded::Off, "192.0.2.7"),
        ["host: a", "x-forwarded-for: 10.0.0.1", "x-forwarded-for: 10.0.0.2"]
    );
    // A v4 client of a dual-stack listener is a v4 client.
    assert_eq!(with(Forwarded::Replace, "::ffff:192.0.2.7")[2], "x-forwarded-for: 192.0.2.7");
}

#[test]
fn responses_lose_the_same_fields() {
    let mut headers = head(&[
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("content-length", "3"),
    ]);
    prepare_response(&mut headers, StatusCode::OK, false);
    assert_eq!(text(&headers), ["content-length: 3"]);

    for lengths in [
        &[("content-length", "3"), ("transfer-encoding", "chunked")][..],
        &[("content-length", "3, 3")],
        &[("content-length", "3"), ("content-length", "3")],
    ] {
        let mut headers = head(lengths);
        prepare_response(&mut headers, StatusCode::OK, false);
        assert!(headers.is_empty(), "{lengths:?}");
    }

    let mut headers = head(&[("connection", "upgrade"), ("upgrade", "websocket")]);
    prepare_response(&mut headers, StatusCode::SWITCHING_PROTOCOLS, true);
    assert_eq!(text(&headers), ["connection: upgrade", "upgrade: websocket"]);
}

#[test]
fn protocols_with_http_inside_are_not_asked_for() {
    for (sent, asked) in [
        (&["h2c"][..], None),
        (&["H2C"], None),
        (&["HTTP/2.0"], None),
        (&["http/1.1"], None),
        (&["TLS/1.2, HTTP/1.1"], None),
        (&["h2c", "h2"], None),
        (&[""], None),
        (&[" , "], None),
        (&["websocket, h2c"], Some("websocket")),
        (&["h2c", "websocket", "x/1"], Some("websocket, x/1")),
        (&["WebSocket"], Some("WebSocket")),
        (&["h2cx"], Some("h2cx")),
    ] {
        let mut headers = head(&[("host", "a"), ("http2-settings", "AAMAAABk")]);
        headers.append("connection", HeaderValue::from_static("upgrade"));
        for value in sent {
            headers.append("upgrade", HeaderValue::from_static(value));
        }
        let requested = prepare(&mut headers, true).unwrap();
        assert_eq!(requested.upgrade, asked.is_some(), "{sent:?}");
        assert_eq!(headers.get("upgrade").map(|it| it.to_str().unwrap()), asked, "{sent:?}");
        assert_eq!(headers.get_all("upgrade").iter().count(), usize::from(asked.is_some()), "{sent:?}");
        assert!(!headers.contains_key("http2-settings"), "{sent:?}");
        assert_eq!(headers.contains_key("connection"), asked.is_some(), "{sent:?}");
    }
    assert!(switches_to_http(&head(&[("upgrade", "x, H2c")])));
    assert!(!switches_to_http(&head(&[("upgrade", "WebSocket")])) && !switches_to_http(&HeaderMap::new()));
}

#[test]
fn a_response_that_needs_another_protocol_says_which() {
    let sent = [("upgrade", "HTTP/2.0"), ("upgrade", "x"), ("connection", "Upgrade")];
    for (status, said) in [(426, true), (200, false), (400, false)] {
        let mut headers = head(&sent);
        prepare_response(&mut headers, StatusCode::from_u16(status).unwrap(), false);
        let expected: &[&str] = if said { &["connection: upgrade", "upgrade: HTTP/2.0, x"] } else { &[] };
        assert_eq!(text(&headers), expected, "{status}");
    }
}

#[test]
fn empty_elements_of_a_list_are_none() {
    let forwarding = Forwarding::new("192.0.2.7".parse().unwrap(), 80, false);
    let appended = |name: &'static str, values: &[&'static str]| {
        let mut headers = head(&[("host", "a")]);
        for value in values {
            headers.append(name, HeaderValue::from_static(value));
        }
        prepare_request(&mut headers, true, Forwarded::Append, || &forwarding).unwrap();
        headers.get_all(name).iter().map(|it| it.to_str().unwrap().to_owned()).collect::<Vec<_>>().join("|")
    };
    for (values, expected) in [
        (&[][..], "192.0.2.7"),
        (&[""], "192.0.2.7"),
        (&[","], "192.0.2.7"),
        (&["", " , ,"], "192.0.2.7"),
        (&["10.0.0.1,"], "10.0.0.1, 192.0.2.7"),
        (&[",10.0.0.1"], "10.0.0.1, 192.0.2.7"),
        (&["10.0.0.1,,10.0.0.2 ,"], "10.0.0.1, 10.0.0.2, 192.0.2.7"),
        (&["", "10.0.0.1", ""], "10.0.0.1, 192.0.2.7"),
    ] {
        assert_eq!(appended("x-forwarded-for", values), expected, "{values:?}");
    }
    let ours = "for=192.0.2.7;proto=http;host=a";
    for (values, expected) in [
        (&[""][..], String::new()),
        (&["for=10.0.0.1,"], "for=10.0.0.1, ".to_owned()),
        (&["for=\"_a,b\";by=x,, for=\"\\\",\""], "for=\"_a,b\";by=x, for=\"\\\",\", ".to_owned()),
        // What is appended to a string that does not end would be part of it.
        (&["for=\"10.0.0.1", "for=10.0.0.2"], "for=10.0.0.2, ".to_owned()),
        (&["for=10.0.0.1, for=\"a\\\""], String::new()),
    ] {
        assert_eq!(appended("forwarded", values), expected + ours, "{values:?}");
    }
    for (values, expected) in [(&[][..], "http"), (&[""], "http"), (&[","], "http"), (&["https"], "https")] {
        assert_eq!(appended("x-forwarded-proto", values), expected, "{values:?}");
    }
}

/// RFC 7239 sections 4 and 5.3: a host with a port or in brackets is a quoted string.
#[test]
fn the_host_of_each_request_is_told() {
    let forwarding = Forwarding::new("2001:db8::7".parse().unwrap(), 80, false);
    for (host, told) in [
        ("shop.example", ";host=shop.example"),
        ("shop.example", ";host=shop.example"),
        ("shop.example:80", ";host=\"shop.example:80\""),
        ("shop.example:80", ";host=\"shop.example:80\""),
        ("", ""),
        ("[2001:db8::1]", ";host=\"[2001:db8::1]\""),
        ("a,b", ";host=\"a,b\""),
        ("a;b", ";host=\"a;b\""),
        ("a", ";host=a"),
    ] {
        let mut headers = head(&[("host", host)]);
        prepare_request(&mut headers, true, Forwarded::Replace, || &forwarding).unwrap();
        let expected = format!("for=\"[2001:db8::7]\";proto=http{told}");
        assert_eq!(headers["forwarded"], expected, "{host}");
    }
}

#[test]
fn look_alikes_of_what_members_rely_on_are_removed() {
    let forwarding = Forwarding::new("192.0.2.7".parse().unwrap(), 80, false);
    let kept = |policy| {
        let mut headers = head(&[
            ("host", "a"),
            ("content_length", "5"),
            ("transfer_encoding", "chunked"),
            ("transfer.encoding", "chunked"),
            ("x_forwarded_for", "6.6.6.6"),
            ("x-forwarded_for", "6.6.6.6"),
            ("x_forwarded_proto", "https"),
            ("x_forwarded_host", "evil"),
            ("user_agent", "x"),
            ("content_type", "x"),
            ("contentxlength", "x"),
        ]);
        prepare_request(&mut headers, true, policy, || &forwarding).unwrap();
        text(&headers)
    };
    let harmless = ["content_type: x", "contentxlength: x"];
    let ours = ["forwarded: for=192.0.2.7;proto=http;host=a"];
    let end = [
        "user_agent: x",
        "x-forwarded-for: 192.0.2.7",
        "x-forwarded-host: a",
        "x-forwarded-port: 80",
        "x-forwarded-proto: http",
    ];
    for policy in [Forwarded::Replace, Forwarded::Append] {
        assert_eq!(kept(policy), [&harmless[..], &ours, &["host: a"], &end].concat());
    }
    let theirs = [
        "user_agent: x",
        "x-forwarded_for: 6.6.6.6",
        "x_forwarded_for: 6.6.6.6",
        "x_forwarded_host: evil",
        "x_forwarded_proto: https",
    ];
    assert_eq!(kept(Forwarded::Off), [&harmless[..], &["host: a"], &theirs].concat());
}

#[test]
fn trailers_are_such_as_may_come_behind_a_body() {
    let fit = [("digest", "1"), ("etag", "\"a\""), ("server-timing", "x"), ("x-sum", "7")];
    let unfit = [
        "age",
        "authorization",
        "cache-control",
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "cookie",
        "expect",
        "forwarded",
        "host",
        "if-match",
        "keep-alive",
        "location",
        "max-forwards",
        "proxy-authorization",
        "range",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "transfer_encoding",
        "upgrade",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x_forwarded_for",
    ];
    let mut trailers = head(&fit);
    for name in unfit {
        trailers.append(name, HeaderValue::from_static("1"));
        trailers.append(name, HeaderValue::from_static("2"));
    }
    trailers.append("x-hop", HeaderValue::from_static("1"));
    let mut request = head(&[("host", "a"), ("connection", "x-hop, close")]);
    let nominated = prepare(&mut request, true).unwrap().nominated;
    prepare_trailers(&mut trailers, &nominated);
    assert_eq!(trailers, head(&fit));
}

#[test]
fn a_client_waits_for_100_wherever_it_says_so() {
    let expects = |lines: &[&str]| {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::EXPECT, line.parse().unwrap());
        }
        expects_continue(&headers)
    };
    assert!(
        expects(&["100-Continue"]) && expects(&["foo, 100-continue"]) && expects(&["foo", "100-continue"])
    );
    assert!(!expects(&[]) && !expects(&["foo"]) && !expects(&["100-continue-not"]));
}
