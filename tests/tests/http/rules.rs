//! Rules on real traffic: what they decide happens, and what goes wrong in them stays theirs.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shunt_tests::address;
use shunt_tests::origin::{Origin, ok};
use shunt_tests::packs;
use shunt_tests::raw::{Client, PATIENCE};
use shunt_tests::site::{self, Site, rule};

fn pools(pools: &[(&str, &[&Origin])]) -> String {
    let pool = |(name, origins): &(&str, &[&Origin])| {
        let members: Vec<_> = origins.iter().map(|it| it.address()).collect();
        site::pool(name, "", &members)
    };
    pools.iter().map(pool).collect()
}

fn ask(client: &mut Client, line: &str, fields: &str) -> shunt_tests::raw::Message {
    client.ask(format!("{line} HTTP/1.1\r\nHost: shop.example\r\n{fields}\r\n"))
}

#[test]
fn a_rule_chooses_the_pool_and_says_so() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let rule = rule("canary", &packs::example("api-canary"), "slots = { a = \"web\", b = \"next\" }");
    let site =
        Site::configured(|at| site::config(at, "", &(rule + &pools(&[("web", &[&a]), ("next", &[&b])]))));
    let mut client = site.client();
    for (line, fields, pool) in
        [("GET /api/x", "X-Canary: 1\r\n", "b"), ("GET /api/x", "", "a"), ("GET /x", "X-Canary: 1\r\n", "a")]
    {
        let answer = ask(&mut client, line, fields);
        assert_eq!((answer.text().as_str(), answer.get("x-pool")), (pool, Some(pool)), "{line} {fields}");
    }
    let rule = site.daemon.status()["virtuals"][0]["rules"][0].clone();
    assert_eq!(hook(&rule, "on-request")["calls"], 3, "{rule}");
}

/// One cookie binds a client in each pool that a rule sends it to.
#[test]
fn a_client_that_goes_to_two_pools_stays_in_both() {
    let origins = ["a0", "a1", "a2", "b0", "b1", "b2"].map(Origin::named);
    let [a, b] = [0, 3].map(|first| origins[first..first + 3].iter().collect::<Vec<_>>());
    let rule = rule("canary", &packs::example("api-canary"), "slots = { a = \"web\", b = \"next\" }");
    let rest = rule + &pools(&[("web", &a), ("next", &b)]);
    let site = Site::configured(|at| site::config(at, "persistence = { cookie = \"SHUNT\" }", &rest));
    let (mut held, mut set, mut served) = (String::new(), 0, Vec::new());
    for _ in 0..4 {
        for (line, fields) in [("GET /x", ""), ("GET /api/x", "X-Canary: 1\r\n")] {
            let fields = format!("{fields}Cookie: {held}\r\n");
            let answer = ask(&mut site.client(), line, &fields);
            served.push(answer.text());
            if let Some(cookie) = answer.get("set-cookie") {
                set += 1;
                held = cookie.split(';').next().expect("a pair").to_owned();
            }
        }
    }
    assert_eq!((served.join(" ").as_str(), set), ("a0 b0 a0 b0 a0 b0 a0 b0", 2), "{held}");
}

/// What the status says of a hook.
fn hook<'a>(rule: &'a Value, name: &str) -> &'a Value {
    let hooks = rule["hooks"].as_array().expect("a list");
    hooks.iter().find(|it| it["hook"] == name).unwrap_or_else(|| panic!("no {name} in {rule}"))
}

