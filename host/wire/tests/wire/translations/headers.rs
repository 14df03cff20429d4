//! Sections 4.1, 4.5, 5.1 and 5.5: IP headers and what stands behind them.

use super::{WIDE, assert_each, assert_is, translated};
use shunt_wire::RewriteError;

const V4: &str = "ip4 192.0.2.7 > 198.51.100.2";
const V6: &str = "ip6 2001:db8:64::192.0.2.7 > 2001:db8:64::198.51.100.2";

#[test]
fn from_ipv4_to_ipv6() {
    let case = |before: &str, after: &str| (format!("{V4} {before}"), format!("{V6} {after}"));
    let udp = "udp 5 > 6 | hex 010203";
    // Security, both source routes at their ends, stream identifier, end; record route, timestamp, end.
    let options = [
        "820b000000000000000000 830b0cc6336402c6336401 890b0cc6336402c6336401 88040102 000101",
        "070b08c633640200000000 44140dd1c633640201000000000000000000000000 00",
    ];
    let cases = [
        // All bits of the type of service; the flow label is zero; no fragment header, with or without DF.
        case(&format!("ttl 64 tos 255 id 7 df | {udp}"), &format!("hop 63 class 255 | {udp}")),
        case(&format!("ttl 2 id 7 | {udp}"), &format!("hop 1 | {udp}")),
        case("ttl 64 | tcp 5 > 6 PA seq 7 | hex 01", "hop 63 | tcp 5 > 6 PA seq 7 | hex 01"),
        case("ttl 64 | udp 5 > 6 no-checksum | hex 010203", &format!("hop 63 | {udp}")),
        case(
            "ttl 64 | icmp4 echo-request id 5 seq 6 | hex 01",
            "hop 63 | icmp6 echo-request id 5 seq 6 | hex 01",
        ),
        case("ttl 64 | icmp4 echo-reply id 5 seq 6", "hop 63 | icmp6 echo-reply id 5 seq 6"),
        // Transports that are not known are carried as they are: DCCP, ESP, nothing at all, IPv4, IPv6.
        case("ttl 64 proto 33 | hex 0102", "hop 63 next 33 | hex 0102"),
        case("ttl 64 proto 50 | hex 0102030405060708", "hop 63 next 50 | hex 0102030405060708"),
        case("ttl 64 proto 59 | hex 00", "hop 63 next 59 | hex 00"),
        case("ttl 64 proto 41 | hex 00", "hop 63 next 41 | hex 00"),
    ];
    assert_each(&cases.each_ref().map(|(before, after)| (before.as_str(), after.as_str())), &WIDE);
    for options in options {
        let options = options.replace(' ', "");
        let len = options.len().div_ceil(8) * 8;
        let before = format!("{V4} ttl 64 options {options:0<len$} | {udp}");
        assert_is(&options, &translated(&before, &WIDE).unwrap(), &format!("{V6} hop 63 | {udp}"));
    }
}

#[test]
fn from_ipv6_to_ipv4() {
    let case = |before: &str, after: &str| (format!("{V6} {before}"), format!("{V4} {after}"));
    let udp = "udp 5 > 6 | hex 010203";
    let hop_by_hop = "hop-by-hop 050200000100";
    let options = "dest-options 010c000000000000000000000000";
    let routing = "routing 000000000000";
    let cases = [
        case(&format!("hop 64 class 255 flow 9 | {udp}"), &format!("ttl 63 tos 255 id ? | {udp}")),
        case(&format!("hop 2 | {hop_by_hop} | {udp}"), &format!("ttl 1 id ? | {udp}")),
        case(
            &format!("hop 64 | {hop_by_hop} | {options} | {routing} | {udp}"),
            &format!("ttl 63 id ? | {udp}"),
        ),
        case("hop 64 | tcp 5 > 6 PA seq 7 | hex 01", "ttl 63 id ? | tcp 5 > 6 PA seq 7 | hex 01"),
        // A tunnel may leave out the checksum in IPv6 (RFC 6936), and anybody in IPv4.
        case(
            "hop 64 | udp 5 > 6 no-checksum | hex 010203",
            "ttl 63 id ? | udp 5 > 6 no-checksum | hex 010203",
        ),
        case(
            "hop 64 | icmp6 echo-request id 5 seq 6 | hex 01",
            "ttl 63 id ? | icmp4 echo-request id 5 seq 6 | hex 01",
        ),
        case("hop 64 | icmp6 echo-reply id 5 seq 6", "ttl 63 id ? | icmp4 echo-reply id 5 seq 6"),
        case("hop 64 next 33 | hex 0102", "ttl 63 id ? proto 33 | hex 0102"),
        // The first header that is not skipped is the transport: also one that a host would not call so.
        case("hop 64 next 59 | hex 00", "ttl 63 id ? proto 59 | hex 00"),
        case("hop 64 next 51 | hex 1104000000000000", "ttl 63 id ? proto 51 | hex 1104000000000000"),
        // A fragment header on a whole packet: its identification, and never DF.
        case(
            &format!("hop 64 | {hop_by_hop} | fragment id 0x01020408 | {udp}"),
            &format!("ttl 63 id 0x0408 | {udp}"),
        ),
        case("hop 64 | fragment id 0x01020408 next 59", "ttl 63 id 0x0408 proto 59"),
        // ESP may stand behind one.
        case(
            "hop 64 | fragment id 9 next 50 | hex 0102030405060708",
            "ttl 63 id 9 proto 50 | hex 0102030405060708",
        ),
    ];
    assert_each(&cases.each_ref().map(|(before, after)| (before.as_str(), after.as_str())), &WIDE);
}

