//! Members by name: they follow the answers of DNS, and what is wrong with answers harms nothing.

use std::net::SocketAddr;

use serde_json::{Value, json};
use shunt_tests::address;
use shunt_tests::daemon::{Daemon, until};
use shunt_tests::dns::{Dns, Says};
use shunt_tests::origin::Origin;
use shunt_tests::raw::Client;
use shunt_tests::site;

const NAME: &str = "app.test";

/// A virtual whose pool has these members; `[resolver]` asks this server and has these keys.
fn config(listen: SocketAddr, dns: &Dns, resolver: &str, members: &str) -> String {
    let resolver = format!(
        "[resolver]\nservers = [\"{}\"]\nmin-ttl = \"100ms\"\ntimeout = \"200ms\"\n{resolver}\n\n",
        dns.address()
    );
    let pool = format!("[[pool]]\nname = \"web\"\nmembers = [{members}]\n\n");
    [resolver, site::virtual_("shop", listen, "web", ""), pool].concat()
}

fn by_name(member: SocketAddr) -> String {
    format!("{{ address = \"{NAME}:{}\" }}", member.port())
}

/// What is told of the only name.
fn name_of(daemon: &Daemon) -> Value {
    daemon.status()["pools"][0]["names"][0].clone()
}

fn has(daemon: &Daemon, members: &[SocketAddr]) -> bool {
    name_of(daemon)["addresses"] == json!(members.iter().map(ToString::to_string).collect::<Vec<_>>())
}

#[test]
fn members_follow_the_answers() {
    let (dns, listen) = (Dns::start(), address::free());
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    dns.say_members(NAME, &[blue.address()]);
    let daemon = Daemon::start(&config(listen, &dns, "", &by_name(blue.address())));
    let mut client = Client::connect(listen);
    assert_eq!(client.get("/").text(), "blue", "the first request finds the member");

    let epoch = daemon.status()["epoch"].clone();
    let asked = |least: u64| name_of(&daemon)["lookups"].as_u64().is_some_and(|it| it >= least);
    until("it is asked again", || asked(3));
    assert_eq!(daemon.status()["epoch"], epoch, "the same answer changes nothing");

    dns.say_members(NAME, &[blue.address(), green.address()]);
    until("the second is a member", || has(&daemon, &[blue.address(), green.address()]));
    let mut seen = [client.get("/").text(), client.get("/").text()];
    seen.sort();
    assert_eq!(seen, ["blue", "green"], "on the same connection of the client");
    assert_eq!(daemon.status()["pools"][0]["members"][0]["requests"], 2, "what stays is not begun anew");

    dns.say_members(NAME, &[green.address()]);
    until("the first is gone", || has(&daemon, &[green.address()]));
    assert_eq!(client.get("/").text(), "green");
    assert!(daemon.log().contains("name-changed"), "{}", daemon.log());
    assert_eq!(daemon.status()["virtuals"][0]["connections"], 1);
    let members = daemon.status()["pools"][0]["members"].clone();
    assert_eq!(members[0]["name"], format!("{NAME}:{}", green.address().port()), "{members}");
}

#[test]
fn members_stay_while_answers_are_missing() {
    let (dns, listen, origin) = (Dns::start(), address::free(), Origin::named("a"));
    dns.say_members(NAME, &[origin.address()]);
    let daemon = Daemon::start(&config(listen, &dns, "", &by_name(origin.address())));
    let mut client = Client::connect(listen);
    for (says, error) in [
        (Says::Code(2), "answers SERVFAIL"),
        (Says::Addresses(Vec::new()), "DNS has no addresses for it"),
        (Says::Nothing, "does not answer within 200ms"),
        (Says::Junk, "does not answer within 200ms"),
    ] {
        dns.say(NAME, says);
        until(error, || name_of(&daemon)["error"].as_str().is_some_and(|it| it.contains(error)));
        assert_eq!(name_of(&daemon)["held"], 1);
        assert_eq!(client.get("/").text(), "a", "{error}");
        dns.say_members(NAME, &[origin.address()]);
        until("the answer", || name_of(&daemon)["error"].is_null());
    }
    assert!(daemon.log().contains("name-unanswered") && daemon.log().contains("name-answered"));
    let text = daemon.ask("GET", "/v1/metrics", "", b"").text();
    assert!(text.contains("shunt_name_lookups_failed_total{"), "{text}");
}

