//! What holds for every packet.

use proptest::prelude::*;
use shunt_wire::fragment::cut;
use shunt_wire::frame::HEADROOM;
use shunt_wire::rewrite::{Change, FamilyTranslation};
use shunt_wire::translation::{Limits, Mapped, Subject, translate};
use shunt_wire::{Endpoint, Family, FlowKey, Frame, Hop, Rewrite};

use super::{WIDE, assert_is, change, frame_of, map, pieces, translated, within};
use crate::packets::{IN, Kind, OUT, Packet, address, endpoints, packets, rewrite};

/// A packet from a legal source, and two ends of the other family, of which the first is legal as a source.
fn crossings() -> impl Strategy<Value = (Packet, Endpoint, Endpoint)> {
    let legal =
        |end: &Endpoint| end.address.to_ipv4().is_none_or(|v4| !matches!(v4.octets()[0], 0 | 127 | 224..));
    packets()
        .prop_filter("nobody has such a source", move |(packet, _, _)| legal(&packet.source))
        .prop_flat_map(move |(packet, _, _)| {
            let family = other(packet.family);
            let source = endpoints(family).prop_filter("nobody has such a source", legal);
            (Just(packet), source, endpoints(family))
        })
        .prop_map(|(packet, mut source, mut destination)| {
            match packet.kind {
                Kind::EchoRequest => destination.port = 0,
                Kind::EchoReply => source.port = 0,
                _ => {}
            }
            (packet, source, destination)
        })
}

const fn other(family: Family) -> Family {
    match family {
        Family::V4 => Family::V6,
        Family::V6 => Family::V4,
    }
}

/// The packet in the other family, as text for [`assert_is`].
fn crossed(packet: &Packet, source: Endpoint, destination: Endpoint) -> Packet {
    let kind = match (packet.family, packet.kind) {
        (Family::V4, Kind::UdpWithoutChecksum) => Kind::Udp,
        (_, kind) => kind,
    };
    let (family, ttl) = (other(packet.family), packet.ttl - 1);
    Packet { family, kind, ttl, options: false, source, destination, ..packet.clone() }
}

/// A translator writes no flow label, chooses the identification, and lets routers fragment.
fn plain(packet: &Packet) -> String {
    packet.text().replace(" flow 5", "").replace(" id 7 df", " id ?")
}

fn translate_family(of: &FlowKey, source: Endpoint, destination: Endpoint) -> Rewrite {
    rewrite(Change::TranslateFamily(FamilyTranslation::new(of, source, destination).unwrap()))
}

