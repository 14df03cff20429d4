//! Sections 4.2, 4.3, 5.2 and 5.3: ICMP errors, with the packet in them.

use shunt_wire::RewriteError;
use shunt_wire::translation::Limits;

use super::{WIDE, assert_each, assert_is, translated};

/// An error from a router on the way from the sender of the packet that it is about.
const V4: &str = "ip4 203.0.113.9 > 192.0.2.7";
const V6: &str = "ip6 2001:db8:64::203.0.113.9 > 2001:db8:64::192.0.2.7";
const INNER_V4: &str = "ip4 192.0.2.7 > 198.51.100.2";
const INNER_V6: &str = "ip6 2001:db8:64::192.0.2.7 > 2001:db8:64::198.51.100.2";

/// Type and code of each error, and the first octet behind the checksum, and what they become.
type Row = ((u8, u8, u8), (u8, u8, u8));

#[rustfmt::skip]
const FROM_V4: [Row; 33] = [
    ((3, 0, 0), (1, 0, 0)), ((3, 1, 0), (1, 0, 0)), ((3, 2, 0), (4, 1, 6)), ((3, 3, 0), (1, 4, 0)),
    ((3, 5, 0), (1, 0, 0)), ((3, 6, 0), (1, 0, 0)), ((3, 7, 0), (1, 0, 0)), ((3, 8, 0), (1, 0, 0)),
    ((3, 9, 0), (1, 1, 0)), ((3, 10, 0), (1, 1, 0)), ((3, 11, 0), (1, 0, 0)), ((3, 12, 0), (1, 0, 0)),
    ((3, 13, 0), (1, 1, 0)), ((3, 15, 0), (1, 1, 0)), ((11, 0, 0), (3, 0, 0)), ((11, 1, 0), (3, 1, 0)),
    ((12, 0, 0), (4, 0, 0)), ((12, 0, 1), (4, 0, 1)), ((12, 0, 2), (4, 0, 4)), ((12, 0, 3), (4, 0, 4)),
    ((12, 0, 8), (4, 0, 7)), ((12, 0, 9), (4, 0, 6)), ((12, 0, 12), (4, 0, 8)), ((12, 0, 15), (4, 0, 8)),
    ((12, 0, 16), (4, 0, 24)), ((12, 0, 19), (4, 0, 24)), ((12, 2, 0), (4, 0, 0)), ((12, 2, 1), (4, 0, 1)),
    ((12, 2, 2), (4, 0, 4)), ((12, 2, 8), (4, 0, 7)), ((12, 2, 9), (4, 0, 6)), ((12, 2, 12), (4, 0, 8)),
    ((12, 2, 19), (4, 0, 24)),
];

#[rustfmt::skip]
const FROM_V6: [Row; 19] = [
    ((1, 0, 0), (3, 1, 0)), ((1, 1, 0), (3, 10, 0)), ((1, 2, 0), (3, 1, 0)), ((1, 3, 0), (3, 1, 0)),
    ((1, 4, 0), (3, 3, 0)), ((3, 0, 0), (11, 0, 0)), ((3, 1, 0), (11, 1, 0)), ((4, 0, 0), (12, 0, 0)),
    ((4, 0, 1), (12, 0, 1)), ((4, 0, 4), (12, 0, 2)), ((4, 0, 5), (12, 0, 2)), ((4, 0, 6), (12, 0, 9)),
    ((4, 0, 7), (12, 0, 8)), ((4, 0, 8), (12, 0, 12)), ((4, 0, 23), (12, 0, 12)), ((4, 0, 24), (12, 0, 16)),
    ((4, 0, 39), (12, 0, 16)), ((4, 1, 6), (3, 2, 0)), ((4, 1, 40), (3, 2, 0)),
];

