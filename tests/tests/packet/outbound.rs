//! Connections that members behind `nat` open themselves: they leave from a SNAT address, under the same promise
//! for its ports as any other.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use shunt_lab::{Family, Mode, Place, Plan, Shape, Shunt};
use shunt_tests::packet::speaker::{self, Speaker, Talk};
use shunt_tests::packet::{PacketSite, topology};
use shunt_tests::program;

use crate::has_labs;

/// As many as the pool has.
const PORTS: usize = 64;

const OUT: &str = r#"
[[virtual]]
name = "out-V"
listen = "ANY:0"
protocol = "packet"
transport = "any"
interfaces = ["service", "servers"]
client-interfaces = ["servers"]
mode = "snat"
snat-pool = "out-V"

[[snat-pool]]
name = "out-V"
addresses = ["SNAT"]
ports = "PORTS"
"#;

fn snat(family: Family) -> IpAddr {
    Place::Service.address(family, 201)
}

fn site(workers: usize, ports: &str) -> PacketSite {
    let plan = Plan { workers, ..Plan::new(Mode::Nat) };
    let topology = topology("outbound", Shape::TwoArm, &[Mode::Nat]);
    let out = Family::BOTH.map(|family| {
        let any = if family == Family::V4 { "0.0.0.0" } else { "[::]" };
        let config = OUT.replace("V\"", &format!("{}\"", &family.option()[1..])).replace("ANY", any);
        config.replace("SNAT", &snat(family).to_string()).replace("PORTS", ports)
    });
    let config = plan.config(&topology) + &out.concat();
    let shunt = Shunt::start(&topology.shunt, &program::path(), &config).unwrap();
    PacketSite { shunt, topology }
}

#[test]
fn members_speak_first() {
    if !has_labs() {
        return;
    }
    let site = site(2, "20000-20999");
    for family in Family::BOTH {
        let outside = site.topology.client_address(family, 0);
        let _speaker = Speaker::start(&site.topology.client, outside, 443);
        let to = SocketAddr::new(outside, 443);
        for (number, member) in site.topology.members.iter().enumerate() {
            let from = site.topology.member_address(family, number, 0).ip();
            let (name, seen) = Talk::open(&member.host, from, to).unwrap().say("who?").unwrap();
            assert_eq!((name.as_str(), seen.ip()), ("client", snat(family)), "TCP");
            let (name, seen) = speaker::ask(&member.host.datagrams(from, to).unwrap(), "who?").unwrap();
            assert_eq!((name.as_str(), seen.ip()), ("client", snat(family)), "UDP");
            assert_eq!(member.host.ping(from, outside, 3, 56).unwrap(), 3, "{family}");
        }
        // The way in is as it was.
        assert_eq!(
            site.fetch(family, 1, 1 << 16, 1 << 16).client.ip(),
            site.topology.client_address(family, 1)
        );
    }
}

/// The other side closes first and stays in TIME_WAIT: none of its ports is met again.
#[test]
fn ports_rest_toward_each_destination() {
    if !has_labs() {
        return;
    }
    let site = site(1, "20032-20095");
    let family = Family::V4;
    let member = &site.topology.members[0].host;
    let from = site.topology.member_address(family, 0, 0).ip();
    let all = [0, 1].map(|client| {
        let outside = site.topology.client_address(family, client);
        let _speaker = Speaker::start(&site.topology.client, outside, 443);
        let to = SocketAddr::new(outside, 443);
        let ports: BTreeSet<u16> = (0..PORTS)
            .map(|_| {
                let mut talk = Talk::open(member, from, to).unwrap();
                let (_, seen) = talk.say("bye").unwrap();
                talk.end().unwrap();
                seen.port()
            })
            .collect();
        assert_eq!(ports.len(), PORTS, "a port was met twice: {ports:?}");
        // What is left is said in the open.
        assert!(Talk::open(member, from, to).is_err(), "there is no port left toward {to}");
        ports
    });
    assert_eq!(all[0], all[1], "toward another destination all of them serve");
}
