//! What the fragments of one packet have in common (RFC 791 section 3.1, RFC 8200 section 4.5).

use crate::bytes::{array_at, put, u16_at, u32_at};
use crate::checksum::Delta;
use crate::{Family, Layout};

/// Gives a fragment another identification, which stands at `at`: in the IPv4 header, whose checksum is
/// mended and which takes the low 16 bits, or in the fragment header. Returns the old one; none, and nothing
/// done, if the frame is shorter than its layout says.
pub fn replace(bytes: &mut [u8], layout: &Layout, at: u16, new: u32) -> Option<u32> {
    let at = usize::from(at);
    match layout.family {
        Family::V4 => {
            let check_at = usize::from(layout.l3) + 10;
            let (old, check) = (u16_at(bytes, at)?, u16_at(bytes, check_at)?);
            let new = new as u16;
            put(bytes, at, new.to_be_bytes())?;
            put(bytes, check_at, Delta::none().u16(old, new).apply(check).to_be_bytes())?;
            Some(old.into())
        }
        Family::V6 => {
            let old = u32_at(bytes, at)?;
            put(bytes, at, new.to_be_bytes())?;
            Some(old)
        }
    }
}

/// A number for an IPv4 packet that may be fragmented, from its payload (decision 0011): each of the first bytes
/// matters, which are as many as a TCP header has. The multiplier is that of Fibonacci hashing (2^64 by the golden
/// ratio).
pub(crate) fn of(payload: &[u8]) -> u16 {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    // What is missing is zero.
    let mut first = [0; 20];
    let len = payload.len().min(first.len());
    first[..len].copy_from_slice(&payload[..len]);
    let word = |at: usize| u64::from_be_bytes(array_at(&first, at).unwrap_or_default());
    let mut number = word(0).wrapping_mul(MULTIPLIER);
    number = (number.rotate_left(32) ^ word(8)).wrapping_mul(MULTIPLIER);
    number = (number.rotate_left(32) ^ word(12)).wrapping_mul(MULTIPLIER);
    (number >> 48) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::checksum;
    use crate::layout::Part;

    const fn layout(family: Family) -> Layout {
        Layout { l3: 0, l4: 20, end: 20, family, protocol: 17, part: Part::Later }
    }

    #[test]
    fn the_ipv4_header_keeps_a_right_checksum() {
        let mut header = [0x45, 0, 0, 20, 0x12, 0x34, 0, 9, 64, 17, 0, 0, 192, 0, 2, 7, 203, 0, 113, 1];
        let sum = checksum(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        let before = header;
        assert_eq!(replace(&mut header, &layout(Family::V4), 4, 0x0007_abcd), Some(0x1234));
        assert_eq!((&header[4..6], checksum(&header)), (&[0xab, 0xcd][..], 0));
        assert_eq!(replace(&mut header, &layout(Family::V4), 4, 0x1234), Some(0xabcd));
        assert_eq!(header, before);
        assert_eq!(replace(&mut header[..11], &layout(Family::V4), 4, 7), None);
        assert_eq!(header, before);
    }

    #[test]
    fn a_fragment_header_has_32_bits() {
        let mut header = [17, 0, 0, 8, 1, 2, 3, 4];
        assert_eq!(replace(&mut header, &layout(Family::V6), 4, 0x0a0b_0c0d), Some(0x0102_0304));
        assert_eq!(header, [17, 0, 0, 8, 10, 11, 12, 13]);
        assert_eq!(replace(&mut header, &layout(Family::V6), 5, 7), None);
    }
}