#[test]
fn members_go_when_nothing_is_held() {
    let (dns, listen, origin) = (Dns::start(), address::free(), Origin::named("a"));
    dns.say_members(NAME, &[origin.address()]);
    let daemon = Daemon::start(&config(listen, &dns, "hold = \"0s\"", &by_name(origin.address())));
    let mut client = Client::connect(listen);
    assert_eq!(client.get("/").text(), "a");
    dns.say(NAME, Says::Code(3));
    until("it has no members", || has(&daemon, &[]));
    assert_eq!(client.get("/").status(), 503);
    assert!(daemon.log().contains("name-vanished"), "{}", daemon.log());
    dns.say_members(NAME, &[origin.address()]);
    until("it has one again", || has(&daemon, &[origin.address()]));
    assert_eq!(client.get("/").text(), "a");
}

#[test]
fn a_start_does_not_wait_for_long() {
    let (dns, listen, origin) = (Dns::start(), address::free(), Origin::named("a"));
    dns.say(NAME, Says::Nothing);
    let daemon = Daemon::start(&config(listen, &dns, "", &by_name(origin.address())));
    let mut client = Client::connect(listen);
    assert_eq!(client.get("/").status(), 503);
    until("the error", || !name_of(&daemon)["error"].is_null());
    let folder = daemon.folder().config();
    let doctor = daemon.shunt(&["doctor", folder.to_str().unwrap()]);
    assert!(doctor.stdout.contains("has no members: app.test A: "), "{}{}", doctor.stdout, doctor.stderr);
    assert!(daemon.log().contains("name-unresolved"), "{}", daemon.log());
    let status = daemon.shunt(&["status"]).good();
    assert!(status.contains("LAST ERROR") && status.contains("does not answer within 200ms"), "{status}");
    dns.say_members(NAME, &[origin.address()]);
    until("the member", || has(&daemon, &[origin.address()]));
    assert_eq!(client.get("/").text(), "a");
}

#[test]
fn a_reload_to_names_loses_nothing() {
    let (dns, listen) = (Dns::start(), address::free());
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    dns.say_members(NAME, &[green.address()]);
    let daemon = Daemon::start(&config(listen, &dns, "", &format!("{{ address = \"{}\" }}", blue.address())));
    let mut client = Client::connect(listen);
    assert_eq!(client.get("/").text(), "blue");
    daemon.reload(&config(listen, &dns, "", &by_name(green.address())));
    assert_eq!(client.get("/").text(), "green", "as soon as the reload is done");
    daemon.reload(&config(listen, &dns, "", &format!("{{ address = \"{}\" }}", blue.address())));
    assert_eq!(client.get("/").text(), "blue");
    assert_eq!(daemon.status()["pools"][0]["names"], json!([]));
}

#[test]
fn services_say_ports_and_weights() {
    let (dns, listen) = (Dns::start(), address::free());
    let (one, two) = (Origin::named("one"), Origin::named("two"));
    dns.say("one.test", Says::Addresses(vec![one.address().ip()]));
    dns.say("two.test", Says::Addresses(vec![two.address().ip()]));
    let service = |weights: [u16; 2], priorities: [u16; 2]| {
        let (one, two) = ((one.address().port(), "one.test"), (two.address().port(), "two.test"));
        let records =
            vec![(priorities[0], weights[0], one.0, one.1), (priorities[1], weights[1], two.0, two.1)];
        dns.say("_http._tcp.test", Says::Services(records));
    };
    service([3, 1], [10, 10]);
    let daemon = Daemon::start(&config(listen, &dns, "", "{ address = \"_http._tcp.test\" }"));
    let mut client = Client::connect(listen);
    let ones = (0..8).filter(|_| client.get("/").text() == "one").count();
    assert_eq!(ones, 6);
    service([1, 1], [20, 10]);
    let priority = |member: usize| daemon.status()["pools"][0]["members"][member]["priority"].as_u64();
    until("the priorities of the records", || (priority(0), priority(1)) == (Some(65_515), Some(65_525)));
    let answers: Vec<String> = (0..4).map(|_| client.get("/").text()).collect();
    assert_eq!(answers, ["two"; 4], "the lowest number of records is the highest group");
}