#[test]
fn hosts_and_paths_are_switched() {
    let (web, api, files) = (Origin::named("web"), Origin::named("api"), Origin::named("static"));
    let settings = "slots = { web = \"web\", api = \"api\", static = \"static\" }\n\
        settings = { routes = [{ host = \"api.example\", slot = \"api\" }, { suffix = \".png\", slot = \"static\" }] }";
    let rule = rule("switch", &packs::example("switch"), settings);
    let pools = pools(&[("web", &[&web]), ("api", &[&api]), ("static", &[&files])]);
    let site = Site::configured(|at| site::config(at, "", &(rule + &pools)));
    let mut client = site.client();
    for (host, path, pool) in
        [("api.example:80", "/", "api"), ("a.example", "/x.png", "static"), ("a.example", "/", "web")]
    {
        let answer = client.ask(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(answer.text(), pool, "{host}{path}");
    }
}

#[test]
fn fields_are_set_and_hidden_on_every_answer() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\nServer: x\r\nX-Frame-Options: SAMEORIGIN\r\nContent-Length: 0\r\n\r\n",
    );
    let rule = rule("headers", &packs::example("headers"), "settings = { add = { x-own = \"1\" } }");
    let live = Site::configured(|at| site::config(at, "", &(rule.clone() + &pools(&[("web", &[&origin])]))));
    let answer = ask(&mut live.client(), "GET /", "X-Request-Id: mine\r\n");
    assert_eq!((answer.get("server"), answer.get("x-frame-options")), (None, Some("SAMEORIGIN")));
    assert_eq!((answer.get("x-own"), answer.get("x-content-type-options")), (Some("1"), Some("nosniff")));
    assert_eq!(
        (answer.get("x-request-id"), origin.request().get("x-request-id")),
        (Some("mine"), Some("mine"))
    );

    // What is set for the answer holds for one of our own, too.
    let dead = site::pool("web", "", &[address::free()]);
    let dead = Site::configured(|at| site::config(at, "", &(rule + &dead)));
    let answer = dead.client().get("/");
    assert_eq!(answer.status(), 502);
    assert_eq!(answer.get("x-request-id").map(str::len), Some(32));
}

#[test]
fn a_rule_answers_in_a_members_place() {
    let origin = Origin::named("a");
    let maintenance =
        rule("down", &packs::example("maintenance"), "settings = { testers = [\"127.0.7.0/24\"] }");
    let redirect = rule("secure", &packs::example("https-redirect"), "");
    let pools = pools(&[("web", &[&origin])]);
    let site = Site::configured(|at| site::config(at, "", &(maintenance + &pools)));
    let mut client = site.client();
    for _ in 0..2 {
        let answer = ask(&mut client, "POST /", "Content-Length: 5\r\n\r\nhello");
        assert_eq!((answer.status(), answer.get("retry-after")), (503, Some("600")));
        assert!(answer.text().contains("<html"), "{}", answer.text());
        client = site.client();
    }
    assert_eq!(origin.count(), 0);
    assert_eq!(Client::connect_from([127, 0, 7, 7].into(), site.address).get("/").text(), "a");

    let site = Site::configured(|at| site::config(at, "", &(redirect + &pools)));
    let answer = ask(&mut site.client(), "GET /a?b=c", "");
    assert!(matches!(answer.status(), 301 | 308), "{}", answer.status());
    assert_eq!(answer.get("location"), Some("https://shop.example/a?b=c"));
}

fn surface(on_fault: &str) -> String {
    let keys = format!(
        "slots = {{ primary = \"web\", other = \"other\" }}\nbudget = {{ time = \"1s\" }}\n{on_fault}\n{}",
        packs::surface_bindings()
    );
    rule("surface", &packs::guest("surface"), &keys)
}

#[test]
fn a_key_binds_to_a_member() {
    let (home, a, b, c) = (Origin::named("home"), Origin::named("a"), Origin::named("b"), Origin::named("c"));
    let pools = pools(&[("web", &[&home]), ("other", &[&a, &b, &c])]);
    let site = Site::configured(|at| site::config(at, "", &(surface("") + &pools)));
    // The guest sends everyone who asks for this to the other pool, with one key.
    let first = site.client().get("/to").text();
    for _ in 0..6 {
        assert_eq!(site.client().get("/to").text(), first);
    }
    let bound = [&a, &b, &c].into_iter().find(|it| it.count() > 0).expect("one of them");
    site.daemon.shunt(&["member", "disable", "other", &bound.address().to_string()]).good();
    let moved = site.client().get("/to").text();
    assert_ne!(moved, first);
    assert_eq!(site.client().get("/to").text(), moved, "it stays where it went");
}

