//! What a frame says, read once: everything behind works on these values and on the offsets in
//! [`Layout`].

mod dissect;
mod embedded;
mod network;
mod routed;
mod transport;
mod unreadable;

pub use dissect::dissect;
pub use routed::{Routed, routed};
pub use unreadable::Unreadable;

use shunt_wire::{Address, Endpoint, FlowKey, Layout, Mac, arp, ip, ndp};

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Where its headers are. Of an ARP frame, where the ARP header is.
    pub layout: Layout,
    pub source_mac: Mac,
    pub destination_mac: Mac,
    /// The tag control information of its VLAN tag: priority, drop eligibility and VLAN number.
    pub vlan: Option<u16>,
    pub kind: Kind,
}

/// What Shunt has to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A question for the station that has an IPv4 address.
    Arp(arp::Request),
    /// A question for the station that has an IPv6 address; valid as RFC 4861 section 7.1.1 asks.
    NeighbourSolicitation(ndp::Solicitation),
    /// A whole TCP, UDP or ICMP echo packet.
    Flow(FlowPacket),
    /// An ICMP error about a packet of a flow.
    IcmpError(ErrorPacket),
    /// A part of a packet.
    Fragment(Fragment),
    /// A packet of another protocol, or another ICMP message.
    Other(OtherPacket),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowPacket {
    pub key: FlowKey,
    /// If it is TCP.
    pub tcp: Option<TcpSegment>,
    /// The time to live, or hop limit.
    pub ttl: u8,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// May routers not fragment it? Always so in IPv6.
    pub dont_fragment: bool,
    /// The length of the IP datagram in bytes.
    pub length: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpSegment {
    /// The flags octet; its bits are named in [`shunt_wire::tcp`].
    pub flags: u8,
    pub seq: u32,
    pub ack: u32,
    /// As it stands in the header, not scaled.
    pub window: u16,
    /// Bytes of payload. SYN and FIN, which take a sequence number each, are not counted.
    pub payload: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorPacket {
    /// Who reports.
    pub source: Address,
    /// Its receiver: the source of the packet that it is about.
    pub destination: Address,
    /// The packet that it is about, as it travelled: against the direction of the error.
    pub embedded: FlowKey,
    /// Where that packet's headers are, in the frame. It ends where what was quoted ends.
    pub embedded_layout: Layout,
    pub icmp_type: u8,
    pub icmp_code: u8,
    /// If the packet was too big: the MTU that is reported, 0 from routers older than RFC 1191.
    pub mtu: Option<u32>,
    /// The hop limit of the error itself.
    pub ttl: u8,
    /// The length of the IP datagram in bytes.
    pub length: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    pub source: Address,
    pub destination: Address,
    pub protocol: u8,
    /// What the packet says of its flow, if this is the first fragment and holds the whole transport header
    /// of a flow. The length, and the payload of a segment, are the fragment's.
    pub head: Option<FlowPacket>,
    /// What the fragments of one packet share; 16 bits in IPv4.
    pub identification: u32,
    /// Where the identification stands in the frame.
    pub identification_at: u16,
    /// Where its payload stands in the packet's, in bytes.
    pub offset: u16,
    /// How long its payload is, in bytes. In IPv6 that is all that follows the fragment header.
    pub payload: u16,
    /// Do more follow?
    pub more: bool,
    /// The length of the IP datagram in bytes.
    pub length: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherPacket {
    pub source: Address,
    pub destination: Address,
    pub protocol: u8,
    /// The time to live, or hop limit.
    pub ttl: u8,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// As in [`FlowPacket`].
    pub dont_fragment: bool,
    /// The length of the IP datagram in bytes.
    pub length: u16,
}

impl OtherPacket {
    /// As a packet of a flow that is known by its addresses and protocol alone: its ports are 0. None for an
    /// ICMP message that is neither echo nor error: those are between neighbours.
    #[must_use]
    pub const fn flow(&self) -> Option<FlowPacket> {
        if matches!(self.protocol, ip::ICMP | ip::ICMPV6) {
            return None;
        }
        let source = Endpoint { address: self.source, port: 0 };
        let destination = Endpoint { address: self.destination, port: 0 };
        Some(FlowPacket {
            key: FlowKey::new(source, destination, self.protocol),
            tcp: None,
            ttl: self.ttl,
            traffic_class: self.traffic_class,
            dont_fragment: self.dont_fragment,
            length: self.length,
        })
    }
}
