//! Each rewrite does what its mode says and leaves right checksums.

use proptest::prelude::*;
use shunt_wire::rewrite::{Change, Dscp, Outer, Translate, Tunnel};
use shunt_wire::{Address, Endpoint, Family, Frame, Hop, Rewrite, RewriteError, ip};

use crate::frame::read;
use crate::packets::{
    IN, Kind, OUT, Packet, address, canonical, change, changed, endpoint, endpoints, key, packets,
    quoted_layout, rewrite,
};

const CLIENT: &str = "192.0.2.7:40000";
const VIP: &str = "203.0.113.1:80";
const MEMBER: &str = "10.0.0.1:8080";
const CLIENT6: &str = "[2001:db8::7]:40000";
const VIP6: &str = "[2001:db8:1::1]:80";
const MEMBER6: &str = "[2001:db8:2::1]:8080";

fn nat(source: &str, destination: &str, to: &str, protocol: u8) -> Rewrite {
    let translate = Translate::new(&key(source, destination, protocol), endpoint(source), endpoint(to));
    rewrite(Change::Translate(translate.unwrap()))
}

fn tunnel(source: &str, destination: &str, tunnel: Tunnel) -> Rewrite {
    rewrite(Change::Encapsulate(
        Outer::new(address(source), address(destination), tunnel, 0xfff1_2345).unwrap(),
    ))
}

#[test]
fn each_mode() {
    let gue = Tunnel::Gue { source_port: 50001, destination_port: 6080 };
    let v4 = "ip4 192.0.2.7 > 203.0.113.1 ttl 64 tos 185 id 7 df | tcp 40000 > 80 S seq 1";
    let v6 = "ip6 2001:db8::7 > 2001:db8:1::1 hop 64 class 185 flow 7 | tcp 40000 > 80 S seq 1";
    // What every tunnel carries: one hop is counted, and nothing else changes.
    let v4_inner = "ip4 192.0.2.7 > 203.0.113.1 ttl 63 tos 185 id 7 df | tcp 40000 > 80 S seq 1";
    let v6_inner = "ip6 2001:db8::7 > 2001:db8:1::1 hop 63 class 185 flow 7 | tcp 40000 > 80 S seq 1";
    let v4_outer = "ip4 10.1.0.1 > 10.0.0.1 ttl 64 tos 185 df";
    let v6_outer = "ip6 2001:db8:3::1 > 2001:db8:2::1 hop 64 class 185 flow 0x12345";
    let out4 = |shim| tunnel("10.1.0.1", "10.0.0.1", shim);
    let out6 = |shim| tunnel("2001:db8:3::1", "2001:db8:2::1", shim);
    let dscp = |of, to| rewrite(Change::Dscp(Dscp::new(&of, address(to), 5).unwrap()));
    for (before, rewrite, after) in [
        (v4, rewrite(Change::None), v4_inner.to_owned()),
        (v6, Rewrite { hop: Hop::Keep, ..rewrite(Change::None) }, v6.to_owned()),
        (v4, Rewrite { hop: Hop::Keep, ..rewrite(Change::None) }, v4.to_owned()),
        (
            v4,
            nat(CLIENT, VIP, MEMBER, ip::TCP),
            "ip4 192.0.2.7 > 10.0.0.1 ttl 63 tos 185 id 7 df | tcp 40000 > 8080 S seq 1".to_owned(),
        ),
        (
            v6,
            nat(CLIENT6, VIP6, MEMBER6, ip::TCP),
            "ip6 2001:db8::7 > 2001:db8:2::1 hop 63 class 185 flow 7 | tcp 40000 > 8080 S seq 1".to_owned(),
        ),
        // 5 << 2, and the ECN field of before.
        (
            v4,
            dscp(key(CLIENT, VIP, ip::TCP), "10.0.0.1"),
            "ip4 192.0.2.7 > 10.0.0.1 ttl 63 tos 21 id 7 df | tcp 40000 > 80 S seq 1".to_owned(),
        ),
        (
            v6,
            dscp(key(CLIENT6, VIP6, ip::TCP), "2001:db8:2::1"),
            "ip6 2001:db8::7 > 2001:db8:2::1 hop 63 class 21 flow 7 | tcp 40000 > 80 S seq 1".to_owned(),
        ),
        (v4, out4(Tunnel::Ipip), format!("{v4_outer} | {v4_inner}")),
        (v6, out4(Tunnel::Ipip), format!("{v4_outer} | {v6_inner}")),
        (v4, out6(Tunnel::Ipip), format!("{v6_outer} | {v4_inner}")),
        (v6, out6(Tunnel::Ipip), format!("{v6_outer} | {v6_inner}")),
        (v4, out4(Tunnel::Gre), format!("{v4_outer} | gre | {v4_inner}")),
        (v6, out4(Tunnel::Gre), format!("{v4_outer} | gre | {v6_inner}")),
        (v4, out6(Tunnel::Gre), format!("{v6_outer} | gre | {v4_inner}")),
        (v6, out6(Tunnel::Gre), format!("{v6_outer} | gre | {v6_inner}")),
        (v4, out4(gue), format!("{v4_outer} | udp 50001 > 6080 no-checksum | gue | {v4_inner}")),
        (v6, out4(gue), format!("{v4_outer} | udp 50001 > 6080 no-checksum | gue | {v6_inner}")),
        (v4, out6(gue), format!("{v6_outer} | udp 50001 > 6080 | gue | {v4_inner}")),
        (v6, out6(gue), format!("{v6_outer} | udp 50001 > 6080 | gue | {v6_inner}")),
    ] {
        let result = changed(&format!("{IN} | {before}"), |frame, layout| rewrite.apply(frame, layout));
        assert_eq!(result, Ok(canonical(&format!("{OUT} | {after}"))));
    }
}

