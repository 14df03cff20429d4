//! Which frames are Shunt's.

use shunt_wire::ip::numbers::{ICMP, ICMPV6};
use shunt_wire::names::{
    ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_VLAN, NEIGHBOUR_SOLICITATION,
    ROUTER_SOLICITATION, V4_PARAMETER_PROBLEM, V4_REDIRECT, V4_SOURCE_QUENCH, V4_TIME_EXCEEDED,
    V4_UNREACHABLE, V6_ECHO_REQUEST, V6_REDIRECT,
};
use shunt_wire::steering::{Outcome, Segment};

use crate::bytes::Bytes;
use crate::packet::{Addresses, End, Transport, Version, v4, v6};
use crate::{Whose, is_return_endpoint, is_tunnel, takes_all, whose};

/// What becomes of the frame that came in by an interface whose MAC this is; none where it ends before its
/// headers do.
#[inline(always)]
pub(crate) fn classify(bytes: &Bytes<'_>, interface: u32, mac: [u8; 6]) -> Option<Outcome> {
    let destination: [u8; 6] = bytes.at(0)?;
    let to_group = destination[0] & 1 != 0;
    // A bridge or a macvlan on the interface has frames of its own.
    if !to_group && destination != mac {
        return Some(Outcome::Pass);
    }
    let (mut ether_type, mut vlan, mut at) = (bytes.u16(12)?, 0, 14);
    if ether_type == ETHERTYPE_VLAN {
        // The lower 12 bits of the tag; above them stands a priority.
        (ether_type, vlan, at) = (bytes.u16(16)?, bytes.u16(14)? & 0xfff, 18);
    }
    let segment = Segment::new(interface, vlan);
    match ether_type {
        ETHERTYPE_IPV4 => ip(bytes, at, Version::V4, to_group, segment),
        ETHERTYPE_IPV6 => ip(bytes, at, Version::V6, to_group, segment),
        ETHERTYPE_ARP => arp(bytes, at),
        _ => Some(Outcome::Pass),
    }
}

/// A request (operation 1) for an IPv4 address on Ethernet (RFC 826).
#[inline(always)]
fn arp(bytes: &Bytes<'_>, at: usize) -> Option<Outcome> {
    let is_request = bytes.u64(at)? == 0x0001_0800_0604_0001;
    let target = v4(bytes.u32(at + 24)?);
    let mine = is_request && whose(target) == Whose::Shunts;
    Some(if mine { Outcome::Resolution } else { Outcome::Pass })
}

#[inline(always)]
fn ip(bytes: &Bytes<'_>, at: usize, version: Version, to_group: bool, segment: Segment) -> Option<Outcome> {
    let addresses = Addresses::read(bytes, at, version)?;
    let receiver = whose(addresses.destination);
    if receiver == Whose::Shunts {
        return Some(Outcome::Owned);
    }
    let outcome = not_owned(bytes, at, version, to_group, addresses, receiver);
    match outcome {
        Some(Outcome::Pass) | None => {
            // Also what cannot be read: the kernel might forward what Shunt has to see.
            let may = !to_group && receiver == Whose::Others && addresses.destination.is_forwarded();
            // An error counts also from an address that no router forwards from: its source says who found the trouble
            // (RFC 7915 section 4.1).
            let goes_on =
                || addresses.source.is_forwarded() || is_icmp_error(bytes, at, version).unwrap_or(false);
            if may && takes_all(segment) && goes_on() { Some(Outcome::Segment) } else { outcome }
        }
        other => other,
    }
}

/// What is not for an address of Shunt's.
#[inline(always)]
fn not_owned(
    bytes: &Bytes<'_>,
    at: usize,
    version: Version,
    to_group: bool,
    addresses: Addresses,
    receiver: Whose,
) -> Option<Outcome> {
    let transport = Transport::read(bytes, at, version)?;
    let icmp = match (version, transport.protocol) {
        (Version::V4, ICMP) | (Version::V6, ICMPV6) if !transport.later_fragment => {
            Some(bytes.u8(transport.offset)?)
        }
        _ => None,
    };
    if version == Version::V6 && icmp == Some(NEIGHBOUR_SOLICITATION) {
        let target = v6(bytes, transport.offset + 8)?;
        let mine = whose(target) == Whose::Shunts;
        return Some(if mine { Outcome::Resolution } else { Outcome::Pass });
    }
    // Nobody replies to a group.
    if to_group {
        return Some(Outcome::Pass);
    }
    if receiver == Whose::Hosts && whose(addresses.source) == Whose::Shunts {
        let of_neighbours = version == Version::V6
            && icmp.is_some_and(|kind| matches!(kind, ROUTER_SOLICITATION..=V6_REDIRECT));
        return Some(if of_neighbours { Outcome::Pass } else { Outcome::Direct });
    }
    if icmp.is_some_and(|kind| is_error(version, kind)) {
        let mine = is_about_mine(bytes, transport.offset + 8, version).unwrap_or(false);
        return Some(if mine { Outcome::Error } else { Outcome::Pass });
    }
    if receiver == Whose::Hosts {
        return Some(Outcome::Pass);
    }
    let replies =
        transport.return_endpoint(bytes, addresses.source, End::Source).is_some_and(is_return_endpoint);
    Some(match (replies, transport.later_fragment) {
        (false, _) => Outcome::Pass,
        (true, false) => Outcome::Reply,
        (true, true) => Outcome::Fragment,
    })
}

/// Whether a packet is an ICMP error.
#[inline(always)]
fn is_icmp_error(bytes: &Bytes<'_>, at: usize, version: Version) -> Option<bool> {
    let transport = Transport::read(bytes, at, version)?;
    Some(match (version, transport.protocol) {
        (Version::V4, ICMP) | (Version::V6, ICMPV6) if !transport.later_fragment => {
            is_error(version, bytes.u8(transport.offset)?)
        }
        _ => false,
    })
}

/// Errors carry the packet that they are about (RFC 792; RFC 4443 section 2.1: types below 128).
#[inline(always)]
fn is_error(version: Version, kind: u8) -> bool {
    match version {
        Version::V4 => matches!(
            kind,
            V4_UNREACHABLE | V4_SOURCE_QUENCH | V4_REDIRECT | V4_TIME_EXCEEDED | V4_PARAMETER_PROBLEM
        ),
        Version::V6 => kind < V6_ECHO_REQUEST,
    }
}

/// Whether Shunt sent the packet that an error is about: from an address of its own, a client's to a
/// member, or one in a tunnel to a member. What else the host sent to a member (a monitor's) is the host's.
#[inline(always)]
fn is_about_mine(bytes: &Bytes<'_>, at: usize, version: Version) -> Option<bool> {
    let addresses = Addresses::read(bytes, at, version)?;
    let transport = Transport::read(bytes, at, version)?;
    let tunnelled = || transport.tunnel_end(bytes, addresses.destination).is_some_and(is_tunnel);
    Some(match whose(addresses.source) {
        Whose::Shunts => true,
        Whose::Hosts => tunnelled(),
        Whose::Others => transport
            .return_endpoint(bytes, addresses.destination, End::Destination)
            .is_some_and(is_return_endpoint),
    })
}
