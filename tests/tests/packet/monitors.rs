//! Monitors on the service path: green as long as clients are served, red with the reason as soon as they are not,
//! where a plain check of the same member stays green.

use std::time::{Duration, Instant};

use serde_json::Value;
use shunt_lab::{Family, Lab, Member, Mode, Plan, Shape, Shunt};
use shunt_tests::packet::{PacketSite, topology, until};
use shunt_tests::program;
use shunt_tests::raw::PATIENCE;

use crate::has_labs;

/// A member of this number is the one that is misconfigured.
const MEMBER: usize = 0;

/// The mode of a plan, with monitors on the service path.
fn plan(mode: Mode) -> Plan {
    Plan {
        keys: "probe-from = \"PROBES\"".to_owned(),
        pool: "monitor = { tcp = true, interval = \"1s\", timeout = \"1s\", rise = 1, fall = 1 }".to_owned(),
        ..Plan::new(mode)
    }
}

/// The configuration of a plan, with a pool `plain-…` of the same members whose monitor goes straight to them.
fn config(plan: &Plan, site: &shunt_lab::Topology) -> String {
    config_with(plan, site, "tcp = true")
}

/// The same with another plain monitor.
fn config_with(plan: &Plan, site: &shunt_lab::Topology, plainly: &str) -> String {
    let mut config = plan.config(site);
    for family in Family::BOTH {
        let outer = plan.outer.unwrap_or(family);
        let member = site.member_address(outer, MEMBER, plan.port(Member::HTTP));
        let name = Plan::name("plain", family);
        config.push_str(&format!(
            "[[pool]]\nname = \"{name}\"\nmembers = [{{ address = \"{member}\" }}]\n\
             monitor = {{ {plainly}, interval = \"1s\", timeout = \"1s\", rise = 1, fall = 3 }}\n\n"
        ));
    }
    config
}

fn start(story: &str, shape: Shape, plan: &Plan) -> PacketSite {
    let topology = topology(story, shape, &[plan.mode]);
    let config = config(plan, &topology);
    let shunt = Shunt::start(&topology.shunt, &program::path(), &config);
    PacketSite { shunt: shunt.unwrap_or_else(|error| panic!("{error:?}\n{config}")), topology }
}

/// How the clients of a virtual find the first member: `up`, or `down`, and what the last probe said.
fn on_path(status: &Value, virtual_: &str) -> Option<(String, String)> {
    let pool = status["pools"].as_array()?.iter().find(|pool| pool["name"] == virtual_)?;
    let found = pool["members"][MEMBER]["on-path"].as_array()?.iter().find(|it| it["virtual"] == virtual_)?;
    Some((found["health"].as_str()?.to_owned(), found["reason"].as_str()?.to_owned()))
}

