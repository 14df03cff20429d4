//! What operators see of packet virtuals: flows, counters, metrics, and what is in the way of a start.

use std::process::Command;

use serde_json::Value;
use shunt_lab::{Family, Mode, Plan, Shape};
use shunt_tests::packet::PacketSite;
use shunt_tests::packs;
use shunt_tests::program::{self, Ended};

use crate::has_labs;

/// The ids of a list of flows.
fn ids(flows: &Value) -> Vec<String> {
    flows["flows"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect()
}

/// Runs the client, which is refused, and gives what it said.
fn refused(site: &PacketSite, arguments: &[&str]) -> String {
    let mut command = program::command();
    program::ended(command.arg("--socket").arg(site.shunt.socket()).args(arguments)).refused(1)
}

fn doctor(site: &PacketSite, config: &str) -> Ended {
    let file = site.shunt.config().with_file_name("doctor.toml");
    std::fs::write(&file, config).unwrap();
    let mut command = site.topology.shunt.command(program::path());
    program::ended(command.arg("doctor").arg(file))
}

#[test]
fn flows_are_listed_shown_and_ended() {
    if !has_labs() {
        return;
    }
    let plan = Plan { workers: 2, ..Plan::new(Mode::Nat) };
    let site = PacketSite::start("operators-flows", Shape::TwoArm, &plan);
    let held: Vec<_> = (0..3)
        .map(|number| {
            let from = site.topology.client_address(Family::V4, number);
            site.topology.client.hold(from, site.web(Family::V4), 10_000).unwrap()
        })
        .collect();
    site.ask(Family::V4, 0, b"who");

    let all = site.told(&["flow", "list"]);
    assert_eq!((ids(&all).len(), &all["more"]), (4, &Value::Bool(false)), "{all:#}");
    let count = |options: &[&str]| ids(&site.told(&[&["flow", "list"], options].concat())).len();
    let client = site.topology.client_address(Family::V4, 0).to_string();
    let member = site.topology.member_address(Family::V4, 0, plan.port([80, 8080])).to_string();
    assert_eq!(count(&["--virtual", "web-4"]), 3);
    assert_eq!(count(&["--client", &client]), 2);
    assert_eq!(count(&["--state", "established"]), 3);
    assert_eq!(count(&["--mode", "nat"]), 4);
    assert_eq!(count(&["--mode", "snat"]), 0);
    assert_eq!(count(&["--virtual", "web-6"]), 0);
    let listed = site.told(&["flow", "list", "--member", &member]);
    assert!(
        listed["flows"].as_array().unwrap().iter().all(|it| it["member"] == member.as_str()),
        "{listed:#}"
    );
    let one = site.told(&["flow", "list", "--limit", "1"]);
    assert_eq!((ids(&one).len(), &one["more"]), (1, &Value::Bool(true)));

    let id = ids(&site.told(&["flow", "list", "--virtual", "web-4"]))[0].clone();
    let shown = site.told(&["flow", "show", &id]);
    assert_eq!((shown["id"].as_str(), shown["virtual"].as_str()), (Some(&*id), Some("web-4")));
    let done =
        |way: &str| shown[way].as_array().unwrap().iter().any(|it| it.as_str().unwrap().contains("becomes"));
    assert!(done("to-server") && done("to-client"), "{shown:#}");

    // Both ends are told, and the others do not notice.
    assert!(site.shunt.client(&["flow", "delete", &id]).unwrap().contains(&id));
    assert!(refused(&site, &["flow", "delete", &id]).contains("there is no flow"));
    assert!(refused(&site, &["flow", "show", &id]).contains("shunt flow list"));
    for member in &site.topology.members {
        member.origin().unwrap().release();
    }
    let ended = held.into_iter().map(|it| it.finish()).filter(Result::is_err).count();
    assert_eq!(ended, 1);
    assert!(refused(&site, &["flow", "list", "--mode", "bridge"]).contains("use one of nat, snat"));
}

#[test]
fn forwarded_traffic_is_counted() {
    if !has_labs() {
        return;
    }
    let plan = Plan::new(Mode::Snat);
    let site = PacketSite::start("operators-counters", Shape::TwoArm, &plan);
    for number in 0..4 {
        site.fetch(Family::V4, number, 10_000, 20_000);
    }
    // A port that no virtual has.
    let closed = std::net::SocketAddr::new(site.web(Family::V4).ip(), 81);
    let from = site.topology.client_address(Family::V4, 0);
    assert!(site.topology.client.connect(from, closed).is_err());

    let packets = site.told(&["status"])["packets"].clone();
    let of = |list: &str, key: &str, name: &str| {
        let found = packets[list].as_array().unwrap().iter().find(|it| it[key] == name);
        found.unwrap_or_else(|| panic!("no {name} in {packets:#}")).clone()
    };
    let web = of("virtuals", "name", "web-4");
    assert_eq!(web["flows"], 4);
    assert!(
        web["bytes-to-server"].as_u64() > Some(40_000) && web["bytes-to-client"].as_u64() > Some(80_000),
        "{web:#}"
    );
    assert_eq!(of("modes", "mode", "snat")["flows"], 4);
    let members: Vec<u64> = packets["members"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["pool"] == "web-4")
        .map(|it| it["flows"].as_u64().unwrap())
        .collect();
    assert_eq!(members, [2, 2], "members take turns");
    let out = of("snat-pools", "name", "out-4");
    assert_eq!(out["leased"].as_u64().unwrap() + out["resting"].as_u64().unwrap(), 4, "{out:#}");
    let stray = of("drops", "reason", "no-virtual");
    assert!(
        stray["count"].as_u64() >= Some(1) && stray["remedy"].as_str().unwrap().ends_with('.'),
        "{stray:#}"
    );
    for it in packets["interfaces"].as_array().unwrap() {
        assert_eq!(it["mode"], "native", "{it:#}");
        assert!(it["received"].as_u64() > Some(0) && it["sent"].as_u64() > Some(0), "{it:#}");
    }
    assert!(packets["steering"]["owned"].as_u64() > Some(0), "{packets:#}");

    let told = site.shunt.client(&["status"]).unwrap();
    for line in ["packets: ", "PACKET VIRTUAL", "SNAT POOL", "NOT FORWARDED", "INTERFACE"] {
        assert!(told.contains(line), "{told}");
    }
    let mut curl = Command::new("curl");
    let metrics = curl.args(["-sS", "--unix-socket"]).arg(site.shunt.socket()).arg("http://shunt/v1/metrics");
    let metrics = String::from_utf8(metrics.output().unwrap().stdout).unwrap();
    for line in [
        "shunt_packet_virtual_flows_total{virtual=\"web-4\"} 4",
        "shunt_packet_mode_flows_total{mode=\"snat\"} 4",
        "shunt_packet_drops_total{reason=\"no-virtual\"}",
        "shunt_steering_frames_total{outcome=\"owned\"}",
    ] {
        assert!(metrics.contains(line), "no {line} in\n{metrics}");
    }
}

/// A rule cannot send flows to a SNAT pool, nor use a mode that keeps ports which only nat and snat rewrite.
#[test]
fn verdicts_that_cannot_be_are_faults_of_the_rule() {
    if !has_labs() {
        return;
    }
    let clients = ["bare-snat", "l2dsr"].into_iter().enumerate().map(|(number, how)| {
        let last = shunt_lab::Topology::CLIENTS[number];
        format!("{{ from = \"192.0.2.{last}/32\", how = \"{how}\" }}")
    });
    let clients: Vec<_> = clients.collect();
    let rule = format!(
        "[[virtual.rule]]\nname = \"by-client\"\npack = \"{}\"\non-fault = \"continue\"\n\
         slots = {{ main = \"POOL\", other = \"POOL\", out = \"OUT\" }}\nsettings = {{ clients = [{}] }}",
        packs::guest("packets").display(),
        clients.join(", ")
    );
    let site = PacketSite::start("operators-verdicts", Shape::TwoArm, &Plan { rule, ..Plan::new(Mode::Nat) });
    for number in 0..3 {
        site.fetch(Family::V4, number, 100, 100);
    }
    let rules = site.told(&["rule", "list"]);
    let rule = rules["rules"].as_array().unwrap().iter().find(|it| it["name"] == "web-4/by-client").unwrap();
    let hook = rule["hooks"].as_array().unwrap().iter().find(|it| it["hook"] == "on-flow").unwrap();
    assert_eq!(
        (&hook["calls"], &hook["faults"]),
        (&3.into(), &serde_json::json!({ "verdict": 2 })),
        "{rule:#}"
    );
    site.wait_log("named the slot \\\"out\\\" as pool, which stands for a SNAT pool");
}

#[test]
fn doctor_says_what_is_in_the_way() {
    if !has_labs() {
        return;
    }
    let plan = Plan::new(Mode::L3dsrIpip);
    let site = PacketSite::start("operators-doctor", Shape::Routed, &plan);
    let config = plan.config(&site.topology);
    let well = doctor(&site, &config).good();
    assert!(
        well.contains(", 0 failed\n") && well.contains("clients may send packets of 1500 bytes"),
        "{well}"
    );
    // Where the daemon runs, it tells what only it can know.
    let with_socket = format!("{config}\n[admin]\nsocket = \"{}\"\n", site.shunt.socket().display());
    assert!(doctor(&site, &with_socket).good().contains("runs the XDP program in its driver"));

    let own = site.topology.shunt_address(Family::V4);
    let vip = site.web(Family::V4).ip();
    let name = site.topology.interfaces()[0];
    let slip = &name[..name.len() - 1];
    let ill = config.replace(&vip.to_string(), &own.to_string());
    let ill = ill.replacen(&format!("\"{name}\""), &format!("\"{slip}\""), 1);
    let ended = doctor(&site, &ill);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("packet virtuals from working"), "{}", ended.stderr);
    let told = ended.stdout;
    assert!(
        told.contains(&format!("{own} is an address of this host")) && told.contains("`ip address del"),
        "{told}"
    );
    assert!(told.contains(&format!("did you mean {name}?")), "{told}");
}
