//! `shunt explain`: what is told of a packet is what happens to it, and asking changes nothing.

use serde_json::Value;
use shunt_lab::{Family, Mode, Plan, Shape};
use shunt_tests::packet::PacketSite;
use shunt_tests::packs;
use shunt_tests::program;

use crate::has_labs;

fn texts<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|it| it[key].as_str().unwrap()).collect()
}

/// Asks about a segment of a client to the virtual `web`.
fn tcp(site: &PacketSite, family: Family, options: &[&str]) -> Value {
    let from = site.topology.client_address(family, 0);
    let (source, vip) = (std::net::SocketAddr::new(from, 40_000).to_string(), site.web(family).to_string());
    site.told(&[&["explain", "tcp", &source, ">", &vip], options].concat())
}

/// What a packet could change.
fn standing(site: &PacketSite) -> [Value; 3] {
    let packets = &site.told(&["status"])["packets"];
    ["flows", "virtuals", "snat-pools"].map(|key| packets[key].clone())
}

#[test]
fn a_flow_is_explained_before_it_begins_and_when_it_is_there() {
    if !has_labs() {
        return;
    }
    let plan = Plan { workers: 2, ..Plan::new(Mode::Snat) };
    let site = PacketSite::start("explain-flows", Shape::TwoArm, &plan);
    // So that Shunt knows where its members and the router are.
    for family in Family::BOTH {
        site.ask(family, 0, b"who");
    }
    let before = standing(&site);
    for family in Family::BOTH {
        let told = tcp(&site, family, &[]);
        assert_eq!(told["verdict"]["action"], "send", "{told:#}");
        assert_eq!((&told["flow"], &told["rewrite"]["mode"]), (&Value::Null, &"snat".into()));
        let [first, .., last] = &texts(&told["stages"], "stage")[..] else { panic!("{told:#}") };
        assert_eq!([*first, *last], ["flow-table", "insert"]);
        let mut standings = texts(&told["members"], "standing");
        standings.sort_unstable();
        assert_eq!(standings, ["another-turn", "turn"], "{told:#}");
        // Asked as bytes, it is the same packet.
        let hex = told["leaves"][0]["hex"].as_str().unwrap();
        let back = site.told(&["explain", "--hex", hex, "--interface", told["interface"].as_str().unwrap()]);
        assert_eq!(back["packet"][1], told["leaves"][0]["packet"][1], "{back:#}");
    }
    assert_eq!(standing(&site), before, "nothing has changed");

    site.fetch(Family::V4, 0, 100, 100);
    let flow = site.told(&["flow", "list", "--virtual", "web-4"])["flows"][0].clone();
    let before = standing(&site);
    let of = |key: &str| flow[key].as_str().unwrap();
    let told = site.told(&["explain", "tcp", of("client"), of("vip"), "--flags", "A"]);
    assert_eq!((&told["flow"], &told["rewrite"]["member"]), (&flow["id"], &flow["member"]), "{told:#}");
    let answer = site.told(&["explain", "tcp", of("member"), of("snat"), "--flags", "A"]);
    assert_eq!((&answer["flow"], &answer["verdict"]["action"]), (&flow["id"], &"send".into()), "{answer:#}");
    let seen = format!("IPv4 {} > ", site.web(Family::V4).ip());
    assert!(answer["leaves"][0]["packet"][1].as_str().unwrap().starts_with(&seen), "{answer:#}");
    assert_eq!(standing(&site), before);
}

#[test]
fn what_is_refused_says_where_and_what_to_do() {
    if !has_labs() {
        return;
    }
    let plan = Plan::new(Mode::Nat);
    let site = PacketSite::start("explain-refusals", Shape::TwoArm, &plan);
    let members: Vec<String> = (0..2)
        .map(|number| site.topology.member_address(Family::V4, number, plan.port([80, 8080])).to_string())
        .collect();
    site.shunt.client(&["member", "disable", "web-4", &members[0]]).unwrap();
    let told = tcp(&site, Family::V4, &[]);
    assert_eq!(texts(&told["members"], "standing"), ["disabled", "turn"], "{told:#}");
    site.shunt.client(&["member", "drain", "web-4", &members[1]]).unwrap();
    let told = tcp(&site, Family::V4, &[]);
    assert_eq!(texts(&told["members"], "standing"), ["disabled", "draining"], "{told:#}");
    let verdict = &told["verdict"];
    assert_eq!(
        (&verdict["action"], &verdict["reason"], &verdict["stage"]),
        (&"refuse".into(), &"no-member".into(), &"selection".into())
    );
    assert!(verdict["remedy"].as_str().unwrap().ends_with('.'), "{told:#}");

    let named = tcp(&site, Family::V4, &["--interface", site.topology.interfaces()[1]]);
    let [guessed, by] = ["interface-is-a-guess", "interface"].map(|key| &named[key]);
    assert_eq!((guessed, by), (&Value::Bool(false), &site.topology.interfaces()[1].into()), "{named:#}");
    let text = site.shunt.client(&["explain", "udp", "192.0.2.7:9", "203.0.113.1:9"]).unwrap();
    assert!(text.contains("UDP 9 > 9") && text.contains("verdict"), "{text}");

    let ended = |arguments: &[&str]| {
        let mut command = program::command();
        program::ended(command.arg("--socket").arg(site.shunt.socket()).arg("explain").args(arguments))
    };
    // The shell takes a bare arrow, and what follows it.
    let cut = ended(&["tcp", "192.0.2.7:40000"]);
    assert_eq!(cut.code, Some(2), "{cut:?}");
    assert!(cut.stderr.contains("must be quoted"), "{}", cut.stderr);
    assert!(
        ended(&["tcp", "192.0.2.7:1", "203.0.113.1:80", "--interface", "eth77"])
            .refused(1)
            .contains("no such interface")
    );
    assert!(ended(&["tcp", "192.0.2.7:1", "[2001:db8::1]:80"]).refused(1).contains("different IP families"));
}

#[test]
fn rules_are_asked_and_told_of_the_end() {
    if !has_labs() {
        return;
    }
    let last = shunt_lab::Topology::CLIENTS[0];
    let rule = format!(
        "[[virtual.rule]]\nname = \"by-client\"\npack = \"{}\"\non-fault = \"continue\"\n\
         slots = {{ main = \"POOL\", other = \"POOL\", out = \"OUT\" }}\n\
         settings = {{ clients = [{{ from = \"192.0.2.{last}/32\", how = \"drop\" }}] }}",
        packs::guest("packets").display(),
    );
    let site = PacketSite::start("explain-rules", Shape::TwoArm, &Plan { rule, ..Plan::new(Mode::Nat) });
    let told = tcp(&site, Family::V4, &[]);
    assert_eq!(told["verdict"]["reason"], "rule-drop", "{told:#}");
    assert_eq!(
        told["rules"][0],
        serde_json::json!({ "rule": "web-4/by-client", "said": "drop" }),
        "{told:#}"
    );
    assert_eq!(told["members"], serde_json::json!([]));
    site.wait_log("1 packets there, 0 back");
}
