//! Limits of connections, the queue of a pool, and pools that stand in.

use std::io::ErrorKind;
use std::net::SocketAddr;

use serde_json::{Value, json};
use shunt_tests::address;
use shunt_tests::daemon::until;
use shunt_tests::frames;
use shunt_tests::origin::{Origin, ok};
use shunt_tests::packs;
use shunt_tests::raw::Client;
use shunt_tests::site::{self, Site};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

/// Answers a request when its body says so: it is sent when the test wants the answer.
fn held() -> Origin {
    Origin::start(|call| {
        loop {
            call.request()?;
            call.send(ok("held"))?;
        }
    })
}

/// A request whose member has it until its body ends.
const HOLDS: &str = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n";

fn hold(site: &Site, active: u64) -> Client {
    let mut client = site.client();
    client.send(HOLDS);
    until("the member has the request", || {
        site.daemon.status()["pools"][0]["members"][0]["active"] == json!(active)
    });
    client
}

fn release(mut client: Client) {
    client.send("x");
    assert_eq!(client.answer().status(), 200);
}

fn pool(name: &str, keys: &str, member_keys: &str, members: &[SocketAddr]) -> String {
    let member = |address: &SocketAddr| format!("{{ address = \"{address}\"{member_keys} }}");
    let members: Vec<String> = members.iter().map(member).collect();
    format!("[[pool]]\nname = \"{name}\"\n{keys}\nmembers = [{}]\n", members.join(", "))
}

fn queue(site: &Site) -> Value {
    site.daemon.status()["pools"][0]["queue"].clone()
}

#[test]
fn a_full_member_gets_no_more() {
    let origin = held();
    for (keys, member_keys) in [("", ", max-connections = 2"), ("max-connections = 2", "")] {
        let pools = pool("web", keys, member_keys, &[origin.address()]);
        let site = Site::configured(|listen| site::config(listen, "", &pools));
        let (first, second) = (hold(&site, 1), hold(&site, 2));
        let refused = site.client().ask(GET);
        assert_eq!((refused.status(), refused.text().as_str()), (503, "all members of pool web are busy\n"));
        release(first);
        assert_eq!(site.client().ask(GET).status(), 200);
        // A reload that lifts the limit lets all in.
        let third = hold(&site, 2);
        site.daemon.reload(&site::config(site.address, "", &pool("web", "", "", &[origin.address()])));
        assert_eq!(site.client().ask(GET).status(), 200);
        release(second);
        release(third);
        until("no request is counted", || {
            site.daemon.status()["pools"][0]["members"][0]["active"] == json!(0)
        });
    }
}

#[test]
fn load_spills_to_the_next_group() {
    let (high, low) = (held(), Origin::named("low"));
    let members = format!(
        "[[pool]]\nname = \"web\"\nmembers = [{{ address = \"{}\", priority = 2, max-connections = 1 }}, \
         {{ address = \"{}\" }}]\n",
        high.address(),
        low.address()
    );
    let site = Site::configured(|listen| site::config(listen, "", &members));
    let why = |at: usize| site.daemon.status()["pools"][0]["members"][at]["ineligible"].clone();
    assert_eq!([why(0), why(1)], [Value::Null, json!("group-not-in-use")]);
    let first = hold(&site, 1);
    assert_eq!([why(0), why(1)], [json!("full"), Value::Null]);
    assert_eq!(site.client().get("/").text(), "low");
    release(first);
    until("the member is free", || site.daemon.status()["pools"][0]["members"][0]["active"] == json!(0));
    assert_eq!(site.client().get("/").text(), "held");
}

#[test]
fn requests_wait_in_the_order_of_arrival() {
    let origin = held();
    let keys = "on-empty = { queue = 2, timeout = \"60s\" }";
    let pools = pool("web", keys, ", max-connections = 1", &[origin.address()]);
    let site = Site::configured(|listen| site::config(listen, "", &pools));
    let holds = hold(&site, 1);
    let mut waiting = Vec::new();
    for number in 1..=2 {
        let mut client = site.client();
        client.send(format!("GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n"));
        until("it waits", || queue(&site)["waiting"] == json!(number));
        waiting.push(client);
    }
    assert_eq!(site.client().ask(GET).status(), 503, "no more can wait");
    release(holds);
    for mut client in waiting {
        assert_eq!(client.answer().status(), 200);
    }
    let paths: Vec<String> = origin.requests().iter().map(|it| it.head.line.clone()).collect();
    assert!(paths[1].contains("/1") && paths[2].contains("/2"), "{paths:?}");
    let queue = queue(&site);
    assert_eq!([&queue["waiting"], &queue["served"], &queue["full"]], [&json!(0), &json!(2), &json!(1)]);
}

