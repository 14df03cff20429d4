//! RFC 4884: what stands behind the packet in an ICMP error, and how its header says so.

use super::{WIDE, assert_is, frame_of, translated};

const V4: &str = "ip4 203.0.113.9 > 192.0.2.7";
const V6: &str = "ip6 2001:db8:64::203.0.113.9 > 2001:db8:64::192.0.2.7";
const INNER_V4: &str = "ip4 192.0.2.7 > 198.51.100.2";
const INNER_V6: &str = "ip6 2001:db8:64::192.0.2.7 > 2001:db8:64::198.51.100.2";

/// An error of which `quoted` bytes are a packet of `payload` bytes behind its UDP header, with padding or cut, and
/// an extension of `extension` bytes; the header says `quoted` in its units if that is asked.
#[derive(Clone, Copy, Debug)]
struct Shape {
    quoted: usize,
    extension: usize,
}

const fn shape(quoted: usize, extension: usize) -> Shape {
    Shape { quoted, extension }
}

fn body(inner: &str, shape: Shape) -> String {
    let mut bytes = frame_of(inner)[14..].to_vec();
    bytes.resize(shape.quoted, 0);
    bytes.extend((0..shape.extension).map(|at| 0xc0 | at as u8));
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn v4(ip: &str, inner: &str, payload: usize, shape: Shape) -> String {
    let length = if shape.extension > 0 { shape.quoted / 4 } else { 0 };
    let body = body(&format!("{INNER_V4} {inner} | udp 5 > 6 | bytes {payload}"), shape);
    format!("{V4} {ip} | icmp4 type 3 code 3 rest 00{length:02x}0000 | hex {body}")
}

fn v6(ip: &str, payload: usize, shape: Shape) -> String {
    let length = if shape.extension > 0 { shape.quoted / 8 } else { 0 };
    let body = body(&format!("{INNER_V6} | udp 5 > 6 | bytes {payload}"), shape);
    format!("{V6} {ip} | icmp6 type 1 code 4 rest {length:02x}000000 | hex {body}")
}

#[test]
fn from_ipv6_to_ipv4() {
    for (payload, before, after) in [
        // A packet that needs no padding.
        (104, shape(152, 20), shape(132, 20)),
        // Padding makes up for the shorter header, up to 128 bytes.
        (74, shape(128, 20), shape(128, 20)),
        (0, shape(48, 40), shape(128, 40)),
        // The most that fits, and what is cut so that the extension stays.
        (480, shape(528, 40), shape(508, 40)),
        (488, shape(536, 40), shape(508, 40)),
        (1144, shape(1192, 40), shape(508, 40)),
        (80, shape(128, 420), shape(128, 420)),
        // An extension that does not fit beside 128 bytes of the packet is left out, not cut.
        (80, shape(128, 421), shape(108, 0)),
        (528, shape(576, 521), shape(548, 0)),
        (20, shape(68, 0), shape(48, 0)),
    ] {
        let got = translated(&v6("hop 64", payload, before), &WIDE).unwrap();
        assert_is(
            &format!("{payload} {before:?}"),
            &got,
            &v4("ttl 63 id ?", &inner_id(&got), payload, after),
        );
    }
}

/// The text of the identification in the packet that an error is about, which stands in hexadecimal there.
fn inner_id(frame: &[u8]) -> String {
    format!("id {}", u16::from_be_bytes([frame[46], frame[47]]))
}

#[test]
fn from_ipv4_to_ipv6() {
    for (payload, before, after) in [
        (104, shape(132, 20), shape(152, 20)),
        (104, shape(132, 40), shape(152, 40)),
        // Cut to the greater unit, rather than padded.
        (98, shape(128, 20), shape(144, 20)),
        (100, shape(128, 20), shape(144, 20)),
        (0, shape(28, 40), shape(128, 40)),
        (544, shape(572, 640), shape(592, 640)),
        (992, shape(1020, 192), shape(1040, 192)),
        (104, shape(132, 1080), shape(152, 1080)),
        (548, shape(576, 640), shape(592, 640)),
        (552, shape(580, 640), shape(592, 640)),
        (992, shape(1020, 200), shape(1032, 200)),
        (992, shape(1020, 640), shape(592, 640)),
        (992, shape(1020, 1104), shape(128, 1104)),
        (100, shape(128, 1105), shape(148, 0)),
        (992, shape(1020, 1105), shape(1040, 0)),
        (20, shape(48, 0), shape(68, 0)),
    ] {
        let got = translated(&v4("ttl 64", "id 7", payload, before), &WIDE).unwrap();
        assert_is(&format!("{payload} {before:?}"), &got, &v6("hop 63", payload, after));
    }
}

/// Messages of some types cannot have extensions in IPv6.
#[test]
fn extensions_that_have_no_place() {
    let quoted = body(&format!("{INNER_V4} id 7 | udp 5 > 6 | bytes 104"), shape(132, 20));
    for (kind, code, rest, new_kind, new_code, new_rest) in [
        (3, 2, "00210000", 4, 1, "00000006"),
        (3, 4, "00210578", 2, 0, "0000058c"),
        (12, 0, "08210000", 4, 0, "00000007"),
    ] {
        let before = format!("{V4} ttl 64 | icmp4 type {kind} code {code} rest {rest} | hex {quoted}");
        let inner = format!("{INNER_V6} | udp 5 > 6 | bytes 104");
        let after = format!("{V6} hop 63 | icmp6 type {new_kind} code {new_code} rest {new_rest} | {inner}");
        assert_is(&before, &translated(&before, &WIDE).unwrap(), &after);
    }
    // Where a pointer was, the other family has the length.
    let before = format!("{V4} ttl 64 | icmp4 type 11 code 1 rest 00210000 | hex {quoted}");
    let quoted = body(&format!("{INNER_V6} | udp 5 > 6 | bytes 104"), shape(152, 20));
    let after = format!("{V6} hop 63 | icmp6 type 3 code 1 rest 13000000 | hex {quoted}");
    assert_is(&before, &translated(&before, &WIDE).unwrap(), &after);
}

/// A length that reaches beyond the message, or just to its end, is none.
#[test]
fn lengths_without_extensions() {
    for length in ["0f", "ff"] {
        let inner = "udp 5 > 6 | bytes 32";
        let before =
            format!("{V4} ttl 64 | icmp4 type 3 code 3 rest 00{length}0000 | {INNER_V4} id 7 | {inner}");
        let after = format!("{V6} hop 63 | icmp6 type 1 code 4 | {INNER_V6} | {inner}");
        assert_is(length, &translated(&before, &WIDE).unwrap(), &after);
    }
}