#[test]
fn types_and_codes() {
    for ((kind, code, pointer), (new_kind, new_code, new_pointer)) in FROM_V4 {
        let before = error_v4(kind, code, &format!("{pointer:02x}000000"));
        let after = error_v6(new_kind, new_code, &format!("000000{new_pointer:02x}"), 63);
        assert_is(&before, &translated(&before, &WIDE).unwrap(), &after);
    }
    for ((kind, code, pointer), (new_kind, new_code, new_pointer)) in FROM_V6 {
        let before = error_v6(kind, code, &format!("000000{pointer:02x}"), 64);
        let inner = format!("{INNER_V4} ttl 9 id ? | udp 5 > 6 | hex 01");
        let after = format!(
            "{V4} ttl 63 id ? | icmp4 type {new_kind} code {new_code} rest {new_pointer:02x}000000 | {inner}"
        );
        assert_is(&before, &translated(&before, &WIDE).unwrap(), &after);
    }
}

fn error_v4(kind: u8, code: u8, rest: &str) -> String {
    let inner = format!("{INNER_V4} ttl 9 id 7 | udp 5 > 6 | hex 01");
    format!("{V4} ttl 64 | icmp4 type {kind} code {code} rest {rest} | {inner}")
}

fn error_v6(kind: u8, code: u8, rest: &str, hop: u8) -> String {
    let inner = format!("{INNER_V6} hop 9 | udp 5 > 6 | hex 01");
    format!("{V6} hop {hop} | icmp6 type {kind} code {code} rest {rest} | {inner}")
}

/// Everything that is not in a table, of every type that is an error or close to one.
#[test]
fn what_is_dropped() {
    for kind in [3, 4, 5, 6, 11, 12] {
        for code in 0..=255 {
            let known = kind == 11
                || (kind, code) == (3, 4)
                || FROM_V4.iter().any(|(old, _)| (old.0, old.1) == (kind, code));
            let result = translated(&error_v4(kind, code, "00000000"), &WIDE);
            assert_eq!(result.is_ok(), known, "{kind} {code} {result:?}");
        }
    }
    for kind in [0, 1, 2, 3, 4, 5, 100, 127, 137, 138] {
        for code in 0..=255 {
            let known =
                kind == 2 || kind == 3 || FROM_V6.iter().any(|(old, _)| (old.0, old.1) == (kind, code));
            let result = translated(&error_v6(kind, code, "00000000", 64), &WIDE);
            assert_eq!(result.is_ok(), known, "{kind} {code} {result:?}");
        }
    }
    for pointer in [4, 5, 6, 7, 10, 11, 20, 255] {
        let text = error_v4(12, 0, &format!("{pointer:02x}000000"));
        assert_eq!(translated(&text, &WIDE), Err(RewriteError::Untranslatable), "{pointer}");
    }
    for rest in ["00000002", "00000003", "00000028", "01000000", "ffffffff"] {
        let text = error_v6(4, 0, rest, 64);
        assert_eq!(translated(&text, &WIDE), Err(RewriteError::Untranslatable), "{rest}");
    }
}

/// The path MTU, for a packet of `len` bytes.
#[test]
fn path_mtus() {
    let v4 = |mtu: u32, len: usize| {
        let inner = format!("{INNER_V4} ttl 9 id 7 len {len} | udp 5 > 6 | hex 01");
        format!("{V4} ttl 64 | icmp4 too-big mtu {mtu} | {inner}")
    };
    let v6 = |mtu: u32, header: &str| {
        format!("{V6} hop 64 | icmp6 too-big mtu {mtu} | {INNER_V6} hop 9{header} | udp 5 > 6 | hex 01")
    };
    let links = |mtu, mtu_back| Limits { mtu, mtu_back, ..WIDE };
    let wide = links(9000, 9000);
    for (text, limits, mtu) in [
        (v4(1261, 1500), wide, 1281),
        (v4(1260, 1500), wide, 1280),
        (v4(1259, 1500), wide, 1280),
        (v4(68, 1500), wide, 1280),
        (v4(1500, 1500), links(1400, 9000), 1400),
        (v4(1500, 1500), links(9000, 1400), 1420),
        (v4(65535, 1500), links(65535, 65535), 65535),
        // A router that does not say: the next lower plateau.
        (v4(0, 1500), wide, 1512),
        (v4(0, 1493), wide, 1512),
        (v4(0, 1492), wide, 1280),
        (v4(0, 2003), wide, 2022),
        (v4(0, 8166), wide, 4372),
        (v4(0, 65535), links(65535, 65535), 32020),
        (v6(1280, ""), wide, 1260),
        (v6(1400, ""), wide, 1380),
        (v6(1400, " | fragment id 1 mf"), wide, 1372),
        (v6(1500, ""), links(1400, 9000), 1400),
        (v6(1500, ""), links(9000, 1400), 1380),
        // What no IPv6 link says, and what no IPv4 link is.
        (v6(1000, ""), wide, 980),
        (v6(0, ""), wide, 68),
        (v6(70000, ""), links(65535, 65535), 65515),
    ] {
        let got = translated(&text, &limits).unwrap();
        let l4 = if got[12..14] == [0x08, 0x00] { 34 } else { 54 };
        assert_eq!(got[l4..l4 + 2], if l4 == 34 { [3, 4] } else { [2, 0] }, "{text}");
        let field = u32::from_be_bytes(got[l4 + 4..l4 + 8].try_into().unwrap());
        assert_eq!(field, mtu, "{text}");
    }
}