proptest! {
    #[test]
    fn a_crossing_equals_a_new_packet((packet, source, destination) in crossings()) {
        let packet = Packet { vlan: None, ..packet };
        let rewrite = translate_family(&packet.key(), source, destination);
        let got = within(&packet.frame(IN), |frame| {
            let layout = crate::packets::layout(frame.bytes());
            rewrite.apply(frame, &layout).map(|()| frame.bytes().to_vec())
        });
        let mut got = got.unwrap();
        prop_assert_eq!(&got[..12], &packet.frame(OUT)[..12]);
        got[..12].copy_from_slice(&packet.frame(IN)[..12]);
        assert_is("", &got, &plain(&crossed(&packet, source, destination)));
    }

    /// There and back again leaves what two routers would have left, less what one family cannot say.
    #[test]
    fn a_crossing_is_undone_by_its_reverse((packet, source, destination) in crossings()) {
        prop_assume!(packet.ttl > 2);
        let packet = Packet { vlan: None, ..packet };
        let there = translate_family(&packet.key(), source, destination);
        let seen = crossed(&packet, source, destination);
        let (source, destination) = (packet.key().source(), packet.key().destination());
        let back = translate_family(&seen.key(), source, destination);
        let got = within(&packet.frame(IN), |frame| {
            there.apply(frame, &crate::packets::layout(frame.bytes()))?;
            back.apply(frame, &crate::packets::layout(frame.bytes()))?;
            Ok(frame.bytes().to_vec())
        });
        let mut got = got.unwrap();
        got[..12].copy_from_slice(&packet.frame(IN)[..12]);
        assert_is("", &got, &plain(&crossed(&seen, packet.source, packet.destination)));
    }

    /// Of a packet that crossed an error comes back about what its receiver saw, cut anywhere, and its sender
    /// hears of what it sent.
    #[test]
    fn an_error_is_about_what_was_sent((packet, source, destination) in crossings(), cut in 0usize..80) {
        // Half a checksum cannot be mended.
        prop_assume!(packet.kind != Kind::Tcp || cut != 9);
        let packet = Packet { options: false, vlan: None, ..packet };
        let seen = crossed(&packet, source, destination);
        let reverse = translate_family(&seen.key().reversed(), packet.key().destination(), packet.key().source());
        let error = |from: shunt_wire::Address, ttl: u8, about: &Packet| {
            let to = about.source.address;
            let (network, header) = match about.family {
                Family::V4 => (format!("ip4 {from} > {to} ttl {ttl} id ? | icmp4 time-exceeded"), 28),
                Family::V6 => (format!("ip6 {from} > {to} hop {ttl} | icmp6 time-exceeded"), 48),
            };
            format!("{network} | {} | cut {}", plain(about), header + cut)
        };
        let router = address(if seen.family == Family::V4 { "198.51.100.9" } else { "2001:db8::9" });
        let before = error(router, 9, &seen).replace("id ?", "id 7");
        let got = within(&frame_of(&before), |frame| {
            let layout = crate::packets::layout(frame.bytes());
            let quoted = crate::packets::quoted_layout(frame.bytes(), &layout);
            reverse.apply_to_error(frame, &layout, &quoted).map(|()| frame.bytes().to_vec())
        });
        let mut got = got.unwrap();
        got[..12].copy_from_slice(&packet.frame(IN)[..12]);
        // What was seen of a datagram without a checksum had one.
        let kind = if packet.family == Family::V4 { seen.kind } else { packet.kind };
        let told = Packet { ttl: seen.ttl, kind, ..packet.clone() };
        assert_is("", &got, &error(packet.destination.address, 8, &told));
    }

    /// The pieces of a packet are those of the packet that would have been too long.
    #[test]
    fn pieces_make_the_whole(payload in 1500usize..4000, lowest in 1280u16..1500, flags in 0usize..3) {
        let limits = Limits { lowest_ipv6_mtu: lowest, ..WIDE };
        let field = ["", " mf", " mf off 1600"][flags];
        let payload = payload / 8 * 8;
        let text = format!(
            "ip4 192.0.2.7 > 198.51.100.2 id 77{field} proto 33 | bytes {payload}"
        );
        let pieces = pieces(&text, &limits).unwrap();
        let mut at = if flags == 2 { 1600 } else { 0 };
        let mut whole = Vec::new();
        for (number, piece) in pieces.iter().enumerate() {
            prop_assert!(piece.len() <= 14 + usize::from(lowest));
            let last = number + 1 == pieces.len();
            let more = if last && flags == 0 { "" } else { " mf" };
            let hex: String = piece[62..].iter().map(|byte| format!("{byte:02x}")).collect();
            assert_is("", piece, &format!(
                "ip6 2001:db8:64::192.0.2.7 > 2001:db8:64::198.51.100.2 hop 63 \
                 | fragment id 77{more} off {at} next 33 | hex {hex}"
            ));
            at += piece.len() - 62;
            whole.extend_from_slice(&piece[62..]);
        }
        let expected: Vec<u8> = (0..payload).map(|at| at as u8).collect();
        prop_assert_eq!(whole, expected);
    }

    /// Frames that are cut short and damaged do no harm, and what comes of them can be read.
    #[test]
    fn damaged_frames(
        which in 0..SAMPLES.len(),
        end in any::<prop::sample::Index>(),
        keep: bool,
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        mtu in prop_oneof![Just(1500), 0u16..1500],
    ) {
        let mut bytes = frame_of(SAMPLES[which]);
        let family = if bytes[12..14] == [0x08, 0x00] { Family::V4 } else { Family::V6 };
        // Addresses are the mapping's affair.
        let addresses = if family == Family::V4 { 26..34 } else { 22..54 };
        for (at, value) in damage {
            let at = 14 + at.index(bytes.len() - 14);
            if !addresses.contains(&at) {
                bytes[at] = value;
            }
        }
        mend_checksum(&mut bytes, family);
        // Shorter than its Ethernet header it was never called a datagram.
        let end = if keep { bytes.len() } else { 14 + end.index(bytes.len() - 13) };
        let bytes = &bytes[..end];
        let limits = Limits { mtu, ..WIDE };
        let result = within(bytes, |frame| {
            change(frame, &limits, false)?;
            Ok(frame.bytes().to_vec())
        });
        if let Ok(got) = result {
            // What has no checksum in IPv6 has none in IPv4, and cannot always go back.
            prop_assume!(family == Family::V4 || got[23] != 17 || got[40..42] != [0, 0]);
            let read = Subject::read(&got, 14, other(family)).map(|subject| usize::from(subject.layout.end));
            prop_assert_eq!(read, Ok(got.len()));
        }
    }

    /// A layout that says nonsense does no harm either.
    #[test]
    fn any_layout(
        which in 0..SAMPLES.len(),
        l3 in prop_oneof![Just(14u16), any::<u16>()],
        end in 0u16..1600,
        room in 0..=HEADROOM,
        inner: bool,
    ) {
        let mut bytes = vec![0; room];
        let frame = frame_of(SAMPLES[which]);
        bytes.extend(&frame);
        let family = if frame[12..14] == [0x08, 0x00] { Family::V4 } else { Family::V6 };
        let layout = shunt_wire::Layout { l3, l4: 0, end, family, protocol: 0, part: shunt_wire::layout::Part::Whole };
        let to = map(address(if family == Family::V4 { "192.0.2.1" } else { "2001:db8::1" }));
        let mapped = Mapped { source: to, destination: to, inner: inner.then_some((to, to)) };
        let len = bytes.len();
        let mut buffer = Frame::new(&mut bytes, room, len);
        if translate(&mut buffer, &layout, &mapped, &WIDE).is_err() {
            prop_assert_eq!(buffer.bytes(), frame);
        }
        let _ = cut(&mut buffer, end, |_| {});
    }
}

