//! Every reason not to read a frame.

use shunt_engine::packet::{Unreadable, dissect};

use crate::frame::read;
use crate::packets::IN;

#[test]
fn each_refusal_is_met() {
    let route = "ip4 192.0.2.7 > 203.0.113.1 options";
    let quote = "ip4 10.0.0.9 > 192.0.2.7 | icmp4 time-exceeded |";
    let v6 = "ip6 2001:db8::7 > 2001:db8:1::1";
    let ask = "icmp6 neighbour-solicitation 2001:db8:1::1";
    let cases = [
        ("pad 70000", Unreadable::TooLong),
        ("ip4 192.0.2.7 > 203.0.113.1 | udp 1 > 2 | cut 13", Unreadable::Ethernet),
        ("vlan 7 | ip4 192.0.2.7 > 203.0.113.1 | udp 1 > 2 | cut 17", Unreadable::Ethernet),
        ("vlan 7 | vlan 8 | ip4 192.0.2.7 > 203.0.113.1 | udp 1 > 2", Unreadable::EtherType(0x8100)),
        ("type 0x88cc | bytes 40", Unreadable::EtherType(0x88cc)),
        ("type 0x0806 | hex 000108000604", Unreadable::Arp),
        ("type 0x0806 | hex 00060800060400010000000000000000000000000000000000000000", Unreadable::Arp),
        ("type 0x0806 | hex 00010800080400010000000000000000000000000000000000000000", Unreadable::Arp),
        ("arp reply 02:00:00:00:00:01 192.0.2.1 > 203.0.113.1", Unreadable::ArpOperation(2)),
        ("type 0x0800 | hex 60", Unreadable::IpHeader),
        ("type 0x0800 | hex 6500001c00070000401100000000000000000000ffffffff", Unreadable::IpVersion),
        ("type 0x86dd | ip4 192.0.2.7 > 203.0.113.1 | udp 1 > 2 | pad 90", Unreadable::IpVersion),
        ("type 0x0800 | hex 4400001c00070000401100000000000000000000ffffffff", Unreadable::IpHeader),
        ("ip4 192.0.2.7 > 203.0.113.1 | udp 1 > 2 | cut 33", Unreadable::IpHeader),
        ("ip6 2001:db8::7 > 2001:db8:1::1 | udp 1 > 2 | cut 53", Unreadable::IpHeader),
        ("ip6 2001:db8::7 > 2001:db8:1::1 next 60 | hex 1101", Unreadable::IpHeader),
        // Hop-by-hop options stand first or not at all (RFC 8200 section 4.1).
        (
            "ip6 2001:db8::7 > 2001:db8:1::1 | dest-options 010400000000 | hop-by-hop 050200000100 | udp 1 > 2",
            Unreadable::IpHeader,
        ),
        ("ip4 192.0.2.7 > 203.0.113.1 options 94000000 | udp 1 > 2", Unreadable::IpHeader),
        ("ip4 192.0.2.7 > 203.0.113.1 options 94050000 | udp 1 > 2", Unreadable::IpHeader),
        ("ip4 192.0.2.7 > 203.0.113.1 len 29 | udp 1 > 2", Unreadable::IpLength),
        ("ip4 192.0.2.7 > 203.0.113.1 len 19 | udp 1 > 2", Unreadable::IpLength),
        ("ip6 2001:db8::7 > 2001:db8:1::1 len 9 | udp 1 > 2", Unreadable::IpLength),
        ("ip4 192.0.2.7 > 203.0.113.1 check 0x1234 | udp 1 > 2", Unreadable::IpChecksum),
        ("ip4 0.0.0.1 > 203.0.113.1 | udp 1 > 2", Unreadable::Source),
        ("ip4 127.0.0.1 > 203.0.113.1 | udp 1 > 2", Unreadable::Source),
        ("ip4 255.255.255.255 > 203.0.113.1 | udp 1 > 2", Unreadable::Source),
        ("ip6 ff02::1 > 2001:db8:1::1 | udp 1 > 2", Unreadable::Source),
        ("ip6 ::1 > 2001:db8:1::1 | udp 1 > 2", Unreadable::Source),
        ("ip6 :: > 2001:db8:1::1 | udp 1 > 2", Unreadable::Source),
        ("ip6 :: > 2001:db8:1::1 | icmp6 echo-request id 1 seq 1", Unreadable::Source),
        ("ip6 ::ffff:192.0.2.7 > 2001:db8:1::1 | udp 1 > 2", Unreadable::Mapped),
        ("ip6 2001:db8::7 > ::ffff:203.0.113.1 | udp 1 > 2", Unreadable::Mapped),
        (&format!("{route} 8307040a00000100 | udp 1 > 2"), Unreadable::SourceRoute),
        (&format!("{route} 018907040a000001 | udp 1 > 2"), Unreadable::SourceRoute),
        (&format!("{v6} | routing 040100000000 | udp 1 > 2"), Unreadable::SourceRoute),
        ("ip4 192.0.2.7 > 203.0.113.1 mf proto 17 | bytes 12", Unreadable::Fragment),
        ("ip4 192.0.2.7 > 203.0.113.1 off 8 proto 17", Unreadable::Fragment),
        ("ip4 192.0.2.7 > 203.0.113.1 off 65528 proto 17 | bytes 9", Unreadable::Fragment),
        (&format!("{v6} | fragment off 65528 next 17 | bytes 9"), Unreadable::Fragment),
        ("ip4 192.0.2.7 > 203.0.113.1 proto 6 | bytes 19", Unreadable::Tcp),
        (
            "ip4 192.0.2.7 > 203.0.113.1 proto 6 | hex 0000000000000000000000004000000000000000",
            Unreadable::Tcp,
        ),
        (
            "ip4 192.0.2.7 > 203.0.113.1 proto 6 | hex 0000000000000000000000006000000000000000",
            Unreadable::Tcp,
        ),
        ("ip4 192.0.2.7 > 203.0.113.1 proto 17 | bytes 7", Unreadable::Udp),
        ("ip4 192.0.2.7 > 203.0.113.1 | udp 1 > 2 len 9", Unreadable::Udp),
        ("ip4 192.0.2.7 > 203.0.113.1 | udp 1 > 2 len 7", Unreadable::Udp),
        ("ip4 192.0.2.7 > 203.0.113.1 | udp 1 > 2 len 0", Unreadable::Udp),
        ("ip4 192.0.2.7 > 203.0.113.1 proto 1 | bytes 7", Unreadable::Icmp),
        (&format!("{v6} next 58 | bytes 7"), Unreadable::Icmp),
        ("ip4 192.0.2.7 > 203.0.113.1 | icmp4 time-exceeded check 1", Unreadable::IcmpChecksum),
        (&format!("{v6} | icmp6 too-big mtu 1400 check 1"), Unreadable::IcmpChecksum),
        (&format!("ip6 fe80::1 > ff02::1:ff00:1 hop 255 | {ask} check 1"), Unreadable::IcmpChecksum),
        ("ip4 192.0.2.7 > 203.0.113.1 | icmp4 time-exceeded", Unreadable::Embedded),
        (&format!("{quote} ip4 192.0.2.7 > 203.0.113.1 | udp 1 > 2 | cut 27"), Unreadable::Embedded),
        (&format!("{quote} ip4 192.0.2.7 > 203.0.113.1 off 8 proto 17 | bytes 8"), Unreadable::Embedded),
        (&format!("{quote} ip4 192.0.2.7 > 203.0.113.1 proto 58 | bytes 8"), Unreadable::Embedded),
        (&format!("{quote} ip4 192.0.2.7 > 203.0.113.1 | icmp4 time-exceeded"), Unreadable::Embedded),
        (&format!("{quote} ip6 2001:db8::7 > 2001:db8:1::1 | udp 1 > 2"), Unreadable::Embedded),
        (
            &format!("{v6} | icmp6 time-exceeded | ip6 ::ffff:1.2.3.4 > 2001:db8::7 | udp 1 > 2"),
            Unreadable::Embedded,
        ),
        (
            &format!("{v6} | icmp6 time-exceeded | ip6 2001:db8::7 > ::ffff:1.2.3.4 | udp 1 > 2"),
            Unreadable::Embedded,
        ),
        // RFC 4861 section 7.1.1, each rule.
        (&format!("ip6 fe80::1 > ff02::1:ff00:1 hop 254 | {ask}"), Unreadable::NeighbourDiscovery),
        ("ip6 fe80::1 > ff02::1 hop 255 | icmp6 type 135 code 0 | bytes 15", Unreadable::NeighbourDiscovery),
        (
            "ip6 fe80::1 > ff02::1 hop 255 | icmp6 type 135 code 1 | hex 20010db8000100000000000000000001",
            Unreadable::NeighbourDiscovery,
        ),
        (
            "ip6 fe80::1 > ff02::1 hop 255 | icmp6 neighbour-solicitation ff02::1",
            Unreadable::NeighbourDiscovery,
        ),
        (
            &format!("ip6 fe80::1 > ff02::1:ff00:1 hop 255 | {ask} | hex 0100000000000000"),
            Unreadable::NeighbourDiscovery,
        ),
        (&format!("ip6 :: > 2001:db8:1::1 hop 255 | {ask}"), Unreadable::NeighbourDiscovery),
        (
            &format!("ip6 :: > ff02::1:ff00:1 hop 255 | {ask} mac 02:00:00:00:00:01"),
            Unreadable::NeighbourDiscovery,
        ),
    ];
    let mut met = [false; REASONS];
    for (text, reason) in cases {
        // A type of one's own stands in the Ethernet header itself.
        let separator = if text.starts_with("type") { "" } else { "| " };
        let text = if text == "pad 70000" {
            format!("{IN} type 0 | {text}")
        } else {
            format!("{IN} {separator}{text}")
        };
        assert_eq!(dissect(&read(&text).unwrap()), Err(reason), "{text}");
        met[number(reason)] = true;
    }
    assert_eq!(met, [true; REASONS], "a reason that no case meets");
}

