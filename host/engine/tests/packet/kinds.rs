//! Each kind of packet, and what it says.

use shunt_engine::packet::{
    ErrorPacket, FlowPacket, Fragment, Kind, OtherPacket, Packet, TcpSegment, dissect,
};
use shunt_wire::layout::Part;
use shunt_wire::{Endpoint, Family, FlowKey, Layout, Mac, arp, ip, ndp, tcp};

use crate::frame::read;
use crate::packets::{IN, address, key};

fn packet(text: &str) -> Packet {
    dissect(&read(&format!("{IN} | {text}")).unwrap()).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

fn flow(text: &str) -> FlowPacket {
    match packet(text).kind {
        Kind::Flow(flow) => flow,
        other => panic!("{text}: {other:?}"),
    }
}

fn error(text: &str) -> ErrorPacket {
    match packet(text).kind {
        Kind::IcmpError(error) => error,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_segment_with_everything() {
    let packet = packet(
        "vlan 7 pcp 3 dei | ip4 192.0.2.7 > 203.0.113.1 ttl 9 tos 185 df options 94040000 \
         | tcp 40000 > 80 PA seq 5 ack 6 win 7 options 01010101 | \"data\" | pad 90",
    );
    assert_eq!(
        (packet.source_mac, packet.destination_mac),
        (Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2]))
    );
    assert_eq!(packet.vlan, Some(3 << 13 | 1 << 12 | 7));
    assert_eq!(
        packet.layout,
        Layout { l3: 18, l4: 42, end: 70, family: Family::V4, protocol: ip::TCP, part: Part::Whole }
    );
    let segment = TcpSegment { flags: tcp::PSH | tcp::ACK, seq: 5, ack: 6, window: 7, payload: 4 };
    assert_eq!(
        packet.kind,
        Kind::Flow(FlowPacket {
            key: key("192.0.2.7:40000", "203.0.113.1:80", ip::TCP),
            tcp: Some(segment),
            ttl: 9,
            traffic_class: 185,
            dont_fragment: true,
            length: 52,
        })
    );
}

#[test]
fn extension_headers_are_passed_over() {
    let text = "ip6 2001:db8::7 > 2001:db8:1::1 hop 9 class 185 | hop-by-hop 050200000100 \
                | dest-options 010c000000000000000000000000 | routing 000000000000 | fragment id 9 | udp 1 > 2 | \"x\"";
    let packet = packet(text);
    assert_eq!(
        packet.layout,
        Layout { l3: 14, l4: 94, end: 103, family: Family::V6, protocol: ip::UDP, part: Part::Whole }
    );
    let flow = flow(text);
    assert_eq!(flow.key, key("[2001:db8::7]:1", "[2001:db8:1::1]:2", ip::UDP));
    assert_eq!((flow.ttl, flow.traffic_class, flow.dont_fragment, flow.length), (9, 185, true, 89));
    assert_eq!((flow.tcp, packet.vlan), (None, None));
}

/// The key of a reply is the reversed key of its request.
#[test]
fn an_echo_is_a_flow() {
    for (request, reply) in [
        (
            "ip4 192.0.2.7 > 203.0.113.1 | icmp4 echo-request id 77 seq 1",
            "ip4 203.0.113.1 > 192.0.2.7 | icmp4 echo-reply id 77 seq 1",
        ),
        (
            "ip6 2001:db8::7 > 2001:db8:1::1 | icmp6 echo-request id 77 seq 1",
            "ip6 2001:db8:1::1 > 2001:db8::7 | icmp6 echo-reply id 77 seq 1",
        ),
    ] {
        let (request, reply) = (flow(request).key, flow(reply).key);
        assert_eq!((request.source().port, request.destination().port), (77, 0));
        assert_eq!(reply, request.reversed());
    }
}

#[test]
fn errors_and_what_they_are_about() {
    let got = error(
        "ip4 198.51.100.9 > 192.0.2.7 ttl 9 | icmp4 too-big mtu 1400 \
         | ip4 192.0.2.7 > 203.0.113.1 ttl 8 check 0x0000 | tcp 40000 > 80 A seq 1 | bytes 1400 | cut 28",
    );
    assert_eq!(
        got,
        ErrorPacket {
            source: address("198.51.100.9"),
            destination: address("192.0.2.7"),
            embedded: key("192.0.2.7:40000", "203.0.113.1:80", ip::TCP),
            embedded_layout: Layout {
                l3: 42,
                l4: 62,
                end: 70,
                family: Family::V4,
                protocol: ip::TCP,
                part: Part::Whole
            },
            icmp_type: 3,
            icmp_code: 4,
            mtu: Some(1400),
            ttl: 9,
            length: 56,
        }
    );
    let got = error(
        "ip6 2001:db8:9::9 > 2001:db8:1::1 | icmp6 too-big mtu 70000 | ip6 2001:db8:1::1 > 2001:db8::7 \
         | dest-options 010400000000 | icmp6 echo-reply id 5 seq 1",
    );
    assert_eq!(got.embedded, key("[2001:db8:1::1]:0", "[2001:db8::7]:5", ip::ICMPV6));
    assert_eq!((got.mtu, got.embedded_layout.l4), (Some(70_000), 14 + 48 + 48));
    for (text, icmp_type, icmp_code) in [
        ("icmp4 port-unreachable", 3, 3),
        ("icmp4 time-exceeded", 11, 0),
        ("icmp4 type 12 code 0 rest 05000000", 12, 0),
    ] {
        let got = error(&format!(
            "ip4 198.51.100.9 > 192.0.2.7 | {text} | ip4 192.0.2.7 > 203.0.113.1 | udp 1 > 2"
        ));
        assert_eq!((got.icmp_type, got.icmp_code, got.mtu), (icmp_type, icmp_code, None));
    }
    // What a router quotes may name a length that it did not have, or that it mended while it forwarded.
    for len in [0, 20, 9000] {
        let got = error(&format!(
            "ip4 198.51.100.9 > 192.0.2.7 | icmp4 port-unreachable | ip4 192.0.2.7 > 203.0.113.1 len 9000 | udp 1 > {len}"
        ));
        assert_eq!(got.embedded.destination().port, len);
    }
}

#[test]
fn fragments() {
    let fragment = |text: &str| match packet(text).kind {
        Kind::Fragment(fragment) => (packet(text).layout, fragment),
        other => panic!("{text}: {other:?}"),
    };
    // In the first one the flow can be read: 0x9c40 is 40000.
    let (layout, got) = fragment("ip4 192.0.2.7 > 203.0.113.1 id 9 mf proto 17 | hex 9c400050000c0000");
    assert_eq!((layout.part, layout.has_transport()), (Part::First, true));
    let head = FlowPacket {
        key: key("192.0.2.7:40000", "203.0.113.1:80", ip::UDP),
        tcp: None,
        ttl: 64,
        traffic_class: 0,
        dont_fragment: false,
        length: 28,
    };
    let expected = Fragment {
        source: address("192.0.2.7"),
        destination: address("203.0.113.1"),
        protocol: ip::UDP,
        head: Some(head),
        identification: 9,
        identification_at: 14 + 4,
        offset: 0,
        payload: 8,
        more: true,
        length: 28,
    };
    assert_eq!(got, expected);
    let (layout, got) = fragment("ip4 192.0.2.7 > 203.0.113.1 id 9 off 8 proto 17 | hex 9c400050");
    assert_eq!((layout.part, layout.has_transport()), (Part::Later, false));
    assert_eq!(got, Fragment { head: None, offset: 8, payload: 4, more: false, length: 24, ..expected });
    // What stands in a later fragment is no extension header, whatever its number.
    let text =
        "ip6 2001:db8::7 > 2001:db8:1::1 | fragment id 70000 off 1448 mf next 60 | hex ffffffffffffffff";
    let (layout, got) = fragment(text);
    assert_eq!((layout.l4, layout.part), (14 + 48, Part::Later));
    assert_eq!((got.protocol, got.identification, got.offset, got.more), (60, 70_000, 1448, true));
    assert_eq!((got.identification_at, got.payload), (14 + 40 + 4, 8));
    // Echo: type 8 of ICMP, identifier 5. What the first fragment of another message says is no flow.
    let echo = |hex| fragment(&format!("ip4 192.0.2.7 > 203.0.113.1 mf proto 1 | hex {hex}")).1.head;
    let expected = key("192.0.2.7:5", "203.0.113.1:0", ip::ICMP);
    assert_eq!(echo("0800000000050001").map(|head| head.key), Some(expected));
    assert_eq!((echo("0801000000050001"), echo("0300000000050001")), (None, None));
    // What follows the fragment header in the first one is read like any other chain: the ports are 1 and
    // 0x203.
    let text = "ip6 2001:db8::7 > 2001:db8:1::1 | fragment mf next 60 | hex 1100010400000000 | bytes 8";
    let (layout, got) = fragment(text);
    assert_eq!((layout.l4, got.protocol), (14 + 56, ip::UDP));
    let expected = key("[2001:db8::7]:1", "[2001:db8:1::1]:515", ip::UDP);
    assert_eq!((got.head.map(|head| head.key), got.payload), (Some(expected), 16));
}

/// A transport header that continues in the next fragment hides what the packet is.
#[test]
fn a_first_fragment_holds_the_whole_transport_header() {
    let tcp = "9c40005000000001000000006002ffff00000000020405b4";
    for (protocol, header) in [(6, tcp), (17, "9c40005000100000")] {
        let head = |hex: &str| {
            let text = format!("ip4 192.0.2.7 > 203.0.113.1 mf proto {protocol} | hex {hex}");
            match packet(&text).kind {
                Kind::Fragment(fragment) => fragment.head,
                other => panic!("{text}: {other:?}"),
            }
        };
        assert!(head(&format!("{header}0000000000000000")).is_some(), "{protocol}");
        assert!(head(header).is_some(), "{protocol}: no payload yet");
        // The options of TCP are eight bytes behind the first twenty.
        let shorter = if protocol == 6 { &header[..32] } else { "" };
        assert!(shorter.is_empty() || head(shorter).is_none(), "{protocol}");
    }
    let Kind::Fragment(first) =
        packet(&format!("ip4 192.0.2.7 > 203.0.113.1 mf proto 6 | hex {tcp}6869686968696869")).kind
    else {
        panic!("no fragment");
    };
    let said = first.head.and_then(|head| head.tcp).unwrap();
    assert_eq!((said.flags, said.seq, said.payload), (2, 1, 8));
}

#[test]
fn questions_for_neighbours() {
    let got = packet("arp request 02:00:00:00:00:01 192.0.2.1 > 203.0.113.1 | pad 60");
    assert_eq!((got.layout.l3, got.layout.end), (14, 42));
    let (sender, target) = ("192.0.2.1".parse().unwrap(), "203.0.113.1".parse().unwrap());
    assert_eq!(got.kind, Kind::Arp(arp::Request { sender_mac: got.source_mac, sender, target }));

    let target = "2001:db8:1::1".parse().unwrap();
    for (source, to, mac, source_mac) in [
        ("fe80::1", "ff02::1:ff00:1", " mac 02:00:00:00:00:07", Some(Mac([2, 0, 0, 0, 0, 7]))),
        ("fe80::1", "2001:db8:1::1", "", None),
        ("::", "ff02::1:ff00:1", "", None),
    ] {
        let got =
            packet(&format!("ip6 {source} > {to} hop 255 | icmp6 neighbour-solicitation 2001:db8:1::1{mac}"));
        let source = source.parse().unwrap();
        assert_eq!(got.kind, Kind::NeighbourSolicitation(ndp::Solicitation { source, source_mac, target }));
    }
}

#[test]
fn everything_else() {
    for (text, protocol) in [
        ("ip4 192.0.2.7 > 203.0.113.1 proto 47 | bytes 8", ip::GRE),
        ("ip4 192.0.2.7 > 203.0.113.1 proto 51 | bytes 24", 51),
        ("ip4 192.0.2.7 > 203.0.113.1 | icmp4 type 5 code 1", ip::ICMP),
        ("ip4 192.0.2.7 > 203.0.113.1 | icmp4 type 8 code 1", ip::ICMP),
        ("ip4 192.0.2.7 > 203.0.113.1 proto 58 | bytes 8", ip::ICMPV6),
        ("ip6 2001:db8::7 > 2001:db8:1::1 next 59", 59),
        ("ip6 2001:db8::7 > 2001:db8:1::1 | dest-options 010400000000 next 51 | bytes 24", 51),
        ("ip6 2001:db8::7 > ff02::1 hop 255 | icmp6 neighbour-advertisement 2001:db8::7", ip::ICMPV6),
    ] {
        match packet(text).kind {
            Kind::Other(OtherPacket { protocol: got, .. }) => assert_eq!(got, protocol, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn a_key_says_what_it_is() {
    let of = key("192.0.2.7:40000", "203.0.113.1:80", ip::TCP);
    assert_eq!(of.to_string(), "tcp 192.0.2.7:40000 > 203.0.113.1:80");
    assert_eq!(of.reversed().reversed(), of);
    let other = FlowKey::new(Endpoint::default(), Endpoint::default(), ip::GRE);
    assert_eq!(other.to_string(), "protocol 47 [::]:0 > [::]:0");
}
