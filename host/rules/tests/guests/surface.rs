//! One test per host function and per verdict.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde_json::json;
use shunt_rules::flags::FlagValue;
use shunt_rules::sets::SetLines;
use shunt_rules::{
    Alert, Answer, BodyVerdict, CertificateFacts, ClientCertificate, ConnectCause, ConnectFailedVerdict,
    ConnectFailure, Demand, Exchange, Fault, FaultKind, FlowVerdict, HeaderEdit, HelloVerdict, Isolation,
    Level, MemberFailure, Mode, Outcome, PersistKey, RequestVerdict, ResponseBodyVerdict, ResponseVerdict,
    Runner, Scheme, SelectedVerdict, Selection, SelectionReason, SetBinding, SetContent, Summary, Tables,
    Target, Terms, Vars,
};

use crate::world::{World, exchange, flow, hello, options, pack, root, rule, runner};

/// Calls `on-request`; the text that it answered.
fn ask(exchange: &mut Box<Exchange>) -> String {
    text(runner("surface", &World::new()).on_request(exchange))
}

fn text(verdict: Result<RequestVerdict, Fault>) -> String {
    match verdict {
        Ok(RequestVerdict::Respond(answer)) => body(&answer),
        other => panic!("{other:?}"),
    }
}

fn body(answer: &Answer) -> String {
    String::from_utf8(answer.body.to_vec()).unwrap()
}

#[test]
fn the_head_is_read() {
    let mut exchange =
        exchange("/flow?a=1", &[("host", "shop.example:8080"), ("x-a", "1"), ("X-B", "2"), ("x-a", "3")]);
    assert_eq!(ask(&mut exchange), "42 192.0.2.7:5555 198.51.100.1:443 Transport::Tcp 3");
    let mut at = |path: &str| {
        exchange.request.uri = path.parse().unwrap();
        ask(&mut exchange)
    };
    assert_eq!(at("/version"), "Version::Http11");
    assert_eq!(at("/scheme"), "Scheme::Http");
    assert_eq!(at("/method"), "GET");
    assert_eq!(at("/path?x"), "/path");
    assert_eq!(at("/query?x=%20y&z"), "Some(\"x=%20y&z\")");
    assert_eq!(at("/query"), "None");
    assert_eq!(at("/authority"), "shop.example:8080");
    assert_eq!(at("http://other.example/authority"), "other.example");
    assert_eq!(at("/header?X-A"), "Some(\"1\")");
    assert_eq!(at("/header?x-c"), "None");
    assert_eq!(at("/header?b%20d"), "None", "a name that HTTP does not allow is not there");
    assert_eq!(at("/headers?x-a"), "1|3");
    assert_eq!(at("/header-names"), "host x-a x-b");
}

#[test]
fn the_head_is_shown_as_it_came() {
    let mut exchange = exchange("/scheme", &[]);
    exchange.scheme = Scheme::Https;
    assert_eq!(ask(&mut exchange), "Scheme::Https");
    exchange.request.uri = "/version".parse().unwrap();
    exchange.request.version = http::Version::HTTP_10;
    assert_eq!(ask(&mut exchange), "Version::Http10");
    exchange.request.uri = "/authority".parse().unwrap();
    assert_eq!(ask(&mut exchange), "", "HTTP/1.0 may have no host");
    exchange.request.uri = "/method".parse().unwrap();
    exchange.request.method = http::Method::from_bytes(b"PURGE").unwrap();
    assert_eq!(ask(&mut exchange), "PURGE");
}

const OK: &str = "ok";
const INVALID: &str = "invalid";
const FORBIDDEN: &str = "forbidden";

/// Asks for a change; what came of it, and the request after it.
fn change(target: &str, headers: &[(&str, &str)]) -> (String, http::request::Parts) {
    let mut exchange = exchange(target, headers);
    (ask(&mut exchange), exchange.request)
}

#[test]
fn the_path_and_the_query_change_apart() {
    let (result, request) = change("/set-path?/b/c", &[]);
    assert_eq!((result.as_str(), request.uri.to_string().as_str()), (OK, "/b/c?/b/c"));
    let (result, request) = change("/set-query?x=1", &[]);
    assert_eq!((result.as_str(), request.uri.to_string().as_str()), (OK, "/set-query?x=1"));
    let (result, request) = change("/remove-query?x=1", &[]);
    assert_eq!((result.as_str(), request.uri.to_string().as_str()), (OK, "/remove-query"));
    let (result, request) = change("http://shop.example/set-path?/b", &[]);
    assert_eq!((result.as_str(), request.uri.to_string().as_str()), (OK, "http://shop.example/b?/b"));
    for bad in ["b", "/a?b", "*"] {
        let (result, request) = change(&format!("/set-path?{bad}"), &[]);
        assert_eq!((result.as_str(), request.uri.path()), (INVALID, "/set-path"), "{bad}");
    }
    let (result, request) = change("/set-query?a+b", &[]);
    assert_eq!((result.as_str(), request.uri.query()), (INVALID, Some("a+b")), "a space ends the target");
}

