//! Errors of ICMP that routers, members and Shunt itself send: each reaches the one who can do something about it.

use shunt_lab::{Family, Mode, Plan, Shape};
use shunt_tests::packet::{NARROW, PacketSite};

use crate::has_labs;

/// The router behind Shunt sends the error to the SNAT address: only Shunt knows whose flow it is about.
#[test]
fn too_big_behind_snat_reaches_the_client() {
    if has_labs() {
        let plan = Plan::new(Mode::Snat);
        let site = PacketSite::start("errors-snat", Shape::Routed, &plan);
        site.topology.narrow_servers(NARROW).unwrap();
        site.errors_reach_clients(&Family::BOTH, NARROW);
    }
}

/// Shunt's own link toward the members is the narrow one.
#[test]
fn too_big_for_its_own_link_reaches_the_client() {
    if !has_labs() {
        return;
    }
    for mode in [Mode::Nat, Mode::Snat] {
        let topology = shunt_tests::packet::topology("errors-link", Shape::TwoArm, &[mode]);
        topology.shunt.run(&format!("ip link set servers mtu {NARROW}")).unwrap();
        let plan = Plan::new(mode);
        let site = PacketSite::on(topology, &plan);
        for family in Family::BOTH {
            let from = site.topology.client_address(family, 0);
            let socket = site.topology.client.datagrams(from, site.echo(family)).unwrap();
            // The largest that fits the client's own link.
            let question = vec![b'?'; (1_500 - family.header() - 8) as usize];
            socket.send(&question).unwrap();
            site.wait_path_mtu(family, 0, NARROW);
        }
    }
}

/// Nobody listens on the member's port: it says so, and the client's socket is told.
#[test]
fn a_closed_port_is_refused_to_the_client() {
    if !has_labs() {
        return;
    }
    for (mode, shape) in [
        (Mode::Nat, Shape::TwoArm),
        (Mode::Snat, Shape::TwoArm),
        (Mode::L2dsr, Shape::OneArm),
        (Mode::L3dsrGue, Shape::Routed),
    ] {
        let mut site = PacketSite::start(&format!("errors-closed-{mode}"), shape, &Plan::new(mode));
        site.refusals_reach_clients(&Family::BOTH);
    }
}

/// Shunt is a hop like a router, in every mode but `l2dsr`.
#[test]
fn a_hop_limit_that_ends_at_shunt_is_told() {
    if !has_labs() {
        return;
    }
    for (mode, shape) in [(Mode::Nat, Shape::TwoArm), (Mode::L3dsrIpip, Shape::Routed)] {
        let site = PacketSite::start(&format!("errors-hops-{mode}"), shape, &Plan::new(mode));
        for family in Family::BOTH {
            let from = site.topology.client_address(family, 0);
            let to = site.echo(family).ip();
            // The router leaves one hop of two. ping ends with 1, for it got no answer.
            let mut ping =
                site.topology.client.start(&format!("ping -n -c 1 -W 5 -t 2 -I {from} {to}")).unwrap();
            ping.wait_at_most(shunt_lab::PATIENCE).unwrap().unwrap();
            ping.wait_stdout("received").unwrap();
            let said = ping.stdout().to_lowercase();
            assert!(said.contains("exceeded"), "{mode}, {family}: {said}");
        }
    }
}
