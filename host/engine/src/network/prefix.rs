//! A prefix of addresses of one family.

use std::fmt;

use shunt_wire::{Address, Family};

/// So many first bits of an address, of IPv4 or of IPv6. Bits after them are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    bits: u128,
    /// Of the v4-mapped form where it is IPv4: 96 to 128.
    length: u8,
    family: Family,
}

impl Prefix {
    /// `length` in bits of the address's family: at most 32 or 128. Bits past it are cleared.
    #[must_use]
    pub fn new(address: Address, length: u8) -> Option<Self> {
        let family = address.family();
        let most = if family == Family::V4 { 32 } else { 128 };
        let length = if length <= most { length + (128 - most) } else { return None };
        Some(Self { bits: first_bits(address, length), length, family })
    }

    /// Every address of a family: the destination of a default route.
    #[must_use]
    pub const fn all(family: Family) -> Self {
        match family {
            Family::V4 => Self { bits: 0xffff << 32, length: 96, family },
            Family::V6 => Self { bits: 0, length: 0, family },
        }
    }

    /// Whether the address is of the family and begins with these bits.
    #[must_use]
    pub fn contains(&self, address: Address) -> bool {
        address.family() == self.family && first_bits(address, self.length) == self.bits
    }

    #[must_use]
    pub const fn family(&self) -> Family {
        self.family
    }

    /// Its first address: all bits behind the prefix are zero.
    #[must_use]
    pub const fn first(&self) -> Address {
        Address { hi: (self.bits >> 64) as u64, lo: self.bits as u64 }
    }

    /// The first bits, as a number of 128 bits whose rest is zero.
    pub(crate) const fn bits(&self) -> u128 {
        self.bits
    }

    /// How many bits count, of 128 in both families.
    pub(crate) const fn length(&self) -> u8 {
        self.length
    }
}

/// The address with all but its first `length` bits cleared; at most 128.
pub(super) fn first_bits(address: Address, length: u8) -> u128 {
    let bits = u128::from_be_bytes(address.octets());
    let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
    bits & mask
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = if self.family == Family::V4 { self.length - 96 } else { self.length };
        write!(f, "{}/{length}", self.first())
    }
}
