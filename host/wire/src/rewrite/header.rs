//! The parts of a packet that more than one rewrite touches.

use crate::bytes::{put, u16_at};
use crate::checksum::Delta;
use crate::{Family, Hop, Layout, ip};

/// Taking one off the time to live, the high byte of its word, takes `0x0100` off the sum of the header. In
/// ones' complement that is adding the complement.
const ONE_HOP: u16 = !0x0100;

/// The time to live or hop limit.
#[inline]
pub(super) fn hop_limit(bytes: &[u8], layout: &Layout) -> Option<u8> {
    let at = match layout.family {
        Family::V4 => 8,
        Family::V6 => 7,
    };
    bytes.get(usize::from(layout.l3) + at).copied()
}

/// Counts one hop, where hops count; else nothing.
#[inline]
pub(super) fn pass_on(bytes: &mut [u8], layout: &Layout, hop: Hop) -> Option<()> {
    if hop == Hop::Keep {
        return Some(());
    }
    match layout.family {
        Family::V4 => change_v4(v4(bytes, layout)?, hop, Delta::none()),
        Family::V6 => count_v6(v6(bytes, layout)?, hop),
    }
    Some(())
}

/// The IPv4 header without its options.
#[inline]
pub(super) fn v4<'a>(bytes: &'a mut [u8], layout: &Layout) -> Option<&'a mut [u8; ip::V4_HEADER_LEN]> {
    bytes.get_mut(usize::from(layout.l3)..)?.first_chunk_mut()
}

/// The IPv6 header without extension headers.
#[inline]
pub(super) fn v6<'a>(bytes: &'a mut [u8], layout: &Layout) -> Option<&'a mut [u8; ip::V6_HEADER_LEN]> {
    bytes.get_mut(usize::from(layout.l3)..)?.first_chunk_mut()
}

/// Counts a hop and mends the header checksum after a change of `delta` in other fields.
#[inline]
pub(super) fn change_v4(header: &mut [u8; ip::V4_HEADER_LEN], hop: Hop, delta: Delta) {
    let mut delta = delta;
    if hop == Hop::Decrement {
        header[8] = header[8].saturating_sub(1);
        delta = delta.and(Delta::from_folded(ONE_HOP));
    }
    let old = u16::from_be_bytes([header[10], header[11]]);
    header[10..12].copy_from_slice(&delta.apply(old).to_be_bytes());
}

/// Counts a hop; an IPv6 header has no checksum.
#[inline]
pub(super) fn count_v6(header: &mut [u8; ip::V6_HEADER_LEN], hop: Hop) {
    if hop == Hop::Decrement {
        header[7] = header[7].saturating_sub(1);
    }
}

/// Mends the transport checksum after `addresses` changed in the pseudo-header and `rest` behind it. ICMP
/// over IPv4 sums no pseudo-header (RFC 792); ICMPv6 does (RFC 4443 section 2.3). A protocol that is not
/// known here has no checksum that Shunt would know of.
#[inline]
pub(super) fn mend_transport(bytes: &mut [u8], layout: &Layout, addresses: Delta, rest: Delta) -> Option<()> {
    if !layout.has_transport() {
        return Some(());
    }
    let l4 = usize::from(layout.l4);
    let (at, delta) = match layout.protocol {
        ip::TCP => (l4 + 16, addresses.and(rest)),
        ip::UDP => (l4 + 6, addresses.and(rest)),
        ip::ICMP => (l4 + 2, rest),
        ip::ICMPV6 => (l4 + 2, addresses.and(rest)),
        _ => return Some(()),
    };
    let old = u16_at(bytes, at)?;
    let new = if layout.protocol == ip::UDP { delta.apply_udp(old) } else { delta.apply(old) };
    put(bytes, at, new.to_be_bytes())
}
