//! Mode `l2dsr` with real TCP and UDP: members on Shunt's segment answer clients by themselves.

use shunt_lab::{Family, Mode, Place, Plan, Shape};
use shunt_tests::packet::PacketSite;

use crate::has_labs;

#[test]
fn traffic_on_one_arm() {
    if !has_labs() {
        return;
    }
    let plan = Plan::new(Mode::L2dsr);
    PacketSite::in_both_settings("l2dsr", Shape::OneArm, &plan, |site| {
        site.exchange(&plan, &Family::BOTH);
        site.errors_reach_members(&plan, &Family::BOTH);

        // What members send goes to the router's MAC; Shunt has no part in it.
        let shunt = site.topology.shunt.mac("service").unwrap();
        for family in Family::BOTH {
            let address = site.web(family).ip();
            let back = site.captured(Place::Service, &format!("ether dst {shunt} and src host {address}"));
            assert_eq!(back, "", "{family}");
        }
    });
}

/// A member is as near as Shunt itself is: who counts hops sees no difference.
#[test]
fn the_hop_limit_is_kept() {
    if !has_labs() {
        return;
    }
    let plan = Plan::new(Mode::L2dsr);
    let site = PacketSite::start("l2dsr-ttl", Shape::OneArm, &plan);
    for family in Family::BOTH {
        let from = site.topology.client_address(family, 0);
        // The router leaves one hop of two.
        let ping = format!("ping -n -c 1 -W 5 -t 2 -I {from} {}", site.echo(family).ip());
        let said = site.topology.client.run(&ping).unwrap();
        assert!(said.contains("1 received"), "{family}: {said}");
    }
}

#[test]
fn a_member_is_killed_and_recovers() {
    if has_labs() {
        let plan = Plan::watched(Mode::L2dsr);
        let mut site = PacketSite::start("l2dsr-member", Shape::OneArm, &plan);
        site.a_member_goes_and_comes_back(&Family::BOTH);
    }
}