#[test]
fn what_could_not_be_smaller_may_be_fragmented() {
    for (payload, flags) in [(1260 - 28, "id ?"), (1261 - 28, "df id 0")] {
        let before = format!("{V6} hop 64 | udp 5 > 6 | bytes {payload}");
        let after = format!("{V4} ttl 63 {flags} | udp 5 > 6 | bytes {payload}");
        assert_is(flags, &translated(&before, &WIDE).unwrap(), &after);
        let with_header = format!("{V6} hop 64 | fragment id 9 | udp 5 > 6 | bytes {payload}");
        let after = format!("{V4} ttl 63 id 9 | udp 5 > 6 | bytes {payload}");
        assert_is(flags, &translated(&with_header, &WIDE).unwrap(), &after);
    }
}

#[test]
fn identifications_differ_where_packets_do() {
    let identification = |seq: u32| {
        let got = translated(&format!("{V6} | tcp 5 > 6 A seq {seq}"), &WIDE).unwrap();
        [got[18], got[19]]
    };
    let all: std::collections::HashSet<_> = (0..1000).map(|at| identification(at * 1200)).collect();
    // As many as a thousand random ones of 65,536 would be, less a few.
    assert!(all.len() > 980, "{}", all.len());
    assert_eq!(identification(7), identification(7));
}