/// The tag stays, and Ethernet padding does not travel in a tunnel.
#[test]
fn a_tag_and_padding() {
    let before = format!("{IN} | vlan 7 pcp 3 | ip4 192.0.2.7 > 203.0.113.1 | udp 40000 > 80 | pad 64");
    let nat = changed(&before, |frame, layout| nat(CLIENT, VIP, MEMBER, ip::UDP).apply(frame, layout));
    let after = format!("{OUT} | vlan 7 pcp 3 | ip4 192.0.2.7 > 10.0.0.1 ttl 63 | udp 40000 > 8080 | pad 64");
    assert_eq!(nat, Ok(after));
    let tunnel = tunnel("10.1.0.1", "10.0.0.1", Tunnel::Ipip);
    let result = changed(&before, |frame, layout| tunnel.apply(frame, layout));
    let after = format!(
        "{OUT} | vlan 7 pcp 3 | ip4 10.1.0.1 > 10.0.0.1 ttl 64 df | ip4 192.0.2.7 > 203.0.113.1 ttl 63 | udp 40000 > 80"
    );
    assert_eq!(result, Ok(after));
}

/// GUE over IPv6 sums what it carries also where that has no checksum from which the sum would follow.
#[test]
fn an_outer_checksum_without_an_inner_one() {
    let rewrite =
        tunnel("2001:db8:3::1", "2001:db8:2::1", Tunnel::Gue { source_port: 50001, destination_port: 6080 });
    for inner in [
        "udp 40000 > 80 no-checksum | \"odd\"",
        "udp 40000 > 80 len 10 | \"longer than UDP says\"",
        "icmp4 echo-request id 1 seq 2 | \"odd\"",
    ] {
        let before = format!("{IN} | ip4 192.0.2.7 > 203.0.113.1 ttl 64 | {inner}");
        let result = changed(&before, |frame, layout| rewrite.apply(frame, layout));
        let outer = "ip6 2001:db8:3::1 > 2001:db8:2::1 hop 64 flow 74565 | udp 50001 > 6080 | gue";
        let after = format!("{OUT} | {outer} | ip4 192.0.2.7 > 203.0.113.1 ttl 63 | {inner}");
        assert_eq!(result, Ok(canonical(&after)));
    }
}

