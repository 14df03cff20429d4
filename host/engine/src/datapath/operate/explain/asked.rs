//! The packet that is asked about.

use std::net::IpAddr;

use etherparse::{IpHeaders, Ipv4Header, Ipv6Header, PacketBuilder, TcpHeader, TcpOptionElement, ip_number};
use shunt_wire::ethernet::EtherType;
use shunt_wire::{Address, Endpoint, Mac, ip, tcp};

use crate::datapath::Datapath;
use crate::datapath::model::virtual_::Virtual;
use crate::flow::Direction;
use crate::network::{Interface, NextHop};
use crate::packet::{FlowPacket, Kind, dissect};

/// A packet, and where it comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The link that it comes in by, by the kernel's number. `None`: the one by which packets go back
    /// to its source.
    pub link: Option<u32>,
    pub asked: Asked,
}

/// What is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A TCP segment without payload, with these flags (their bits are named in [`shunt_wire::tcp`]).
    Tcp { source: Endpoint, destination: Endpoint, flags: u8 },
    /// An empty UDP datagram.
    Udp { source: Endpoint, destination: Endpoint },
    /// An echo request; the port of the source is its identifier.
    Echo { source: Endpoint, destination: Address },
    /// From the first byte of its IP header on.
    Datagram(Vec<u8>),
    /// From the first byte of its Ethernet header on.
    Frame(Vec<u8>),
}

/// Why there is no such packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unasked {
    /// Its addresses are of different IP families.
    Families,
    /// It begins neither as IPv4 nor as IPv6.
    NoDatagram,
    /// It is longer than a frame can be.
    TooLong,
    /// It was not said where it comes in, and nothing tells.
    NoLink,
    /// The kernel has no such link.
    UnknownLink,
}

/// A frame as it comes in.
pub(super) struct Arriving {
    /// The interface that carries the link.
    pub(super) ingress: u32,
    pub(super) link: u32,
    pub(super) link_is_a_guess: bool,
    pub(super) bytes: Vec<u8>,
}

/// What a packet has that was built: as common hosts have it.
const HOPS: u8 = 64;
const WINDOW: u16 = 64_240;
const SEGMENT: u16 = 1_460;
const SEGMENT_V6: u16 = 1_440;
/// Who sends it, where that is not known.
const NEIGHBOUR: Mac = Mac([2, 0, 0, 0, 0, 0xfe]);
/// A frame with the room around it must be one that a worker can have.
const LONGEST: usize = 9_216;

impl Asked {
    /// About bytes that are a frame or a datagram: whatever they are as a whole.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        let length = |at: usize| bytes.get(at..at + 2).map(|it| u16::from_be_bytes([it[0], it[1]]));
        let said = match bytes.first().map(|first| first >> 4) {
            Some(4) => length(2).map(usize::from),
            Some(6) => length(4).map(|payload| usize::from(payload) + ip::V6_HEADER_LEN),
            _ => None,
        };
        let kinds = [EtherType::IPV4, EtherType::IPV6, EtherType::ARP, EtherType::VLAN];
        let is_frame = length(12).is_some_and(|kind| kinds.iter().any(|it| it.0 == kind));
        match said {
            Some(said) if said == bytes.len() || !is_frame => Self::Datagram(bytes),
            _ => Self::Frame(bytes),
        }
    }
}

impl Datapath {
    pub(super) fn arriving(&self, question: &Question) -> Result<Arriving, Unasked> {
        let datagram = match &question.asked {
            Asked::Frame(bytes) => {
                let source = source_of(bytes);
                let (link, link_is_a_guess) = self.link_of(question.link, source)?;
                let ingress = carrier(link).0;
                let (link, bytes) = (link.index, bytes.clone());
                return check(Arriving { ingress, link, link_is_a_guess, bytes });
            }
            Asked::Datagram(bytes) => bytes.clone(),
            Asked::Tcp { source, destination, flags } => {
                let v6 = source.address.family() == shunt_wire::Family::V6;
                let mut header = TcpHeader::new(source.port, destination.port, 1, WINDOW);
                (header.fin, header.syn) = (flags & tcp::FIN != 0, flags & tcp::SYN != 0);
                (header.rst, header.psh) = (flags & tcp::RST != 0, flags & tcp::PSH != 0);
                header.ack = flags & tcp::ACK != 0;
                header.acknowledgment_number = u32::from(header.ack);
                if header.syn {
                    let most = if v6 { SEGMENT_V6 } else { SEGMENT };
                    // A single option of four bytes has room.
                    let _ = header.set_options(&[TcpOptionElement::MaximumSegmentSize(most)]);
                }
                let packet =
                    PacketBuilder::ip(headers(source.address, destination.address)?).tcp_header(header);
                written(packet.size(0), |bytes| packet.write(bytes, &[]).is_ok())?
            }
            Asked::Udp { source, destination } => {
                let packet = PacketBuilder::ip(headers(source.address, destination.address)?)
                    .udp(source.port, destination.port);
                written(packet.size(0), |bytes| packet.write(bytes, &[]).is_ok())?
            }
            Asked::Echo { source, destination } => {
                let built = PacketBuilder::ip(headers(source.address, *destination)?);
                match source.address.family() {
                    shunt_wire::Family::V4 => {
                        let packet = built.icmpv4_echo_request(source.port, 1);
                        written(packet.size(0), |bytes| packet.write(bytes, &[]).is_ok())?
                    }
                    shunt_wire::Family::V6 => {
                        let packet = built.icmpv6_echo_request(source.port, 1);
                        written(packet.size(0), |bytes| packet.write(bytes, &[]).is_ok())?
                    }
                }
            }
        };
        let ether_type = match datagram.first().map(|first| first >> 4) {
            Some(4) => EtherType::IPV4,
            Some(6) => EtherType::IPV6,
            _ => return Err(Unasked::NoDatagram),
        };
        let framed = |sender: Mac, own: Mac, vlan: Option<u16>| {
            let tag = vlan.map(|id| [EtherType::VLAN.0, id].map(u16::to_be_bytes).concat());
            let tag = tag.unwrap_or_default();
            [&own.0[..], &sender.0, &tag, &ether_type.0.to_be_bytes(), &datagram].concat()
        };
        let source = source_of(&framed(Mac::default(), Mac::default(), None));
        let (link, link_is_a_guess) = self.link_of(question.link, source)?;
        let sender = match source.map(|source| self.config.network.next_hop(source)) {
            Some(NextHop::Known(via, mac)) if via.link == link.index => mac,
            _ if link.point_to_point => Mac::default(),
            _ => NEIGHBOUR,
        };
        let bytes = framed(sender, link.mac, carrier(link).1);
        check(Arriving { ingress: carrier(link).0, link: link.index, link_is_a_guess, bytes })
    }

