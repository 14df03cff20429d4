//! The modes `l3dsr-…` with real TCP and UDP: members behind a router answer clients by themselves.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use shunt_lab::{Family, Mode, Place, Plan, Shape, ask};
use shunt_tests::packet::{MTU, NARROW, PacketSite};

use crate::has_labs;

#[test]
fn dscp_behind_a_router() {
    if has_labs() {
        let plan = Plan::new(Mode::L3dsrDscp);
        PacketSite::in_both_settings("dscp-routed", Shape::Routed, &plan, |site| {
            site.exchange(&plan, &Family::BOTH);
            site.errors_reach_members(&plan, &Family::BOTH);
        });
    }
}

#[test]
fn dscp_on_one_arm() {
    if has_labs() {
        let plan = Plan::new(Mode::L3dsrDscp);
        PacketSite::in_both_settings("dscp-one-arm", Shape::OneArm, &plan, |site| {
            site.exchange(&plan, &Family::BOTH);
            site.errors_reach_members(&plan, &Family::BOTH);
        });
    }
}

/// Everything through a kind of tunnel, with members of either family.
fn tunnel(mode: Mode) {
    if !has_labs() {
        return;
    }
    for outer in Family::BOTH {
        let plan = Plan { outer: Some(outer), ..Plan::new(mode) };
        PacketSite::in_both_settings(&format!("{mode}-{outer}"), Shape::Routed, &plan, |site| {
            site.exchange(&plan, &Family::BOTH);
            // With an outer header a datagram of the full size fits no more: the client hears of it from Shunt.
            site.errors_reach_clients(&Family::BOTH, MTU - mode.overhead(outer));
            site.errors_reach_members(&plan, &Family::BOTH);

            let heard: Vec<_> = site.topology.members.iter().map(|it| it.tunnel().unwrap().heard()).collect();
            let shunt = site.topology.shunt_address(outer);
            for heard in &heard {
                assert_eq!(heard.refused, [""; 0], "{mode} in {outer}");
                assert!(heard.taken > 0 && heard.sources.iter().all(|it| it.ip() == shunt), "{heard:?}");
                if mode == Mode::L3dsrGue {
                    // A port per flow, so that the queues of the member share them.
                    assert!(heard.sources.len() > 1, "{heard:?}");
                }
            }
        });
    }
}

#[test]
fn ipip_in_either_family() {
    tunnel(Mode::L3dsrIpip);
}

#[test]
fn gre_in_either_family() {
    tunnel(Mode::L3dsrGre);
}

#[test]
fn gue_in_either_family() {
    tunnel(Mode::L3dsrGue);
}

/// A router on the way to the members has a narrower link than Shunt. It tells where the tunnel starts, Shunt
/// tells the clients, and what they send goes through: RFC 2003 section 5.1.
fn narrow(mode: Mode, outer: Family, has_sources: bool) {
    if !has_labs() {
        return;
    }
    let [first, last] = [220, 235].map(|station| Family::BOTH.map(|it| Place::Service.address(it, station)));
    let range = |at: usize| format!("\"{}-{}\"", first[at], last[at]);
    let keys = format!("tunnel-sources = [{}, {}]", range(0), range(1));
    let keys = if has_sources { keys } else { String::new() };
    let plan = Plan { outer: Some(outer), keys, ..Plan::new(mode) };
    let site = PacketSite::start(&format!("{mode}-{outer}-narrow"), Shape::Routed, &plan);
    site.exchange(&plan, &Family::BOTH);
    site.topology.narrow_servers(NARROW).unwrap();
    site.errors_reach_clients(&Family::BOTH, NARROW - mode.overhead(outer));
    site.exchange(&plan, &Family::BOTH);

    let shunt = site.topology.shunt_address(outer);
    let starts_right = |source: IpAddr| match has_sources {
        true => first.iter().zip(last).any(|(first, last)| (*first..=last).contains(&source)),
        false => source == shunt,
    };
    let mut sources = BTreeSet::new();
    for member in &site.topology.members {
        let heard = member.tunnel().unwrap().heard();
        assert_eq!(heard.refused, [""; 0], "{mode} in {outer}");
        sources.extend(heard.sources.iter().map(SocketAddr::ip));
    }
    assert!(!sources.is_empty() && sources.iter().all(|it| starts_right(*it)), "{sources:?}");
    assert_eq!(sources.len() > 1, has_sources, "each flow has its source: {sources:?}");
}

#[test]
fn the_way_into_ipip_narrows() {
    narrow(Mode::L3dsrIpip, Family::V4, true);
}

#[test]
fn the_way_into_gre_over_ipv6_narrows() {
    narrow(Mode::L3dsrGre, Family::V6, true);
}

#[test]
fn the_way_into_gue_from_the_hosts_address_narrows() {
    narrow(Mode::L3dsrGue, Family::V4, false);
}

/// RFC 6040 section 4.1: the outer header has the inner one's ECN; the DSCP is copied as well.
#[test]
fn the_traffic_class_is_copied_to_the_outside() {
    /// Expedited forwarding, ECT(0).
    const CLASS: u8 = 46 << 2 | 0b10;
    if !has_labs() {
        return;
    }
    let plan = Plan { outer: Some(Family::V4), members: 1, ..Plan::new(Mode::L3dsrGre) };
    let site = PacketSite::start("tunnel-class", Shape::Routed, &plan);
    let from = site.topology.client_address(Family::V4, 0);
    let socket = site.topology.client.datagrams(from, site.echo(Family::V4)).unwrap();
    socket2::SockRef::from(&socket).set_tos_v4(u32::from(CLASS)).unwrap();
    ask(&socket, b"urgent").unwrap();
    let heard = site.topology.members[0].tunnel().unwrap().heard();
    assert!(heard.classes.contains(&(CLASS, CLASS)), "{heard:?}");
}

fn member(mode: Mode) {
    if has_labs() {
        let plan = Plan::watched(mode);
        let mut site = PacketSite::start(&format!("{mode}-member"), Shape::Routed, &plan);
        site.a_member_goes_and_comes_back(&Family::BOTH);
    }
}

#[test]
fn a_member_of_dscp_is_killed_and_recovers() {
    member(Mode::L3dsrDscp);
}

#[test]
fn a_member_of_ipip_is_killed_and_recovers() {
    member(Mode::L3dsrIpip);
}

#[test]
fn a_member_of_gre_is_killed_and_recovers() {
    member(Mode::L3dsrGre);
}

#[test]
fn a_member_of_gue_is_killed_and_recovers() {
    member(Mode::L3dsrGue);
}
