//! Packets to test with.

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::{NetSlice, SlicedPacket};
use proptest::prelude::*;
use shunt_wire::frame::HEADROOM;
use shunt_wire::layout::Part;
use shunt_wire::rewrite::Change;
use shunt_wire::{Address, Endpoint, Family, FlowKey, Frame, Hop, Layout, Mac, Rewrite, ip};

use crate::frame::{read, write};

/// Ethernet headers: as a frame comes in, as [`rewrite`] sends it, and back to where it came from.
pub(crate) const IN: &str = "eth 02:00:00:00:00:01 > 02:00:00:00:00:02";
pub(crate) const OUT: &str = "eth 02:00:00:00:00:11 > 02:00:00:00:00:12";
pub(crate) const BACK: &str = "eth 02:00:00:00:00:02 > 02:00:00:00:00:01";

/// A rewrite that makes [`OUT`] of [`IN`].
pub(crate) fn rewrite(change: Change) -> Rewrite {
    Rewrite {
        epoch: 1,
        interface: 2,
        destination_mac: Mac([2, 0, 0, 0, 0, 0x12]),
        source_mac: Mac([2, 0, 0, 0, 0, 0x11]),
        mtu: 1500,
        mss: 0,
        hop: Hop::Decrement,
        change,
    }
}

pub(crate) fn endpoint(text: &str) -> Endpoint {
    text.parse::<std::net::SocketAddr>().unwrap().into()
}

pub(crate) fn address(text: &str) -> Address {
    text.parse::<std::net::IpAddr>().unwrap().into()
}

pub(crate) fn key(source: &str, destination: &str, protocol: u8) -> FlowKey {
    FlowKey::new(endpoint(source), endpoint(destination), protocol)
}

