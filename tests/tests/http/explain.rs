//! `shunt explain http`: what is told of a request is what happens to it, and asking changes nothing. `shunt rule trace`:
//! what is told of requests is what happened to them.

use std::collections::HashMap;
use std::net::SocketAddr;

use serde_json::{Value, json};
use shunt_tests::origin::Origin;
use shunt_tests::packs;
use shunt_tests::raw::Client;
use shunt_tests::site::{self, Site, rule};

/// What is told of a request.
fn told(site: &Site, request: &Value) -> Value {
    let body = request.to_string();
    let answer = site.daemon.ask("POST", "/v1/explain/http", "application/json", body.as_bytes());
    assert_eq!(answer.status(), 200, "{}", answer.text());
    serde_json::from_str(&answer.text()).expect("JSON")
}

fn url(site: &Site, path: &str) -> String {
    format!("http://{}{path}", site.address)
}

fn step<'a>(told: &'a Value, phase: &str) -> &'a Value {
    let steps = told["steps"].as_array().expect("a list");
    steps.iter().find(|it| it["phase"] == phase).unwrap_or_else(|| panic!("no {phase} in {told:#}"))
}

/// What a request could change: all that is counted, and what is in flight.
fn standing(site: &Site) -> [Value; 2] {
    let status = site.daemon.status();
    ["virtuals", "pools"].map(|key| status[key].clone())
}