#[test]
fn the_packet_in_an_error() {
    let v4 = |inner: &str| format!("{V4} ttl 64 tos 192 | icmp4 port-unreachable | {INNER_V4} {inner}");
    let v6 = |inner: &str| format!("{V6} hop 63 class 192 | icmp6 port-unreachable | {INNER_V6} {inner}");
    let from_v4 = [
        // Its hop limit stays, whatever that is, and so do its lengths.
        (v4("ttl 0 id 7 | tcp 5 > 6 A seq 9 | bytes 40"), v6("hop 0 | tcp 5 > 6 A seq 9 | bytes 40")),
        (v4("id 7 tos 3 | udp 5 > 6 | bytes 40"), v6("class 3 | udp 5 > 6 | bytes 40")),
        (v4("id 7 | icmp4 echo-request id 5 seq 6 | hex 01"), v6("| icmp6 echo-request id 5 seq 6 | hex 01")),
        (v4("id 7 | icmp4 echo-reply id 5 seq 6"), v6("| icmp6 echo-reply id 5 seq 6")),
        (v4("id 7 proto 33 | hex 0102"), v6("next 33 | hex 0102")),
        // Minimal errors quote eight bytes, or none.
        (v4("id 7 | tcp 5 > 6 A seq 9 | bytes 40 | cut 28"), v6("| tcp 5 > 6 A seq 9 | bytes 40 | cut 48")),
        (v4("id 7 | udp 5 > 6 | bytes 40 | cut 28"), v6("| udp 5 > 6 | bytes 40 | cut 48")),
        (v4("id 7 | udp 5 > 6 | bytes 40 | cut 23"), v6("| udp 5 > 6 | bytes 40 | cut 43")),
        (v4("id 7 | tcp 5 > 6 A seq 9 | cut 20"), v6("| tcp 5 > 6 A seq 9 | cut 40")),
        (
            v4("id 7 | icmp4 echo-request id 5 seq 6 | bytes 40 | cut 28"),
            v6("| icmp6 echo-request id 5 seq 6 | bytes 40 | cut 48"),
        ),
        // The checksum that was left out was left out by the sender in IPv6.
        (
            v4("id 7 | udp 5 > 6 no-checksum | bytes 40 | cut 30"),
            v6("| udp 5 > 6 no-checksum | bytes 40 | cut 50"),
        ),
        (v4("id 7 | udp 5 > 6 no-checksum | bytes 40"), v6("| udp 5 > 6 no-checksum | bytes 40")),
        (v4("id 7 options 94040000 | udp 5 > 6 | bytes 40"), v6("| udp 5 > 6 | bytes 40")),
        (v4("id 7 mf off 80 proto 17 | bytes 16"), v6("| fragment id 7 mf off 80 next 17 | bytes 16")),
    ];
    let cases = from_v4.each_ref().map(|(before, after)| (before.as_str(), after.as_str()));
    assert_each(&cases, &WIDE);

    let v6 = |inner: &str| format!("{V6} hop 64 class 192 | icmp6 port-unreachable | {INNER_V6} {inner}");
    let v4 = |inner: &str| format!("{V4} ttl 63 tos 192 id ? | icmp4 port-unreachable | {INNER_V4} {inner}");
    let from_v6 = [
        (v6("hop 0 | tcp 5 > 6 A seq 9 | bytes 40"), v4("ttl 0 id ? | tcp 5 > 6 A seq 9 | bytes 40")),
        (v6("flow 9 class 3 | udp 5 > 6 | bytes 40"), v4("id ? tos 3 | udp 5 > 6 | bytes 40")),
        (v6("| icmp6 echo-request id 5 seq 6 | hex 01"), v4("id ? | icmp4 echo-request id 5 seq 6 | hex 01")),
        (v6("next 33 | hex 0102"), v4("id ? proto 33 | hex 0102")),
        (v6("| tcp 5 > 6 A seq 9 | bytes 40 | cut 48"), v4("id ? | tcp 5 > 6 A seq 9 | bytes 40 | cut 28")),
        (v6("| udp 5 > 6 | bytes 40 | cut 43"), v4("id ? | udp 5 > 6 | bytes 40 | cut 23")),
        (v6("| udp 5 > 6 | cut 40"), v4("id ? | udp 5 > 6 | cut 20")),
        (
            v6("| icmp6 echo-reply id 5 seq 6 | bytes 40 | cut 48"),
            v4("id ? | icmp4 echo-reply id 5 seq 6 | bytes 40 | cut 28"),
        ),
        (v6("| udp 5 > 6 no-checksum | bytes 40"), v4("id ? | udp 5 > 6 no-checksum | bytes 40")),
        (v6("| hop-by-hop 050200000100 | udp 5 > 6 | bytes 40"), v4("id ? | udp 5 > 6 | bytes 40")),
        (v6("| fragment id 7 mf off 80 next 17 | bytes 16"), v4("id 7 mf off 80 proto 17 | bytes 16")),
        (v6("| fragment id 7 | udp 5 > 6 | bytes 40"), v4("id 7 | udp 5 > 6 | bytes 40")),
        // A long packet, of which little is quoted.
        (v6("| udp 5 > 6 | bytes 1233 | cut 60"), v4("df id 0 | udp 5 > 6 | bytes 1233 | cut 40")),
    ];
    let cases = from_v6.each_ref().map(|(before, after)| (before.as_str(), after.as_str()));
    assert_each(&cases, &WIDE);
}

