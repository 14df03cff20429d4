//! Transparent caches: what clients ask of port 80 anywhere goes to a cache, chosen by where it was to go.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use shunt_lab::{Family, Host, Segment, Shape, Shunt, Topology};
use shunt_tests::packet::speaker::{Speaker, Talk};
use shunt_tests::packet::until;
use shunt_tests::program;

use crate::has_labs;

const ORIGINS: u8 = 12;

/// Behind the router, beside the network of the service.
fn origin(family: Family, number: u8) -> IpAddr {
    match family {
        Family::V4 => IpAddr::from([10, 51, 0, number]),
        Family::V6 => IpAddr::from([0x2001, 0xdb8, 0x51, 0, 0, 0, 0, u16::from(number)]),
    }
}

/// The router sends what clients send to Shunt, which gives port 80 to the caches and the rest back to the router.
const CONFIG: &str = r#"
[[virtual]]
name = "caches-V"
listen = "ANY:80"
protocol = "packet"
interfaces = ["service"]
pool = "caches-V"
mode = "l2dsr"

[[virtual]]
name = "rest-V"
listen = "ANY:0"
protocol = "packet"
transport = "all"
interfaces = ["service"]
mode = "route"

[[pool]]
name = "caches-V"
balance = "destination-hash"
monitor = { tcp = true, interval = "100ms", rise = 2, fall = 2 }
on-empty = { pool = "gateway-V" }
members = [{ address = "M1" }, { address = "M2" }]

[[pool]]
name = "gateway-V"
members = [{ address = "GATEWAY" }]
"#;

struct Site {
    shunt: Shunt,
    // They end before their hosts go.
    _speakers: Vec<Speaker>,
    topology: Topology,
    _origin: Host,
    _internet: Segment,
}

fn site() -> Site {
    let topology = Topology::build("caches", Shape::OneArm).unwrap();
    let (lab, router) = (&topology.lab, &topology.router);
    let internet = lab.segment("internet", 9).unwrap();
    let host = lab.host("origin").unwrap();
    let of = |family: Family, number| {
        format!("{}/{}", origin(family, number), if family == Family::V4 { 24 } else { 64 })
    };
    let addresses: Vec<_> =
        Family::BOTH.iter().flat_map(|family| (1..=ORIGINS).map(|number| of(*family, number))).collect();
    lab.plug(&host, &internet, 1, &addresses).unwrap();
    lab.plug(router, &internet, 254, &Family::BOTH.map(|family| of(family, 254))).unwrap();
    let mut speakers = Vec::new();
    for family in Family::BOTH {
        let option = family.option();
        host.run(&format!("ip {option} route add default via {}", origin(family, 254))).unwrap();
        let shunt = topology.shunt_address(family);
        router.run(&format!("ip {option} route add default via {shunt} table 100")).unwrap();
        router.run(&format!("ip {option} rule add iif clients lookup 100")).unwrap();
        let gateway = topology.gateway(family);
        for member in &topology.members {
            member.host.run(&format!("ip {option} route replace default via {gateway}")).unwrap();
        }
    }
    let everywhere = IpAddr::from([0_u16; 8]);
    speakers.extend([80, 443].map(|port| Speaker::start(&host, everywhere, port)));
    for member in &topology.members {
        // A cache takes what is addressed to others.
        let table = "table inet cache {
            chain take { type nat hook prerouting priority dstnat; tcp dport 80 redirect to :80; }
        }";
        member.host.feed("nft -f -", table).unwrap();
        speakers.push(Speaker::start(&member.host, everywhere, 80));
    }
    let config = Family::BOTH.map(|family| {
        let members = [0, 1].map(|number| topology.member_address(family, number, 80).to_string());
        let any = if family == Family::V4 { "0.0.0.0" } else { "[::]" };
        let config = CONFIG.replace("V\"", &format!("{}\"", &family.option()[1..])).replace("ANY", any);
        let gateway = SocketAddr::new(topology.gateway(family), 80).to_string();
        config.replace("M1", &members[0]).replace("M2", &members[1]).replace("GATEWAY", &gateway)
    });
    let shunt = Shunt::start(&topology.shunt, &program::path(), &config.concat()).unwrap();
    Site { shunt, topology, _origin: host, _internet: internet, _speakers: speakers }
}

impl Site {
    /// Who answers each origin's clients on a port; every client must be answered by the same.
    fn who_answers(&self, family: Family, port: u16) -> BTreeMap<u8, String> {
        let ask = |client, number| {
            let from = self.topology.client_address(family, client);
            let to = SocketAddr::new(origin(family, number), port);
            let mut talk = Talk::open(&self.topology.client, from, to).unwrap();
            let (name, seen) = talk.say("who?").unwrap();
            assert_eq!(seen.ip().to_canonical(), from, "{family}: nothing is rewritten");
            name
        };
        let all = (1..=ORIGINS).map(|number| {
            let [first, second] = [0, 2].map(|client| ask(client, number));
            assert_eq!(first, second, "{family}: {number} is of two caches");
            (number, first)
        });
        all.collect()
    }

    fn wait_usable(&self, count: u64) {
        let status = || self.shunt.client(&["status", "-o", "json"]).unwrap();
        let usable = || {
            let told: serde_json::Value = serde_json::from_str(&status()).unwrap();
            let caches = told["pools"].as_array().unwrap().iter();
            let mut caches = caches.filter(|pool| pool["name"].as_str().unwrap().starts_with("caches"));
            caches.all(|pool| pool["usable"].as_u64() == Some(count))
        };
        until(usable, || format!("{count} caches are up: {}", status()));
    }
}

#[test]
fn one_destination_is_one_caches() {
    if !has_labs() {
        return;
    }
    let site = site();
    site.wait_usable(2);
    let segment = site.topology.segment(Shape::OneArm.servers());
    let before = Family::BOTH.map(|family| site.who_answers(family, 80));
    for (family, owners) in Family::BOTH.iter().zip(&before) {
        for cache in ["m1", "m2"] {
            assert!(owners.values().any(|owner| owner == cache), "{family}: {cache} has none: {owners:?}");
        }
        let others = site.who_answers(*family, 443);
        assert!(others.values().all(|name| name == "origin"), "{family}: {others:?}");
        let from = site.topology.client_address(*family, 0);
        assert_eq!(site.topology.client.ping(from, origin(*family, 1), 3, 56).unwrap(), 3, "{family}");
    }

    site.topology.lab.set_plugged(&site.topology.members[0].host, segment, false).unwrap();
    site.wait_usable(1);
    for family in Family::BOTH {
        let owners = site.who_answers(family, 80);
        assert!(owners.values().all(|owner| owner == "m2"), "{family}: {owners:?}");
    }

    // Without any cache the router gets the packets back, and they go where they were to go.
    site.topology.lab.set_plugged(&site.topology.members[1].host, segment, false).unwrap();
    site.wait_usable(0);
    for family in Family::BOTH {
        let answers = site.who_answers(family, 80);
        assert!(answers.values().all(|name| name == "origin"), "{family}: {answers:?}");
    }

    for member in &site.topology.members {
        site.topology.lab.set_plugged(&member.host, segment, true).unwrap();
    }
    site.wait_usable(2);
    let after = Family::BOTH.map(|family| site.who_answers(family, 80));
    assert_eq!(after, before, "each cache has its own again");
}
