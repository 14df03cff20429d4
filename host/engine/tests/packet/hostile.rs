//! No bytes make the reader panic, and what it says is inside of the frame.

use proptest::prelude::*;
use shunt_engine::packet::{Kind, dissect};

use crate::frame::read;
use crate::packets::{IN, layout, packets};
use crate::targets;

/// Frames of every kind, to be damaged.
const FRAMES: [&str; 8] = [
    "vlan 7 | ip4 192.0.2.7 > 203.0.113.1 options 94040000 | tcp 40000 > 80 S seq 1 mss 1460",
    "ip6 2001:db8::7 > 2001:db8:1::1 | hop-by-hop 050200000100 | routing 000000000000 | fragment id 9 | udp 1 > 2",
    "ip4 10.0.0.9 > 192.0.2.7 | icmp4 too-big mtu 1400 | ip4 192.0.2.7 > 203.0.113.1 | tcp 1 > 80 A | bytes 9",
    "ip6 2001:db8::7 > 2001:db8:1::1 | icmp6 time-exceeded | ip6 2001:db8:1::1 > 2001:db8::7 | dest-options 010400000000 | udp 1 > 2",
    "ip6 fe80::1 > ff02::1:ff00:1 hop 255 | icmp6 neighbour-solicitation 2001:db8:1::1 mac 02:00:00:00:00:01",
    "arp request 02:00:00:00:00:01 192.0.2.1 > 203.0.113.1",
    "ip4 192.0.2.7 > 203.0.113.1 mf off 8 proto 17 | bytes 16",
    "ip4 192.0.2.7 > 203.0.113.1 | icmp4 echo-request id 1 seq 2 | pad 60",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        targets::dissect(&bytes);
    }

    #[test]
    fn any_bytes_behind_an_ethernet_header(
        ether_type in prop_oneof![Just([0x08, 0]), Just([0x86, 0xdd]), Just([0x08, 6]), Just([0x81, 0])],
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        targets::dissect(&[&[0; 12][..], &ether_type, &bytes].concat());
    }

    #[test]
    fn damaged_frames(
        which in 0..FRAMES.len(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
        end in any::<proptest::sample::Index>(),
        whole: bool,
    ) {
        let mut bytes = read(&format!("{IN} | {}", FRAMES[which])).unwrap();
        for (at, with) in damage {
            let at = at.index(bytes.len());
            bytes[at] = with;
        }
        if !whole {
            bytes.truncate(end.index(bytes.len()));
        }
        // Most damage ends at the header's checksum: mended, it goes further.
        if let Some(header) = bytes.get_mut(14..34).filter(|header| header[0] == 0x45) {
            header[10..12].fill(0);
            let check = shunt_wire::checksum::checksum(header);
            header[10..12].copy_from_slice(&check.to_be_bytes());
        }
        targets::dissect(&bytes);
    }

    /// Two readers see the same headers at the same places.
    #[test]
    fn the_layout_is_etherparses((packet, _, _) in packets()) {
        let bytes = packet.frame(IN);
        match dissect(&bytes) {
            Ok(read) => {
                prop_assert_eq!(read.layout, layout(&bytes));
                prop_assert_eq!(read.vlan, packet.vlan);
                match read.kind {
                    Kind::Flow(flow) => {
                        prop_assert_eq!(flow.key, packet.key());
                        prop_assert_eq!((flow.ttl, flow.traffic_class), (packet.ttl, packet.class));
                        if let Some(segment) = flow.tcp {
                            prop_assert_eq!(segment.seq, packet.seq);
                            prop_assert_eq!(usize::from(segment.payload), packet.payload.len());
                        }
                    }
                    other => prop_assert!(false, "{:?}", other),
                }
            }
            Err(reason) => prop_assert_eq!(reason, shunt_engine::packet::Unreadable::Source),
        }
    }
}