#[test]
fn refusals() {
    let v4 = format!("{IN} | ip4 192.0.2.7 > 203.0.113.1 ttl 1 | udp 40000 > 80");
    let v6 = format!("{IN} | ip6 2001:db8::7 > 2001:db8:1::1 hop 64 | udp 40000 > 80 | bytes 1453");
    let nat4 = nat(CLIENT, VIP, MEMBER, ip::UDP);
    let nat6 = nat(CLIENT6, VIP6, MEMBER6, ip::UDP);
    let gue =
        tunnel("2001:db8:3::1", "2001:db8:2::1", Tunnel::Gue { source_port: 1, destination_port: 6080 });
    for (before, rewrite, error) in [
        (&v4, nat4, RewriteError::HopLimit),
        // What ends here is said to end here, whether it would fit or not.
        (&v4, Rewrite { mtu: 20, ..nat4 }, RewriteError::HopLimit),
        (&v6, nat6, RewriteError::TooBig { mtu: 1500 }),
        (&v6, gue, RewriteError::TooBig { mtu: 1448 }),
        (&v6, Rewrite { mtu: 0, ..gue }, RewriteError::TooBig { mtu: 0 }),
        (&v6, Rewrite { mtu: 9000, ..nat4 }, RewriteError::Mismatch),
        (&v4, Rewrite { hop: Hop::Keep, ..nat6 }, RewriteError::Mismatch),
    ] {
        let result = changed(before, |frame, layout| rewrite.apply(frame, layout));
        assert_eq!(result, Err(error), "{before} {rewrite:?}");
    }
    // A packet of exactly the length that fits.
    let fits = format!("{IN} | ip6 2001:db8::7 > 2001:db8:1::1 hop 64 | udp 40000 > 80 | bytes 1400");
    assert!(changed(&fits, |frame, layout| gue.apply(frame, layout)).is_ok());

    let mut bytes = read(&fits).unwrap();
    let layout = crate::packets::layout(&bytes);
    let end = bytes.len();
    assert_eq!(gue.apply(&mut Frame::new(&mut bytes, 0, end), &layout), Err(RewriteError::NoRoom));
    assert_eq!(gue.apply(&mut Frame::new(&mut bytes, 0, end - 1), &layout), Err(RewriteError::Mismatch));
}

#[test]
fn what_cannot_be_compiled() {
    let of = key(CLIENT, VIP, ip::TCP);
    assert_eq!(Translate::new(&of, endpoint(CLIENT), endpoint(MEMBER6)), None);
    assert_eq!(Translate::new(&of, endpoint(CLIENT6), endpoint(MEMBER)), None);
    assert_eq!(Translate::new(&key(CLIENT, VIP6, ip::TCP), endpoint(CLIENT), endpoint(MEMBER)), None);
    assert_eq!(Dscp::new(&of, address("2001:db8::1"), 1), None);
    assert_eq!(Dscp::new(&of, address("10.0.0.1"), 64), None);
    assert_eq!(Outer::new(address("10.0.0.1"), address("2001:db8::1"), Tunnel::Gre, 0), None);
}

