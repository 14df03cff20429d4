//! The Internet checksum (RFC 1071), and how it changes when a field changes (RFC 1624).

pub mod partial;

use crate::Address;

/// The ones' complement sum of `bytes`, folded to 16 bits; an odd last byte is padded with zero
/// (RFC 1071 section 4.1). The checksum of a header is the complement of this.
#[inline]
#[must_use]
pub fn sum(bytes: &[u8]) -> u16 {
    // Neither wider words nor the machine's byte order change the sum, but for the order of its own two
    // bytes (RFC 1071 section 2 B and C).
    let (words, rest) = bytes.as_chunks::<4>();
    let total: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
    let last = match *rest {
        [a] => u32::from_ne_bytes([a, 0, 0, 0]),
        [a, b] => u32::from_ne_bytes([a, b, 0, 0]),
        [a, b, c] => u32::from_ne_bytes([a, b, c, 0]),
        _ => 0,
    };
    u16::from_be(fold(total + u64::from(last)))
}

/// The checksum to write into a header whose checksum field holds zero.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u16 {
    !sum(bytes)
}

/// A partial sum: for bytes that are not contiguous, such as a segment and its pseudo-header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(u64);

impl Sum {
    #[must_use]
    pub const fn new() -> Self {
        Self(0)
    }

    /// The pseudo-header of TCP, UDP and ICMPv6: addresses, protocol, and the length of the transport
    /// header with its payload (RFC 9293 section 3.1, RFC 768, RFC 8200 section 8.1).
    ///
    /// One form serves both families: the `::ffff` of a v4-mapped address adds `0xffff`, which is zero in
    /// ones' complement.
    #[must_use]
    pub const fn pseudo(source: Address, destination: Address, protocol: u8, len: u32) -> Self {
        Self::new().address(source).address(destination).u16(protocol as u16).u32(len)
    }

    #[must_use]
    pub const fn u16(self, field: u16) -> Self {
        Self(self.0 + field as u64)
    }

    #[must_use]
    pub const fn u32(self, field: u32) -> Self {
        self.u16((field >> 16) as u16).u16(field as u16)
    }

    #[must_use]
    pub const fn address(self, address: Address) -> Self {
        self.u32((address.hi >> 32) as u32)
            .u32(address.hi as u32)
            .u32((address.lo >> 32) as u32)
            .u32(address.lo as u32)
    }

    /// Bytes from an even offset on. Only the last ones may be odd in number.
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        self.u16(sum(bytes))
    }

    /// The whole in 16 bits: what a [`Delta`] adds or takes away.
    #[must_use]
    pub const fn folded(self) -> u16 {
        fold(self.0)
    }

    /// The checksum to write where zero was summed.
    #[must_use]
    pub const fn checksum(self) -> u16 {
        !fold(self.0)
    }

    /// The same for UDP, where zero would say that there is none: it is sent as all ones (RFC 768).
    #[must_use]
    pub const fn udp_checksum(self) -> u16 {
        all_ones_if_zero(self.checksum())
    }

    /// Does what was summed hold its right checksum?
    #[must_use]
    pub const fn is_valid(self) -> bool {
        fold(self.0) == 0xffff
    }
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

    /// A 16-bit field at an odd offset changes: its bytes lie in two words, and the sum does not mind
    /// which of a word's bytes is swapped for all (RFC 1071 section 2 B).
    #[must_use]
    pub const fn u16_at_odd(self, old: u16, new: u16) -> Self {
        self.u16(old.swap_bytes(), new.swap_bytes())
    }

    /// A 32-bit field at an even offset changes.
    #[must_use]
    pub const fn u32(self, old: u32, new: u32) -> Self {
        self.u16((old >> 16) as u16, (new >> 16) as u16).u16(old as u16, new as u16)
    }

    /// An address changes. It may change its family too: a v4-mapped address sums as the IPv4 address does.
    #[must_use]
    pub const fn address(self, old: Address, new: Address) -> Self {
        self.u32((old.hi >> 32) as u32, (new.hi >> 32) as u32)
            .u32(old.hi as u32, new.hi as u32)
            .u32((old.lo >> 32) as u32, (new.lo >> 32) as u32)
            .u32(old.lo as u32, new.lo as u32)
    }

    /// Both rewrites.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// The whole in 16 bits, to be kept.
    #[must_use]
    pub const fn folded(self) -> u16 {
        fold(self.0)
    }

    /// What [`folded`](Delta::folded) gave.
    #[must_use]
    pub const fn from_folded(sum: u16) -> Self {
        Self(sum as u64)
    }

    /// The checksum `old` after the rewrite.
    #[must_use]
    pub const fn apply(self, old: u16) -> u16 {
        !fold(self.0 + (!old) as u64)
    }

    /// The UDP checksum `old` after the rewrite. Zero says that the sender computed none, and stays (RFC
    /// 768; over IPv6, RFC 6936 section 5 wants such datagrams carried on as they are). A sum that becomes
    /// zero is sent as all ones.
    #[must_use]
    pub const fn apply_udp(self, old: u16) -> u16 {
        if old == 0 { 0 } else { all_ones_if_zero(self.apply(old)) }
    }
}