#[test]
fn a_rule_sees_the_body() {
    let echo = || {
        Origin::start(|call| {
            loop {
                let request = call.request()?;
                call.send(ok(&String::from_utf8_lossy(&request.body)))?;
            }
        })
    };
    let (web, other) = (echo(), Origin::named("other"));
    let pools = pools(&[("web", &[&web]), ("other", &[&other])]);
    let config = |keys: &str| surface("") + &pools + keys;
    let site = Site::configured(|at| site::config(at, "timeouts = { idle = \"1s\" }", &config("")));
    let length = |body: &str| format!("Content-Length: {}\r\n\r\n{body}", body.len());
    let chunks = |body: &str| {
        let chunks: String = body.chars().map(|it| format!("1\r\n{it}\r\n")).collect();
        format!("Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
    };
    for framed in [&length as &dyn Fn(&str) -> String, &chunks] {
        // The guest asks for five bytes.
        for (wish, body, expected) in [
            ("next", "", ""),
            ("next", "abc", "abc"),
            ("next", "abcde", "abcde"),
            ("next", "abcdefghij", "abcdefghij"),
            ("respond", "abc", "3 true"),
            ("respond", "abcdefghij", "5 false"),
            ("replace", "abc", "cba"),
            ("replace", "abcdefghij", "edcbafghij"),
            ("to", "abc", "other"),
        ] {
            let answer = site
                .client()
                .ask(format!("POST /need-body HTTP/1.1\r\nHost: h\r\nX-Do: {wish}\r\n{}", framed(body)));
            assert_eq!((answer.status(), answer.text().as_str()), (200, expected), "{wish} {}", framed(body));
        }
        let answer = site
            .client()
            .ask(format!("POST /need-body HTTP/1.1\r\nHost: h\r\nX-Do: reject\r\n{}", framed("abc")));
        assert_eq!(answer.status(), 403);
    }
    // It is told to continue, and must then do so.
    let mut client = site.client();
    client.send("POST /need-body HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert_eq!(client.answer_head().status(), 100);
    assert_eq!(client.ask("abc").text(), "abc");
    let answer = site.client().ask("POST /need-body HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nab");
    assert_eq!(answer.status(), 408);
}

#[test]
fn a_body_that_a_rule_saw_can_be_sent_again() {
    let origin = Origin::start(|call| {
        call.request()?;
        call.send(ok("first"))?;
        // The second request on this connection is read, and not answered.
        call.request()?;
        if call.number() == 1 {
            return Ok(());
        }
        call.send(ok("again"))
    });
    let pools = pools(&[("web", &[&origin]), ("other", &[&origin])]);
    let site = Site::configured(|at| site::config(at, "", &(surface("") + &pools)));
    let mut client = site.client();
    assert_eq!(client.get("/x").text(), "first");
    let put = client.ask("PUT /need-body HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!((put.status(), put.text().as_str()), (200, "first"));
    let requests = origin.requests();
    assert_eq!(requests.len(), 3);
    assert!(requests[1..].iter().all(|it| it.body == b"abc"));
}

/// A kept connection was closed and there is no new one: that is a failed connect as any other.
#[test]
fn a_rule_decides_when_a_kept_connection_cannot_be_replaced() {
    for (wish, status) in [("to", 200), ("respond", 503), ("next", 502), ("retry", 502)] {
        let mut origin = Origin::start(|call| {
            call.request()?;
            call.send(ok("web"))?;
            call.request()?;
            call.mark("second");
            call.await_mark("end")
        });
        let other = Origin::named("other");
        let pools = pools(&[("web", &[&origin]), ("other", &[&other])]);
        let site = Site::configured(|at| site::config(at, "", &(surface("") + &pools)));
        let mut client = site.client();
        assert_eq!(client.get("/").text(), "web");
        client.send(format!("GET / HTTP/1.1\r\nHost: h\r\nX-Do: {wish}\r\n\r\n"));
        origin.wait_mark("second");
        origin.stop();
        origin.tell("end");
        let answer = client.answer();
        assert_eq!(answer.status(), status, "{wish}: {}", answer.text());
        if wish == "respond" {
            assert!(answer.text().ends_with("Refused None 1"), "{}", answer.text());
        }
    }
}

/// What went to a member that did not serve the request is not what went to the one that did.
#[test]
fn a_body_that_is_sent_twice_is_counted_for_each() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let pools = pools(&[("web", &[&a, &b]), ("other", &[&a])]);
    let site = Site::configured(|at| site::config(at, "", &(surface("") + &pools)));
    let mut client = site.client();
    let answer =
        client.ask("POST /need-body HTTP/1.1\r\nHost: h\r\nX-Do: retry\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(answer.status(), 200);
    assert_eq!((a.count(), b.count()), (1, 1));
    let members = &site.daemon.status()["pools"][0]["members"];
    assert_eq!((&members[0]["bytes-to-server"], &members[1]["bytes-to-server"]), (&3.into(), &3.into()));
    shunt_tests::daemon::until("it is told", || site.daemon.log().contains(" done "));
    assert!(site.daemon.log().contains(" 3 1 "), "{}", site.daemon.log());
}

#[test]
fn a_rule_decides_when_members_fail() {
    let other = Origin::named("other");
    let dead = site::pool("web", "", &[address::free(), address::free()]);
    let other_pool = pools(&[("other", &[&other])]);
    let site = Site::configured(|at| site::config(at, "", &(surface("") + &dead + &other_pool)));
    let mut client = site.client();
    assert_eq!(ask(&mut client, "GET /", "X-Do: to\r\n").text(), "other");
    let answer = ask(&mut client, "GET /", "X-Do: respond\r\n");
    assert_eq!(answer.status(), 503);
    assert!(answer.text().ends_with("Refused None 1"), "{}", answer.text());
    for wish in ["retry", "next"] {
        assert_eq!(ask(&mut client, "GET /", &format!("X-Do: {wish}\r\n")).status(), 502, "{wish}");
    }

    // The example: another member, then the other pool, then a word of regret.
    let live = Origin::named("live");
    let fallback =
        rule("fallback", &packs::example("fallback"), "slots = { primary = \"web\", fallback = \"other\" }");
    let one = site::pool("web", "", &[address::free(), live.address()]);
    let site = Site::configured(|at| site::config(at, "", &(fallback.clone() + &one + &other_pool)));
    for _ in 0..4 {
        assert_eq!(site.client().get("/").text(), "live");
    }
    let site = Site::configured(|at| site::config(at, "", &(fallback.clone() + &dead + &other_pool)));
    assert_eq!(site.client().get("/").text(), "other");
    let none = site::pool("other", "", &[address::free()]);
    let site = Site::configured(|at| site::config(at, "", &(fallback + &dead + &none)));
    let answer = site.client().get("/");
    assert_eq!((answer.status(), answer.get("retry-after")), (503, Some("60")));
    assert!(answer.text().starts_with("Sorry"), "{}", answer.text());
}

#[test]
fn a_rule_decides_on_the_answer() {
    let bad = Origin::answering(
        "HTTP/1.1 500 Oops\r\nServer: s\r\nX-Many: 1\r\nX-Many: 2\r\nContent-Length: 3\r\n\r\nbad",
    );
    let good = Origin::named("good");
    let pools = pools(&[("web", &[&bad, &good]), ("other", &[&good])]);
    let site = Site::configured(|at| site::config(at, "", &(surface("") + &pools)));
    let mut client = site.client();
    // Whoever is first: the other one answers in the end.
    let texts: BTreeSet<_> = (0..4).map(|_| ask(&mut client, "GET /", "X-Do: retry\r\n").text()).collect();
    assert!(texts.contains("good"), "{texts:?}");
    assert_eq!(bad.count() + good.count(), 8, "each request was sent to both");
    // A body that is gone cannot be sent again: the answer stands.
    let before = bad.count() + good.count();
    for _ in 0..2 {
        ask(&mut client, "POST /", "X-Do: retry\r\nContent-Length: 2\r\n\r\nhi");
        client = site.client();
    }
    assert_eq!(bad.count() + good.count(), before + 2);

    let site = Site::configured(|at| {
        site::config(
            at,
            "",
            &(surface("")
                + &site::pool("web", "", &[bad.address()])
                + &site::pool("other", "", &[bad.address()])),
        )
    });
    let mut client = site.client();
    let answer = ask(&mut client, "GET /", "X-Do: read\r\n");
    assert_eq!(answer.status(), 200);
    assert!(answer.text().starts_with("500 Some(\"s\") 1|2 "), "{}", answer.text());
    let answer = ask(&mut client, "GET /", "X-Do: change\r\n");
    assert_eq!((answer.status(), answer.text().as_str()), (299, "bad"));
    assert_eq!((answer.get("server"), answer.head.all("x-many").len()), (None, 3));
    assert_eq!(answer.get("content-length"), Some("3"));
}

#[test]
fn every_end_is_told() {
    let web = Origin::start(|call| {
        loop {
            match call.request()?.head.line.as_str() {
                "GET /break HTTP/1.1" => {
                    return call.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
                }
                "GET /die HTTP/1.1" => return Ok(()),
                "GET /hang HTTP/1.1" => {
                    call.until_end();
                    return Ok(());
                }
                "GET /chunks HTTP/1.1" => {
                    call.send(
                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
                    )?;
                }
                "GET /endless HTTP/1.1" => {
                    call.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")?;
                    call.until_end();
                    return Ok(());
                }
                _ => call.send(ok("hello"))?,
            }
        }
    });
    let pools = pools(&[("web", &[&web]), ("other", &[&web])]);
    let site = Site::configured(|at| site::config(at, "limits = { body = \"9B\" }", &(surface("") + &pools)));
    let mut seen = 0;
    let mut next = |what: &str, expected: &[&str]| {
        let lines = || {
            let log = site.daemon.log();
            log.lines().filter(|line| line.contains(" done ")).map(str::to_owned).collect::<Vec<_>>()
        };
        shunt_tests::daemon::until(what, || lines().len() > seen);
        let line = &lines()[seen];
        for part in expected {
            assert!(line.contains(part), "{what}: no {part:?} in {line}");
        }
        seen += 1;
        assert_eq!(lines().len(), seen, "{what}: told once");
    };
    let mut client = site.client();
    assert_eq!(ask(&mut client, "GET /x", "").status(), 200);
    next("an answer", &["done Outcome::Complete Some(200) Some(", " 0 5 "]);
    assert_eq!(ask(&mut client, "POST /x", "Content-Length: 3\r\n\r\nabc").status(), 200);
    next("an answer to a body", &["done Outcome::Complete Some(200) Some(", " 3 5 "]);
    let mut client = site.client();
    assert_eq!(ask(&mut client, "GET /chunks", "").text(), "hello");
    next("chunks", &["done Outcome::Complete Some(200) Some(", " 0 5 "]);
    client.send("HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n");
    client.answer_head();
    next("HEAD", &["done Outcome::Complete Some(200) Some(", " 0 0 "]);
    assert_eq!(ask(&mut client, "GET /respond", "").status(), 418);
    next("a rule's answer", &["done Outcome::Answered Some(418) None"]);
    assert_eq!(ask(&mut client, "GET /reject", "").status(), 403);
    next("a rejection", &["done Outcome::Refused Some(403) None"]);
    let mut client = site.client();
    assert_eq!(ask(&mut client, "GET /die", "").status(), 502);
    next("no answer", &["done Outcome::MemberFailed Some(502)"]);
    client.send("GET /break HTTP/1.1\r\nHost: h\r\n\r\n");
    client.answer_head();
    client.try_rest().unwrap();
    next("half an answer", &["done Outcome::MemberFailed Some(200) Some(", " 0 4 "]);
    let mut client = site.client();
    assert_eq!(ask(&mut client, "POST /x", "Content-Length: 10\r\n\r\n0123456789").status(), 413);
    next("too large", &["done Outcome::Refused Some(413) None"]);
    let mut client = site.client();
    client.send("GET /endless HTTP/1.1\r\nHost: h\r\n\r\n");
    client.answer_head();
    drop(client);
    next("a client that leaves", &["done Outcome::ClientGone Some(200) Some("]);
    let mut client = site.client();
    let before = web.count();
    client.send("GET /hang HTTP/1.1\r\nHost: h\r\n\r\n");
    web.wait_requests(before + 1);
    drop(client);
    next("a client that leaves early", &["done Outcome::ClientGone None None"]);
}

fn connect_with_port(site: &Site, port: u16) -> std::io::Result<Client> {
    Client::try_connect_from((site.address.ip(), port).into(), site.address)
}

#[test]
fn a_rule_decides_on_a_connection() {
    if !shunt_lab::needs::root("to connect from the ports that the guest looks at") {
        return;
    }
    let (web, other) = (Origin::named("web"), Origin::named("other"));
    let pools = pools(&[("web", &[&web]), ("other", &[&other])]);
    let site = Site::configured(|at| site::config(at, "", &(surface("") + &pools)));
    let answer = |port| {
        connect_with_port(&site, port).and_then(|mut client| {
            client.try_send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")?;
            client.try_answer()
        })
    };
    assert!(answer(1).is_err(), "rejected");
    assert!(answer(2).is_err(), "dropped");
    assert_eq!(answer(3).unwrap().text(), "other");
    assert!(answer(5).is_err(), "a member that the pool does not have is a fault, and faults reject");
    assert_eq!(answer(6).unwrap().text(), "web");
    let status = site.daemon.status();
    assert_eq!(status["virtuals"][0]["refused"], 3);
    let vars = site.client().get("/vars").text();
    assert!(vars.contains("Some(\"127."), "what on-flow noted is there for the request: {vars}");
}

fn hostile(name: &str, keys: &str) -> String {
    rule(name, &packs::guest("hostile"), &format!("slots = {{ web = \"web\" }}\n{keys}"))
}

#[test]
fn what_a_fault_comes_to_is_the_operators_choice() {
    let (web, spare) = (Origin::named("web"), Origin::named("spare"));
    let pools = pools(&[("web", &[&web]), ("spare", &[&spare])]);
    for (policy, status, text) in [
        ("", 500, "a rule of this service failed\n"),
        ("on-fault = \"reject\"", 500, "a rule of this service failed\n"),
        ("on-fault = \"continue\"", 200, "web"),
        ("on-fault = { pool = \"spare\" }", 200, "spare"),
    ] {
        for isolation in ["worker", "flow", "call"] {
            let keys = format!("{policy}\nisolation = \"{isolation}\"");
            let site = Site::configured(|at| site::config(at, "", &(hostile("bad", &keys) + &pools)));
            let mut client = site.client();
            for path in ["/panic", "/ok", "/loop", "/ok", "/slot", "/ok"] {
                let answer = client.get(path);
                let expected =
                    if path == "/ok" { (200, "web".to_owned()) } else { (status, text.to_owned()) };
                assert_eq!((answer.status(), answer.text()), expected, "{policy} {isolation} {path}");
            }
            let rule = site.daemon.status()["virtuals"][0]["rules"][0].clone();
            let request = hook(&rule, "on-request");
            assert_eq!(
                (&request["faults"]["panic"], &request["faults"]["timeout"]),
                (&1.into(), &1.into()),
                "{request}"
            );
            assert_eq!(request["faults"]["verdict"], 1, "{request}");
            assert_eq!(request["calls"], 6, "{request}");
        }
    }
}

/// Median and p99 of a thousand requests, each of them answered well.
fn latencies(site: &Site) -> (Duration, Duration) {
    let mut client = site.client();
    let mut took: Vec<_> = (0..1_000)
        .map(|_| {
            let begin = Instant::now();
            let answer = client.get("/");
            assert_eq!((answer.status(), answer.text().as_str()), (200, "web"));
            begin.elapsed()
        })
        .collect();
    took.sort_unstable();
    (took[took.len() / 2], took[took.len() * 99 / 100])
}

/// Four hostile rules beside a good one, on one worker.
#[test]
fn hostile_rules_hurt_only_themselves() {
    let web = Origin::named("web");
    let (good, bad): (SocketAddr, Vec<_>) = (
        address::free(),
        [("loop", "timeout"), ("memory", "memory"), ("panic", "panic"), ("host-calls", "host-calls")]
            .map(|(path, kind)| (path, kind, address::free()))
            .into(),
    );
    let steer = rule("steer", &packs::guest("steer"), "slots = { primary = \"web\", canary = \"web\" }");
    let mut rest = steer;
    for (path, _, address) in &bad {
        // Only the loop is to run out of time, however slow the machine is.
        let time = if *path == "loop" { "5ms" } else { "1s" };
        rest += &site::virtual_(path, *address, "web", "");
        rest += &hostile("bad", &format!("budget = {{ time = \"{time}\" }}"));
    }
    rest += &pools(&[("web", &[&web])]);
    let mut site =
        Site { daemon: shunt_tests::daemon::Daemon::start(&site::config(good, "", &rest)), address: good };

    let alone = latencies(&site);
    let attackers: Vec<_> = bad
        .iter()
        .map(|&(path, _, address)| {
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                for _ in 0..200 {
                    assert_eq!(client.get(&format!("/{path}")).status(), 500, "{path}");
                }
            })
        })
        .collect();
    let beside = latencies(&site);
    attackers.into_iter().for_each(|attacker| attacker.join().expect("an answer for every request"));
    assert!(site.daemon.runs());
    println!(
        "median and p99 of the good rule's requests: {alone:?} alone, {beside:?} beside the hostile ones"
    );

    let status = site.daemon.status();
    let rules = |name: &str| {
        let virtuals = status["virtuals"].as_array().unwrap();
        virtuals.iter().find(|it| it["name"] == name).unwrap()["rules"][0].clone()
    };
    for (path, kind, _) in &bad {
        let rule = rules(path);
        let faults = &hook(&rule, "on-request")["faults"];
        let of = |kind: &str| faults[kind].as_u64().unwrap_or(0);
        assert!(of(kind) >= 5, "{path}: {rule}");
        assert_eq!(of(kind) + of("breaker-open"), 200, "{path}: every one is counted, by its kind: {rule}");
        assert_eq!(rule["breaker"], "open", "{path}: {rule}");
    }
    let good = rules("web");
    assert_eq!((&good["breaker"], &hook(&good, "on-request")["faults"]), (&"closed".into(), &json!({})));
    site.daemon.wait_log("the breaker has opened");
}

/// Better than being shut out: the version before takes over.
#[test]
fn a_version_that_does_nothing_but_fault_is_taken_back() {
    let web = Origin::named("web");
    let pools = pools(&[("web", &[&web])]);
    let good = rule("main", &packs::guest("plain"), "slots = { web = \"web\" }");
    let site = Site::configured(|at| site::config(at, "", &(good + &pools)));
    site.daemon
        .shunt(&[
            "rule",
            "load",
            "web/main",
            &packs::guest("hostile").display().to_string(),
            "--accept-grants",
        ])
        .good();
    let mut client = site.client();
    assert_eq!(client.get("/panic").status(), 500);
    // Some faults are needed, and what follows them is not waited for.
    let begin = Instant::now();
    while client.get("/panic").status() != 200 {
        assert!(begin.elapsed() < PATIENCE, "it is not taken back");
    }
    let rule = site.daemon.status()["virtuals"][0]["rules"][0].clone();
    assert_eq!((&rule["running"], &rule["versions"][1]["faulty"]), (&1.into(), &true.into()), "{rule}");
}
