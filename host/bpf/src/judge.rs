//! Whose a frame is.

use shunt_wire::steering::Outcome;

use crate::bytes::Bytes;
use crate::packet::{Addresses, End, ICMP, ICMPV6, Transport, Version, v4, v6};
use crate::{Whose, is_replier, whose};

/// Ethernet types.
const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const VLAN: u16 = 0x8100;
const IPV6: u16 = 0x86dd;

/// ICMPv6's neighbour solicitation (RFC 4861 section 4.3).
const NEIGHBOUR_SOLICITATION: u8 = 135;

/// What becomes of the frame; none where it ends before its headers do.
#[inline(always)]
pub(crate) fn judge(bytes: &Bytes<'_>, mac: [u8; 6]) -> Option<Outcome> {
    let destination: [u8; 6] = bytes.at(0)?;
    let to_group = destination[0] & 1 != 0;
    // A bridge or a macvlan on the interface has frames of its own.
    if !to_group && destination != mac {
        return Some(Outcome::Pass);
    }
    let (mut ether_type, mut at) = (bytes.u16(12)?, 14);
    if ether_type == VLAN {
        (ether_type, at) = (bytes.u16(16)?, 18);
    }
    match ether_type {
        IPV4 => ip(bytes, at, Version::V4, to_group),
        IPV6 => ip(bytes, at, Version::V6, to_group),
        ARP => arp(bytes, at),
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
fn ip(bytes: &Bytes<'_>, at: usize, version: Version, to_group: bool) -> Option<Outcome> {
    let addresses = Addresses::read(bytes, at, version)?;
    let receiver = whose(addresses.destination);
    if receiver == Whose::Shunts {
        return Some(Outcome::Owned);
    }
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
    if icmp.is_some_and(|kind| is_error(version, kind)) {
        let mine = is_about_mine(bytes, transport.offset + 8, version).unwrap_or(false);
        return Some(if mine { Outcome::Error } else { Outcome::Pass });
    }
    if receiver == Whose::Hosts {
        return Some(Outcome::Pass);
    }
    let replies = transport.replier(bytes, addresses.source, End::Source).is_some_and(is_replier);
    Some(match (replies, transport.later_fragment) {
        (false, _) => Outcome::Pass,
        (true, false) => Outcome::Reply,
        (true, true) => Outcome::Fragment,
    })
}

/// Errors carry the packet that they are about (RFC 792; RFC 4443 section 2.1: types below 128).
#[inline(always)]
fn is_error(version: Version, kind: u8) -> bool {
    match version {
        // Unreachable, source quench, redirect, time exceeded, parameter problem.
        Version::V4 => matches!(kind, 3 | 4 | 5 | 11 | 12),
        Version::V6 => kind < 128,
    }
}

/// Whether Shunt sent the packet that an error is about: from an address of its own, or a client's to a
/// member. What the host itself sent to a member (a monitor's) is the host's.
#[inline(always)]
fn is_about_mine(bytes: &Bytes<'_>, at: usize, version: Version) -> Option<bool> {
    let addresses = Addresses::read(bytes, at, version)?;
    let transport = Transport::read(bytes, at, version)?;
    Some(match whose(addresses.source) {
        Whose::Shunts => true,
        Whose::Hosts => false,
        Whose::Others => {
            transport.replier(bytes, addresses.destination, End::Destination).is_some_and(is_replier)
        }
    })
}