    /// The link that was named; else the one that leads back to the source, if clients come in by it, or
    /// members are there; else the first that clients come in by.
    fn link_of(&self, named: Option<u32>, source: Option<Address>) -> Result<(&Interface, bool), Unasked> {
        if let Some(named) = named {
            return self
                .config
                .network
                .interface(named)
                .map(|link| (link, false))
                .ok_or(Unasked::UnknownLink);
        }
        let back = match source.map(|source| self.config.network.next_hop(source)) {
            Some(NextHop::Known(via, _) | NextHop::NeedsSolicitation(via)) => Some(via.link),
            Some(NextHop::NoRoute) | None => None,
        };
        let first = || {
            self.config.snapshot.virtuals().iter().flat_map(|virtual_| &virtual_.interfaces).next().copied()
        };
        let link = back.or_else(first).ok_or(Unasked::NoLink)?;
        self.config.network.interface(link).map(|link| (link, true)).ok_or(Unasked::NoLink)
    }
}

impl Datapath {
    /// Whether a packet that comes in by a link is for this host itself. The kernel program leaves it such packets,
    /// but for replies to Shunt's own addresses and ICMP errors about what Shunt sent.
    pub(super) fn is_for_host(&self, packet: &FlowPacket) -> bool {
        let (source, destination) = (packet.key.source().address, packet.key.destination().address);
        let is_owned = |address| self.config.snapshot.owned(address).is_some();
        let has = |link: &Interface| link.addresses.iter().any(|(own, _)| *own == destination);
        !is_owned(source) && !is_owned(destination) && self.config.network.interfaces().any(has)
    }

    /// Whether Shunt takes nothing by a link but what has to do with its own addresses, or not such a packet.
    pub(super) fn leaves_to_kernel(&self, link: u32, packet: &FlowPacket) -> bool {
        let (source, destination) = (packet.key.source().address, packet.key.destination().address);
        let takes_all = |it: &Virtual| it.is_wildcard() && it.interfaces.contains(&link);
        let is_whole = self.config.snapshot.translating(link).is_some()
            || self.config.snapshot.virtuals().iter().any(takes_all);
        !is_whole || !source.is_forwarded() || !destination.is_forwarded()
    }
}

/// The direction of a packet of a flow, as text.
pub(super) const fn toward(direction: Direction) -> &'static str {
    match direction {
        Direction::ToServer => "toward the member",
        Direction::ToClient => "toward the client",
    }
}

/// The interface that carries a link, and the number of its VLAN.
fn carrier(link: &Interface) -> (u32, Option<u16>) {
    link.vlan.map_or((link.index, None), |vlan| (vlan.parent, Some(vlan.id)))
}

fn check(arriving: Arriving) -> Result<Arriving, Unasked> {
    if arriving.bytes.len() > LONGEST { Err(Unasked::TooLong) } else { Ok(arriving) }
}

fn written(size: usize, write: impl FnOnce(&mut Vec<u8>) -> bool) -> Result<Vec<u8>, Unasked> {
    let mut bytes = Vec::with_capacity(size);
    if write(&mut bytes) { Ok(bytes) } else { Err(Unasked::TooLong) }
}

fn headers(source: Address, destination: Address) -> Result<IpHeaders, Unasked> {
    match (source.to_ip(), destination.to_ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            // The protocol and the lengths are the builder's to fill in.
            let header = Ipv4Header::new(0, HOPS, ip_number::TCP, source.octets(), destination.octets());
            let mut header = header.map_err(|_| Unasked::TooLong)?;
            header.dont_fragment = true;
            Ok(IpHeaders::Ipv4(header, etherparse::Ipv4Extensions::default()))
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let header = Ipv6Header {
                hop_limit: HOPS,
                source: source.octets(),
                destination: destination.octets(),
                ..Ipv6Header::default()
            };
            Ok(IpHeaders::Ipv6(header, etherparse::Ipv6Extensions::default()))
        }
        _ => Err(Unasked::Families),
    }
}

/// Whom a frame is from, if it can be read.
fn source_of(frame: &[u8]) -> Option<Address> {
    match dissect(frame).ok()?.kind {
        Kind::Flow(packet) => Some(packet.key.source().address),
        Kind::IcmpError(error) => Some(error.source),
        Kind::Fragment(fragment) => Some(fragment.source),
        Kind::Other(other) => Some(other.source),
        Kind::Arp(request) => Some(request.sender.into()),
        Kind::NeighbourSolicitation(it) => Some(it.source.into()),
    }
}
