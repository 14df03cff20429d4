//! Modes `nat` and `snat` between the families: clients of IPv6 with members of IPv4, and the other way round.

use shunt_lab::{Family, Mode, Plan, Shape};
use shunt_tests::packet::{LARGE, MTU, PacketSite};

use crate::has_labs;

/// The least that every link of IPv6 carries (RFC 8200 section 5).
const LEAST_OF_V6: u32 = 1_280;

/// How large a packet of the other family is that fits this size, as whoever sends it is told: 20 bytes more in IPv6,
/// and never less than it must carry (RFC 7915 sections 4.2 and 5.2).
fn told(teller: Family, mtu: u32) -> u32 {
    match teller {
        Family::V4 => (mtu + 20).max(LEAST_OF_V6),
        Family::V6 => mtu - 20,
    }
}

#[test]
fn traffic_with_clients_addresses() {
    if !has_labs() {
        return;
    }
    for (shape, story) in [(Shape::TwoArm, "two-arm"), (Shape::OneArm, "one-arm")] {
        let plan = Plan::crossed(Mode::Nat);
        PacketSite::in_both_settings(&format!("translation-nat-{story}"), shape, &plan, |site| {
            site.exchange(&plan, &Family::BOTH);
        });
    }
}

#[test]
fn traffic_with_leased_addresses() {
    if !has_labs() {
        return;
    }
    for (shape, story) in [(Shape::TwoArm, "two-arm"), (Shape::OneArm, "one-arm"), (Shape::Routed, "routed")]
    {
        let plan = Plan::crossed(Mode::Snat);
        PacketSite::in_both_settings(&format!("translation-snat-{story}"), shape, &plan, |site| {
            site.exchange(&plan, &Family::BOTH);
        });
    }
}

#[test]
fn workers_share_the_queues() {
    if !has_labs() {
        return;
    }
    for mode in [Mode::Nat, Mode::Snat] {
        let plan = Plan { workers: 2, ..Plan::crossed(mode) };
        let site = PacketSite::start(&format!("translation-{mode}-workers"), Shape::TwoArm, &plan);
        site.many_clients(&plan, &Family::BOTH);
    }
}

/// The way to the clients is narrow, down to what IPv4 may be and IPv6 must not: members of the other family hear of it by
/// their own measure, and their answers come.
#[test]
fn a_narrow_way_to_clients() {
    if !has_labs() {
        return;
    }
    for mode in [Mode::Nat, Mode::Snat] {
        for (family, narrow) in
            [(Family::V4, 1_400), (Family::V4, 1_000), (Family::V6, 1_400), (Family::V6, LEAST_OF_V6)]
        {
            let plan = Plan::crossed(mode);
            let site = PacketSite::start(&format!("translation-{mode}-narrow-clients"), Shape::TwoArm, &plan);
            site.topology.narrow_clients_of(family, narrow).unwrap();
            let answer = site.fetch(family, 3, 0, LARGE);
            let number = usize::from(answer.member == "m2");
            let member = site.topology.member_address(plan.behind(family), number, 0).ip();
            let host = &site.topology.members[number].host;
            let learned = host.path_mtu(member, answer.client.ip()).unwrap();
            assert_eq!(learned, Some(told(family, narrow)), "{mode}: {narrow} toward {family}");
            site.fetch(family, 3, LARGE, 0);
        }
    }
}

/// The same toward members, behind a router: its errors come to the SNAT address, and clients hear of them.
#[test]
fn a_narrow_way_to_members() {
    if !has_labs() {
        return;
    }
    for (family, narrow) in
        [(Family::V6, 1_400), (Family::V6, 1_000), (Family::V4, 1_400), (Family::V4, LEAST_OF_V6)]
    {
        let plan = Plan::crossed(Mode::Snat);
        let site = PacketSite::start("translation-narrow-members", Shape::Routed, &plan);
        site.topology.narrow_servers_of(plan.behind(family), narrow).unwrap();
        site.fetch(family, 3, LARGE, 0);
        let from = site.topology.client_address(family, 3);
        let learned = site.topology.client.path_mtu(from, site.echo(family).ip()).unwrap();
        assert_eq!(
            learned,
            Some(told(plan.behind(family), narrow)),
            "{narrow} toward {}",
            plan.behind(family)
        );
        site.fetch(family, 3, 0, LARGE);
    }
}