/// An IPv4 header whose checksum is wrong goes no further: let it.
fn mend_checksum(bytes: &mut [u8], family: Family) {
    if family == Family::V4 {
        bytes[24..26].fill(0);
        let check =
            shunt_wire::checksum::checksum(&bytes[14..14 + 4 * usize::from(bytes[14] & 0x0f).clamp(5, 15)]);
        bytes[24..26].copy_from_slice(&check.to_be_bytes());
    }
}

const SAMPLES: [&str; 10] = [
    "ip4 192.0.2.7 > 198.51.100.2 ttl 64 | tcp 5 > 6 PA seq 7 mss 1460 | bytes 60",
    "ip4 192.0.2.7 > 198.51.100.2 ttl 64 options 94040000 | udp 5 > 6 no-checksum | bytes 60",
    "ip4 192.0.2.7 > 198.51.100.2 ttl 64 id 9 mf off 80 proto 17 | bytes 64",
    "ip4 192.0.2.7 > 198.51.100.2 | icmp4 echo-request id 5 seq 6 | bytes 60",
    "ip4 203.0.113.9 > 192.0.2.7 | icmp4 too-big mtu 1400 | ip4 192.0.2.7 > 198.51.100.2 | udp 5 > 6 | bytes 60",
    "ip4 203.0.113.9 > 192.0.2.7 | icmp4 type 11 code 0 rest 00200000 \
     | ip4 192.0.2.7 > 198.51.100.2 | udp 5 > 6 | bytes 140",
    "ip6 2001:db8:64::192.0.2.1 > 2001:db8:64::192.0.2.2 | hop-by-hop 050200000100 | tcp 5 > 6 PA seq 7 | bytes 60",
    "ip6 2001:db8:64::192.0.2.1 > 2001:db8:64::192.0.2.2 | routing 000000000000 | fragment id 9 off 80 mf next 17 | bytes 64",
    "ip6 2001:db8:64::192.0.2.1 > 2001:db8:64::192.0.2.2 | icmp6 too-big mtu 1400 \
     | ip6 2001:db8:64::192.0.2.2 > 2001:db8:64::192.0.2.3 | fragment id 9 | udp 5 > 6 | bytes 60",
    "ip6 2001:db8:64::192.0.2.1 > 2001:db8:64::192.0.2.2 | icmp6 type 1 code 0 rest 10000000 \
     | ip6 2001:db8:64::192.0.2.2 > 2001:db8:64::192.0.2.3 | icmp6 echo-request id 5 seq 6 | bytes 140",
];

/// A packet that turns round in the translator is counted one hop (RFC 7757 section 4).
#[test]
fn a_hairpin_counts_one_hop() {
    let before = "ip6 2001:db8:64::192.0.2.7 > 2001:db8:64::192.0.2.9 hop 64 | udp 5 > 6 | bytes 60";
    let once = translated(before, &Limits { hop: Hop::Keep, mtu: u16::MAX, ..WIDE }).unwrap();
    let twice = within(&once, |frame| change(frame, &WIDE, false).map(|_| frame.bytes().to_vec())).unwrap();
    assert_is("hairpin", &twice, &before.replace("hop 64", "hop 63"));
}
