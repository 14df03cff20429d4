//! The labs without Shunt: what the kernel has, or thirty lines of sockets, stand in its place. Where a test of Shunt
//! fails and its twin here passes, it is not the lab's fault.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue says so and ends")]

mod standin;

use shunt_lab::{Family, Member, Mode, Offloads, Place, Request, Shape, Siit, Through, Topology, needs};
use standin::Encapsulator;

/// Enough for many windows.
const LARGE: usize = 4 << 20;

/// What the router lets through to the clients, where it is narrow.
const NARROW: u32 = 1_400;

/// Which member the stand-in sends everything to, and what it is called.
const CHOSEN: usize = 1;
const NAME: &str = "m2";

fn topology(mode: Mode, shape: Shape) -> Topology {
    // What puts packets into tunnels is a program on packet sockets, which gets them with the checksums that they have.
    let offloads = if mode.overhead(Family::V4) > 0 { Offloads::Off } else { Offloads::On };
    let mut topology = Topology::with(&format!("standin-{mode}"), shape, offloads).unwrap();
    topology.serve(&[mode]).unwrap();
    let forward = ["sysctl -w net.ipv4.ip_forward=1", "sysctl -w net.ipv6.conf.all.forwarding=1"];
    topology.shunt.all(&forward).unwrap();
    for family in Family::BOTH {
        let address = topology.virtual_address(family, 0).ip();
        topology.shunt.run(&format!("ip address add {address}/{} dev service", family.bits())).unwrap();
    }
    topology
}

/// Large bodies, datagrams and pings reach the member; and what is too large for the way back is heard of by it.
fn exchange(topology: &Topology, mode: Mode) {
    for family in Family::BOTH {
        let (from, to) = (topology.client_address(family, 2), topology.virtual_address(family, 80));
        let large = Request::new(from, to).upload(LARGE).download(LARGE);
        let answer = topology.client.fetch(&large).unwrap();
        let seen = if mode == Mode::Snat { topology.snat_address(family) } else { from };
        assert_eq!((answer.member.as_str(), answer.client.ip()), (NAME, seen), "{family}");
        let echo = topology.virtual_address(family, 53);
        let answer = topology.client.ask(from, echo, b"hello").unwrap();
        assert_eq!((answer.member.as_str(), answer.client.ip()), (NAME, seen), "{family}");
        assert_eq!(topology.client.ping(from, to.ip(), 3, 56).unwrap(), 3, "{family}");
    }
    topology.narrow_clients(NARROW).unwrap();
    for family in Family::BOTH {
        let (from, to) = (topology.client_address(family, 3), topology.virtual_address(family, 80));
        topology.client.fetch(&Request::new(from, to).download(LARGE)).unwrap();
        let (local, remote) = match mode {
            Mode::Nat => (topology.member_address(family, CHOSEN, 0).ip(), from),
            Mode::Snat => (topology.member_address(family, CHOSEN, 0).ip(), topology.snat_address(family)),
            _ => (to.ip(), from),
        };
        let learned = topology.members[CHOSEN].host.path_mtu(local, remote).unwrap();
        assert_eq!(learned, Some(NARROW), "{family}");
    }
}

/// The kernel's own translation; `source` is the rule for SNAT.
fn translate(topology: &Topology, source: impl Fn(&str, Family) -> String) {
    for (family, ip) in [(Family::V4, "ip"), (Family::V6, "ip6")] {
        let (to, member) =
            (topology.virtual_address(family, 0).ip(), topology.member_address(family, CHOSEN, 0).ip());
        let socket = |port| topology.member_address(family, CHOSEN, port);
        let table = format!(
            "table {ip} standin {{
               chain before {{
                 type nat hook prerouting priority dstnat;
                 {ip} daddr {to} tcp dport 80 dnat to {}
                 {ip} daddr {to} udp dport 53 dnat to {}
                 {ip} daddr {to} dnat to {member}
               }}
               {}
             }}",
            socket(Member::HTTP[1]),
            socket(Member::ECHO[1]),
            source(ip, family),
        );
        topology.shunt.feed("nft -f -", &table).unwrap();
    }
}

#[test]
fn nat_through_two_arms() {
    if !needs::namespaces("packets between network namespaces") {
        return;
    }
    let topology = topology(Mode::Nat, Shape::TwoArm);
    translate(&topology, |_, _| String::new());
    exchange(&topology, Mode::Nat);
}

#[test]
fn nat_on_one_arm() {
    if !needs::namespaces("packets between network namespaces") {
        return;
    }
    let topology = topology(Mode::Nat, Shape::OneArm);
    translate(&topology, |_, _| String::new());
    exchange(&topology, Mode::Nat);
}

#[test]
fn snat_in_every_shape() {
    if !needs::namespaces("packets between network namespaces") {
        return;
    }
    for shape in [Shape::TwoArm, Shape::OneArm, Shape::Routed] {
        let topology = topology(Mode::Snat, shape);
        let link = if shape == Shape::TwoArm { "servers" } else { "service" };
        for family in Family::BOTH {
            let address = topology.snat_address(family);
            topology.shunt.run(&format!("ip address add {address}/{} dev {link}", family.bits())).unwrap();
        }
        translate(&topology, |ip, family| {
            let (member, snat) =
                (topology.member_address(family, CHOSEN, 0).ip(), topology.snat_address(family));
            format!(
                "chain after {{
                   type nat hook postrouting priority srcnat;
                   {ip} daddr {member} ct direction original ct status dnat snat to {snat}
                 }}"
            )
        });
        exchange(&topology, Mode::Snat);
    }
}