/// An error that has a fragment header of its own.
#[test]
fn an_error_in_a_single_fragment() {
    let before = format!("{V6} | fragment id 9 | icmp6 port-unreachable | {INNER_V6} | udp 5 > 6 | hex 01");
    let after = format!("{V4} ttl 63 id 9 | icmp4 port-unreachable | {INNER_V4} id 1 | udp 5 > 6 | hex 01");
    let got = translated(&before, &WIDE).unwrap();
    let inner = u16::from_be_bytes([got[46], got[47]]);
    assert_is("atomic", &got, &after.replace("id 1 ", &format!("id {inner} ")));
}

#[test]
fn errors_that_nobody_gets() {
    let v4 = |inner: &str| format!("{V4} | icmp4 port-unreachable | {inner}");
    let v6 = |inner: &str| format!("{V6} | icmp6 port-unreachable | {inner}");
    for text in [
        // About an error, or what is not translated itself.
        v4(&format!("{INNER_V4} | icmp4 port-unreachable | {INNER_V4} | udp 5 > 6")),
        v6(&format!("{INNER_V6} | icmp6 port-unreachable | {INNER_V6} | udp 5 > 6")),
        v4(&format!("{INNER_V4} | icmp4 type 13 code 0")),
        v6(&format!("{INNER_V6} | icmp6 type 135 code 0")),
        v4(&format!("{INNER_V4} proto 2 | hex 1600000000000000")),
        v4(&format!("{INNER_V4} mf | icmp4 echo-request id 5 seq 6")),
        v6(&format!("{INNER_V6} | fragment id 1 | hop-by-hop 050200000100 | udp 5 > 6")),
        // About nothing that can be read.
        v4(&format!("{INNER_V6} | udp 5 > 6")),
        v6(&format!("{INNER_V4} | udp 5 > 6")),
        v4(&format!("{INNER_V4} | icmp4 echo-request id 5 seq 6 | cut 20")),
        v4(&format!("{INNER_V4} | udp 5 > 6 | cut 19")),
        v6(&format!("{INNER_V6} | udp 5 > 6 | cut 39")),
        v6(&format!("{INNER_V6} | hop-by-hop 050200000100 | udp 5 > 6 | cut 44")),
        v4("hex 00"),
        format!("{V4} | icmp4 port-unreachable"),
        format!("{V6} | icmp6 port-unreachable"),
        // Damaged: the checksum is calculated again, and would hide that.
        format!("{V4} | icmp4 port-unreachable check 1 | {INNER_V4} | udp 5 > 6"),
        format!("{V6} | icmp6 port-unreachable check 1 | {INNER_V6} | udp 5 > 6"),
    ] {
        let result = translated(&text, &WIDE);
        assert_eq!(result, Err(RewriteError::Untranslatable), "{text}");
    }
    let spent = format!("{V4} ttl 1 | icmp4 port-unreachable | {INNER_V4} | udp 5 > 6");
    assert_eq!(translated(&spent, &WIDE), Err(RewriteError::HopLimit));
}