#[test]
fn the_authority_changes_in_both_places() {
    let (result, request) = change("/set-authority?b.example:81", &[("host", "a.example")]);
    assert_eq!(result, OK);
    assert_eq!(request.headers["host"], "b.example:81");
    let (result, request) = change("http://a.example/set-authority?b.example", &[("host", "a.example")]);
    assert_eq!(result, OK);
    assert_eq!(request.uri.host(), Some("b.example"));
    assert_eq!(request.headers["host"], "b.example");
    for bad in ["user@b.example", "b/c", "a,b@c", "b:x", "b:80:80", ":80", "::1"] {
        let (result, request) = change(&format!("/set-authority?{bad}"), &[("host", "a.example")]);
        assert_eq!(result, INVALID, "{bad}");
        assert_eq!(request.headers["host"], "a.example");
    }
}

#[test]
fn fields_are_set_added_and_removed() {
    let headers = [("x-a", "1"), ("x-a", "2"), ("te", "trailers")];
    let values = |request: &http::request::Parts, name: &str| -> Vec<String> {
        request.headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    };
    let (result, request) = change("/set-header?X-A", &headers);
    assert_eq!((result.as_str(), values(&request, "x-a")), (OK, vec!["set".to_owned()]));
    let (result, request) = change("/add-header?x-a", &headers);
    assert_eq!((result.as_str(), values(&request, "x-a").join(" ").as_str()), (OK, "1 2 added"));
    let (result, request) = change("/remove-header?x-a", &headers);
    assert_eq!((result.as_str(), values(&request, "x-a").len()), (OK, 0));
    assert_eq!(change("/remove-header?x-none", &headers).0, OK);
    for action in ["set-header", "add-header", "remove-header", "set-response-header"] {
        assert_eq!(change(&format!("/{action}?no:colon"), &headers).0, INVALID, "{action}");
        for field in [
            "Connection",
            "content-length",
            "host",
            "keep-alive",
            "proxy-connection",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
        ] {
            let (result, request) = change(&format!("/{action}?{field}"), &headers);
            assert_eq!(result, FORBIDDEN, "{action} {field}");
            assert_eq!(request.headers["te"], "trailers");
        }
    }
    assert_eq!(change("/set-value", &headers).0, INVALID);
}

#[test]
fn a_head_grows_to_its_limit_and_no_further() {
    let mut exchange = exchange("/grow", &[("x-before", "1")]);
    let answer = ask(&mut exchange);
    // 64 KiB in fields of 1,010 bytes.
    assert_eq!(answer, "64 too-large");
    assert_eq!(exchange.request.headers.get_all("x-grow").iter().count(), 64);
}

#[test]
fn edits_of_the_answer_are_kept_in_order_and_once_per_field() {
    let mut exchange = exchange("/set-response-header?x-b", &[]);
    assert_eq!(ask(&mut exchange), OK);
    let mut headers = HeaderMap::new();
    headers.insert("server", "x".parse().unwrap());
    assert_eq!(exchange.response_edits.len(), 3);
    assert!(matches!(&exchange.response_edits[1], HeaderEdit::Remove(name) if name == "server"));
    for edit in exchange.response_edits {
        edit.apply(&mut headers);
    }
    assert_eq!(headers.len(), 2);
    assert_eq!((&headers["x-a"], &headers["x-b"]), (&"1".parse().unwrap(), &"x".parse().unwrap()));
}

#[test]
fn lines_reach_the_log_with_their_level_and_rule() {
    let world = World::new();
    let verdict = runner("surface", &world).on_request(&mut exchange("/log", &[]));
    assert_eq!(verdict, Ok(RequestVerdict::Next));
    let lines = world.lines.lock().unwrap();
    let levels: Vec<_> = lines.iter().map(|(level, _)| *level).collect();
    assert_eq!(levels, [Level::Error, Level::Warn, Level::Info, Level::Info], "debug is off");
    assert_eq!(lines[1].1, "shop/test: w none");
    assert_eq!(lines[3].1.len(), "shop/test: ".len() + 4096, "long lines are cut at a character");
}

#[test]
fn an_operator_says_which_lines_of_a_rule_are_written() {
    let world = World::new();
    let mut runner = runner("surface", &world);
    for (level, expected) in [
        (Some(Level::Debug), "Error Warn Info Debug Info"),
        (Some(Level::Warn), "Error Warn"),
        (None, "Error Warn Info Info"),
    ] {
        world.lines.lock().unwrap().clear();
        runner.attachment().log().set(level);
        runner.on_request(&mut exchange("/log", &[])).unwrap();
        let levels: Vec<_> =
            world.lines.lock().unwrap().iter().map(|(level, _)| format!("{level:?}")).collect();
        assert_eq!(levels.join(" "), expected, "{level:?}");
    }
}