/// Does `change` to the frame, in a buffer with headroom. On a refusal the frame must be as it was.
pub(crate) fn change<E>(
    bytes: &[u8],
    change: impl FnOnce(&mut Frame<'_>, &Layout) -> Result<(), E>,
) -> Result<Vec<u8>, E> {
    let mut buffer = vec![0xaa; HEADROOM + bytes.len() + 32];
    buffer[HEADROOM..HEADROOM + bytes.len()].copy_from_slice(bytes);
    let mut frame = Frame::new(&mut buffer, HEADROOM, HEADROOM + bytes.len());
    let layout = layout(bytes);
    let result = change(&mut frame, &layout);
    if result.is_err() {
        assert_eq!(frame.bytes(), bytes, "a refusal leaves the frame alone");
    }
    result.map(|()| frame.bytes().to_vec())
}

/// The same from text to text; the text behind the change is in the writer's form.
pub(crate) fn changed<E>(
    text: &str,
    how: impl FnOnce(&mut Frame<'_>, &Layout) -> Result<(), E>,
) -> Result<String, E> {
    change(&read(text).unwrap(), how).map(|bytes| write(&bytes))
}

/// The writer's form of a text.
pub(crate) fn canonical(text: &str) -> String {
    write(&read(text).unwrap_or_else(|error| panic!("{text}: {error}")))
}

/// Where the headers of a frame are, by etherparse's own walk.
pub(crate) fn layout(bytes: &[u8]) -> Layout {
    let packet = SlicedPacket::from_ethernet(bytes).unwrap();
    let l3 = 14 + 4 * packet.link_exts.len();
    let (family, header, payload) = match packet.net.as_ref().unwrap() {
        NetSlice::Ipv4(v4) => (Family::V4, v4.header().slice().len(), v4.payload()),
        NetSlice::Ipv6(v6) => {
            let header = v6.header().slice().len() + v6.extensions().slice().len();
            (Family::V6, header, v6.payload())
        }
        NetSlice::Arp(_) => panic!("ARP has no transport"),
    };
    Layout {
        l3: l3 as u16,
        l4: (l3 + header) as u16,
        end: (l3 + header + payload.payload.len()) as u16,
        family,
        protocol: payload.ip_number.0,
        part: Part::Whole,
    }
}

/// Where the packet is that an ICMP error quotes; it may be cut. The packet has no options.
pub(crate) fn quoted_layout(bytes: &[u8], layout: &Layout) -> Layout {
    let l3 = layout.l4 + 8;
    let (header, protocol) = match layout.family {
        Family::V4 => (20, bytes[usize::from(l3) + 9]),
        Family::V6 => (40, bytes[usize::from(l3) + 6]),
    };
    Layout { l3, l4: l3 + header, protocol, ..*layout }
}

/// Everything that a rewrite must leave alone, or mend.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) family: Family,
    pub(crate) kind: Kind,
    pub(crate) vlan: Option<u16>,
    pub(crate) ttl: u8,
    pub(crate) class: u8,
    /// IPv4 options, or IPv6 extension headers.
    pub(crate) options: bool,
    pub(crate) seq: u32,
    pub(crate) payload: Vec<u8>,
    pub(crate) source: Endpoint,
    pub(crate) destination: Endpoint,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tcp,
    Udp,
    UdpWithoutChecksum,
    EchoRequest,
    EchoReply,
}

impl Packet {
    pub(crate) fn key(&self) -> FlowKey {
        let protocol = match (self.kind, self.family) {
            (Kind::Tcp, _) => ip::TCP,
            (Kind::Udp | Kind::UdpWithoutChecksum, _) => ip::UDP,
            (_, Family::V4) => ip::ICMP,
            (_, Family::V6) => ip::ICMPV6,
        };
        let mut ends = [self.source, self.destination];
        match self.kind {
            Kind::EchoRequest => ends[1].port = 0,
            Kind::EchoReply => ends[0].port = 0,
            _ => {}
        }
        FlowKey::new(ends[0], ends[1], protocol)
    }

    /// The datagram as text.
    pub(crate) fn text(&self) -> String {
        let (source, destination) = (self.source.address, self.destination.address);
        let (ttl, class) = (self.ttl, self.class);
        let network = match (self.family, self.options) {
            (Family::V4, false) => format!("ip4 {source} > {destination} ttl {ttl} tos {class} id 7 df"),
            // A router alert and two of no operation.
            (Family::V4, true) => {
                format!("ip4 {source} > {destination} ttl {ttl} tos {class} options 9404000001010101")
            }
            (Family::V6, false) => format!("ip6 {source} > {destination} hop {ttl} class {class} flow 5"),
            (Family::V6, true) => format!(
                "ip6 {source} > {destination} hop {ttl} class {class} | hop-by-hop 050200000100 \
                 | dest-options 010c000000000000000000000000"
            ),
        };
        let (from, to) = (self.source.port, self.destination.port);
        let seq = self.seq;
        let transport = match (self.kind, self.family) {
            (Kind::Tcp, _) => format!("tcp {from} > {to} PA seq {seq} ack 5 options 01010101"),
            (Kind::Udp, _) => format!("udp {from} > {to}"),
            (Kind::UdpWithoutChecksum, _) => format!("udp {from} > {to} no-checksum"),
            (Kind::EchoRequest, Family::V4) => format!("icmp4 echo-request id {from} seq 9"),
            (Kind::EchoRequest, Family::V6) => format!("icmp6 echo-request id {from} seq 9"),
            (Kind::EchoReply, Family::V4) => format!("icmp4 echo-reply id {to} seq 9"),
            (Kind::EchoReply, Family::V6) => format!("icmp6 echo-reply id {to} seq 9"),
        };
        let hex: String = self.payload.iter().map(|byte| format!("{byte:02x}")).collect();
        if hex.is_empty() {
            format!("{network} | {transport}")
        } else {
            format!("{network} | {transport} | hex {hex}")
        }
    }

    /// The frame as bytes, behind an Ethernet header and the tag if there is one.
    pub(crate) fn frame(&self, ethernet: &str) -> Vec<u8> {
        self.behind(ethernet, &self.text())
    }

    /// The same of TCP and UDP, with a checksum that was left to the device.
    pub(crate) fn partial_frame(&self, ethernet: &str) -> Vec<u8> {
        let datagram = format!("udp {} > {}", self.source.port, self.destination.port);
        let text = self.text().replace("ack 5 ", "ack 5 partial ");
        self.behind(ethernet, &text.replace(&datagram, &format!("{datagram} partial")))
    }

    fn behind(&self, ethernet: &str, datagram: &str) -> Vec<u8> {
        let text = match self.vlan {
            Some(id) => format!("{ethernet} | vlan {id} | {datagram}"),
            None => format!("{ethernet} | {datagram}"),
        };
        read(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }
}

pub(crate) fn endpoints(family: Family) -> impl Strategy<Value = Endpoint> {
    (any::<u32>(), any::<u64>(), any::<u16>()).prop_map(move |(high, low, port)| {
        let address = match family {
            Family::V4 => Ipv4Addr::from_bits(high).into(),
            // Never v4-mapped.
            Family::V6 => {
                Ipv6Addr::from_bits(0x2001 << 112 | u128::from(high) << 64 | u128::from(low)).into()
            }
        };
        Endpoint { address, port }
    })
}

/// A packet that lives for one hop more at least, and a place where it might go.
pub(crate) fn packets() -> impl Strategy<Value = (Packet, Endpoint, Endpoint)> {
    prop_oneof![Just(Family::V4), Just(Family::V6)].prop_flat_map(|family| {
        let kind = prop_oneof![
            Just(Kind::Tcp),
            Just(Kind::Udp),
            Just(Kind::UdpWithoutChecksum),
            Just(Kind::EchoRequest),
            Just(Kind::EchoReply),
        ];
        let outer = (kind, proptest::option::of(0u16..4096), 2u8.., any::<u8>(), any::<bool>());
        let inner = (any::<u32>(), proptest::collection::vec(any::<u8>(), 0..60));
        (outer, inner, [endpoints(family), endpoints(family), endpoints(family), endpoints(family)]).prop_map(
            move |((kind, vlan, ttl, class, options), (seq, payload), [source, destination, a, b])| {
                let packet =
                    Packet { family, kind, vlan, ttl, class, options, seq, payload, source, destination };
                (packet, a, b)
            },
        )
    })
}