/// A member's answer in `nat`, an error of a router behind Shunt: the client hears it from the virtual
/// server, about the packet that it sent.
#[test]
fn an_error_on_its_way_to_the_client() {
    let of = key(MEMBER, CLIENT, ip::TCP);
    let reply = Translate::new(&of, endpoint(VIP), endpoint(CLIENT)).unwrap();
    for cut in ["cut 28", "cut 40", "cut 548"] {
        let error = |from: &str, ttl: u8, to: &str| {
            format!(
                "ip4 {from} > 192.0.2.7 ttl {ttl} | icmp4 too-big mtu 1400 \
                 | ip4 192.0.2.7 > {to} ttl 62 df | tcp 40000 > {} A seq 1 | bytes 1400 | {cut}",
                if to == "10.0.0.1" { 8080 } else { 80 }
            )
        };
        let before = format!("{IN} | {}", error("10.9.9.9", 64, "10.0.0.1"));
        let after = format!("{OUT} | {}", error("203.0.113.1", 63, "203.0.113.1"));
        let result = changed(&before, |frame, layout| {
            let quoted = quoted_layout(frame.bytes(), layout);
            rewrite(Change::Translate(reply)).apply_to_error(frame, layout, &quoted)
        });
        assert_eq!(result, Ok(canonical(&after)), "{cut}");
    }
}

/// An error of a router on the client's side about a member's packet: in `nat` the member hears it from the
/// router; in `snat`, where it knows no client, from the SNAT address.
#[test]
fn an_error_on_its_way_to_the_member() {
    let forward = key(CLIENT6, VIP6, ip::UDP);
    for (source, from) in [(CLIENT6, "2001:db8:9::9"), ("[2001:db8:4::4]:50000", "2001:db8:4::4")] {
        let translate = Translate::new(&forward, endpoint(source), endpoint(MEMBER6)).unwrap();
        let before = format!(
            "{IN} | ip6 2001:db8:9::9 > 2001:db8:1::1 hop 64 | icmp6 port-unreachable \
             | ip6 2001:db8:1::1 > 2001:db8::7 hop 9 | udp 80 > 40000 | \"odd\""
        );
        let (to, port) = (endpoint(source).address, endpoint(source).port);
        let after = format!(
            "{OUT} | ip6 {from} > 2001:db8:2::1 hop 63 | icmp6 port-unreachable \
             | ip6 2001:db8:2::1 > {to} hop 9 | udp 8080 > {port} | \"odd\""
        );
        let result = changed(&before, |frame, layout| {
            let quoted = quoted_layout(frame.bytes(), layout);
            rewrite(Change::Translate(translate)).apply_to_error(frame, layout, &quoted)
        });
        assert_eq!(result, Ok(canonical(&after)));
    }
}

/// Direct return: the member sees what the client's router sees, so what is quoted stays.
#[test]
fn an_error_to_a_member_that_answers_directly() {
    let quoted = "ip4 203.0.113.1 > 192.0.2.7 ttl 9 | tcp 80 > 40000 A seq 1";
    let error = |to: &str, ttl: u8, tos: u8| {
        format!("ip4 198.51.100.9 > {to} ttl {ttl} tos {tos} | icmp4 too-big mtu 1400 | {quoted}")
    };
    let dscp = Dscp::new(&key(CLIENT, VIP, ip::TCP), address("10.0.0.1"), 5).unwrap();
    for (rewrite, after) in [
        (Rewrite { hop: Hop::Keep, ..rewrite(Change::None) }, error("203.0.113.1", 64, 0)),
        (rewrite(Change::Dscp(dscp)), error("10.0.0.1", 63, 20)),
        (
            tunnel("10.1.0.1", "10.0.0.1", Tunnel::Ipip),
            format!("ip4 10.1.0.1 > 10.0.0.1 ttl 64 df | {}", error("203.0.113.1", 63, 0)),
        ),
    ] {
        let before = format!("{IN} | {}", error("203.0.113.1", 64, 0));
        let result = changed(&before, |frame, layout| {
            let quoted = quoted_layout(frame.bytes(), layout);
            rewrite.apply_to_error(frame, layout, &quoted)
        });
        assert_eq!(result, Ok(canonical(&format!("{OUT} | {after}"))));
    }
}

