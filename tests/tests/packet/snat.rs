//! Mode `snat` with real TCP and UDP. Members have no route to any client.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read};

use shunt_lab::{Family, Mode, Plan, Shape};
use shunt_tests::packet::{LARGE, PacketSite};

use crate::has_labs;

#[test]
fn traffic_through_two_arms() {
    if has_labs() {
        let plan = Plan::new(Mode::Snat);
        PacketSite::in_both_settings("snat-two-arm", Shape::TwoArm, &plan, |site| {
            site.exchange(&plan, &Family::BOTH);
            site.errors_reach_members(&plan, &Family::BOTH);
        });
    }
}

#[test]
fn traffic_on_one_arm() {
    if has_labs() {
        let plan = Plan::new(Mode::Snat);
        PacketSite::in_both_settings("snat-one-arm", Shape::OneArm, &plan, |site| {
            site.exchange(&plan, &Family::BOTH);
            site.errors_reach_members(&plan, &Family::BOTH);
        });
    }
}

#[test]
fn members_behind_a_router() {
    if has_labs() {
        let plan = Plan::new(Mode::Snat);
        PacketSite::in_both_settings("snat-routed", Shape::Routed, &plan, |site| {
            site.exchange(&plan, &Family::BOTH);
            site.errors_reach_members(&plan, &Family::BOTH);
        });
    }
}

#[test]
fn workers_share_the_ports() {
    if has_labs() {
        let plan = Plan { workers: 2, ..Plan::new(Mode::Snat) };
        let site = PacketSite::start("snat-workers", Shape::TwoArm, &plan);
        site.many_clients(&plan, &Family::BOTH);
    }
}

#[test]
fn a_member_is_killed_and_recovers() {
    if has_labs() {
        let plan = Plan::watched(Mode::Snat);
        let mut site = PacketSite::start("snat-member", Shape::TwoArm, &plan);
        site.a_member_goes_and_comes_back(&Family::BOTH);
    }
}

#[test]
fn exhaustion_refuses_the_new_and_leaves_the_old_alone() {
    const PORTS: usize = 4;
    if !has_labs() {
        return;
    }
    let snat = "ports = \"20000-20003\"".to_owned();
    let plan = Plan { snat, members: 1, ..Plan::new(Mode::Snat) };
    let site = PacketSite::start("snat-exhausted", Shape::TwoArm, &plan);
    for family in Family::BOTH {
        let from = site.topology.client_address(family, 0);
        let to = site.web(family);
        let held: Vec<_> = (0..PORTS).map(|_| site.topology.client.hold(from, to, LARGE).unwrap()).collect();
        let ports: BTreeSet<u16> = held.iter().map(|it| it.answer().client.port()).collect();
        assert_eq!(ports, (20_000..=20_003).collect(), "{family}: each port once");
        let refused = site.topology.client.connect(from, to).unwrap_err();
        let kind = refused.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        assert_eq!(kind, Some(ErrorKind::ConnectionRefused), "{family}: {refused:?}");
        site.topology.members[0].origin().unwrap().release();
        for held in held {
            held.finish().unwrap();
        }
    }
    let drops = site.told(&["status"]);
    assert!(drops.to_string().contains("snat-exhausted"), "{drops}");
}

#[test]
fn clients_with_the_same_port_are_told_apart() {
    if !has_labs() {
        return;
    }
    let plan = Plan { members: 1, ..Plan::new(Mode::Snat) };
    let site = PacketSite::start("snat-same-port", Shape::TwoArm, &plan);
    for family in Family::BOTH {
        let streams: Vec<_> = (0..4)
            .map(|client| {
                let from = (site.topology.client_address(family, client), 33_333).into();
                site.topology.client.connect_from(from, site.web(family)).unwrap()
            })
            .collect();
        // Backwards, so that an answer to the wrong one would be read by it.
        for (number, mut stream) in streams.into_iter().enumerate().rev() {
            let length = 1_000 + number;
            let request = format!("GET /{length} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
            let mut answer = String::new();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).unwrap();
            answer.push_str(&String::from_utf8_lossy(&bytes));
            assert!(answer.contains(&format!("Content-Length: {length}\r\n")), "{family}: {answer}");
        }
    }
}
