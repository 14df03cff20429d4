use shunt_engine::packet::{self, Kind};
use shunt_wire::layout::Part;
use shunt_wire::{Layout, ip};

/// Reads `data` as a frame. What everything behind the reader relies on must hold.
pub fn dissect(data: &[u8]) {
    let Ok(packet) = packet::dissect(data) else { return };
    inside(&packet.layout, data.len());
    match packet.kind {
        Kind::Flow(flow) => {
            assert_eq!(packet.layout.part, Part::Whole);
            assert_eq!(flow.key.family(), packet.layout.family);
            assert_eq!(flow.tcp.is_some(), flow.key.protocol() == ip::TCP);
            assert_eq!(flow.length, packet.layout.datagram_len());
        }
        Kind::IcmpError(error) => {
            inside(&error.embedded_layout, usize::from(packet.layout.end));
            assert!(error.embedded_layout.l3 >= packet.layout.l4 + 8);
            assert_eq!(error.embedded_layout.family, packet.layout.family);
            assert_eq!(error.embedded.family(), packet.layout.family);
        }
        Kind::Fragment(fragment) => {
            assert_ne!(packet.layout.part, Part::Whole);
            assert!(fragment.head.is_none() || packet.layout.part == Part::First);
            assert!(fragment.payload > 0 && fragment.offset.checked_add(fragment.payload).is_some());
            assert!(fragment.identification_at < packet.layout.l4);
        }
        Kind::Arp(_) | Kind::NeighbourSolicitation(_) | Kind::Other(_) => {}
    }
}

fn inside(layout: &Layout, len: usize) {
    assert!(layout.l3 <= layout.l4 && layout.l4 <= layout.end && usize::from(layout.end) <= len);
}
