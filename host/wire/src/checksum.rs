//! The Internet checksum (RFC 1071), and how it changes when a field changes (RFC 1624).

/// The ones' complement sum of `bytes`, folded to 16 bits; an odd last byte is padded with zero
/// (RFC 1071 section 4.1). The checksum of a header is the complement of this.
#[must_use]
pub fn sum(bytes: &[u8]) -> u16 {
    let (words, rest) = bytes.as_chunks::<2>();
    let mut total: u64 = words.iter().map(|word| u64::from(u16::from_be_bytes(*word))).sum();
    if let [last] = rest {
        total += u64::from(*last) << 8;
    }
    fold(total)
}

/// The checksum to write into a header whose checksum field holds zero.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u16 {
    !sum(bytes)
}

/// What a rewrite does to a checksum. Collected over all fields that change, applied once.
///
/// RFC 1624 equation 3: `HC' = ~(~HC + ~m + m')`. In this form a checksum never becomes the `0xffff`
/// that RFC 1141 could produce for a header that is not all zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delta(u64);

impl Delta {
    /// Nothing changed.
    #[must_use]
    pub const fn none() -> Self {
        Self(0)
    }

    /// A 16-bit field at an even offset changes.
    #[must_use]
    pub const fn u16(self, old: u16, new: u16) -> Self {
        Self(self.0 + (!old) as u64 + new as u64)
    }

    /// A 32-bit field at an even offset changes.
    #[must_use]
    pub const fn u32(self, old: u32, new: u32) -> Self {
        self.u16((old >> 16) as u16, (new >> 16) as u16).u16(old as u16, new as u16)
    }

    /// The checksum `old` after the rewrite.
    #[must_use]
    pub const fn apply(self, old: u16) -> u16 {
        !fold(self.0 + (!old) as u64)
    }
}

/// Ones' complement addition is addition with the carries put back in at the low end.
const fn fold(mut total: u64) -> u16 {
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u16
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use proptest::prelude::*;

    /// The worked example of RFC 1071 section 3.
    #[test]
    fn sum_of_the_rfc() {
        assert_eq!(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), 0xddf2);
    }

    #[test]
    fn an_odd_byte_is_padded_at_the_end() {
        assert_eq!(sum(&[0x12, 0x34, 0x56]), 0x1234 + 0x5600);
        assert_eq!(sum(&[]), 0);
    }

    /// The example of RFC 1624 section 4, where the arithmetic of RFC 1141 gives `0xffff`.
    #[test]
    fn the_corner_of_rfc_1624() {
        assert_eq!(Delta::none().u16(0x5555, 0x3285).apply(0xdd2f), 0x0000);
    }

    #[test]
    fn no_change_changes_nothing() {
        assert_eq!(Delta::none().apply(0x1234), 0x1234);
        assert_eq!(Delta::none().u16(7, 7).apply(0x1234), 0x1234);
    }

    proptest! {
        /// A header of 20 bytes with its checksum at offset 10, as IPv4 has it: writing new words and
        /// applying the delta gives what summing everything anew gives.
        #[test]
        fn incremental_equals_full(
            mut header: [u8; 20],
            writes in proptest::collection::vec((0usize..8, any::<u16>()), 0..12),
        ) {
            // The first octet of an IPv4 header is never zero. Over all-zero data the two forms of
            // zero in ones' complement would differ.
            header[0] = 0x45;
            header[10..12].fill(0);
            let before = checksum(&header);
            let mut delta = Delta::none();
            for (word, new) in writes {
                // Words 1 to 4 and 6 to 9: all but the first one and the checksum.
                let at = 2 * (1 + word + usize::from(word >= 4));
                let old = u16::from_be_bytes([header[at], header[at + 1]]);
                header[at..at + 2].copy_from_slice(&new.to_be_bytes());
                delta = delta.u16(old, new);
            }
            prop_assert_eq!(delta.apply(before), checksum(&header));
        }

        #[test]
        fn a_wide_field_is_two_narrow_ones(old: u32, new: u32, check: u16) {
            let narrow = Delta::none().u16((old >> 16) as u16, (new >> 16) as u16).u16(old as u16, new as u16);
            prop_assert_eq!(Delta::none().u32(old, new).apply(check), narrow.apply(check));
        }
    }
}
