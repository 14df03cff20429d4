//! Whether two mappings know an address by different names.

use shunt_wire::Address;

use super::{Mapping, length, v6};
use crate::network::Prefix;

impl Mapping {
    /// An IPv6 address that this mapping and another one know by different IPv4 addresses.
    ///
    /// Behind a prefix each bit of an IPv4 address is one of the IPv6 address, or always the same. So two mappings
    /// that agree on one address behind a prefix, and on those that differ from it in one bit, agree on all; and
    /// several such addresses are looked at, as one may lie behind a longer prefix too, or stand for no host.
    #[must_use]
    pub fn at_odds(&self, other: &Self) -> Option<Address> {
        if self == other {
            return None;
        }
        let differs = |address: &Address| match (self.to_v4(*address), other.to_v4(*address)) {
            (Some(one), Some(another)) => one != another,
            _ => false,
        };
        self.prefixes().chain(other.prefixes()).flat_map(samples).find(differs)
    }

    /// The prefixes of IPv6 behind which it knows addresses.
    fn prefixes(&self) -> impl Iterator<Item = Prefix> {
        let embedding = self.embedding.iter().map(super::Embedding::prefix);
        embedding.chain(self.maps.all().iter().map(|map| map.v6))
    }
}

/// Addresses behind a prefix that have little in common, and those that differ from each in one bit.
fn samples(prefix: Prefix) -> impl Iterator<Item = Address> {
    const PATTERNS: [u128; 4] = [0, u128::MAX, u128::MAX / 0xff * 0x64, u128::MAX / 0xff * 0x15];
    let free = 128 - u32::from(length(&prefix));
    let behind = u128::MAX.checked_shr(128 - free).unwrap_or(0);
    let bits = (0..free).map(|bit| 1u128 << bit).chain([0]);
    bits.flat_map(move |bit| PATTERNS.map(|pattern| (prefix.bits() | pattern & behind) ^ bit)).filter_map(v6)
}
