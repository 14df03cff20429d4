//! Clients that stay with their member.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;

use shunt_tests::address;
use shunt_tests::daemon::Daemon;
use shunt_tests::origin::Origin;
use shunt_tests::raw::{Client, Message};
use shunt_tests::site::{self, Site};

/// Which origin answers a client from this address, as a proxy in front of Shunt says it.
fn served(at: SocketAddr, from: SocketAddr) -> String {
    let mut client = Client::connect(at);
    let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
    client.send(format!("PROXY {family} {0} {0} {1} {1}\r\n", from.ip(), from.port()));
    client.get("/").text()
}

#[test]
fn what_counts_of_an_address_is_configured() {
    let (a, b, c) = (Origin::named("a"), Origin::named("b"), Origin::named("c"));
    let groups = |keys: &str, clients: &[&str]| {
        let keys = format!("proxy-protocol = \"127.0.0.1\"\npersistence = {{ source = {keys} }}");
        let site = Site::with(&keys, &[&a, &b, &c]);
        let ask = |client: &&str| served(site.address, client.parse().unwrap());
        let first: Vec<_> = clients.iter().map(ask).collect();
        let again: Vec<_> = clients.iter().map(ask).collect();
        assert_eq!(first, again, "{keys}");
        // By the order in which members were first seen.
        let mut numbers = BTreeMap::new();
        first
            .into_iter()
            .map(|name| {
                let next = numbers.len();
                *numbers.entry(name).or_insert(next)
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(groups("true", &["192.0.2.1:1", "192.0.2.1:2", "192.0.2.2:1", "192.0.3.1:1"]), [0, 0, 1, 2]);
    assert_eq!(
        groups(
            "{ ipv4 = 24, ipv6 = 64 }",
            &["192.0.2.1:1", "192.0.2.9:2", "[2001:db8::1]:1", "[2001:db8::2]:1"]
        ),
        [0, 0, 1, 1]
    );
    assert_eq!(groups("{ port = true }", &["192.0.2.1:1", "192.0.2.1:2", "192.0.2.1:3"]), [0, 1, 2]);
}

/// HTTP on one port and HTTPS on another are virtuals of one site.
#[test]
fn virtuals_of_a_group_share_bindings() {
    let (a, b, c) = (Origin::named("a"), Origin::named("b"), Origin::named("c"));
    let members = [&a, &b, &c].map(|it| it.address());
    let listens = [address::free(), address::free(), address::free()];
    let keys =
        |group: &str| format!("proxy-protocol = \"127.0.0.1\"\npersistence = {{ source = true{group} }}");
    let shared = keys(", group = \"shop\"");
    let others: String = [(1, &shared), (2, &keys(""))]
        .map(|(at, keys)| site::virtual_(&format!("v{at}"), listens[at], "web", keys))
        .concat();
    let rest = format!("{others}{}", site::pool("web", "", &members));
    let _daemon = Daemon::start(&site::config(listens[0], &shared, &rest));
    let clients: Vec<SocketAddr> = (1..=8).map(|last| ([192, 0, 2, last], 4000).into()).collect();
    let of = |at: usize| clients.iter().map(|client| served(listens[at], *client)).collect::<Vec<_>>();
    let first = of(0);
    assert_eq!(of(1), first);
    assert_ne!(of(2), first, "clients of a virtual outside the group take turns of their own");
}

/// A cookie as it is set, and as a client sends it back.
fn cookie_of(answer: &Message) -> (String, String) {
    let set = answer.get("set-cookie").expect("a cookie").to_owned();
    let sent = set.split(';').next().unwrap_or_default().to_owned();
    (set, sent)
}

fn asked(site: &Site, target: &str, fields: &str) -> Message {
    site.client().ask(format!("GET {target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n"))
}

#[test]
fn attributes_of_a_cookie_are_configured() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    for (keys, expected) in [
        ("{ name = \"S\" }", "; Path=/; HttpOnly; SameSite=Lax"),
        (
            "{ name = \"S\", path = \"/shop\", domain = \"shop.example\", secure = true, http-only = false, same-site = \"none\" }",
            "; Path=/shop; Domain=shop.example; SameSite=None; Secure",
        ),
        ("{ name = \"S\", same-site = \"off\" }", "; Path=/; HttpOnly"),
        ("{ name = \"S\", same-site = \"strict\" }", "; Path=/; HttpOnly; SameSite=Strict"),
    ] {
        let site = Site::with(&format!("persistence = {{ cookie = {keys} }}"), &[&a, &b]);
        let first = site.client().get("/");
        let (set, sent) = cookie_of(&first);
        assert_eq!(set.strip_prefix(&sent), Some(expected), "{keys}");
        let again = asked(&site, "/", &format!("Cookie: {sent}\r\n"));
        assert_eq!((again.text(), again.get("set-cookie")), (first.text(), None), "{keys}");
    }
}

/// With keys of the operator no one else can make a value, and what was made by a key that is known still counts.
#[test]
fn values_of_cookies_are_authenticated() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cookie.keys");
    let (one, two) = ("AQEBAQEBAQEBAQEBAQEBAQ==", "AgICAgICAgICAgICAgICAg==");
    fs::write(&path, one).unwrap();
    let public = Site::with("persistence = { cookie = \"S\" }", &[&a, &b]);
    let keys = format!("persistence = {{ cookie = {{ name = \"S\", keys = \"{}\" }} }}", path.display());
    let members = [&a, &b].map(|it| it.address());
    let site = Site::members(&keys, &members);

    let first = site.client().get("/");
    let (_, sent) = cookie_of(&first);
    let field = format!("Cookie: {sent}\r\n");
    for _ in 0..3 {
        let again = asked(&site, "/", &field);
        assert_eq!((again.text(), again.get("set-cookie")), (first.text(), None));
    }
    // What everyone can compute binds no client.
    for _ in 0..2 {
        let (_, made) = cookie_of(&public.client().get("/"));
        assert!(asked(&site, "/", &format!("Cookie: {made}\r\n")).head.has("set-cookie"));
    }
    // A new key makes values, and the old one is known for as long as it is there.
    let config = site::config(site.address, &keys, &site::pool("web", "", &members));
    fs::write(&path, format!("{two}\n{one}\n")).unwrap();
    site.daemon.reload(&config);
    let again = asked(&site, "/", &field);
    assert_eq!((again.text(), again.get("set-cookie")), (first.text(), None));
    fs::write(&path, two).unwrap();
    site.daemon.reload(&config);
    assert!(asked(&site, "/", &field).head.has("set-cookie"));
}

/// Answers with its name, and sets what a request asks for: `X-Set` has a field.
fn setting(name: &'static str) -> Origin {
    Origin::start(move |call| {
        loop {
            let request = call.request()?;
            let set = request.head.all("x-set");
            let fields: String = set.iter().map(|field| format!("{field}\r\n")).collect();
            let length = name.len();
            call.send(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {length}\r\n\r\n{name}"))?;
        }
    })
}

#[test]
fn a_cookie_of_the_members_is_rewritten() {
    let (a, b) = (setting("a"), setting("b"));
    let site = Site::with("persistence = { cookie = { name = \"S\", rewrite = true } }", &[&a, &b]);
    assert!(!site.client().get("/").head.has("set-cookie"), "no member sets one");
    let set = "X-Set: Set-Cookie: S=0; Path=/app; Max-Age=9\r\nX-Set: Set-Cookie: T=0; Path=/\r\n";
    let first = asked(&site, "/", set);
    let [rewritten, other] = first.head.all("set-cookie")[..] else { panic!("two cookies") };
    assert_eq!(other, "T=0; Path=/");
    let (sent, attributes) = rewritten.split_once(';').unwrap();
    assert_eq!(attributes, " Path=/app; Max-Age=9");
    for _ in 0..3 {
        let again = asked(&site, "/", &format!("Cookie: x=1; {sent}\r\n"));
        assert_eq!((again.text(), again.get("set-cookie")), (first.text(), None));
    }
}

#[test]
fn a_session_of_the_application_is_learned() {
    let (a, b, c) = (setting("a"), setting("b"), setting("c"));
    let site = Site::with(
        "persistence = { session = { cookie = \"JSESSIONID\", header = \"X-Session\", parameter = \"jsessionid\" } }",
        &[&a, &b, &c],
    );
    let long = "x".repeat(30_000);
    for (set, asks) in [
        (
            "X-Set: Set-Cookie: JSESSIONID=one.n1; Path=/; HttpOnly\r\n",
            [
                ("/", "Cookie: a=1; JSESSIONID=one.n1\r\n"),
                ("/", "Cookie: JSESSIONID=unknown\r\nCookie: JSESSIONID=\"one.n1\"; b=2\r\n"),
                ("/cart;jsessionid=one.n1?x=1", ""),
                ("/cart?a=1&jsessionid=one.n1", ""),
            ],
        ),
        (
            "X-Set: Location: /next;jsessionid=two?x=1\r\n",
            [
                ("/next;jsessionid=two?x=1", ""),
                ("/?jsessionid=two", ""),
                ("/;jsessionid=other/a;jsessionid=two", ""),
                ("/", "Cookie: JSESSIONID=two\r\n"),
            ],
        ),
        (
            "X-Set: X-Session: three\r\n",
            [
                ("/", "X-Session: three\r\n"),
                ("/", "X-Session: other\r\nX-Session: three\r\n"),
                ("/", "Cookie: JSESSIONID=other\r\nX-Session: three\r\n"),
                ("/?jsessionid=three", ""),
            ],
        ),
        (
            &format!("X-Set: Set-Cookie: JSESSIONID={long}\r\n"),
            [
                ("/", &*format!("Cookie: JSESSIONID={long}\r\n")),
                ("/", &*format!("Cookie: JSESSIONID={long}x; JSESSIONID={long}\r\n")),
                ("/", &*format!("Cookie: JSESSIONID=\"{long}\"\r\n")),
                ("/", &*format!("X-Session: {long}\r\n")),
            ],
        ),
    ] {
        let first = asked(&site, "/", set);
        for (target, fields) in asks {
            for _ in 0..3 {
                assert_eq!(asked(&site, target, fields).text(), first.text(), "{target} {fields}");
            }
        }
    }
    // No answer set these, so each takes the next turn.
    let turns: BTreeSet<_> =
        (0..3).map(|_| asked(&site, "/", "Cookie: JSESSIONID=never\r\n").text()).collect();
    assert_eq!(turns.len(), 3);
    // A session that begins anew elsewhere is there from then on.
    let moved = asked(&site, "/", "X-Set: Set-Cookie: JSESSIONID=one.n1\r\n");
    assert_eq!(asked(&site, "/", "Cookie: JSESSIONID=one.n1\r\n").text(), moved.text());
}

/// The session of a member that left is unknown, and its next answer binds it.
#[test]
fn a_session_outlives_reloads_and_ends_with_its_member() {
    let (a, b) = (setting("a"), setting("b"));
    let keys = "persistence = { session = { cookie = \"S\" } }";
    let members = [&a, &b].map(|it| it.address());
    let site = Site::members(keys, &members);
    let first = asked(&site, "/", "X-Set: Set-Cookie: S=1\r\n");
    for balance in ["round-robin", "least-connections", "round-robin"] {
        let pool = site::pool("web", &format!("balance = \"{balance}\""), &members);
        site.daemon.reload(&site::config(site.address, keys, &pool));
        for _ in 0..3 {
            assert_eq!(asked(&site, "/", "Cookie: S=1\r\n").text(), first.text());
        }
    }
    let (stays, other) = if first.text() == "a" { (members[1], "b") } else { (members[0], "a") };
    site.daemon.reload(&site::config(site.address, keys, &site::pool("web", "", &[stays])));
    assert_eq!(asked(&site, "/", "Cookie: S=1\r\nX-Set: Set-Cookie: S=1\r\n").text(), other);
    site.daemon.reload(&site::config(site.address, keys, &site::pool("web", "", &members)));
    for _ in 0..3 {
        assert_eq!(asked(&site, "/", "Cookie: S=1\r\n").text(), other);
    }
}

#[test]
fn a_client_whose_member_is_down_is_refused_or_waits() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let keys = |then: &str| format!("persistence = {{ cookie = \"S\", {then} }}");
    for then in ["when-down = \"refuse\"", "when-down = \"wait\", wait = \"300ms\""] {
        let site = Site::with(&keys(then), &[&a, &b]);
        let first = site.client().get("/");
        let (_, sent) = cookie_of(&first);
        let field = format!("Cookie: {sent}\r\n");
        let home = if first.text() == "a" { &a } else { &b }.address().to_string();
        site.daemon.shunt(&["member", "disable", "web", &home]).good();
        let refused = asked(&site, "/", &field);
        assert_eq!((refused.status(), refused.get("set-cookie")), (503, None), "{then}");
        assert_eq!(site.client().get("/").status(), 200, "{then}: a client that is bound to no member");
        site.daemon.shunt(&["member", "enable", "web", &home]).good();
        assert_eq!(asked(&site, "/", &field).text(), first.text(), "{then}");
        let counted = &site.daemon.status()["virtuals"][0]["persistence-down"];
        assert_eq!(*counted, serde_json::json!([0, 1, 0]), "{then}");
    }
    let site = Site::with(&keys("when-down = \"wait\", wait = \"1m\""), &[&a, &b]);
    let first = site.client().get("/");
    let (_, sent) = cookie_of(&first);
    let home = if first.text() == "a" { &a } else { &b }.address().to_string();
    site.daemon.shunt(&["member", "disable", "web", &home]).good();
    let mut waiting = site.client();
    waiting.send(format!("GET / HTTP/1.1\r\nHost: h\r\nCookie: {sent}\r\n\r\n"));
    // Another client is served meanwhile, so the one before is on its way.
    assert_eq!(site.client().get("/").status(), 200);
    site.daemon.shunt(&["member", "enable", "web", &home]).good();
    assert_eq!(waiting.answer().text(), first.text());
    assert_eq!(asked(&site, "/", &format!("Cookie: {sent}\r\n")).text(), first.text());
}

#[test]
fn bindings_are_listed_shown_and_deleted() {
    let (a, b) = (setting("a"), setting("b"));
    let keys = "persistence = { session = { cookie = \"S\" } }";
    let members = [&a, &b].map(|it| it.address());
    let by_source = address::free();
    let more = site::virtual_("plain", by_source, "web", "persistence = { source = true, group = \"shop\" }");
    let site =
        Site::configured(|at| site::config(at, keys, &format!("{more}{}", site::pool("web", "", &members))));
    let shunt = |args: &[&str]| site.daemon.shunt(&[&["persistence"], args].concat());
    assert_eq!(shunt(&["list", "web"]).good(), "no bindings\n");
    let first = asked(&site, "/", "X-Set: Set-Cookie: S=secret\r\n");
    let by_address = Client::connect(by_source).get("/").text();

    let listed = shunt(&["list", "web", "-o", "json"]).json();
    let listed = listed["bindings"].as_array().unwrap();
    assert_eq!(listed.len(), 2);
    let of = |of: &str| listed.iter().find(|it| it["of"] == of).unwrap();
    let member = |name: &str| if name == "a" { members[0] } else { members[1] }.to_string();
    assert_eq!(
        (&of("group shop")["key"], &of("group shop")["member"]),
        (&"127.0.0.1".into(), &member(&by_address).into())
    );
    let session = of("virtual web")["key"].as_str().unwrap();
    assert!(session.starts_with("session:") && !session.contains("secret"), "{session}");
    assert!(shunt(&["list", "web", "--limit", "1"]).good().contains("there are more"));
    let others = shunt(&["list", "web", "-o", "json", "--member", &member(&first.text())]).json();
    assert!(others["bindings"].as_array().unwrap().iter().all(|it| it["member"] == member(&first.text())));

    for key in ["secret", session] {
        let shown = shunt(&["show", "web", key, "-o", "json"]).json();
        assert_eq!(shown["bindings"][0]["member"], member(&first.text()), "{key}");
    }
    let said = shunt(&["delete", "web", "secret"]).good();
    assert_eq!(
        said,
        format!("{session} of virtual web is not bound to {} any more\n", member(&first.text()))
    );
    for args in [["show", "web", "secret"], ["delete", "web", "secret"], ["show", "wep", "127.0.0.1"]] {
        assert_ne!(shunt(&args).code, Some(0), "{args:?}");
    }
    let counted = &site.daemon.status()["pools"][0]["persistence"];
    assert_eq!((&counted["entries"], &counted["evicted"]), (&1.into(), &0.into()));
}

#[test]
fn a_client_that_is_a_large_part_of_all_is_told() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let site = Site::with("persistence = { source = true }", &[&a, &b]);
    let mut client = site.client();
    for _ in 0..10_000 {
        assert_eq!(client.get("/").status(), 200);
    }
    let listed = site.daemon.shunt(&["persistence", "list", "web"]).good();
    assert!(listed.contains("LARGEST KEYS") && listed.contains("100 %"), "{listed}");
    let listed = site.daemon.shunt(&["persistence", "list", "web", "-o", "json"]).json();
    let largest = &listed["largest"][0];
    assert_eq!((&largest["key"], &largest["of"]), (&"127.0.0.1".into(), &"virtual web".into()));
    assert_eq!(largest["member"], listed["bindings"][0]["member"]);
    assert_eq!(site.daemon.status()["pools"][0]["persistence"]["largest-percent"], 100);
    site.daemon.wait_log("persistence-large-key");
}