/// The identifier of a ping is its port, in the packet and in what an error quotes of it.
#[test]
fn an_error_about_a_ping() {
    let of = key("192.0.2.7:77", "203.0.113.1:0", ip::ICMP);
    let forward = Translate::new(&of, endpoint("10.1.0.1:5000"), endpoint("10.0.0.1:0")).unwrap();
    let back = key("10.0.0.1:0", "10.1.0.1:5000", ip::ICMP);
    let reply = Translate::new(&back, endpoint("203.0.113.1:0"), endpoint("192.0.2.7:77")).unwrap();
    let before = format!("{IN} | ip4 192.0.2.7 > 203.0.113.1 | icmp4 echo-request id 77 seq 1 | \"odd\"");
    let result = changed(&before, |frame, layout| rewrite(Change::Translate(forward)).apply(frame, layout));
    let after =
        format!("{OUT} | ip4 10.1.0.1 > 10.0.0.1 ttl 63 | icmp4 echo-request id 5000 seq 1 | \"odd\"");
    assert_eq!(result, Ok(after));

    let before = format!(
        "{IN} | ip4 10.0.0.1 > 10.1.0.1 | icmp4 host-unreachable \
         | ip4 10.1.0.1 > 10.0.0.1 ttl 62 | icmp4 echo-request id 5000 seq 1 | \"odd\""
    );
    let result = changed(&before, |frame, layout| {
        let quoted = quoted_layout(frame.bytes(), layout);
        rewrite(Change::Translate(reply)).apply_to_error(frame, layout, &quoted)
    });
    let after = format!(
        "{OUT} | ip4 203.0.113.1 > 192.0.2.7 ttl 63 | icmp4 host-unreachable \
         | ip4 192.0.2.7 > 203.0.113.1 ttl 62 | icmp4 echo-request id 77 seq 1 | \"odd\""
    );
    assert_eq!(result, Ok(after));
}

/// The packet as its rewrite must leave it.
fn expected(packet: &Packet, source: Endpoint, destination: Endpoint, class: u8) -> Vec<u8> {
    Packet { source, destination, class, ttl: packet.ttl - 1, ..packet.clone() }.frame(OUT)
}

