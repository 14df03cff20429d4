//! Checksums that senders left to their devices.

use proptest::prelude::*;
use shunt_wire::checksum::partial;
use shunt_wire::layout::Part;
use shunt_wire::{Layout, ip};

use crate::frame::{read, write};
use crate::packets::{IN, Kind, canonical, layout, packets};

/// The text of the frame behind `finish`, and whether that did anything.
fn finished(text: &str) -> (String, bool) {
    let mut bytes = read(text).unwrap();
    let layout = layout(&bytes);
    let done = partial::finish(&mut bytes, &layout);
    (write(&bytes), done)
}

const V4: &str = "ip4 192.0.2.7 > 203.0.113.1";
const V6: &str = "ip6 2001:db8::7 > 2001:db8:1::1";

#[test]
fn it_is_completed_over_the_payload() {
    for packet in [
        format!("{V4} | tcp 40000 > 80 S seq 1 mss 1460 CHECK"),
        format!("{V4} options 94040000 | tcp 40000 > 80 PA seq 1 CHECK | \"odd\""),
        format!("{V4} | udp 40000 > 53 CHECK | bytes 1400"),
        format!("{V4} | udp 40000 > 53 CHECK | \"x\" | pad 60"),
        format!("{V6} | tcp 40000 > 80 PA seq 1 CHECK | bytes 1400"),
        format!("{V6} | hop-by-hop 050200000100 | udp 40000 > 53 CHECK | \"x\""),
        // RFC 6946: a fragment header on a whole packet.
        format!("{V6} | fragment id 9 | udp 40000 > 53 CHECK | \"x\""),
    ] {
        let text = |check| format!("{IN} | {}", packet.replace("CHECK", check));
        assert_eq!(finished(&text("partial")), (canonical(&text("")), true));
        assert_eq!(finished(&text("")), (canonical(&text("")), false), "{packet} is finished");
        let damaged = canonical(&text("check 0x1234"));
        assert_eq!(finished(&damaged), (damaged.clone(), false), "what is wrong stays wrong");
    }
}

/// RFC 768: a sum of zero is sent as all ones. In TCP it is zero.
#[test]
fn a_sum_of_zero() {
    // A payload that is what the checksum is without it makes the sum of everything all ones.
    for (transport, expected) in [("udp 1 > 2", 0xffff), ("tcp 1 > 2 A seq 0 win 0", 0)] {
        let at = if expected == 0 { 50 } else { 40 };
        let plain = read(&format!("{IN} | {V4} | {transport} | hex 0000")).unwrap();
        let [a, b] = [plain[at], plain[at + 1]];
        let mut bytes = read(&format!("{IN} | {V4} | {transport} partial | hex {a:02x}{b:02x}")).unwrap();
        let layout = layout(&bytes);
        assert!(partial::finish(&mut bytes, &layout));
        assert_eq!(u16::from_be_bytes([bytes[at], bytes[at + 1]]), expected, "{transport}");
    }
}

#[test]
fn what_is_never_partial_stays_as_it_is() {
    for text in [
        format!("{V4} | udp 1 > 2 no-checksum | \"x\""),
        format!("{V4} | icmp4 echo-request id 1 seq 1"),
        // The datagram ends before its packet, as nobody leaves it to a device.
        format!("{V4} | udp 1 > 2 len 9 check 0xfe24 | \"xy\""),
    ] {
        let text = canonical(&format!("{IN} | {text}"));
        assert_eq!(finished(&text), (text.clone(), false));
    }
    let mut bytes = read(&format!("{IN} | {V4} mf | udp 1 > 2 partial | bytes 8")).unwrap();
    let before = bytes.clone();
    let (ihl, end) = (34, bytes.len() as u16);
    for part in [Part::First, Part::Later] {
        let family = shunt_wire::Family::V4;
        let layout = Layout { l3: 14, l4: ihl, end, family, protocol: ip::UDP, part };
        assert!(!partial::finish(&mut bytes, &layout), "{part:?} fragment");
        assert_eq!(bytes, before);
    }
}

proptest! {
    /// Of any packet of TCP or UDP.
    #[test]
    fn finished_is_what_the_sender_would_have_summed((packet, _, _) in packets()) {
        prop_assume!(matches!(packet.kind, Kind::Tcp | Kind::Udp));
        let whole = packet.frame(IN);
        let layout = layout(&whole);
        let mut bytes = packet.partial_frame(IN);
        prop_assert!(partial::is_partial(&bytes, &layout));
        prop_assert!(partial::finish(&mut bytes, &layout));
        prop_assert_eq!(bytes, whole);
    }

    /// A payload whose whole checksum is the sum of the pseudo-header.
    #[test]
    fn what_looks_partial_by_chance_stays_right((mut packet, _, _) in packets()) {
        prop_assume!(matches!(packet.kind, Kind::Tcp | Kind::Udp));
        packet.payload.truncate(packet.payload.len() / 2 * 2);
        packet.payload.extend([0, 0]);
        let at = |layout: &Layout| usize::from(layout.l4) + if packet.kind == Kind::Tcp { 16 } else { 6 };
        let check = |bytes: &[u8]| {
            let at = at(&layout(bytes));
            u16::from_be_bytes([bytes[at], bytes[at + 1]])
        };
        let (sum, pseudo) = (check(&packet.frame(IN)), check(&packet.partial_frame(IN)));
        prop_assume!(pseudo != 0xffff);
        let word = u32::from(!pseudo) + u32::from(sum);
        let word = (word & 0xffff) + (word >> 16);
        let last = packet.payload.len() - 2;
        packet.payload[last..].copy_from_slice(&(word as u16).to_be_bytes());
        let whole = packet.frame(IN);
        prop_assert_eq!(check(&whole), pseudo);
        let mut bytes = whole.clone();
        prop_assert!(partial::finish(&mut bytes, &layout(&whole)));
        prop_assert_eq!(bytes, whole);
    }
}