#[test]
fn a_request_waits_for_a_member_to_come_back() {
    let origin = Origin::named("a");
    let member = origin.address().to_string();
    let pools = pool("web", "on-empty = { queue = 9, timeout = \"60s\" }", "", &[origin.address()]);
    let site = Site::configured(|listen| site::config(listen, "", &pools));
    site.daemon.shunt(&["member", "disable", "web", &member]).good();
    let mut client = site.client();
    client.send(GET);
    until("it waits", || queue(&site)["waiting"] == json!(1));
    // Who leaves waits no more.
    let mut gone = site.client();
    gone.send(GET);
    until("both wait", || queue(&site)["waiting"] == json!(2));
    drop(gone);
    site.daemon.shunt(&["member", "enable", "web", &member]).good();
    assert_eq!(client.answer().text(), "a");
    until("nobody waits", || queue(&site)["waiting"] == json!(0));
    // Nobody waits for ever.
    site.daemon.shunt(&["member", "disable", "web", &member]).good();
    let short = pool("web", "on-empty = { queue = 9, timeout = \"1ms\" }", "", &[origin.address()]);
    site.daemon.reload(&site::config(site.address, "", &short));
    assert_eq!(site.client().ask(GET).status(), 503);
    assert_eq!(queue(&site)["timed-out"], json!(1));
}

#[test]
fn a_pool_may_say_that_clients_get_a_reset() {
    let origin = Origin::named("a");
    let pools = pool("web", "on-empty = \"reset\"", "", &[origin.address()]);
    let http2 = "http2 = { start = \"prior-knowledge\" }";
    let site = Site::configured(|listen| site::config(listen, http2, &pools));
    let mut client = site.client();
    assert_eq!(client.get("/").text(), "a");
    site.daemon.shunt(&["member", "disable", "web", &origin.address().to_string()]).good();
    client.send(GET);
    assert_eq!(client.try_answer().map(|it| it.status()).unwrap_err().kind(), ErrorKind::ConnectionReset);
    // Over HTTP/2 it is that of the stream, and the client may send its request again.
    let mut client = frames::Client::connect(site.address);
    let stream = client.request("GET", "/", &[]);
    assert_eq!(client.answer(stream).reset, Some(frames::REFUSED_STREAM));
    site.daemon.shunt(&["member", "enable", "web", &origin.address().to_string()]).good();
    assert_eq!(client.get("/").status, 200);
    assert_eq!(site.daemon.status()["virtuals"][0]["errors"], json!(2));
}

#[test]
fn other_pools_stand_in() {
    let (origin, last) = (Origin::named("a"), Origin::named("sorry"));
    let pools = [
        pool("web", "on-empty = { pool = \"empty\" }", "", &[origin.address()]),
        pool("empty", "on-empty = { pool = \"sorry\" }", "", &[address::free()]),
        pool("sorry", "", "", &[last.address()]),
    ]
    .concat();
    let site = Site::configured(|listen| site::config(listen, "", &pools));
    assert_eq!(site.client().get("/").text(), "a");
    let [first, second] =
        [site.daemon.status()["pools"][0].clone(), site.daemon.status()["pools"][1].clone()];
    for pool in [first, second] {
        let member = pool["members"][0]["address"].as_str().unwrap().to_owned();
        site.daemon.shunt(&["member", "disable", pool["name"].as_str().unwrap(), &member]).good();
    }
    assert_eq!(site.client().get("/").text(), "sorry");
    site.daemon.shunt(&["member", "enable", "web", &origin.address().to_string()]).good();
    assert_eq!(site.client().get("/").text(), "a");
}

#[test]
fn rules_see_who_waits() {
    let origin = held();
    let keys = "on-empty = { queue = 9, timeout = \"60s\" }";
    let pools = pool("web", keys, ", max-connections = 1", &[origin.address()]);
    let slots = "slots = { primary = \"web\", other = \"web\" }\n".to_owned();
    let rule = site::rule("main", &packs::guest("surface"), &(slots + &packs::surface_bindings()));
    let site = Site::configured(|listen| site::config(listen, "", &(rule + &pools)));
    let asked = || site.client().get("/queue").text();
    assert_eq!(asked(), "0 0ns");
    let holds = hold(&site, 1);
    let mut waits = site.client();
    waits.send(GET);
    until("the rule sees that one waits, and for how long", || {
        let told = asked();
        told.starts_with("1 ") && told != "1 0ns"
    });
    release(holds);
    assert_eq!(waits.answer().status(), 200);
    assert_eq!(asked(), "0 0ns");
}