/// A chain of headers longer than any packet needs is not walked to its end.
#[test]
fn a_long_chain_of_extension_headers() {
    let chain = |count| {
        format!(
            "{IN} | ip6 2001:db8::7 > 2001:db8:1::1 {} | udp 1 > 2",
            "| dest-options 010400000000 ".repeat(count)
        )
    };
    assert!(dissect(&read(&chain(8)).unwrap()).is_ok());
    assert_eq!(dissect(&read(&chain(9)).unwrap()), Err(Unreadable::IpHeader));
}

const REASONS: usize = 19;

/// A reason that is added here is missing in the list above until a case meets it.
fn number(reason: Unreadable) -> usize {
    match reason {
        Unreadable::TooLong => 0,
        Unreadable::Ethernet => 1,
        Unreadable::EtherType(_) => 2,
        Unreadable::Arp => 3,
        Unreadable::ArpOperation(_) => 4,
        Unreadable::IpVersion => 5,
        Unreadable::IpHeader => 6,
        Unreadable::IpLength => 7,
        Unreadable::IpChecksum => 8,
        Unreadable::Source => 9,
        Unreadable::Mapped => 10,
        Unreadable::SourceRoute => 11,
        Unreadable::Fragment => 12,
        Unreadable::Tcp => 13,
        Unreadable::Udp => 14,
        Unreadable::Icmp => 15,
        Unreadable::IcmpChecksum => 16,
        Unreadable::Embedded => 17,
        Unreadable::NeighbourDiscovery => 18,
    }
}
