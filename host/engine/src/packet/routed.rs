//! A datagram as a router reads it that translates packet by packet: whose it is, and no more than that.
//!
//! [`dissect`](super::dissect) refuses what no flow can be of. Here fragments of any length, unknown protocols,
//! source routes and errors from impossible sources are read too: RFC 7915 says what becomes of each.

use etherparse::{EtherType, Ethernet2Slice, SingleVlanSlice};
use shunt_wire::layout::Part;
use shunt_wire::{Family, Layout, Mac, ethernet, icmp, ip};

use super::{Unreadable, dissect, network};
use crate::mapping::packet::Pair;

/// The header of an ICMP error, in front of what it quotes (RFC 792, RFC 4443).
const ERROR_HEADER_LEN: usize = 8;

/// One IP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routed {
    pub layout: Layout,
    pub destination_mac: Mac,
    /// The tag control information of its VLAN tag.
    pub vlan: Option<u16>,
    pub ends: Pair,
    /// Those of the packet that it is about, if it is an ICMP error.
    pub inner: Option<Pair>,
}

/// Reads a frame from its first Ethernet byte on; `None` if it holds no IP datagram.
///
/// # Errors
///
/// The datagram is cut short, its header's checksum is wrong, or it is an error that quotes no addresses.
pub fn routed(bytes: &[u8]) -> Result<Option<Routed>, Unreadable> {
    let Ok(frame) = Ethernet2Slice::from_slice_without_fcs(bytes) else { return Ok(None) };
    let (l3, vlan, ether_type) = if frame.ether_type() == EtherType::VLAN_TAGGED_FRAME {
        let tag = SingleVlanSlice::from_slice(frame.payload_slice()).map_err(|_| Unreadable::Ethernet)?;
        (ethernet::HEADER_LEN + ethernet::VLAN_LEN, Some(dissect::control(&tag)), tag.ether_type())
    } else {
        (ethernet::HEADER_LEN, None, frame.ether_type())
    };
    let family = match ether_type {
        EtherType::IPV4 => Family::V4,
        EtherType::IPV6 => Family::V6,
        _ => return Ok(None),
    };
    if bytes.len() > usize::from(u16::MAX) {
        return Err(Unreadable::TooLong);
    }
    let (layout, ends) = network::read_routed(bytes, l3, family)?;
    let inner = inner(bytes, &layout)?;
    Ok(Some(Routed { layout, destination_mac: Mac(frame.destination()), vlan, ends, inner }))
}

/// Source and destination of the packet that an error quotes; `None` if it is no error that is translated
/// (RFC 7915 sections 4.2 and 5.2).
fn inner(bytes: &[u8], layout: &Layout) -> Result<Option<Pair>, Unreadable> {
    let (l4, end) = (usize::from(layout.l4), usize::from(layout.end));
    let message = bytes.get(l4..end).unwrap_or_default();
    if layout.part == Part::Later || layout.protocol != icmp::protocol_of(layout.family) {
        return Ok(None);
    }
    let is_error = match (layout.family, message.first()) {
        (Family::V4, Some(&kind)) => {
            matches!(kind, icmp::V4_UNREACHABLE | icmp::V4_TIME_EXCEEDED | icmp::V4_PARAMETER_PROBLEM)
        }
        (Family::V6, Some(&kind)) => (icmp::V6_UNREACHABLE..=icmp::V6_PARAMETER_PROBLEM).contains(&kind),
        (_, None) => false,
    };
    if !is_error {
        return Ok(None);
    }
    let quoted = message.get(ERROR_HEADER_LEN..).ok_or(Unreadable::Icmp)?;
    let version = quoted.first().map(|first| first >> 4);
    match ip::addresses(quoted, layout.family) {
        Some((source, destination)) if version == Some(layout.family as u8) => {
            Ok(Some(Pair { source, destination }))
        }
        _ => Err(Unreadable::Embedded),
    }
}

impl Routed {
    /// Is it addressed to one host beyond this link? Groups and link-local addresses mean nothing past it.
    #[must_use]
    pub fn is_for_elsewhere(&self) -> bool {
        match self.ends.destination.to_ip() {
            std::net::IpAddr::V4(v4) => !v4.is_multicast() && !v4.is_broadcast(),
            std::net::IpAddr::V6(v6) => !v6.is_multicast() && !v6.is_unicast_link_local(),
        }
    }
}