/// Shunt's own link toward the members is narrow: it says so itself.
#[test]
fn its_own_link_is_narrow() {
    if !has_labs() {
        return;
    }
    for mode in [Mode::Nat, Mode::Snat] {
        for (family, narrow) in [(Family::V6, 1_400), (Family::V6, 1_000), (Family::V4, 1_400)] {
            let topology = shunt_tests::packet::topology("translation-own-link", Shape::TwoArm, &[mode]);
            // Below the least of IPv6 the kernel switches IPv6 off, there and here.
            topology.shunt.run(&format!("ip link set servers mtu {narrow}")).unwrap();
            let plan = Plan { families: vec![family], ..Plan::crossed(mode) };
            let site = PacketSite::on(topology, &plan);
            // TCP does not try: Shunt has told both ends what fits.
            site.fetch(family, 3, LARGE, LARGE);
            let from = site.topology.client_address(family, 0);
            let socket = site.topology.client.datagrams(from, site.echo(family)).unwrap();
            let question = vec![b'?'; (MTU - family.header() - 8) as usize];
            socket.send(&question).unwrap();
            site.wait_path_mtu(family, 0, told(family.other(), narrow));
        }
    }
}

/// Questions and answers that are larger than any link, from both families.
#[test]
fn fragments_go_both_ways() {
    if !has_labs() {
        return;
    }
    for mode in [Mode::Nat, Mode::Snat] {
        let plan = Plan { workers: 2, ..Plan::crossed(mode) };
        let site = PacketSite::start(&format!("translation-{mode}-fragments"), Shape::TwoArm, &plan);
        for family in Family::BOTH {
            let mut question = b"answer 4000 ".to_vec();
            question.resize(4_000, b'?');
            for client in 0..4 {
                site.ask(family, client, &question);
            }
        }
    }
}

/// What IPv4 lets routers cut (DF clear), and is larger than every network of IPv6 takes.
#[test]
fn what_may_be_cut_is_cut() {
    if !has_labs() {
        return;
    }
    let plan = Plan::crossed(Mode::Snat);
    let site = PacketSite::start("translation-cut", Shape::TwoArm, &plan);
    let (from, to) = (site.topology.client_address(Family::V4, 0), site.echo(Family::V4).ip());
    for size in [1_232, 1_252, MTU - 40 - 8] {
        let answered = site.topology.client.ping_that_may_be_cut(from, to, 3, size).unwrap();
        assert_eq!(answered, 3, "{size} bytes");
    }
}

/// Nobody listens on the member's port: it says so in its family, and the client's socket is told in its own.
#[test]
fn a_closed_port_is_refused_to_the_client() {
    if !has_labs() {
        return;
    }
    for mode in [Mode::Nat, Mode::Snat] {
        let plan = Plan::crossed(mode);
        let mut site = PacketSite::start(&format!("translation-{mode}-closed"), Shape::TwoArm, &plan);
        site.refusals_reach_clients(&Family::BOTH);
    }
}

/// Shunt is a hop to clients of either family.
#[test]
fn a_hop_limit_that_ends_at_shunt_is_told() {
    if !has_labs() {
        return;
    }
    for mode in [Mode::Nat, Mode::Snat] {
        let site =
            PacketSite::start(&format!("translation-{mode}-hops"), Shape::TwoArm, &Plan::crossed(mode));
        for family in Family::BOTH {
            let (from, to) = (site.topology.client_address(family, 0), site.echo(family).ip());
            // The router, Shunt under the address that was asked, the member under the same.
            let heard = [1, 2, 3].map(|hops| site.topology.client.ping_hops(from, to, hops).unwrap());
            assert_eq!(heard[1..], [to; 2], "{mode}, {family}");
            assert_ne!(heard[0], to, "{mode}, {family}");
        }
    }
}
