//! What a frame consists of.

use std::net::IpAddr;

use etherparse::{IpNumber, Ipv4Header, Ipv6FragmentHeader, Ipv6Header, TcpHeader, UdpHeader, ip_number};

/// The port that GUE is sent to (IANA).
pub(super) const GUE_PORT: u16 = 6080;

#[derive(Clone, Debug)]
pub(super) enum Layer {
    Ethernet { source: [u8; 6], destination: [u8; 6], ether_type: Option<u16> },
    Vlan { id: u16, pcp: u8, dei: bool },
    Arp { operation: u16, sender: ([u8; 6], [u8; 4]), target: ([u8; 6], [u8; 4]) },
    Ip4 { header: Ipv4Header, protocol: Option<u8>, len: Option<u16>, check: Option<u16> },
    Ip6 { header: Ipv6Header, next: Option<u8>, len: Option<u16> },
    Extension { kind: IpNumber, body: Vec<u8>, next: Option<u8> },
    Fragment { header: Ipv6FragmentHeader, next: Option<u8> },
    Tcp { header: TcpHeader, check: Check },
    Udp { header: UdpHeader, len: Option<u16>, check: Check },
    Icmp { six: bool, kind: u8, code: u8, rest: [u8; 4], body: Vec<u8>, check: Option<u16> },
    Part { from: usize, len: usize },
    Gre,
    Gue,
    Payload(Vec<u8>),
}

/// The checksum of a transport header.
#[derive(Clone, Copy, Debug)]
pub(super) enum Check {
    Computed,
    /// The sum of the pseudo-header.
    Partial,
    Given(u16),
}

impl Layer {
    /// How an Ethernet or GRE header names it.
    pub(super) fn ether_type(&self) -> Option<u16> {
        match self {
            Self::Vlan { .. } => Some(0x8100),
            Self::Arp { .. } => Some(0x0806),
            Self::Ip4 { .. } => Some(0x0800),
            Self::Ip6 { .. } => Some(0x86dd),
            _ => None,
        }
    }

    /// How an IP or GUE header names it.
    pub(super) fn protocol(&self) -> Option<u8> {
        let number = match self {
            Self::Ip4 { .. } => ip_number::IPV4,
            Self::Ip6 { .. } => ip_number::IPV6,
            Self::Extension { kind, .. } => *kind,
            Self::Fragment { .. } => ip_number::IPV6_FRAG,
            Self::Tcp { .. } => ip_number::TCP,
            Self::Udp { .. } => ip_number::UDP,
            Self::Icmp { six: false, .. } => ip_number::ICMP,
            Self::Icmp { six: true, .. } => ip_number::IPV6_ICMP,
            Self::Gre => ip_number::GRE,
            _ => return None,
        };
        Some(number.0)
    }
}

/// Is it an ICMP message that quotes a packet?
pub(super) fn quotes(six: bool, kind: u8) -> bool {
    if six { matches!(kind, 1..=4) } else { matches!(kind, 3 | 4 | 5 | 11 | 12) }
}

/// The checksum of an ICMP message whose checksum field holds zero.
pub(super) fn icmp_checksum(message: &[u8], addresses: Option<(IpAddr, IpAddr)>) -> u16 {
    let mut sum = etherparse::checksum::Sum16BitWords::new().add_slice(message);
    let sum = match addresses {
        Some((IpAddr::V6(source), IpAddr::V6(destination))) => sum
            .add_16bytes(source.octets())
            .add_16bytes(destination.octets())
            .add_4bytes((message.len() as u32).to_be_bytes())
            .add_2bytes([0, ip_number::IPV6_ICMP.0]),
        _ => sum,
    };
    sum.ones_complement().to_be()
}

/// The sum of the pseudo-header in front of `len` bytes: what a partial checksum is. None between two families.
pub(super) fn pseudo(addresses: (IpAddr, IpAddr), protocol: IpNumber, len: usize) -> Option<u16> {
    let mut sum = etherparse::checksum::Sum16BitWords::new();
    let mut sum = match addresses {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            sum.add_4bytes(source.octets()).add_4bytes(destination.octets())
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            sum.add_16bytes(source.octets()).add_16bytes(destination.octets())
        }
        _ => return None,
    };
    let sum = sum.add_4bytes((len as u32).to_be_bytes()).add_2bytes([0, protocol.0]);
    Some(!sum.ones_complement().to_be())
}