#[test]
fn a_request_is_explained_and_nothing_changes() {
    let origins = ["a", "b"].map(Origin::named);
    let [a, b] = origins.each_ref();
    let rule = rule("canary", &packs::example("api-canary"), "slots = { a = \"web\", b = \"next\" }");
    let pools = site::pool("web", "", &[a.address()]) + &site::pool("next", "", &[b.address()]);
    let keys = "persistence = { source = true }";
    let site = Site::configured(|at| site::config(at, keys, &(rule + &pools)));
    let before = standing(&site);
    let asked = json!({
        "url": url(&site, "/api/x"),
        "headers": ["Host: shop.example", "X-Canary: 1", "Authorization: Basic c2VjcmV0"],
        "from": "127.0.0.1:4000",
    });
    let it = told(&site, &asked);
    assert_eq!(told(&site, &asked)["outcome"], it["outcome"]);
    assert_eq!(standing(&site), before, "nothing has changed");
    assert_eq!(b.count() + a.count(), 0);

    let member = b.address().to_string();
    assert_eq!(
        (&it["outcome"]["action"], &it["outcome"]["pool"]),
        (&json!("send"), &json!("next")),
        "{it:#}"
    );
    assert_eq!(it["outcome"]["member"], json!(member));
    let called = &step(&it, "on-request")["rule"];
    assert_eq!((&called["rule"], &called["verdict"]), (&json!("web/canary"), &json!("to")), "{it:#}");
    assert!(called["said"].as_str().unwrap().contains("(pool next)"), "{called:#}");
    let calls = called["calls"].as_array().unwrap();
    let read = calls.iter().find(|it| it["function"] == "request.path").expect("the path was read");
    assert_eq!((&read["result"], &read["changes"]), (&json!("\"/api/x\""), &json!(false)));
    let bound = step(&it, "persistence")["found"][0].as_str().unwrap();
    assert_eq!(bound, "the client is known by 127.0.0.1: it is bound to no member of pool next");
    let shown = it.to_string();
    assert!(!shown.contains("c2VjcmV0") && shown.contains("authorization: (14 bytes, not shown)"), "{it:#}");

    // As it is told, so it goes; then the client is bound.
    let fields = "Host: shop.example\r\nX-Canary: 1\r\nAuthorization: Basic c2VjcmV0\r\n";
    assert_eq!(site.client().ask(format!("GET /api/x HTTP/1.1\r\n{fields}\r\n")).text(), "b");
    let sent: Vec<_> =
        it["outcome"]["sent"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    let got = b.requests().remove(0);
    for name in ["host", "x-canary", "x-forwarded-for", "x-forwarded-proto", "x-pool"] {
        let line = got.get(name).map(|value| format!("{name}: {value}"));
        assert_eq!(
            line.as_deref(),
            sent.iter().find(|it| it.starts_with(&format!("{name}:"))).copied(),
            "{sent:?}"
        );
    }
    let it = told(&site, &asked);
    let bound = step(&it, "persistence")["found"][0].as_str().unwrap();
    assert_eq!(bound, format!("the client is known by 127.0.0.1: it is bound to {member}"));
    assert_eq!(step(&it, "selection")["members"][0]["standing"], "bound");
}

#[test]
fn a_body_is_shown_to_the_rule_that_asks_for_it_and_vetoes_are_told() {
    let origins = ["a", "b"].map(Origin::named);
    let [a, b] = origins.each_ref();
    let pools = site::pool("web", "", &[a.address(), b.address()]) + &site::pool("other", "", &[b.address()]);
    let settings = format!("slots = {{ other = \"other\" }}\nsettings = {{ veto = [\"{}\"] }}", a.address());
    let rule = rule("selects", &packs::guest("selects"), &settings);
    let site = Site::configured(|at| site::config(at, "", &(rule + &pools)));
    let it = told(&site, &json!({ "url": url(&site, "/"), "body": "a=b" }));
    assert_eq!(it["outcome"]["member"], json!(b.address().to_string()), "{it:#}");
    assert!(it["request"][0].as_str().unwrap().starts_with("POST / "));
    let mut selections = it["steps"].as_array().unwrap().iter().filter(|it| it["phase"] == "selection");
    let members = selections.next_back().unwrap()["members"].as_array().unwrap();
    let standings: Vec<_> = members.iter().map(|it| it["standing"].as_str().unwrap()).collect();
    assert_eq!(standings, ["vetoed", "turn"], "{it:#}");
    assert!(!site.daemon.log().contains("member-vetoed"), "the log has only what happened");
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let site = Site::of(&[&Origin::named("a")]);
    for (request, status, expected) in [
        (json!({ "url": "http://127.0.0.1:9/" }), 404, "no proxy virtual listens on 127.0.0.1:9"),
        (json!({ "url": "nothing" }), 400, "is not a URL"),
        (json!({ "url": url(&site, "/"), "version": "3" }), 400, "is no version of HTTP here"),
        (json!({ "url": url(&site, "/"), "headers": ["none"] }), 400, "is no field"),
    ] {
        let body = request.to_string();
        let answer = site.daemon.ask("POST", "/v1/explain/http", "application/json", body.as_bytes());
        assert_eq!(answer.status(), status, "{}", answer.text());
        assert!(answer.text().contains(expected), "{}", answer.text());
    }
}

/// The lines of a trace, read until it ends.
fn lines(trace: &shunt_tests::program::Ended) -> Vec<Value> {
    assert_eq!(trace.code, Some(0), "{}", trace.stderr);
    serde_json::Deserializer::from_str(&trace.stdout)
        .into_iter::<Value>()
        .map(|it| it.expect("JSON"))
        .collect()
}

#[test]
fn requests_are_followed_as_they_are_served() {
    let origins = ["a", "b"].map(Origin::named);
    let [a, b] = origins.each_ref();
    let rule = rule("canary", &packs::example("api-canary"), "slots = { a = \"web\", b = \"next\" }");
    let pools = site::pool("web", "", &[a.address()]) + &site::pool("next", "", &[b.address()]);
    let site = Site::configured(|at| site::config(at, "", &(rule + &pools)));
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let address = site.address;
    // Requests of which every other one is wanted, until the trace has enough of them.
    let clients = std::thread::spawn(move || {
        let mut client = Client::connect(address);
        while stopped.try_recv().is_err() {
            client.ask("GET /api/x?y HTTP/1.1\r\nHost: h:80\r\nX-Canary: 1\r\nCookie: secret=1\r\n\r\n");
            client.get("/other");
        }
    });
    let followed = site.daemon.shunt(&[
        "-o",
        "json",
        "rule",
        "trace",
        "--virtual",
        "web",
        "--match",
        "path=/api/*",
        "--match",
        "host=h",
        "--match",
        "client=127.0.0.0/8",
        "--count",
        "3",
    ]);
    stop.send(()).expect("a thread that listens");
    clients.join().expect("clients that are answered");
    let lines = lines(&followed);
    let [requests @ .., end] = &lines[..] else { panic!("{followed:?}") };
    assert_eq!(end["end"], json!({ "reason": "count", "shown": 3, "missed": 0 }));
    assert_eq!(requests.len(), 3);
    for line in requests {
        let it = &line["request"];
        assert_eq!(it["request"][0], "GET /api/x?y HTTP/1.1", "{it:#}");
        assert!(!it.to_string().contains("secret"), "{it:#}");
        assert_eq!((&it["status"], &it["member"]), (&json!(200), &json!(b.address().to_string())), "{it:#}");
        let called = &step(it, "on-request")["rule"];
        assert_eq!((&called["rule"], &called["verdict"]), (&json!("web/canary"), &json!("to")), "{it:#}");
        assert!(
            called["took"].as_u64().unwrap() > 0 && it["took"].as_u64() > called["took"].as_u64(),
            "{it:#}"
        );
        assert_eq!(step(it, "selection")["members"][0]["chosen"], true);
    }
}

#[test]
fn a_trace_ends_by_itself_and_refuses_what_is_not_there() {
    let site = Site::of(&[&Origin::named("a")]);
    let followed = site.daemon.shunt(&["-o", "json", "rule", "trace", "--virtual", "web", "--for", "1s"]);
    assert_eq!(
        lines(&followed),
        [json!({ "request": null, "end": { "reason": "time", "shown": 0, "missed": 0 } })]
    );
    let refused = site.daemon.shunt(&["rule", "trace", "--virtual", "nothing"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("there is no virtual nothing of protocol http"), "{}", refused.stderr);
    for (query, expected) in
        [("count=0", "is no number of requests"), ("client=x", "is neither an address nor a prefix")]
    {
        let answer =
            site.daemon.ask("GET", &format!("/v1/virtuals/web/trace?{query}"), "application/json", b"");
        assert_eq!(answer.status(), 400, "{}", answer.text());
        assert!(answer.text().contains(expected), "{}", answer.text());
    }
}

/// Numbers from a seed (Marsaglia, Xorshift RNGs, 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % most
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// Pools `web`, `next` and `spare`: what they hash, weights, priorities, and what stands in.
fn pools(random: &mut Random, members: &[SocketAddr]) -> String {
    let mut text = String::new();
    for (name, members) in ["web", "next", "spare"].iter().zip(members.chunks(3)) {
        let balance = random.one(&[
            "\"source-hash\"",
            "\"maglev\"",
            "\"url-hash\"",
            "\"round-robin\"",
            "\"least-connections\"",
            "{ header-hash = \"X-User\" }",
            "{ cookie-hash = \"SESSION\" }",
        ]);
        let member = |(place, address): (usize, &SocketAddr)| {
            let keys = random.one(&["", ", weight = 0", ", priority = 5", ", max-connections = 4", ""]);
            // Weights that sum to 0 are refused.
            let keys = if place == 0 { "" } else { keys };
            format!("{{ address = \"{address}\"{keys} }}")
        };
        let members: Vec<String> = members.iter().enumerate().map(member).collect();
        let on_empty = match (*name, random.below(3)) {
            ("spare", _) | (_, 0) => "",
            (_, 1) => "on-empty = { pool = \"spare\" }",
            _ => "on-empty = \"reset\"",
        };
        text.push_str(&format!(
            "[[pool]]\nname = \"{name}\"\nbalance = {balance}\n{on_empty}\nmembers = [{}]\n\n",
            members.join(", ")
        ));
    }
    text
}

/// The one that decides: nothing that is a matter of turns or of load.
fn is_certain(told: &Value) -> bool {
    let selections = told["steps"].as_array().unwrap().iter().filter(|it| it["phase"] == "selection");
    selections.flat_map(|it| it["members"].as_array().unwrap()).all(|it| {
        let standing = it["standing"].as_str().unwrap();
        standing != "another-turn"
    })
}

/// Explain and the data path agree: random requests to random configurations.
#[test]
fn what_is_told_is_what_happens() {
    let names = ["a0", "a1", "a2", "b0", "b1", "b2", "c0", "c1", "c2"];
    let origins = names.map(Origin::named);
    let members: Vec<SocketAddr> = origins.iter().map(Origin::address).collect();
    let by_address: HashMap<String, &str> = members.iter().map(ToString::to_string).zip(names).collect();
    let rule = rule("canary", &packs::example("api-canary"), "slots = { a = \"web\", b = \"next\" }");
    let site = Site::of(&[&origins[0]]);
    let (mut certain, mut answered, mut cookies) = (0, 0, Vec::<String>::new());
    for seed in 1..=24_u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let keys = random.one(&[
            "",
            "persistence = { source = true }",
            "persistence = { cookie = \"SHUNT\" }",
            "persistence = { cookie = \"SHUNT\", when-down = \"refuse\" }",
            "persistence = { session = { cookie = \"SESSION\" } }",
        ]);
        let with_rule = if random.below(3) > 0 { rule.as_str() } else { "" };
        let pools = pools(&mut random, &members);
        site.daemon.reload(&site::config(site.address, keys, &format!("{with_rule}{pools}")));
        for (pool, members) in ["web", "next", "spare"].iter().zip(members.chunks(3)) {
            for member in members {
                let verb = random.one(&["enable", "enable", "enable", "disable", "drain"]);
                let set = site.daemon.shunt(&["member", verb, pool, &member.to_string()]);
                assert_eq!(set.code, Some(0), "{}", set.stderr);
            }
        }
        for _ in 0..12 {
            let path = random.one(&["/", "/api/x", "/api/y?z=1", "/static"]);
            let mut fields = vec!["Host: shop.example".to_owned()];
            fields.extend((random.below(2) == 0).then(|| "X-Canary: 1".to_owned()));
            fields.extend((random.below(2) == 0).then(|| format!("X-User: {}", random.below(20))));
            let mut held = format!("SESSION={}", random.below(20));
            if let Some(cookie) = cookies.get(random.below(cookies.len() + 1)) {
                held = format!("{held}; {cookie}");
            }
            fields.push(format!("Cookie: {held}"));
            let asked = json!({ "url": url(&site, path), "headers": fields, "from": "127.0.0.1" });
            let told = told(&site, &asked);
            let context = || format!("seed {seed}, {path} {fields:?}\n{keys}\n{pools}\n{told:#}");
            let request = format!("GET {path} HTTP/1.1\r\n{}\r\n\r\n", fields.join("\r\n"));
            let outcome = &told["outcome"];
            match outcome["action"].as_str().unwrap() {
                "send" => {
                    let answer = site.client().ask(request);
                    assert_eq!(answer.status(), 200, "{}", context());
                    if is_certain(&told) {
                        certain += 1;
                        let member = by_address[outcome["member"].as_str().unwrap()];
                        assert_eq!(answer.text(), member, "{}", context());
                    }
                    let set = answer.get("set-cookie").and_then(|it| it.split(';').next());
                    let tells = outcome["sent"].is_array()
                        && told["steps"].to_string().contains("by the cookie SHUNT\"");
                    assert_eq!(set.is_some(), tells, "{}", context());
                    cookies.extend(set.map(str::to_owned));
                }
                "answer" => {
                    answered += 1;
                    assert_eq!(site.client().ask(request).status(), outcome["status"], "{}", context());
                }
                "reset" => {
                    answered += 1;
                    let mut client = site.client();
                    client.send(request);
                    assert!(client.try_answer().is_err(), "{}", context());
                }
                other => panic!("{other}: {}", context()),
            }
        }
    }
    // How many of either depends on the addresses of the members, which differ from run to run.
    assert!(certain > 60 && answered > 0, "{certain} certain, {answered} answered");
}
