//! Explicit maps between prefixes of IPv4 and of IPv6 (RFC 7757).

use std::collections::BTreeMap;

use shunt_wire::{Address, Family};

use super::{length, v4, v4_bits, v6, v6_bits};
use crate::network::Prefix;

/// A prefix of IPv4 and one of IPv6: addresses that begin with the one are those that begin with the other,
/// with the same bits behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Map {
    pub v4: Prefix,
    pub v6: Prefix,
}

/// All maps of one mapping. The longest prefix that fits an address decides, in either direction.
#[derive(Clone, Debug, Default)]
pub struct Maps {
    all: Box<[Map]>,
    /// The place of each map by its prefix of IPv4.
    by_v4: ByPrefix,
    by_v6: ByPrefix,
}

/// Why maps cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The prefixes of a map are not one of each family.
    Families(usize),
    /// Behind its prefix of IPv6 there is no room for the bits behind that of IPv4 (RFC 7757 section 3.2).
    Suffix(usize),
    /// Two maps have the same prefix.
    Twice(usize, usize),
    /// The prefix of IPv6 holds v4-mapped addresses, which never stand in a packet.
    Mapped(usize),
}

/// The places of maps: by the length of a prefix, the longest first, and in each length by its bits. Few lengths occur,
/// and mostly few maps: comparing costs less than a hash.
#[derive(Clone, Debug, Default)]
struct ByPrefix(Vec<(u8, BTreeMap<u128, usize>)>);

impl Maps {
    /// # Errors
    /// The first thing that is wrong, with the places of the maps.
    pub fn new(maps: Vec<Map>) -> Result<Self, Unfit> {
        let (mut by_v4, mut by_v6) = (ByPrefix::default(), ByPrefix::default());
        for (place, map) in maps.iter().enumerate() {
            if (map.v4.family(), map.v6.family()) != (Family::V4, Family::V6) {
                return Err(Unfit::Families(place));
            }
            if map.suffix() > 128 - length(&map.v6) {
                return Err(Unfit::Suffix(place));
            }
            if v6(map.v6.bits()).is_none() {
                return Err(Unfit::Mapped(place));
            }
            let before = [by_v4.insert(&map.v4, place), by_v6.insert(&map.v6, place)];
            if let Some(before) = before.into_iter().flatten().next() {
                return Err(Unfit::Twice(before, place));
            }
        }
        Ok(Self { all: maps.into(), by_v4, by_v6 })
    }

    /// As they were given.
    #[must_use]
    pub const fn all(&self) -> &[Map] {
        &self.all
    }

    /// RFC 7757 section 3.3.1: the bits behind the prefix follow the other prefix, and zeros follow them.
    #[must_use]
    pub fn to_v6(&self, address: Address) -> Option<Address> {
        let bits = v4_bits(address)?;
        // As a prefix of IPv4 has them: v4-mapped.
        let map = self.all.get(self.by_v4.find(u128::from_be_bytes(address.octets()))?)?;
        let suffix = u128::from(bits) & !u128::MAX.checked_shl(map.suffix().into()).unwrap_or(0);
        let behind = 128 - u32::from(length(&map.v6)) - u32::from(map.suffix());
        v6(map.v6.bits() | suffix.checked_shl(behind).unwrap_or(0))
    }

    /// RFC 7757 section 3.3.2: as many bits behind the prefix as the other one leaves, the rest is not looked at.
    #[must_use]
    pub fn to_v4(&self, address: Address) -> Option<Address> {
        let bits = v6_bits(address)?;
        let map = self.all.get(self.by_v6.find(bits)?)?;
        let behind = bits.checked_shl(length(&map.v6).into()).unwrap_or(0);
        let suffix = behind.checked_shr(128 - u32::from(map.suffix())).unwrap_or(0);
        Some(v4(map.v4.bits() as u32 | suffix as u32))
    }
}

impl Map {
    /// How many bits stand behind the prefix of IPv4.
    const fn suffix(&self) -> u8 {
        32 - length(&self.v4)
    }
}

impl ByPrefix {
    /// Returns the place of the map that has the prefix already.
    fn insert(&mut self, prefix: &Prefix, place: usize) -> Option<usize> {
        let prefixes = match self.0.binary_search_by(|(length, _)| prefix.length().cmp(length)) {
            Ok(at) => &mut self.0[at].1,
            Err(at) => {
                self.0.insert(at, (prefix.length(), BTreeMap::new()));
                &mut self.0[at].1
            }
        };
        prefixes.insert(prefix.bits(), place)
    }

    fn find(&self, bits: u128) -> Option<usize> {
        self.0.iter().find_map(|(length, prefixes)| {
            let first = bits & u128::MAX.checked_shl(128 - u32::from(*length)).unwrap_or(0);
            prefixes.get(&first).copied()
        })
    }
}

impl PartialEq for Maps {
    fn eq(&self, other: &Self) -> bool {
        self.all == other.all
    }
}

impl Eq for Maps {}
