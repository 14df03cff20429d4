//! What stands behind an IP header: checksums that cover its addresses, ports, ICMP types (RFC 7915 sections
//! 4.5 and 5.5).

use super::Pair;
use super::head::Head;
use crate::bytes::{put, u16_at};
use crate::checksum::{Delta, Sum};
use crate::icmp::{self, Echo};
use crate::layout::Part;
use crate::{Family, RewriteError, ip};

/// Headers without options, and where their checksums are.
const TCP_LEN: usize = 20;
const TCP_CHECKSUM_AT: usize = 16;
const UDP_LEN: usize = 8;
const UDP_CHECKSUM_AT: usize = 6;
const ICMP_LEN: usize = 8;
const ICMP_CHECKSUM_AT: usize = 2;

/// What has to be done behind an IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tcp,
    Udp,
    Echo(Echo),
    /// An ICMP error or redirect.
    Error,
    /// Nothing: a fragment that is not the first, or a transport that Shunt does not know. It is carried all the
    /// same, and its end finds whether it came to harm (RFC 7915 sections 4.5 and 5.5).
    Opaque,
}

/// Of which kind is what follows the header?
#[inline]
pub(super) fn kind(payload: &[u8], head: &Head) -> Result<Kind, RewriteError> {
    let part = head.part();
    match (head.family, head.protocol) {
        (_, ip::TCP | ip::UDP) if part == Part::Later => Ok(Kind::Opaque),
        (_, ip::TCP) => Ok(Kind::Tcp),
        (_, ip::UDP) => Ok(Kind::Udp),
        (Family::V4, ip::ICMP) | (Family::V6, ip::ICMPV6) => {
            // RFC 7915 section 1.2: fragmented ICMP is not translated. The checksum of ICMPv6 covers the length
            // of the whole, which no fragment tells.
            if part != Part::Whole {
                return Err(RewriteError::Untranslatable);
            }
            let kind = *payload.first().ok_or(RewriteError::Untranslatable)?;
            match icmp::echo(head.family, kind) {
                Some(half) => Ok(Kind::Echo(half)),
                None if icmp::is_error(head.family, kind) => Ok(Kind::Error),
                // RFC 7915 sections 4.2 and 5.2: messages of one hop, obsolete ones, and unknown ones.
                None => Err(RewriteError::Untranslatable),
            }
        }
        // RFC 7915 section 4.2: IGMP is of one hop.
        (_, ip::IGMP)
        // RFC 7915 section 4.1 copies all other numbers. Not these: the other family's ICMP would become that
        // family's own, unread; the numbers of extension headers are no transport, and would be read as extension
        // headers.
        | (Family::V4, ip::ICMPV6 | ip::HOP_BY_HOP | ip::ROUTING | ip::FRAGMENT | ip::DESTINATION_OPTIONS)
        | (Family::V6, ip::ICMP) => Err(RewriteError::Untranslatable),
        // These are transports to IPv4 and extension headers to IPv6, which RFC 7915 section 5.1.1 does not let follow a
        // fragment header: what this direction made of them, the other would refuse.
        (Family::V4, ip::AUTHENTICATION | ip::MOBILITY | ip::HOST_IDENTITY | ip::SHIM6) if part != Part::Whole => {
            Err(RewriteError::Untranslatable)
        }
        _ => Ok(Kind::Opaque),
    }
}

/// Is everything there that a translation needs?
#[inline]
pub(super) fn check(payload: &[u8], head: &Head, kind: Kind) -> Result<(), RewriteError> {
    let needed = match kind {
        Kind::Tcp => TCP_LEN,
        Kind::Udp => UDP_LEN,
        Kind::Echo(_) | Kind::Error => ICMP_LEN,
        Kind::Opaque => 0,
    };
    if payload.len() < needed {
        return Err(RewriteError::Untranslatable);
    }
    if lacks_checksum(payload, head, kind) {
        // RFC 7915 section 4.5: what the sender did not sum cannot be summed from a fragment.
        if head.part() != Part::Whole {
            return Err(RewriteError::NoChecksum);
        }
        datagram(payload).ok_or(RewriteError::Untranslatable)?;
    }
    Ok(())
}

