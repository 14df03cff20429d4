//! The admin interface, spoken to as any program would.

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};
use shunt_tests::daemon::Daemon;
use shunt_tests::origin::Origin;
use shunt_tests::raw::{Client, Conversation, Message, PATIENCE};
use shunt_tests::{address, packs, site};

fn start(listen: SocketAddr, member: SocketAddr) -> Daemon {
    Daemon::start(
        &[
            "[process]\nworkers = 1\n\n",
            &site::virtual_("shop", listen, "web", ""),
            &site::rule("main", &packs::guest("plain"), "slots = { web = \"web\" }"),
            &site::pool("web", "", &[member]),
        ]
        .concat(),
    )
}

fn open(daemon: &Daemon) -> Conversation<UnixStream> {
    let stream = UnixStream::connect(daemon.folder().socket()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Conversation::new(stream)
}

fn ask(daemon: &Daemon, method: &str, path: &str, kind: &str, body: &[u8]) -> Message {
    daemon.ask(method, path, kind, body)
}

fn read(message: &Message) -> Value {
    assert_eq!(message.get("content-type"), Some("application/json"), "{}", message.text());
    serde_json::from_slice(&message.body).unwrap()
}

fn get(daemon: &Daemon, path: &str) -> Value {
    let answer = ask(daemon, "GET", path, "", b"");
    assert_eq!(answer.status(), 200, "{}", answer.text());
    read(&answer)
}

/// The kind of a refusal, and its message.
fn refusal(answer: &Message, status: u16) -> (String, String) {
    assert_eq!(answer.status(), status, "{}", answer.text());
    let error = read(answer)["error"].clone();
    let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    assert!(!text("message").is_empty());
    (text("kind"), text("message"))
}

#[test]
fn one_connection_takes_many_requests() {
    let daemon = start(address::free(), address::free());
    let mut connection = open(&daemon);
    for _ in 0..3 {
        let status = read(&connection.get("/v1/status"));
        assert_eq!((&status["version"], &status["epoch"]), (&json!("0.1.0"), &json!(1)));
    }
}

#[test]
fn traffic_is_counted() {
    let origin = Origin::named("web");
    let listen = address::free();
    let daemon = start(listen, origin.address());
    let mut client = Client::connect(listen);
    for _ in 0..3 {
        assert_eq!(client.get("/").status(), 200);
    }
    let shop = get(&daemon, "/v1/status")["virtuals"][0].clone();
    assert_eq!((&shop["connections"], &shop["open"], &shop["requests"]), (&json!(1), &json!(1), &json!(3)));
    assert_eq!(shop["answers"], json!([0, 3, 0, 0, 0]));
    let member = get(&daemon, "/v1/pools")["pools"][0]["members"][0].clone();
    assert_eq!(
        (&member["requests"], &member["connects"], &member["bytes-to-client"]),
        (&json!(3), &json!(1), &json!(9))
    );
    let rule = get(&daemon, "/v1/rules")["rules"][0].clone();
    assert_eq!(
        (&rule["name"], &rule["running"], &rule["breaker"]),
        (&json!("shop/main"), &json!(1), &json!("closed"))
    );
    let on_request = rule["hooks"].as_array().unwrap().iter().find(|it| it["hook"] == "on-request").unwrap();
    assert_eq!((&on_request["calls"], &on_request["faults"]), (&json!(3), &json!({})));

    let metrics = ask(&daemon, "GET", "/v1/metrics", "", b"");
    assert_eq!(
        metrics.get("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let text = metrics.text();
    for line in [
        "shunt_virtual_requests_total{virtual=\"shop\"} 3".to_owned(),
        format!("shunt_member_requests_total{{pool=\"web\",member=\"{}\"}} 3", origin.address()),
        "shunt_rule_calls_total{rule=\"shop/main\",hook=\"on-request\"} 3".to_owned(),
    ] {
        assert!(text.lines().any(|it| it == line), "no {line:?} in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

/// Every operation that the document describes is served, and says what the document says.
#[test]
fn the_document_describes_what_is_served() {
    let daemon = start(address::free(), address::free());
    let document = get(&daemon, "/v1/openapi.json");
    assert_eq!(document["openapi"], "3.1.0");
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let path = path.replace("{pool}", "none").replace("{address}", "192.0.2.1:1");
            let path = path.replace("{virtual}", "none").replace("{rule}", "none");
            let body: &[u8] = if path.contains("members") { br#"{"admin":"enabled"}"# } else { b"" };
            let answer = ask(&daemon, &method.to_uppercase(), &path, "application/json", body);
            let described = operation["responses"].as_object().unwrap();
            assert!(
                described.contains_key(&answer.status().to_string()),
                "{method} {path}: {}",
                answer.text()
            );
            if answer.status() != 200 {
                read(&answer);
            }
        }
    }
}

#[test]
fn what_cannot_be_meant_is_refused_in_json() {
    let daemon = start(address::free(), address::free());
    let kind = |method: &str, path: &str, body: &[u8], status| {
        refusal(&ask(&daemon, method, path, "application/json", body), status).0
    };
    assert_eq!(kind("GET", "/", b"", 404), "no-such-path");
    assert_eq!(kind("GET", "/v2/status", b"", 404), "no-such-path");
    assert_eq!(kind("POST", "/v1/status", b"", 405), "no-such-method");
    assert_eq!(kind("PUT", "/v1/pools/web/members/here", b"{}", 400), "bad-request");
    assert_eq!(kind("PUT", "/v1/pools/web/members/192.0.2.1:1", b"{", 400), "bad-request");
    let unknown = br#"{"admin":"enabled","weight":2}"#;
    assert_eq!(kind("PUT", "/v1/pools/web/members/192.0.2.1:1", unknown, 400), "bad-request");
    assert_eq!(
        kind("PUT", "/v1/pools/web/members/192.0.2.1:1", br#"{"admin":"asleep"}"#, 400),
        "bad-request"
    );
    assert_eq!(kind("PUT", "/v1/pools/web/members/192.0.2.1:1", br#"{"admin":"enabled"}"#, 404), "not-found");
    assert_eq!(
        kind("PUT", "/v1/pools/none/members/192.0.2.1:1", br#"{"admin":"enabled"}"#, 404),
        "not-found"
    );
    assert_eq!(kind("DELETE", "/v1/rules/shop/none", b"", 404), "no-such-rule");
    assert_eq!(kind("POST", "/v1/rules/shop/main/rollback", b"", 409), "no-earlier-version");
    assert_eq!(kind("DELETE", "/v1/rules/%ff/main", b"", 400), "bad-request");
}

#[test]
fn what_is_loaded_is_checked_by_the_daemon_too() {
    let daemon = start(address::free(), address::free());
    let load = |bytes: &[u8]| ask(&daemon, "PUT", "/v1/rules/shop/main", "application/wasm", bytes);
    assert_eq!(refusal(&load(b""), 422).0, "pack");
    assert_eq!(refusal(&load(b"\0asm\x01\0\0\0"), 422).0, "pack");
    let pack = std::fs::read(packs::guest("plain")).unwrap();
    assert_eq!(refusal(&load(&pack[..pack.len() / 2]), 422).0, "pack");
    let steer = std::fs::read(packs::guest("steer")).unwrap();
    let path = "/v1/rules/shop/main?accept-grants=true";
    assert_eq!(refusal(&ask(&daemon, "PUT", path, "application/wasm", &steer), 422).0, "slots");
    let elsewhere = ask(&daemon, "PUT", "/v1/rules/shop/none", "application/wasm", &pack);
    assert_eq!(refusal(&elsewhere, 404).0, "no-such-rule");
    assert_eq!(get(&daemon, "/v1/rules")["rules"][0]["versions"].as_array().unwrap().len(), 1);

    let answer = load(&pack);
    assert_eq!(answer.status(), 200);
    let loaded = read(&answer);
    assert_eq!((&loaded["running"], &loaded["replaced"]), (&json!(2), &json!(1)));
    let without = "requests of shop go to pool web; what the rule refused is let through";
    let unloaded = json!({ "name": "shop/main", "without": without });
    assert_eq!(read(&ask(&daemon, "DELETE", "/v1/rules/shop/main", "", b"")), unloaded);
    assert_eq!(get(&daemon, "/v1/rules")["rules"][0]["running"], Value::Null);
}

#[test]
fn a_pack_that_is_too_large_is_refused_before_it_is_read() {
    let daemon = start(address::free(), address::free());
    let mut connection = open(&daemon);
    connection.send(
        "PUT /v1/rules/shop/main HTTP/1.1\r\nHost: admin\r\nContent-Type: application/wasm\r\n\
         Content-Length: 9000000000\r\n\r\n",
    );
    let (kind, _) = refusal(&connection.answer(), 413);
    assert_eq!(kind, "too-large");
    assert_eq!(get(&daemon, "/v1/status")["epoch"], 1);
}

#[test]
fn who_leaves_early_gets_a_whole_change() {
    let listen = address::free();
    let daemon = start(listen, address::free());
    let pack = std::fs::read(packs::guest("plain")).unwrap();
    for _ in 0..3 {
        let head = format!(
            "PUT /v1/rules/shop/main HTTP/1.1\r\nHost: admin\r\nContent-Length: {}\r\n\r\n",
            pack.len()
        );
        let mut connection = open(&daemon);
        connection.send([head.as_bytes(), &pack].concat());
        drop(connection);
    }
    shunt_tests::daemon::until("all three are loaded", || {
        get(&daemon, "/v1/rules")["rules"][0]["running"] == 4
    });
    assert_eq!(get(&daemon, "/v1/status")["epoch"], 4);
}

#[test]
fn changes_at_once_are_made_one_after_the_other() {
    let daemon = start(address::free(), address::free());
    let pack = std::fs::read(packs::guest("plain")).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let answer = ask(&daemon, "PUT", "/v1/rules/shop/main", "application/wasm", &pack);
                assert_eq!(answer.status(), 200, "{}", answer.text());
            });
            scope.spawn(|| assert_eq!(get(&daemon, "/v1/status")["workers"], 1));
        }
    });
    assert_eq!(get(&daemon, "/v1/status")["epoch"], 9);
}