/// Reloads change members, weights and the balance, and each client stays where it is.
#[test]
fn bindings_outlive_many_reloads() {
    let (a, b, c) = (setting("a"), setting("b"), setting("c"));
    let keys = "persistence = { session = { cookie = \"S\" } }";
    let (both, all) = ([&a, &b].map(|it| it.address()), [&a, &b, &c].map(|it| it.address()));
    let at = address::free();
    let configs = [
        site::config(at, keys, &site::pool("web", "", &all)),
        site::config(at, keys, &site::pool("web", "balance = \"least-connections\"", &both)),
        site::config(at, keys, &site::pool("web", "keep-alive = \"1s\"", &both)),
    ];
    let site = Site { daemon: Daemon::start(&configs[2]), address: at };
    let homes: Vec<_> = (0..4)
        .map(|client| asked(&site, "/", &format!("X-Set: Set-Cookie: S={client}\r\n")).text())
        .collect();
    let mut clients: Vec<_> = homes.iter().map(|_| site.client()).collect();
    for config in configs.iter().cycle().take(100) {
        site.daemon.reload(config);
        for (at, client) in clients.iter_mut().enumerate() {
            let answer = client.ask(format!("GET / HTTP/1.1\r\nHost: h\r\nCookie: S={at}\r\n\r\n"));
            assert_eq!(answer.text(), homes[at]);
        }
    }
}
