//! Checksums of TCP and UDP that the sender left to its device.
//!
//! Linux writes the sum of the pseudo-header alone into the checksum field, and has the device add the rest
//! (`CHECKSUM_PARTIAL` of `linux/skbuff.h`). A device that hands the frame to another program of the same machine
//! (veth, bridge, TAP, virtio) does not: the frame arrives with the partial checksum, and with the kernel's mark
//! beside it, which neither XDP nor AF_XDP sees. So it is told by its bytes.
//!
//! - Only whole packets of TCP and UDP have one. Linux sums before it cuts a packet into fragments
//!   (`ip_do_fragment`, `ip6_fragment`), and sums ICMP always. UDP's zero, "no checksum", is none: the sum of a
//!   pseudo-header is not zero, as its protocol is not.
//! - One whole checksum in 65,536 equals that sum by chance. [`finish`] then writes what stood there before.
//! - One damaged frame in 65,536 looks partial by chance, and [`finish`] makes its checksum right. Nothing in the
//!   frame tells the two apart. As many damaged frames have a right checksum by chance: the end of the connection
//!   finds all others, as the checksums of finished frames are never computed again.

use super::checksum;
use crate::bytes::{array_at, put, u16_at};
use crate::layout::Part;
use crate::{Family, Layout, ip};

/// Where the checksum stands in a header of TCP (RFC 9293 section 3.1) and of UDP (RFC 768).
const TCP_CHECKSUM_AT: usize = 16;
const UDP_CHECKSUM_AT: usize = 6;
/// Where a UDP header says how long the datagram is (RFC 768).
const UDP_LENGTH_AT: usize = 4;

/// Does the checksum field hold the sum of the pseudo-header? Reads that field and the addresses, no payload.
#[inline]
#[must_use]
pub fn is_partial(frame: &[u8], layout: &Layout) -> bool {
    matches(frame, layout).unwrap_or(false)
}

/// Completes the checksum of a packet that [is partial](is_partial), over its whole payload. Returns whether it
/// did: other frames stay as they are.
#[inline]
pub fn finish(frame: &mut [u8], layout: &Layout) -> bool {
    is_partial(frame, layout) && complete(frame, layout).is_some()
}

#[inline]
fn matches(frame: &[u8], layout: &Layout) -> Option<bool> {
    let at = field(layout)?;
    // The sum of all in the machine's byte order is the sum in network order, with its bytes swapped (RFC 1071
    // section 2 B): compared with a field that was read in that order, too.
    let l3 = usize::from(layout.l3);
    let addresses = match layout.family {
        Family::V4 => total(frame.get(l3 + 12..)?.first_chunk::<8>()?),
        Family::V6 => total(frame.get(l3 + 8..)?.first_chunk::<32>()?),
    };
    let length = layout.end.checked_sub(layout.l4)?;
    let rest = u64::from(u16::from(layout.protocol).to_be()) + u64::from(length.to_be());
    Some(fold(addresses + rest) == u16::from_ne_bytes(array_at(frame, at)?))
}

/// The sum of these bytes as words of 32 bits.
#[inline]
fn total(bytes: &[u8]) -> u64 {
    bytes.as_chunks::<4>().0.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum()
}

/// As [`super::fold`], in fewer steps for a sum of few words: the halves of `it` and of its turned copy meet, and what
/// the lower ones carry is added by the upper ones.
#[inline]
const fn fold(sum: u64) -> u16 {
    let (low, carried) = (sum as u32).overflowing_add((sum >> 32) as u32);
    let it = low + carried as u32;
    (it.wrapping_add(it.rotate_left(16)) >> 16) as u16
}

/// Where the checksum stands in the frame, of a packet that may have a partial one.
#[inline]
fn field(layout: &Layout) -> Option<usize> {
    if layout.part != Part::Whole {
        return None;
    }
    match layout.protocol {
        ip::TCP => Some(usize::from(layout.l4) + TCP_CHECKSUM_AT),
        ip::UDP => Some(usize::from(layout.l4) + UDP_CHECKSUM_AT),
        _ => None,
    }
}

#[cold]
fn complete(frame: &mut [u8], layout: &Layout) -> Option<()> {
    let at = field(layout)?;
    let segment = frame.get(usize::from(layout.l4)..usize::from(layout.end))?;
    let is_udp = layout.protocol == ip::UDP;
    // Linux leaves no datagram to a device that ends before its packet does: this one is whole, or damaged.
    if is_udp && usize::from(u16_at(segment, UDP_LENGTH_AT)?) != segment.len() {
        return None;
    }
    // The field itself brings the pseudo-header into the sum.
    let sum = checksum(segment);
    // RFC 768: a sum of zero is sent as all ones.
    let sum = if is_udp && sum == 0 { 0xffff } else { sum };
    put(frame, at, sum.to_be_bytes())
}

#[cfg(test)]
mod tests {
    extern crate std;

    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_ways_of_folding_are_one(sum in prop_oneof![0..1u64 << 36, Just(0xffff), Just(0xffff_ffff), Just(0x1_ffff_ffff)]) {
            prop_assert_eq!(super::fold(sum), crate::checksum::fold(sum));
        }
    }
}