#[test]
fn the_clock_is_the_environments() {
    let world = World::new();
    world.advance_ms(1500);
    let answer = text(runner("surface", &world).on_request(&mut exchange("/clock", &[])));
    assert_eq!(answer, "1700000001.5s 1.5s");
}

#[test]
fn random_numbers_are_the_environments() {
    let number = u64::from_ne_bytes([0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(ask(&mut exchange("/random", &[])), format!("{number} 16"));
}

#[test]
fn variables_live_as_long_as_their_scope() {
    let mut runner = runner("surface", &World::new());
    let mut exchange = exchange("/vars", &[]);
    runner.on_flow(&flow("192.0.2.7:5555"), &mut exchange.flow_vars).unwrap();
    let first = text(runner.on_request(&mut exchange));
    assert_eq!(first, r#"(None, None, Some("192.0.2.7:5555")) Some("r") Some("f") None Some(7)"#);
    let again = text(runner.on_request(&mut exchange));
    assert!(again.starts_with(r#"(Some("r"), Some("f"), "#), "{again}");
    exchange.vars.clear();
    let next_request = text(runner.on_request(&mut exchange));
    assert!(next_request.starts_with(r#"(None, Some("f"), "#), "{next_request}");
}

#[test]
fn tables_of_every_kind_are_used() {
    let world = World::new();
    let mut runner = runner("surface", &world);
    let mut at = |path: &str| text(runner.on_request(&mut exchange(path, &[])));
    assert_eq!(at("/table-values?k"), r#"None None Some("a") [false, true] Some("c") 1"#);
    assert_eq!(at("/table-value?k"), r#"Some("d")"#);
    assert_eq!(at("/table-delete?k"), "true false");
    assert_eq!(at("/table-value?k"), "None");
    assert_eq!(at("/table-keep?k"), r#"false Some("k")"#);
    let most = i64::MAX;
    assert_eq!(at("/table-count?a"), format!("0 [1, 42, 40, {most}, {most}] 1"));
    assert!(at("/table-count?a").starts_with("0 [1, 42,"), "the most and the least are taken back");
    for key in ["b", "c", "d"] {
        at(&format!("/table-count?{key}"));
    }
    assert!(at("/table-count?d").ends_with(" 3"), "more than three are not kept");
    let refused = "Allowance { allowed: false, remaining: 2, retry_after: Some(900ms) }";
    let asked = "Allowance { allowed: true, remaining: 2, retry_after: None }";
    assert_eq!(at("/table-window"), format!("{asked} {refused} {asked} Some(1)"));
    let buckets = at("/table-bucket?k");
    assert!(buckets.contains("{ allowed: true, remaining: 0, retry_after: None }"), "{buckets}");
    assert!(buckets.contains("{ allowed: false, remaining: 0, retry_after: None }]"), "{buckets}");
    assert!(buckets.ends_with(" Some(100ms)"), "{buckets}");
    assert_eq!(at("/table-distinct"), "0 [1, 2, 2] 2 0");
}

#[test]
fn entries_end_by_the_clock_of_the_environment() {
    let world = World::new();
    let mut runner = runner("surface", &world);
    let mut at = |path: &str| text(runner.on_request(&mut exchange(path, &[])));
    at("/table-values?idle");
    at("/table-keep?short");
    world.advance_ms(1499);
    assert_eq!(
        (at("/table-value?short"), at("/table-value?idle")),
        (r#"Some("k")"#.into(), r#"Some("d")"#.into())
    );
    world.advance_ms(1);
    assert_eq!(at("/table-value?short"), "None");
    world.advance_ms(9_999);
    assert_eq!(at("/table-value?idle"), "None", "ten seconds after its last use");
    assert!(at("/table-window").starts_with("Allowance { allowed: true, remaining: 2"));
    world.advance_ms(900);
    assert!(at("/table-window").starts_with("Allowance { allowed: true, remaining: 2"));
}

/// Whatever becomes of the instance, the version and the attachment.
#[test]
fn tables_outlive_faults_and_versions() {
    let (world, rule) = (World::new(), rule("surface"));
    let tables = Arc::<Tables>::default();
    let runner = |isolation| {
        let mut options = options(&rule, &world);
        (options.tables, options.isolation) = (tables.clone(), isolation);
        Runner::new(rule.attach(options).unwrap())
    };
    let ask = |runner: &mut Runner, path: &str| text(runner.on_request(&mut exchange(path, &[])));
    let mut first = runner(Isolation::Worker);
    ask(&mut first, "/table-values?k");
    assert!(
        first.on_client_hello(&flow("192.0.2.7:1"), &hello("panic.example"), &mut Vars::default()).is_err()
    );
    assert_eq!(ask(&mut first, "/table-value?k"), r#"Some("d")"#);
    let mut second = runner(Isolation::Call);
    assert_eq!(ask(&mut second, "/table-value?k"), r#"Some("d")"#);
    let table =
        |name: &str| second.attachment().tables().iter().find(|it| it.name() == name).unwrap().clone();
    assert_eq!(table("values").look(b"k", 0).unwrap().value.show(), "d");
    table("values").write(b"k", "by hand", 0).unwrap();
    assert_eq!(ask(&mut second, "/table-value?k"), r#"Some("by hand")"#);
    let of_another = ask(&mut self::runner("surface", &world), "/table-value?k");
    assert_eq!(of_another, "None", "a rule elsewhere has its own");
}

#[test]
fn bindings_are_those_of_the_virtual() {
    let world = World::new();
    let mut runner = runner("surface", &world);
    let answer = text(runner.on_request(&mut exchange("/persist?ann", &[])));
    assert_eq!(answer, "None [true, true, false] Some(192.0.2.1:80) 2 [true, false]");
    let bindings = world.bindings.lock().unwrap().clone();
    assert_eq!(bindings["shop/test pool-primary ann"], ("192.0.2.1:80".parse().unwrap(), None));
}

#[test]
fn pools_are_seen_by_slot() {
    assert_eq!(ask(&mut exchange("/pool", &[])), "3 2 7");
    assert_eq!(ask(&mut exchange("/queue", &[])), "5 1.25s");
    assert_eq!(
        ask(&mut exchange("/members", &[])),
        "192.0.2.1:80 MemberState::Up 1 4|[2001:db8::2]:8080 MemberState::Draining 2 3|192.0.2.3:80 MemberState::Disabled 1 0"
    );
}

#[test]
fn sets_are_looked_up_and_replaced_as_a_whole() {
    let mut runner = runner("surface", &World::new());
    let of = |runner: &mut Runner, target: &str, client: &str| {
        let mut exchange = exchange(target, &[]);
        exchange.flow = flow(client);
        text(runner.on_request(&mut exchange))
    };
    for (client, expected) in [
        ("192.0.2.7:1", "Some(\"desk\")"),
        ("192.0.2.8:1", "Some(\"office\")"),
        ("[2001:db8::1]:1", "Some(\"\")"),
        ("198.51.100.1:1", "None"),
    ] {
        assert_eq!(of(&mut runner, "/set-address", client), expected, "{client}");
    }
    for (text, expected) in [
        ("paths=/a/bc", "Some(\"/a/b deep\")"),
        ("paths=/c", "Some(\"/c \")"),
        ("paths=b", "None"),
        ("agents=Googlebot", "Some(\"(?i)bot seen\")"),
        ("clients=192.0.2.8", "Some(\"192.0.2.0/24 office\")"),
        ("clients=shop", "None"),
    ] {
        assert_eq!(of(&mut runner, &format!("/set-text?{text}"), "192.0.2.7:1"), expected, "{text}");
    }
    let clients = Arc::clone(runner.attachment().set("clients").unwrap());
    clients.load(&SetLines::new("socket", "198.51.100.0/24 new")).unwrap();
    assert_eq!(of(&mut runner, "/set-address", "198.51.100.1:1"), "Some(\"new\")");
    assert_eq!(of(&mut runner, "/set-address", "192.0.2.7:1"), "None");
}

/// Made by OpenSSL with the keys of `world`.
#[test]
fn hashes_seals_and_tokens() {
    let mut runner = runner("surface", &World::new());
    let mut at = |target: &str| text(runner.on_request(&mut exchange(target, &[])));
    assert_eq!(
        at("/digest?abc"),
        "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0 \
         3a81oZNherrMQXNJriBBMRLm-k6JqX6iCp7u5ktV05ohkpkqJ0_BqDa6PCOj_uu9RU1EI2Q86A4qmslPpUyknw"
    );
    assert_eq!(at("/sign?abc"), "_XrbFSwF74Dcz1Ch-kwF1aPsbalVdfwxKufF0JGDY1E true false");
    assert_eq!((at("/equal?a=a").as_str(), at("/equal?a=b").as_str()), ("true", "false"));
    let (first, second) = (at("/seal?abc"), at("/seal?abc"));
    assert_ne!(first, second, "each has a nonce of its own");
    assert_eq!(at(&format!("/open?{first}")), "Some([97, 98, 99]) None");
    assert_eq!(at("/open?AAAA"), "None None");
    let claims = r#"{"sub":"ann","iss":"https://id.example","aud":"shop","exp":1767229200}"#;
    assert_eq!(
        at(
            "/token?eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbm4iLCJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiOiJzaG9wIiwiZXhwIjoxNzY3MjI5MjAwfQ.XagqvRBstKvHS5AVujPxlujCFnRAmpVt56z6_m2uZwy47DFq3_d-yNZp4RahmojL-PikC7jyxy9g1Gtw8KTtAA"
        ),
        format!(r#"Some("ann") Some("https://id.example") ["shop"] Some(1767229200) {claims}"#)
    );
    assert_eq!(
        at(
            "/token?eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbm4iLCJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiOiJzaG9wIiwiZXhwIjoxNjk5OTk5MDAwfQ.V05szUeaMV5GmyDA4wGQ5mEEvIM_9Ggk5oAbz-Zn395nc-RBufUGFdlZgaUvjH6vAZyGTEbz1Zgp0waQCOjdBg"
        ),
        "expired"
    );
    assert_eq!(
        at("/token?eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.0_lnacXAUZ1rNA2bp1U30axdABas4afNUeCEceOAsgg"),
        "algorithm",
        "a public key is no secret"
    );
    assert_eq!(at("/token?a.b.c"), "malformed");
}

#[test]
fn flags_have_their_defaults_until_they_are_set_and_keep_that_over_versions() {
    let (world, rule) = (World::new(), rule("surface"));
    let mut runner = runner("surface", &world);
    let read = |runner: &mut Runner| text(runner.on_request(&mut exchange("/flags", &[])));
    assert_eq!(read(&mut runner), "false 5 hi");
    let attachment = Arc::clone(runner.attachment());
    let set = |name: &str, value| attachment.flag(name).unwrap().set(value);
    set("on", FlagValue::Boolean(true)).unwrap();
    set("share", FlagValue::Integer(-7)).unwrap();
    set("banner", FlagValue::Text("é".to_owned())).unwrap();
    set("on", FlagValue::Integer(1)).unwrap_err();
    assert_eq!(read(&mut runner), "true -7 é");
    let mut options = options(&rule, &world);
    options.flags = attachment.flags().to_vec();
    let mut next = Runner::new(rule.attach(options).unwrap());
    assert_eq!(read(&mut next), "true -7 é");
    next.attachment().flag("share").unwrap().reset();
    assert_eq!((read(&mut next), read(&mut runner)), ("true 5 é".to_owned(), "true 5 é".to_owned()));
}

#[test]
fn a_rule_gets_the_sets_that_it_declares_and_no_others() {
    let (world, rule) = (World::new(), rule("surface"));
    let mut options = options(&rule, &world);
    let bind = |set: &str, lines: &str| SetBinding {
        set: set.to_owned(),
        content: SetContent::Lines(SetLines::new(format!("{set}.txt"), lines)),
    };
    options.sets = vec![bind("clients", "192.0.2.7/24\nx"), bind("path", "/"), bind("agents", "")];
    let Err(error) = rule.attach(options) else { panic!("it is attached") };
    assert_eq!(
        error.to_string(),
        "the pack has no set \"path\"; did you mean \"paths\"?\n\
         set \"clients\" cannot be built:\n  \
         clients.txt:1: \"192.0.2.7/24\" has bits behind its length; write 192.0.2.0/24, or the address alone\n  \
         clients.txt:2: \"x\" is neither an address nor a prefix; write one such as 192.0.2.0/24 or 2001:db8::/32\n\
         set \"paths\" (beginnings of texts) is not bound to entries; add sets = { paths = \"…\" }, the path of a file \
         with the beginning of a text in each line"
    );
}

#[test]
fn settings_of_every_type_arrive() {
    let (world, rule) = (World::new(), rule("surface"));
    let mut options = options(&rule, &world);
    options.settings = json!({
        "flag": true, "number": 255, "ratio": 2.5, "text": "t", "list": ["a", "b"], "labels": { "z": "1", "a": "2" },
    });
    let mut runner = Runner::new(rule.attach(options).unwrap());
    let answer = text(runner.on_request(&mut exchange("/settings", &[])));
    assert_eq!(answer, r#"true 255 Some(2.5) t Some(["a", "b"]) Some({"a": "2", "z": "1"})"#);
    assert_eq!(ask(&mut exchange("/settings", &[])), "false 7 None none None None");
}

#[test]
fn verdicts_on_a_flow() {
    let mut runner = runner("surface", &World::new());
    let mut at =
        |port: u16| runner.on_flow(&flow(&format!("192.0.2.7:{port}")), &mut Vars::default()).unwrap();
    let other = Target { pool: Some(0), ..Target::default() };
    assert_eq!(at(1), FlowVerdict::Reject);
    assert_eq!(at(2), FlowVerdict::Drop);
    assert_eq!(at(3), FlowVerdict::To(other.clone()), "slots are sorted: other, out, primary");
    assert_eq!(
        at(4),
        FlowVerdict::To(Target {
            member: Some("[2001:db8::1]:443".parse().unwrap()),
            mode: Some(Mode::L3dsrIpip),
            snat_pool: Some(1),
            persist: Some(PersistKey { key: b"key".to_vec(), timeout: Some(Duration::from_secs(90)) }),
            ..other
        })
    );
    let member = Some("192.0.2.9:8080".parse().unwrap());
    assert_eq!(at(5), FlowVerdict::To(Target { member, ..Target::default() }));
    assert_eq!(at(6), FlowVerdict::Next);
}

#[test]
fn a_hello_is_read() {
    let world = World::new();
    let mut runner = runner("surface", &world);
    let mut vars = Vars::default();
    runner.on_client_hello(&flow("192.0.2.7:5555"), &hello("Shop.example"), &mut vars).unwrap();
    let print = "t13d0105h2_";
    let line = r#"192.0.2.7:5555 Some("shop.example") h2|http/1.1 [772] [4865] [4588, 29] [1027, 2052] [43, 10, 13, 16, 0]"#;
    assert!(world.logged(line), "{:?}", world.lines);
    assert!(world.logged(&format!("{line} {print}")) && world.logged(" false"), "{:?}", world.lines);
    let set = format!("{vars:?}");
    assert!(set.contains("print"), "variables are the flow's: {set}");
}

#[test]
fn verdicts_on_a_hello() {
    let mut runner = runner("surface", &World::new());
    let mut on =
        |name: &str| runner.on_client_hello(&flow("192.0.2.7:1"), &hello(name), &mut Vars::default());
    let other = Target { pool: Some(0), ..Target::default() };
    let persist = Some(PersistKey { key: b"who".to_vec(), timeout: None });
    assert_eq!(on("to.example"), Ok(HelloVerdict::To(Target { persist, ..other })));
    let terms = Terms {
        target: other.clone(),
        certificate: Some("a.example".to_owned()),
        protocols: Some(vec!["http/1.1".to_owned()]),
        client_certificate: Some(Demand::Optional),
    };
    assert_eq!(on("terms.example"), Ok(HelloVerdict::Terminate(terms)));
    let bare = Terms { client_certificate: Some(Demand::None), ..Terms::default() };
    assert_eq!(on("bare.example"), Ok(HelloVerdict::Terminate(bare)));
    let member = Some("192.0.2.9:8080".parse().unwrap());
    assert_eq!(on("through.example"), Ok(HelloVerdict::PassThrough(Target { member, ..other })));
    assert_eq!(on("reject.example"), Ok(HelloVerdict::Reject(Alert::AccessDenied)));
    assert_eq!(on("alert.example"), Ok(HelloVerdict::Reject(Alert::NoApplicationProtocol)));
    assert_eq!(on("next.example"), Ok(HelloVerdict::Next));
    assert_eq!(on("slot.example").unwrap_err().kind, FaultKind::Verdict);
    assert_eq!(on("panic.example").unwrap_err().kind, FaultKind::Panic);
    assert_eq!(on("next.example"), Ok(HelloVerdict::Next), "another instance serves");
}

/// A certificate that a client showed.
#[derive(Debug)]
struct Shown;

impl ClientCertificate for Shown {
    fn facts(&self) -> CertificateFacts {
        CertificateFacts {
            subject: "CN=Ann".to_owned(),
            serial: "0A".to_owned(),
            not_before: -1,
            not_after: i64::MAX,
            names: vec!["DNS:a".to_owned(), "DNS:b".to_owned()],
            ..CertificateFacts::default()
        }
    }

    fn pem(&self) -> String {
        "-----BEGIN".to_owned()
    }
}

#[test]
fn the_certificate_of_the_client_is_read() {
    let mut exchange = exchange("/client-certificate", &[]);
    assert_eq!(ask(&mut exchange), "None None");
    exchange.client_certificate = Some(Arc::new(Shown));
    let read = ask(&mut exchange);
    for part in [
        r#"subject: "CN=Ann""#,
        r#"serial: "0A""#,
        "not_before: -1, not_after: 9223372036854775807",
        r#"names: ["DNS:a", "DNS:b"]"#,
    ] {
        assert!(read.contains(part), "{read}");
    }
    assert!(read.ends_with(r#"Some("-----BEGIN")"#), "{read}");
}

#[test]
fn verdicts_on_a_request() {
    let mut runner = runner("surface", &World::new());
    let mut at = |path: &str| runner.on_request(&mut exchange(path, &[])).unwrap();
    let persist = Some(PersistKey { key: b"who".to_vec(), timeout: None });
    assert_eq!(at("/to"), RequestVerdict::To(Target { pool: Some(0), persist, ..Target::default() }));
    assert_eq!(at("/reject"), RequestVerdict::Reject);
    assert_eq!(at("/need-body"), RequestVerdict::NeedBody(5));
    assert_eq!(at("/else"), RequestVerdict::Next);
    let RequestVerdict::Respond(answer) = at("/respond") else { panic!() };
    assert_eq!((answer.status, body(&answer).as_str()), (StatusCode::IM_A_TEAPOT, "short and stout"));
    assert_eq!(answer.headers.get_all("x-a").iter().count(), 2);
    assert_eq!(answer.headers["location"], "/b");
}

#[test]
fn verdicts_on_a_body() {
    let mut runner = runner("surface", &World::new());
    let mut with = |to_do: &str, complete| {
        runner.on_request_body(&mut exchange("/", &[("x-do", to_do)]), b"abc", complete).unwrap()
    };
    assert_eq!(with("replace", true), BodyVerdict::Replace("cba".into()));
    assert_eq!(with("to", true), BodyVerdict::To(Target { pool: Some(0), ..Target::default() }));
    assert_eq!(with("reject", true), BodyVerdict::Reject);
    assert_eq!(with("", true), BodyVerdict::Next);
    let BodyVerdict::Respond(answer) = with("respond", false) else { panic!() };
    assert_eq!(body(&answer), "3 false");
}

#[test]
fn verdicts_on_a_selection() {
    let world = World::new();
    let mut runner = runner("surface", &world);
    let selection = Selection {
        member: "192.0.2.1:80".parse().unwrap(),
        pool: "pool-primary",
        reason: SelectionReason::Persistence,
        weight: 3,
        active: 4,
        vetoes: 1,
    };
    let mut with = |to_do: &str| runner.on_selected(&mut exchange("/a", &[("x-do", to_do)]), &selection);
    let member = Some("192.0.2.9:8080".parse().unwrap());
    assert_eq!(
        with("select"),
        Ok(SelectedVerdict::To(Target { pool: Some(0), member, ..Target::default() }))
    );
    assert_eq!(with("veto"), Ok(SelectedVerdict::Veto("192.0.2.1:80 has 4".to_owned())));
    assert_eq!(with("long").unwrap_err().message, "gave a reason of 257 bytes; at most 256 are allowed");
    assert_eq!(with("panic").unwrap_err().kind, FaultKind::Panic);
    assert_eq!(with(""), Ok(SelectedVerdict::Next));
    let rest = r#"192.0.2.1:80 Some("primary") Reason::Persistence 3 4 1"#;
    assert!(world.logged(&format!(r#"Some("/a") 192.0.2.7:5555 {rest}"#)), "{:?}", world.lines);

    let mut vars = Vars::default();
    let client = flow("192.0.2.7:9");
    let elsewhere = Selection { pool: "another", ..selection };
    assert_eq!(runner.on_selected_of_flow(&client, &mut vars, &elsewhere), Ok(SelectedVerdict::Next));
    let told = "None 192.0.2.7:9 192.0.2.1:80 None Reason::Persistence 3 4 1";
    assert!(world.logged(told), "{:?}", world.lines);
}

#[test]
fn verdicts_on_a_failed_connect() {
    let mut runner = runner("surface", &World::new());
    let member: SocketAddr = "192.0.2.1:80".parse().unwrap();
    let failure =
        ConnectFailure { member: Some(member), cause: ConnectCause::TimedOut, tls: None, attempts: 2 };
    let mut with = |to_do: &str, failure: &ConnectFailure| {
        runner.on_connect_failed(&mut exchange("/", &[("x-do", to_do)]), failure).unwrap()
    };
    assert_eq!(with("retry", &failure), ConnectFailedVerdict::Retry);
    assert_eq!(with("to", &failure), ConnectFailedVerdict::To(Target { pool: Some(0), ..Target::default() }));
    assert_eq!(with("", &failure), ConnectFailedVerdict::Next);
    let ConnectFailedVerdict::Respond(answer) = with("respond", &failure) else { panic!() };
    assert_eq!(body(&answer), "Some(192.0.2.1:80) Cause::TimedOut None 2");
    let none = ConnectFailure { member: None, cause: ConnectCause::NoMember, tls: None, attempts: 0 };
    let ConnectFailedVerdict::Respond(answer) = with("respond", &none) else { panic!() };
    assert_eq!(body(&answer), "None Cause::NoMember None 0");
    let tls = ConnectFailure { cause: ConnectCause::Other, tls: Some(MemberFailure::OtherName), ..failure };
    let ConnectFailedVerdict::Respond(answer) = with("respond", &tls) else { panic!() };
    assert_eq!(body(&answer), "Some(192.0.2.1:80) Cause::Other Some(MemberFailure::OtherName) 2");
}

/// An exchange whose member has answered.
fn answered(to_do: &str, pool: &str) -> Box<Exchange> {
    let response = http::Response::builder()
        .status(201)
        .header("server", "origin")
        .header("x-many", "1")
        .header("x-many", "2")
        .header("content-length", "9");
    Box::new(Exchange {
        response: Some(response.body(()).unwrap().into_parts().0),
        member: Some("192.0.2.1:80".parse().unwrap()),
        pool: Some(pool.into()),
        ..*exchange("/", &[("x-do", to_do)])
    })
}

#[test]
fn verdicts_on_a_response() {
    let mut runner = runner("surface", &World::new());
    assert_eq!(runner.on_response(&mut answered("retry", "p")), Ok(ResponseVerdict::Retry));
    assert_eq!(runner.on_response(&mut answered("", "p")), Ok(ResponseVerdict::Next));
    let mut read = |pool| match runner.on_response(&mut answered("read", pool)) {
        Ok(ResponseVerdict::Replace(answer)) => body(&answer),
        other => panic!("{other:?}"),
    };
    let head = "201 Some(\"origin\") 1|2 server x-many content-length";
    assert_eq!(read("pool-primary"), format!("{head} Some(\"primary\") 192.0.2.1:80"));
    assert_eq!(read("pool-of-another-rule"), format!("{head} None 192.0.2.1:80"));
}

#[test]
fn verdicts_on_the_body_of_a_response() {
    let mut runner = runner("surface", &World::new());
    assert_eq!(runner.on_response(&mut answered("body", "p")), Ok(ResponseVerdict::NeedBody(5)), "the last");
    assert_eq!(runner.on_response(&mut answered("body-and-retry", "p")), Ok(ResponseVerdict::Retry));
    assert_eq!(runner.on_response(&mut answered("", "p")), Ok(ResponseVerdict::Next), "each call asks anew");
    let mut exchange = answered("replace", "p");
    let replaced = runner.on_response_body(&mut exchange, b"abc", true);
    assert_eq!(replaced, Ok(ResponseBodyVerdict::Replace("cba".into())));
    assert_eq!(exchange.response.unwrap().headers["x-replaced"], "1");
    let mut with = |to_do: &str| runner.on_response_body(&mut answered(to_do, "p"), b"abc", false);
    assert_eq!(with(""), Ok(ResponseBodyVerdict::Next));
    assert_eq!(with("panic").unwrap_err().kind, FaultKind::Panic);
    let Ok(ResponseBodyVerdict::Respond(answer)) = with("respond") else { panic!() };
    assert_eq!(body(&answer), "201 3 false");
}

#[test]
fn a_response_head_is_changed() {
    let mut exchange = answered("change", "p");
    assert_eq!(runner("surface", &World::new()).on_response(&mut exchange), Ok(ResponseVerdict::Next));
    let response = exchange.response.unwrap();
    assert_eq!(response.status, 299);
    assert_eq!(response.headers["x-set"], "1");
    assert_eq!(response.headers.get_all("x-many").iter().count(), 3);
    assert!(!response.headers.contains_key("server"));
    assert_eq!(response.headers["content-length"], "9");
    let HeaderEdit::Set(_, results) = &exchange.response_edits[0] else { panic!() };
    assert_eq!(results, format!("{OK} {INVALID} {OK} {OK} {OK} {FORBIDDEN} {INVALID}").as_str());
}

#[test]
fn the_end_of_a_request_and_of_a_flow_are_told() {
    let world = World::new();
    let mut runner = runner("surface", &world);
    let mut exchange = exchange("/vars", &[]);
    runner.on_request(&mut exchange).unwrap();
    let mut summary = Summary {
        flow: exchange.flow,
        outcome: Outcome::Complete,
        status: 200,
        member: Some("192.0.2.1:80".parse().unwrap()),
        bytes_to_server: 1,
        bytes_to_client: 2,
        packets_to_server: 0,
        packets_to_client: 0,
        duration: Duration::from_micros(1500),
        first_byte: Some(Duration::from_micros(700)),
    };
    runner.on_done(&summary, Some(&mut exchange.vars), &mut exchange.flow_vars).unwrap();
    assert!(
        world
            .logged(r#"done Outcome::Complete Some(200) Some(192.0.2.1:80) 1 2 1.5ms Some(700µs) Some("r")"#)
    );
    (summary.outcome, summary.status, summary.member, summary.first_byte) = (Outcome::Refused, 0, None, None);
    runner.on_done(&summary, None, &mut exchange.flow_vars).unwrap();
    assert!(
        world.logged(r#"done Outcome::Refused None None 1 2 1.5ms None Some("f")"#),
        "both scopes are the flow's"
    );
}

/// Whatever the contract offers, the guest of these tests uses: so nothing is forgotten here.
#[test]
fn the_guest_calls_every_function_of_the_contract() {
    let pack = pack("surface");
    let bytes = pack.bytes();
    for file in ["capabilities.wit", "http.wit", "tls.wit"] {
        let text = std::fs::read_to_string(root().join("wit").join(file)).unwrap();
        let (mut resource, mut functions) = (String::new(), 0);
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix("resource ") {
                resource = name.trim_end_matches(" {").to_owned();
            } else if line == "}" {
                resource.clear();
            } else if let Some((name, _)) = line.split_once(": func(") {
                let import =
                    if resource.is_empty() { name.to_owned() } else { format!("[method]{resource}.{name}") };
                assert!(
                    bytes.windows(import.len()).any(|window| window == import.as_bytes()),
                    "{import} is not called"
                );
                functions += 1;
            }
        }
        assert!(functions > 5, "{file} was not understood");
    }
}