proptest! {
    #[test]
    fn translation_equals_a_new_packet((packet, source, destination) in packets()) {
        let translate = Translate::new(&packet.key(), source, destination).unwrap();
        let rewrite = rewrite(Change::Translate(translate));
        let result = change(&packet.frame(IN), |frame, layout| rewrite.apply(frame, layout));
        prop_assert_eq!(result, Ok(expected(&packet, source, destination, packet.class)));
    }

    /// There and back again is where it was.
    #[test]
    fn translation_is_undone_by_its_reverse((packet, source, destination) in packets()) {
        let of = packet.key();
        let mut ends = [source, destination];
        match packet.kind {
            Kind::EchoRequest => ends[1].port = 0,
            Kind::EchoReply => ends[0].port = 0,
            _ => {}
        }
        let there = Translate::new(&of, ends[0], ends[1]).unwrap();
        let back = Translate::new(
            &shunt_wire::FlowKey::new(ends[0], ends[1], of.protocol()),
            of.source(),
            of.destination(),
        )
        .unwrap();
        let keep = |translate| Rewrite { hop: Hop::Keep, ..rewrite(Change::Translate(translate)) };
        let result = change(&packet.frame(OUT), |frame, layout| {
            keep(there).apply(frame, layout)?;
            keep(back).apply(frame, layout)
        });
        prop_assert_eq!(result, Ok(packet.frame(OUT)));
    }

    #[test]
    fn marking_equals_a_new_packet((packet, _, to) in packets(), code_point in 0u8..64) {
        let dscp = Dscp::new(&packet.key(), to.address, code_point).unwrap();
        let rewrite = rewrite(Change::Dscp(dscp));
        let result = change(&packet.frame(IN), |frame, layout| rewrite.apply(frame, layout));
        let destination = Endpoint { port: packet.destination.port, ..to };
        let class = code_point << 2 | packet.class & 3;
        prop_assert_eq!(result, Ok(expected(&packet, packet.source, destination, class)));
    }

    #[test]
    fn encapsulation_equals_a_new_packet(
        (packet, _, _) in packets(),
        which in 0usize..3,
        outer in prop_oneof![Just(Family::V4), Just(Family::V6)]
            .prop_flat_map(|family| [endpoints(family), endpoints(family)]),
        entropy: u32,
    ) {
        let [source, destination] = outer;
        let port = source.port;
        let tunnel =
            [Tunnel::Ipip, Tunnel::Gre, Tunnel::Gue { source_port: port, destination_port: 6080 }][which];
        let outer = Outer::new(source.address, destination.address, tunnel, entropy).unwrap();
        let rewrite = rewrite(Change::Encapsulate(outer));
        let result = change(&packet.frame(IN), |frame, layout| rewrite.apply(frame, layout));

        let (from, to, class) = (source.address, destination.address, packet.class);
        let (network, checksum) = match from.family() {
            Family::V4 => (format!("ip4 {from} > {to} tos {class} df"), " no-checksum"),
            Family::V6 => (format!("ip6 {from} > {to} class {class} flow {}", entropy & 0xf_ffff), ""),
        };
        let shim = ["", "| gre", &format!("| udp {port} > 6080{checksum} | gue")][which].to_owned();
        let tag = packet.vlan.map(|id| format!("| vlan {id}")).unwrap_or_default();
        let inner = Packet { ttl: packet.ttl - 1, ..packet }.text();
        let text = format!("{OUT} {tag} | {network} {shim} | {inner}");
        prop_assert_eq!(result, Ok(read(&text).unwrap()), "{}", text);
        prop_assert_eq!(rewrite.overhead(), outer.len() as i16);
    }

    /// Of a packet that was translated an error comes back about what its receiver saw, cut anywhere, and
    /// its sender hears of what it sent.
    #[test]
    fn an_error_is_about_what_was_sent((packet, source, destination) in packets(), cut in 0usize..80) {
        // Half a checksum cannot be mended.
        prop_assume!(packet.kind != Kind::Tcp || cut != 9);
        let packet = Packet { options: false, ..packet };
        let of = packet.key();
        let mut ends = [source, destination];
        match packet.kind {
            Kind::EchoRequest => ends[1].port = 0,
            Kind::EchoReply => ends[0].port = 0,
            _ => {}
        }
        let back = shunt_wire::FlowKey::new(ends[1], ends[0], of.protocol());
        let reverse = Translate::new(&back, of.destination(), of.source()).unwrap();
        let cut = cut + match packet.family { Family::V4 => 28, Family::V6 => 48 };
        let error = |ethernet: &str, from: Address, ttl: u8, about: &Packet| {
            let to = about.source.address;
            let network = match about.family {
                Family::V4 => format!("ip4 {from} > {to} ttl {ttl} | icmp4 time-exceeded"),
                Family::V6 => format!("ip6 {from} > {to} hop {ttl} | icmp6 time-exceeded"),
            };
            read(&format!("{ethernet} | {network} | {} | cut {cut}", about.text())).unwrap()
        };
        let seen = Packet { source, destination, ..packet.clone() };
        // Who reports is hidden where the packet's receiver is.
        let router = Endpoint::default().address;
        let router = if packet.family == Family::V4 { address("198.51.100.9") } else { router };
        let hidden = if destination.address == of.destination().address { router } else { of.destination().address };
        let result = change(&error(IN, router, 9, &seen), |frame, layout| {
            let quoted = quoted_layout(frame.bytes(), layout);
            rewrite(Change::Translate(reverse)).apply_to_error(frame, layout, &quoted)
        });
        prop_assert_eq!(result, Ok(error(OUT, hidden, 8, &packet)));
    }
}