#[test]
fn refusals() {
    let v4 = |rest: &str| format!("{V4} {rest}");
    let v6 = |rest: &str| format!("{V6} {rest}");
    let extended = RewriteError::ExtendedFragment;
    for (text, error) in [
        // Loose and strict source routes that are not at their ends.
        (v4("options 830704c633640200 | udp 5 > 6"), RewriteError::SourceRoute { pointer: 0 }),
        (v4("options 01890704c6336402 | udp 5 > 6"), RewriteError::SourceRoute { pointer: 0 }),
        // The pointer is at the last address.
        (v4("options 830b08c6336402c633640200 | udp 5 > 6"), RewriteError::SourceRoute { pointer: 0 }),
        (v6("| routing 000100000000 | udp 5 > 6"), RewriteError::SourceRoute { pointer: 43 }),
        (
            v6("| hop-by-hop 050200000100 | routing 000100000000 | udp 5 > 6"),
            RewriteError::SourceRoute { pointer: 51 },
        ),
        (v6("| fragment id 9 | hop-by-hop 050200000100 | udp 5 > 6"), extended),
        (v6("| fragment id 9 | dest-options 050200000100 | udp 5 > 6"), extended),
        (v6("| fragment id 9 | routing 000000000000 | udp 5 > 6"), extended),
        (v6("| routing 000000000000 | fragment id 9 | routing 000000000000 | udp 5 > 6"), extended),
        (v6("| fragment id 9 | fragment id 9 | udp 5 > 6"), extended),
        (v6("| fragment id 9 off 80 mf next 0 | hex 3b00010400000000"), extended),
        (v6("| fragment id 9 next 51 | hex 3b04000000000000"), extended),
        (v4("ttl 1 | udp 5 > 6"), RewriteError::HopLimit),
        (v4("ttl 0 | udp 5 > 6"), RewriteError::HopLimit),
        (v6("hop 1 | udp 5 > 6"), RewriteError::HopLimit),
        // IGMP, and messages of one hop, obsolete, or unknown.
        (v4("proto 2 | hex 1600000000000000"), RewriteError::Untranslatable),
        (v6("next 2 | hex 1600000000000000"), RewriteError::Untranslatable),
        (v4("| icmp4 type 9 code 0"), RewriteError::Untranslatable),
        (v4("| icmp4 type 10 code 0"), RewriteError::Untranslatable),
        (v4("| icmp4 type 13 code 0"), RewriteError::Untranslatable),
        (v4("| icmp4 type 15 code 0"), RewriteError::Untranslatable),
        (v4("| icmp4 type 17 code 0"), RewriteError::Untranslatable),
        (v4("| icmp4 type 42 code 0"), RewriteError::Untranslatable),
        (v6("| icmp6 type 130 code 0"), RewriteError::Untranslatable),
        (v6("| icmp6 type 133 code 0"), RewriteError::Untranslatable),
        (v6("| icmp6 type 135 code 0"), RewriteError::Untranslatable),
        (v6("| icmp6 type 143 code 0"), RewriteError::Untranslatable),
        (v6("| icmp6 type 200 code 0"), RewriteError::Untranslatable),
        // The other family's ICMP, and what would be extension headers.
        (v4("proto 58 | hex 8600000000000000"), RewriteError::Untranslatable),
        (v4("proto 44 | hex 1100000000000000"), RewriteError::Untranslatable),
        (v4("proto 0 | hex 1100000000000000"), RewriteError::Untranslatable),
        (v6("next 1 | hex 0500000000000000"), RewriteError::Untranslatable),
        // Fragmented ICMP.
        (v4("mf | icmp4 echo-request id 5 seq 6"), RewriteError::Untranslatable),
        (v4("off 80 proto 1 | hex 0102030405060708"), RewriteError::Untranslatable),
        (v6("| fragment id 9 mf | icmp6 echo-request id 5 seq 6"), RewriteError::Untranslatable),
        (v6("| fragment id 9 off 80 next 58 | hex 0102030405060708"), RewriteError::Untranslatable),
        // A checksum that cannot be made, and headers that are not whole.
        (v4("mf | udp 5 > 6 no-checksum | hex 0102030405060708"), RewriteError::NoChecksum),
        (v4("| udp 5 > 6 no-checksum len 100"), RewriteError::Untranslatable),
        (v4("| udp 5 > 6 no-checksum len 7"), RewriteError::Untranslatable),
        (v4("proto 6 mf | hex 0005000600000007"), RewriteError::Untranslatable),
        (v6("| fragment id 9 mf next 6 | hex 0005000600000007"), RewriteError::Untranslatable),
        // Sources that no packet has.
        ("ip4 127.0.0.1 > 198.51.100.2 | udp 5 > 6".into(), RewriteError::Untranslatable),
        ("ip4 0.0.0.0 > 198.51.100.2 | udp 5 > 6".into(), RewriteError::Untranslatable),
        ("ip4 224.0.0.1 > 198.51.100.2 | udp 5 > 6".into(), RewriteError::Untranslatable),
        ("ip4 255.255.255.255 > 198.51.100.2 | udp 5 > 6".into(), RewriteError::Untranslatable),
        ("ip6 ::1 > 2001:db8:64::1 | udp 5 > 6".into(), RewriteError::Untranslatable),
        ("ip6 :: > 2001:db8:64::1 | udp 5 > 6".into(), RewriteError::Untranslatable),
        ("ip6 ff02::1 > 2001:db8:64::1 | udp 5 > 6".into(), RewriteError::Untranslatable),
        ("ip6 ::ffff:192.0.2.7 > 2001:db8:64::1 | udp 5 > 6".into(), RewriteError::Untranslatable),
        // What a router drops.
        (v4("check 1 | udp 5 > 6"), RewriteError::Mismatch),
        (v4("len 100 | udp 5 > 6"), RewriteError::Mismatch),
        (v4("len 19 | udp 5 > 6"), RewriteError::Mismatch),
        (v6("len 100 | udp 5 > 6"), RewriteError::Mismatch),
        (v6("next 0 len 8 | hex 1101000000000000"), RewriteError::Mismatch),
    ] {
        assert_eq!(translated(&text, &WIDE), Err(error), "{text}");
    }
}

/// Ethernet pads frames to 60 bytes.
#[test]
fn padding_is_left_out() {
    let got = translated(&format!("{V4} | udp 5 > 6 | hex 01 | pad 60"), &WIDE).unwrap();
    assert_is("IPv4", &got, &format!("{V6} hop 63 | udp 5 > 6 | hex 01"));
}