/// Waits until both families find the first member so on the service path, and what was said holds this.
#[track_caller]
fn wait(site: &PacketSite, kinds: &[&str], health: &str, says: &str) {
    let begin = Instant::now();
    loop {
        let status = site.told(&["status"]);
        let names = kinds.iter().flat_map(|kind| Family::BOTH.map(|family| Plan::name(kind, family)));
        let found: Vec<_> = names.map(|name| on_path(&status, &name)).collect();
        let is_so = |it: &Option<(String, String)>| {
            it.as_ref().is_some_and(|(found, said)| found == health && said.contains(says))
        };
        if found.iter().all(is_so) {
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "waited in vain for {health} with {says:?}: {found:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A plain check of the first member finds nothing wrong.
#[track_caller]
fn plain_is_green(site: &PacketSite) {
    let status = site.told(&["status"]);
    for family in Family::BOTH {
        let name = Plan::name("plain", family);
        let pools = status["pools"].as_array().unwrap();
        let pool = pools.iter().find(|pool| pool["name"] == name.as_str()).unwrap();
        assert_eq!(pool["members"][0]["health"], "up", "{pool:#}");
    }
}

/// Green; red for a reason when it is broken, with a plain check green; green again when it is mended.
fn misconfigured(
    story: &str,
    (shape, plan): (Shape, &Plan),
    breaks: impl Fn(&mut PacketSite),
    mends: impl Fn(&mut PacketSite),
    says: &str,
) {
    if !has_labs() {
        return;
    }
    let mut site = start(story, shape, plan);
    wait(&site, &["web", "echo"], "up", "connected");
    breaks(&mut site);
    wait(&site, &["web"], "down", says);
    plain_is_green(&site);
    mends(&mut site);
    wait(&site, &["web", "echo"], "up", "connected");
    // What is green serves.
    for family in Family::BOTH {
        site.fetch(family, 0, 1_000, 1_000);
    }
}

/// Leaves a member no way but to the networks that it is on, and to this host's own address.
fn lose_the_way_back(site: &mut PacketSite) {
    let shape = site.topology.shape;
    let member = &site.topology.members[MEMBER].host;
    for family in Family::BOTH {
        let option = family.option();
        if shape == Shape::Routed {
            let shunt = site.topology.shunt_address(family);
            let gateway = shape.servers().address(family, 1);
            member.run(&format!("ip {option} route add {shunt} via {gateway}")).unwrap();
        }
        member.run(&format!("ip {option} route del default")).unwrap();
    }
}

fn find_the_way_back(site: &mut PacketSite, station: u8) {
    let member = &site.topology.members[MEMBER].host;
    for family in Family::BOTH {
        let gateway = site.topology.shape.servers().address(family, station);
        member.run(&format!("ip route replace default via {gateway}")).unwrap();
    }
}

#[test]
fn draining_does_not_wait_for_probes() {
    if !has_labs() {
        return;
    }
    let mut site = start("monitor-drain", Shape::Routed, &plan(Mode::L3dsrIpip));
    wait(&site, &["web"], "up", "connected");
    // From here on a SYN of a probe is never answered, and there is always one.
    lose_the_way_back(&mut site);
    wait(&site, &["web"], "down", "no route back");
    let PacketSite { shunt, topology } = site;
    let said = shunt.drain().unwrap();
    assert!(!said.contains("are cut"), "nobody was there but monitors:\n{said}");
    drop(topology);
}

/// Stations of the lab.
const ROUTER: u8 = 1;
const SHUNT: u8 = 2;

#[test]
fn l2dsr_without_the_address_on_the_loopback() {
    misconfigured(
        "monitor-l2dsr-vip",
        (Shape::OneArm, &plan(Mode::L2dsr)),
        |site| site.topology.members[MEMBER].has_virtuals(false).unwrap(),
        |site| site.topology.members[MEMBER].has_virtuals(true).unwrap(),
        "is missing on the member's loopback",
    );
}

#[test]
fn l2dsr_without_a_way_back() {
    misconfigured(
        "monitor-l2dsr-back",
        (Shape::OneArm, &plan(Mode::L2dsr)),
        lose_the_way_back,
        |site| find_the_way_back(site, ROUTER),
        "there is no route back to",
    );
}

#[test]
fn dscp_without_the_rewrite() {
    misconfigured(
        "monitor-dscp-rule",
        (Shape::Routed, &plan(Mode::L3dsrDscp)),
        |site| site.topology.members[MEMBER].has_rewrite(false).unwrap(),
        |site| site.topology.members[MEMBER].has_rewrite(true).unwrap(),
        "its rule for DSCP 10 is missing",
    );
}

#[test]
fn dscp_without_the_address_on_the_loopback() {
    misconfigured(
        "monitor-dscp-vip",
        (Shape::Routed, &plan(Mode::L3dsrDscp)),
        |site| site.topology.members[MEMBER].has_virtuals(false).unwrap(),
        |site| site.topology.members[MEMBER].has_virtuals(true).unwrap(),
        "is missing on the member's loopback",
    );
}

fn a_tunnel_is_down(mode: Mode) {
    misconfigured(
        &format!("monitor-{mode}-down"),
        (Shape::Routed, &plan(mode)),
        |site| site.topology.members[MEMBER].has_tunnel(None).unwrap(),
        |site| site.topology.members[MEMBER].has_tunnel(Some(mode)).unwrap(),
        "the member refuses the tunnel",
    );
}

#[test]
fn ipip_that_is_down() {
    a_tunnel_is_down(Mode::L3dsrIpip);
}

#[test]
fn gre_that_is_down() {
    a_tunnel_is_down(Mode::L3dsrGre);
}

#[test]
fn gue_that_is_down() {
    a_tunnel_is_down(Mode::L3dsrGue);
}

#[test]
fn a_tunnel_without_a_way_back() {
    misconfigured(
        "monitor-ipip-back",
        (Shape::Routed, &plan(Mode::L3dsrIpip)),
        lose_the_way_back,
        |site| find_the_way_back(site, ROUTER),
        "there is no route back to",
    );
}

#[test]
fn a_snat_address_without_a_route() {
    misconfigured(
        "monitor-snat-back",
        (Shape::Routed, &plan(Mode::Snat)),
        lose_the_way_back,
        |site| find_the_way_back(site, ROUTER),
        "no reply to the SNAT address",
    );
}

#[test]
fn nat_without_a_way_back() {
    misconfigured(
        "monitor-nat-back",
        (Shape::TwoArm, &plan(Mode::Nat)),
        lose_the_way_back,
        |site| find_the_way_back(site, SHUNT),
        "does not lead through Shunt",
    );
}

/// Its answers to the probe come here by the router, which knows the way; a client's would not.
#[test]
fn nat_past_shunt() {
    misconfigured(
        "monitor-nat-past",
        (Shape::OneArm, &plan(Mode::Nat)),
        |site| find_the_way_back(site, ROUTER),
        |site| find_the_way_back(site, SHUNT),
        "past Shunt",
    );
}

/// Every mode with every kind of probe, members of the other family behind a tunnel, and a service that dies.
#[test]
fn what_is_right_is_green() {
    if !has_labs() {
        return;
    }
    let kinds = [
        ("http = \"/10\"", "status 200"),
        ("udp = { send = \"hello\", expect = \"m\" }", "got a reply"),
        ("ping = true", "got an echo reply"),
    ];
    for (shape, mode, outer) in [
        (Shape::TwoArm, Mode::Nat, None),
        (Shape::OneArm, Mode::Snat, None),
        (Shape::OneArm, Mode::L2dsr, None),
        (Shape::Routed, Mode::L3dsrDscp, None),
        (Shape::Routed, Mode::L3dsrIpip, Some(Family::V4)),
        (Shape::Routed, Mode::L3dsrGre, Some(Family::V6)),
        (Shape::Routed, Mode::L3dsrGue, None),
    ] {
        let story = format!("monitor-green-{mode}");
        let mut plan = Plan { outer, workers: 2, ..plan(mode) };
        let topology = topology(&story, shape, &[mode]);
        let with = |plan: &Plan, probe: &str| {
            // The virtual `web` is asked by what it carries.
            let config = config(plan, &topology);
            let parts: Vec<&str> = config.split("ASK").collect();
            let asks = ["http = \"/10\"", probe, "http = \"/10\"", probe, ""];
            parts.iter().zip(asks).map(|(part, ask)| format!("{part}{ask}")).collect::<String>()
        };
        plan.pool = plan.pool.replace("tcp = true", "ASK");
        let shunt = Shunt::start(&topology.shunt, &program::path(), &with(&plan, kinds[0].0)).unwrap();
        let mut reloads = Vec::new();
        for (probe, _) in kinds {
            reloads.push(with(&plan, probe));
        }
        let mut site = PacketSite { shunt, topology };
        for (reload, (_, says)) in reloads.iter().zip(kinds) {
            site.shunt.reload(reload).unwrap_or_else(|error| panic!("{error:?}\n{reload}"));
            wait(&site, &["web"], "up", "status 200");
            wait(&site, &["echo"], "up", says);
        }
        site.topology.members[MEMBER].kill();
        wait(&site, &["web"], "down", "");
        site.topology.members[MEMBER].recover().unwrap();
        wait(&site, &["web"], "up", "status 200");
    }
}

/// The probe interface is there as long as somebody probes by it, and no longer; one that was taken away is made again.
#[test]
fn the_link_of_probes_comes_and_goes() {
    if !has_labs() {
        return;
    }
    let on_path = Plan { workers: 2, ..plan(Mode::Snat) };
    let straight = Plan { keys: String::new(), ..on_path.clone() };
    let site = start("monitor-link", Shape::Routed, &on_path);
    let run = |words: &str| site.topology.shunt.run(words).unwrap();
    let links = |words: &str| run(words).matches("shunt-probe").count();
    let reload = |plan: &Plan| site.shunt.reload(&config(plan, &site.topology)).unwrap();
    for _ in 0..2 {
        wait(&site, &["web", "echo"], "up", "connected");
        assert_eq!(links("ip -o link"), 1);
        reload(&straight);
        assert_eq!(links("ip -o link"), 0);
        assert_eq!(links("ip route") + links("ip -6 route"), 0);
        assert_eq!(on_path_of(&site, "web-4"), None);
        reload(&on_path);
    }
    wait(&site, &["web", "echo"], "up", "connected");
    run("ip link delete shunt-probe0");
    wait(&site, &["web", "echo"], "up", "not probed");
    reload(&on_path);
    wait(&site, &["web", "echo"], "up", "connected");
    site.shunt.kill().unwrap();
    until(|| links("ip -o link") == 0, || "the link goes with its process".to_owned());
}

fn on_path_of(site: &PacketSite, virtual_: &str) -> Option<(String, String)> {
    on_path(&site.told(&["status"]), virtual_)
}

/// A port that nothing listens on is down, also where it is one of those that the kernel connects from: then a socket
/// can reach itself.
#[test]
fn a_probe_that_reaches_itself_is_no_answer() {
    if !has_labs() {
        return;
    }
    let lab = Lab::new("a member on a port that the kernel chooses from").unwrap();
    let host = lab.host("shunt").unwrap();
    host.run("ip link set lo up").unwrap();
    let range = "/proc/sys/net/ipv4/ip_local_port_range";
    host.within(|| std::fs::write(range, "40000 40015")).unwrap().unwrap();
    let often = "interval = \"10ms\", rise = 1, fall = 1";
    let config = format!(
        r#"
[[virtual]]
name = "web"
listen = "127.0.0.1:8080"
protocol = "http"
pool = "tcp"

[[pool]]
name = "tcp"
monitor = {{ tcp = true, {often} }}
members = [{{ address = "127.0.0.1:40004" }}]

[[pool]]
name = "udp"
monitor = {{ udp = {{ send = "x" }}, {often} }}
members = [{{ address = "127.0.0.1:40004" }}]
"#
    );
    let shunt = Shunt::start(&host, &program::path(), &config).unwrap();
    // Of sixteen ports each probe has one: by then hundreds of them have had this one.
    let counted = || host.run("cat /proc/net/snmp").unwrap();
    let enough = || {
        let counted = counted();
        let sent = |protocol: &str, name: &str| {
            let mut lines =
                counted.lines().filter_map(|line| line.strip_prefix(protocol)?.strip_prefix(": "));
            let (names, numbers) = (lines.next().unwrap(), lines.next().unwrap());
            let place = names.split(' ').position(|it| it == name).unwrap();
            numbers.split(' ').nth(place).unwrap().parse::<u64>().unwrap()
        };
        sent("Tcp", "ActiveOpens") > 300 && sent("Udp", "OutDatagrams") > 300
    };
    until(enough, counted);
    let log = shunt.drain().unwrap();
    let downs = log.matches("member down").count();
    assert!(downs == 2 && !log.contains("member up"), "{log}");
}

/// The router takes no packets that are longer, and says nothing of it.
const HOLE: &str = "table inet hole {
    chain out {
        type filter hook output priority 0
        icmp type destination-unreachable drop
        icmpv6 type packet-too-big drop
    }
}
";

/// What a path that loses long packets is called, through a tunnel and straight.
#[test]
fn a_path_that_loses_long_packets_and_passes_small_ones() {
    if !has_labs() {
        return;
    }
    let monitor =
        "monitor = { http = \"/\", size = 1400, interval = \"2s\", timeout = \"1s\", rise = 1, fall = 1 }";
    let plan = Plan { pool: monitor.to_owned(), ..plan(Mode::L3dsrIpip) };
    let topology = topology("monitor-size", Shape::Routed, &[plan.mode]);
    let config = config_with(&plan, &topology, "ping = true, size = 1400");
    let shunt = Shunt::start(&topology.shunt, &program::path(), &config);
    let site = PacketSite { shunt: shunt.unwrap_or_else(|error| panic!("{error:?}\n{config}")), topology };
    wait(&site, &["web"], "up", "status 200");
    let plainly = |health: &str, says: &str| {
        let is_so = || {
            let status = site.told(&["status"]);
            Family::BOTH.iter().all(|family| {
                let name = Plan::name("plain", *family);
                let pools = status["pools"].as_array().unwrap();
                let member = &pools.iter().find(|pool| pool["name"] == name.as_str()).unwrap()["members"][0];
                let reason = member["reason"].as_str().unwrap_or_default();
                member["health"] == health && reason.contains(says)
            })
        };
        until(is_so, || {
            format!("plain monitors find it {health}: {says}\n{:#}", site.told(&["status"])["pools"])
        });
    };
    plainly("up", "echo reply");
    site.topology.router.feed("nft -f -", HOLE).unwrap();
    site.topology.narrow_servers(1300).unwrap();
    let says = "packets of 1400 bytes do not pass, small ones do: no router says why";
    wait(&site, &["web"], "down", says);
    plainly("down", says);
    site.topology.router.run("nft delete table inet hole").unwrap();
    plainly("down", "packets of 1400 bytes do not pass, small ones do: a router says that they are too big");
}

/// A link that is lost is one event, for which the members behind it are held where the pool says so.
#[test]
fn members_behind_a_link_that_is_lost_are_held() {
    if !has_labs() {
        return;
    }
    let plan = Plan { families: vec![Family::V4], ..Plan::new(Mode::Snat) };
    let topology = topology("monitor-convergence", Shape::Routed, &[plan.mode]);
    let pool = |name: &str, keys: &str| {
        let members = [0, 1].map(|at| topology.member_address(Family::V4, at, plan.port(Member::HTTP)));
        format!(
            "[[pool]]\nname = \"{name}\"\nmembers = [{{ address = \"{}\" }}, {{ address = \"{}\" }}]\n{keys}\
             monitor = {{ tcp = true, interval = \"500ms\", timeout = \"200ms\", rise = 1, fall = 3 }}\n\n",
            members[0], members[1],
        )
    };
    let pools = [pool("held", "convergence = \"1h\"\n"), pool("free", "")].concat();
    let config = plan.config(&topology) + &pools;
    let shunt = Shunt::start(&topology.shunt, &program::path(), &config);
    let site = PacketSite { shunt: shunt.unwrap_or_else(|error| panic!("{error:?}\n{config}")), topology };
    let wait = |name: &str, health: &str, says: &str| {
        let is_so = || {
            let status = site.told(&["status"]);
            let pool = status["pools"].as_array().unwrap().iter().find(|pool| pool["name"] == name).unwrap();
            pool["members"].as_array().unwrap().iter().all(|member| {
                member["health"] == health && member["reason"].as_str().unwrap_or_default().contains(says)
            })
        };
        until(is_so, || format!("{name} is {health}: {says}"));
    };
    wait("held", "up", "connected");
    wait("free", "up", "connected");
    site.topology.router.run("ip link set servers down").unwrap();
    wait("free", "down", "");
    wait("held", "up", "as of most members behind service: held for `convergence`");
    site.topology.router.run("ip link set servers up").unwrap();
    wait("held", "up", "connected");
    wait("free", "up", "connected");
}

/// A member whose tunnel is down is down for the flows that a rule sends through it, and for no others.
#[test]
fn each_mode_that_a_rule_chooses_has_a_state_of_its_own() {
    if !has_labs() {
        return;
    }
    let modes = [Mode::L2dsr, Mode::L3dsrGre];
    let plan = plan(Mode::L2dsr);
    let plan = Plan {
        keys: format!("{}\nprobe-modes = [\"l3dsr-gre\"]", plan.keys),
        rule: crate::rules::rule(&modes.map(Mode::name), ""),
        ..plan
    };
    let mut site = PacketSite::serving("monitor-modes", Shape::OneArm, &modes, &plan);
    let wait = |site: &PacketSite, expected: [&str; 2]| {
        let found = || -> Vec<Value> {
            let status = site.told(&["status"]);
            let name = Plan::name("web", Family::V4);
            let pools = status["pools"].as_array().unwrap();
            let pool = pools.iter().find(|pool| pool["name"] == name.as_str()).unwrap();
            pool["members"][MEMBER]["on-path"].as_array().unwrap().clone()
        };
        let is_so = || {
            let found = found();
            let of =
                |mode: Mode| found.iter().find(|it| it["mode"] == mode.name()).unwrap()["health"].clone();
            found.iter().all(|it| it["reason"].is_string()) && modes.map(of) == expected
        };
        until(is_so, || format!("{:#?}", found()));
    };
    wait(&site, ["up", "up"]);
    site.topology.members[MEMBER].has_tunnel(None).unwrap();
    wait(&site, ["up", "down"]);
    for _ in 0..4 {
        site.fetch(Family::V4, 0, 1_000, 1_000);
        site.fetch(Family::V4, 1, 1_000, 1_000);
    }
    site.topology.members[MEMBER].has_tunnel(Some(Mode::L3dsrGre)).unwrap();
    wait(&site, ["up", "up"]);
}