/// Translates the transport header, or as much of it as is there.
#[inline]
pub(super) fn rewrite(payload: &mut [u8], head: &Head, kind: Kind, pair: &Pair) {
    let addresses = Delta::none()
        .address(head.source, pair.source.address)
        .address(head.destination, pair.destination.address);
    match kind {
        Kind::Tcp => {
            let ports = set_ports(payload, pair);
            replace(payload, TCP_CHECKSUM_AT, |check| addresses.and(ports).apply(check));
        }
        Kind::Udp => {
            let ports = set_ports(payload, pair);
            // RFC 7915 sections 4.5 and 5.5. One that was left out stays so: from IPv6, as IPv4 may do without,
            // and in an ICMP error, whose packet had none before it was translated either.
            replace(payload, UDP_CHECKSUM_AT, |check| addresses.and(ports).apply_udp(check));
        }
        Kind::Echo(half) => rewrite_echo(payload, head, half, pair),
        Kind::Error | Kind::Opaque => {}
    }
}

#[inline]
fn set_ports(payload: &mut [u8], pair: &Pair) -> Delta {
    if !pair.with_ports {
        return Delta::none();
    }
    let source = replace(payload, 0, |_| pair.source.port);
    source.and(replace(payload, 2, |_| pair.destination.port))
}

/// Did the sender leave out a checksum that IPv6 wants?
#[inline]
pub(super) fn lacks_checksum(payload: &[u8], head: &Head, kind: Kind) -> bool {
    kind == Kind::Udp && head.family == Family::V4 && u16_at(payload, UDP_CHECKSUM_AT) == Some(0)
}

/// RFC 7915 section 4.5: calculates what the sender left out, of a translated datagram.
pub(super) fn sum_udp(payload: &mut [u8], pair: &Pair) {
    let Some(datagram) = datagram(payload) else { return };
    let len = datagram.len() as u32;
    let check = Sum::pseudo(pair.source.address, pair.destination.address, ip::UDP, len)
        .bytes(datagram)
        .udp_checksum();
    put(payload, UDP_CHECKSUM_AT, check.to_be_bytes());
}

/// The UDP datagram with the length that it says it has (RFC 768).
fn datagram(payload: &[u8]) -> Option<&[u8]> {
    let len = usize::from(u16_at(payload, 4)?);
    payload.get(..len).filter(|datagram| datagram.len() >= UDP_LEN)
}

/// RFC 7915 sections 4.2 and 5.2: another type, and a checksum that covers a pseudo-header in ICMPv6 and none in
/// ICMPv4.
fn rewrite_echo(payload: &mut [u8], head: &Head, half: Echo, pair: &Pair) {
    let kind = match (head.family, half) {
        (Family::V4, Echo::Request) => icmp::V6_ECHO_REQUEST,
        (Family::V4, Echo::Reply) => icmp::V6_ECHO_REPLY,
        (Family::V6, Echo::Request) => icmp::V4_ECHO_REQUEST,
        (Family::V6, Echo::Reply) => icmp::V4_ECHO_REPLY,
    };
    let Some(first) = payload.first_mut() else { return };
    let old = core::mem::replace(first, kind);
    let mut delta = Delta::none().u16(u16::from(old) << 8, u16::from(kind) << 8);
    if pair.with_ports {
        let identifier = match half {
            Echo::Request => pair.source.port,
            Echo::Reply => pair.destination.port,
        };
        delta = delta.and(replace(payload, 4, |_| identifier));
    }
    let len = head.payload_len as u32;
    let pseudo = match head.family {
        Family::V4 => Sum::pseudo(pair.source.address, pair.destination.address, ip::ICMPV6, len).folded(),
        // Taking away is adding the complement.
        Family::V6 => !Sum::pseudo(head.source, head.destination, ip::ICMPV6, len).folded(),
    };
    let delta = delta.and(Delta::from_folded(pseudo));
    replace(payload, ICMP_CHECKSUM_AT, |check| delta.apply(check));
}

/// Changes the 16-bit field at `at`, if it is there. Returns what that changes in a sum.
#[inline]
fn replace(bytes: &mut [u8], at: usize, change: impl FnOnce(u16) -> u16) -> Delta {
    let Some(old) = u16_at(bytes, at) else { return Delta::none() };
    let new = change(old);
    put(bytes, at, new.to_be_bytes());
    Delta::none().u16(old, new)
}