#[test]
fn l2dsr_on_one_arm() {
    if !needs::namespaces("packets between network namespaces") {
        return;
    }
    let topology = topology(Mode::L2dsr, Shape::OneArm);
    let mac = topology.members[CHOSEN].host.mac("service").unwrap();
    // Its own as the source: the switch would else look for the router at this port.
    let own = topology.shunt.mac("service").unwrap();
    let rules = Family::BOTH.map(|family| {
        let ip = if family == Family::V4 { "ip" } else { "ip6" };
        let to = topology.virtual_address(family, 0).ip();
        format!("{ip} daddr {to} ether saddr set {own} ether daddr set {mac} fwd to \"service\"")
    });
    let [v4, v6] = rules;
    let table = format!(
        "table netdev standin {{ chain l2dsr {{
           type filter hook ingress device \"service\" priority 0;
           {v4}
           {v6}
         }}\n}}"
    );
    topology.shunt.feed("nft -f -", &table).unwrap();
    exchange(&topology, Mode::L2dsr);
}

#[test]
fn dscp_on_one_arm_and_behind_a_router() {
    if !needs::namespaces("packets between network namespaces") {
        return;
    }
    for shape in [Shape::OneArm, Shape::Routed] {
        let topology = topology(Mode::L3dsrDscp, shape);
        let dscp = Member::DSCP;
        for (family, ip) in [(Family::V4, "ip"), (Family::V6, "ip6")] {
            let (to, member) =
                (topology.virtual_address(family, 0).ip(), topology.member_address(family, CHOSEN, 0).ip());
            let table = format!(
                "table {ip} standin {{ chain dscp {{
                   type filter hook prerouting priority raw;
                   {ip} daddr {to} {ip} dscp set {dscp} {ip} daddr set {member}
                 }}\n}}"
            );
            topology.shunt.feed("nft -f -", &table).unwrap();
        }
        exchange(&topology, Mode::L3dsrDscp);
    }
}

#[test]
fn tunnels_in_either_family() {
    if !needs::namespaces("packets between network namespaces") {
        return;
    }
    for (mode, shape) in
        [(Mode::L3dsrIpip, Shape::Routed), (Mode::L3dsrGre, Shape::Routed), (Mode::L3dsrGue, Shape::OneArm)]
    {
        for outer in Family::BOTH {
            let topology = topology(mode, shape);
            let addresses = Family::BOTH.map(|family| topology.virtual_address(family, 0).ip());
            let member = topology.member_address(outer, CHOSEN, 0).ip();
            let encapsulator = Encapsulator::start(&topology.shunt, addresses, mode, member);
            exchange(&topology, mode);
            drop(encapsulator);
            let heard = topology.members[CHOSEN].tunnel().unwrap().heard();
            assert_eq!(heard.refused, [""; 0], "{mode} in {outer}");
            assert!(heard.taken > 0, "{mode} in {outer}");
        }
    }
}

#[test]
fn a_member_is_killed_unplugged_and_recovers() {
    if !needs::namespaces("packets between network namespaces") {
        return;
    }
    let mut topology = topology(Mode::Nat, Shape::TwoArm);
    translate(&topology, |_, _| String::new());
    let (from, to) = (topology.client_address(Family::V4, 0), topology.virtual_address(Family::V4, 80));
    let held = topology.client.hold(from, to, LARGE).unwrap();
    topology.members[CHOSEN].kill();
    assert!(held.finish().is_err(), "its transfer ends with it");
    assert!(topology.client.connect(from, to).is_err(), "nobody listens");
    topology.members[CHOSEN].recover().unwrap();
    topology.client.fetch(&Request::new(from, to)).unwrap();

    let held = topology.client.hold(from, to, LARGE).unwrap();
    let servers = topology.segment(Place::Servers);
    topology.lab.set_plugged(&topology.members[CHOSEN].host, servers, false).unwrap();
    topology.members[CHOSEN].origin().unwrap().release();
    topology.lab.set_plugged(&topology.members[CHOSEN].host, servers, true).unwrap();
    assert_eq!(held.finish().unwrap().member, NAME, "TCP has sent again what was lost");
}

/// Without a translator each end comes as far as the translator's host, and packets for the other family are lost there.
#[test]
fn the_line_of_two_families_ends_in_the_middle() {
    if !needs::namespaces("packets between network namespaces") {
        return;
    }
    for through in [Through::Tun, Through::Links] {
        let lab = Siit::build("standin-siit", through).unwrap();
        for (family, middle) in [(Family::V6, "2001:db8:600::2"), (Family::V4, "203.0.113.2")] {
            let ((from, to), client) = (lab.ends(family), lab.client_of(family));
            assert_eq!(
                client.ping(from, middle.parse().unwrap(), 3, 56).unwrap(),
                3,
                "{through:?}, {family}"
            );
            assert_eq!(client.ping(from, to, 1, 56).unwrap(), 0, "{through:?}, {family}");
        }
    }
}

#[test]
fn nothing_is_left_behind() {
    if !needs::namespaces("packets between network namespaces") {
        return;
    }
    let topology = Topology::build("standin-left", Shape::OneArm).unwrap();
    let names: Vec<_> = [&topology.client, &topology.router, &topology.shunt]
        .map(|host| host.namespace().name().to_owned())
        .into_iter()
        .collect();
    let there =
        || std::fs::read_dir("/run/netns").unwrap().flatten().map(|it| it.file_name()).collect::<Vec<_>>();
    assert!(names.iter().all(|name| there().iter().any(|it| it == name.as_str())));
    drop(topology);
    assert!(!names.iter().any(|name| there().iter().any(|it| it == name.as_str())));
}