/// Zero and all ones are the same number in ones' complement; UDP sends the second.
const fn all_ones_if_zero(checksum: u16) -> u16 {
    if checksum == 0 { 0xffff } else { checksum }
}

/// Ones' complement addition is addition with the carries put back in at the low end.
#[inline]
const fn fold(total: u64) -> u16 {
    let total = (total >> 32) + (total & 0xffff_ffff);
    let total = (total >> 16) + (total & 0xffff);
    let total = (total >> 16) + (total & 0xffff);
    ((total >> 16) + (total & 0xffff)) as u16
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

    /// RFC 768: a sum of zero is sent as all ones. RFC 8200 section 8.1 says the same.
    #[test]
    fn udp_has_no_zero_that_is_not_meant() {
        assert_eq!(Sum::new().u16(0xffff).checksum(), 0);
        assert_eq!(Sum::new().u16(0xffff).udp_checksum(), 0xffff);
        assert_eq!(Delta::none().u16(0x5555, 0x3285).apply_udp(0xdd2f), 0xffff);
        assert_eq!(Delta::none().u16(1, 2).apply_udp(0), 0);
    }

    proptest! {
        /// The pseudo-header of a v4-mapped address is that of the IPv4 address.
        #[test]
        fn one_pseudo_header_for_both_families(source: u32, destination: u32, protocol: u8, len: u16) {
            let mut v4 = [0; 12];
            v4[..4].copy_from_slice(&source.to_be_bytes());
            v4[4..8].copy_from_slice(&destination.to_be_bytes());
            v4[9] = protocol;
            v4[10..].copy_from_slice(&len.to_be_bytes());
            let address = |bits: u32| Address::from(core::net::Ipv4Addr::from_bits(bits));
            let pseudo = Sum::pseudo(address(source), address(destination), protocol, u32::from(len));
            // A segment is never all zero, so the two zeros of ones' complement never meet.
            prop_assert_eq!(pseudo.u16(1).checksum(), Sum::new().bytes(&v4).u16(1).checksum());
        }

        /// Word by word, as RFC 1071 section 1 has it.
        #[test]
        fn the_sum_is_that_of_its_words(bytes in proptest::collection::vec(any::<u8>(), 0..99)) {
            let mut total: u32 = 0;
            for word in bytes.chunks(2) {
                total += u32::from(word[0]) << 8 | u32::from(word.get(1).copied().unwrap_or(0));
                total = (total & 0xffff) + (total >> 16);
            }
            prop_assert_eq!(u32::from(sum(&bytes)), total);
        }

        #[test]
        fn folding_keeps_the_carries(total: u64) {
            let mut looped = total;
            while looped > 0xffff {
                looped = (looped & 0xffff) + (looped >> 16);
            }
            prop_assert_eq!(u64::from(fold(total)), looped);
        }

        #[test]
        fn a_folded_delta_is_the_delta(changes in proptest::collection::vec(any::<(u16, u16)>(), 0..9), old: u16) {
            let delta = changes.iter().fold(Delta::none(), |delta, (from, to)| delta.u16(*from, *to));
            prop_assert_eq!(Delta::from_folded(delta.folded()).apply(old), delta.apply(old));
        }

        /// A header of 20 bytes with its checksum at offset 10, as IPv4 has it: writing new words and
        /// applying the delta gives what summing everything again gives.
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