/// A router may send errors from an address that no host has: the mapping says what becomes of it.
#[test]
fn illegal_sources() {
    for source in ["127.0.0.1", "0.0.0.0"] {
        let before = format!("ip4 {source} > 192.0.2.7 | icmp4 port-unreachable | {INNER_V4} | udp 5 > 6");
        let after = format!(
            "ip6 2001:db8:64::{source} > 2001:db8:64::192.0.2.7 hop 63 \
             | icmp6 port-unreachable | {INNER_V6} | udp 5 > 6"
        );
        assert_is(source, &translated(&before, &WIDE).unwrap(), &after);
    }
}

/// 1280 bytes over IPv6, 576 over IPv4, whatever the links and `lowest-ipv6-mtu`.
#[test]
fn errors_are_short() {
    let v4 = |payload: usize| {
        format!("{V4} ttl 64 | icmp4 port-unreachable | {INNER_V4} id 7 | udp 5 > 6 | bytes {payload}")
    };
    let v6 = |hop: u8, payload: usize, cut: usize| {
        let inner = format!("{INNER_V6} | udp 5 > 6 | bytes {payload} | cut {cut}");
        format!("{V6} hop {hop} | icmp6 port-unreachable | {inner}")
    };
    let wide = Limits { lowest_ipv6_mtu: 1500, ..WIDE };
    for payload in [344, 1183, 1184, 1185, 1205, 1224, 1444] {
        let got = translated(&v4(payload), &wide).unwrap();
        assert_is("to IPv6", &got, &v6(63, payload, 1232));
        assert_eq!(got.len() - 14, (96 + payload).min(1280));
    }
    for (payload, mtu, longest) in [
        (304, 1500, 576),
        (519, 1500, 576),
        (521, 1500, 576),
        (1144, 1500, 576),
        (604, 400, 400),
        (1400, 1500, 576),
    ] {
        let got = translated(&v6(64, payload, 1300), &Limits { mtu, ..WIDE }).unwrap();
        let cut = longest - 28;
        let flags = if payload > 1232 { "df id 0" } else { "id ?" };
        let inner = format!("{INNER_V4} {flags} | udp 5 > 6 | bytes {payload} | cut {cut}");
        assert_is("to IPv4", &got, &format!("{V4} ttl 63 id ? | icmp4 port-unreachable | {inner}"));
        assert_eq!(got.len() - 14, (56 + payload).min(longest));
        // It may be fragmented, however long the error was before.
        assert_ne!(got[18..20], [0, 0]);
    }
}
