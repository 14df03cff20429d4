//! Which IPv4 address stands for which IPv6 address.
//!
//! A [`Mapping`] knows two ways, and no state: a prefix that IPv4 addresses are written into (RFC 6052), and
//! explicit maps (RFC 7757), which come first where both know an address. What it knows of single
//! addresses stands here; which addresses a packet gets, the one in an ICMP error included, in
//! [`packet`].

mod apart;
mod embedding;
mod explicit;
pub mod packet;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use shunt_wire::{Address, Family};

use crate::hash;
use crate::network::Prefix;
pub use embedding::{Embedding, LENGTHS};
pub use explicit::{Map, Maps, Unfit};

/// How one virtual translates addresses between IPv4 and IPv6.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    embedding: Option<Embedding>,
    maps: Maps,
    routers: Routers,
}

/// IPv4 addresses that stand in for routers which have none (RFC 6791).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routers {
    /// First and last.
    ranges: Box<[RangeInclusive<u32>]>,
    count: u64,
}

/// By what an address was translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Embedding,
    Map,
}

impl Mapping {
    #[must_use]
    pub const fn new(embedding: Option<Embedding>, maps: Maps, routers: Routers) -> Self {
        Self { embedding, maps, routers }
    }

    /// The IPv6 address that an IPv4 address has.
    #[must_use]
    pub fn to_v6(&self, v4: Address) -> Option<Address> {
        self.maps.to_v6(v4).or_else(|| self.embed(v4)).filter(|address| !is_illegal(*address))
    }

    /// The IPv4 address that an IPv6 address has. What anybody can write behind a prefix, and no host can have, is
    /// none (RFC 6052 section 5.1, RFC 1812 section 5.3.7).
    #[must_use]
    pub fn to_v4(&self, v6: Address) -> Option<Address> {
        self.to_v4_by(v6).map(|(address, _)| address).filter(|address| !is_illegal(*address))
    }

    /// Does an IPv6 address hold one of IPv4 that no host has? Then its packets are no host's either.
    #[must_use]
    pub fn is_forged(&self, v6: Address) -> bool {
        self.to_v4_by(v6).is_some_and(|(address, _)| is_illegal(address))
    }

    /// The address of the other family.
    #[must_use]
    pub fn across(&self, address: Address) -> Option<Address> {
        match address.family() {
            Family::V4 => self.to_v6(address),
            Family::V6 => self.to_v4(address),
        }
    }

    /// Does it know an address at all?
    #[must_use]
    pub const fn knows_any(&self) -> bool {
        self.embedding.is_some() || !self.maps.all().is_empty()
    }

    /// Where no map knows the address, the prefix that IPv4 addresses are written into.
    #[must_use]
    pub const fn embedding(&self) -> Option<&Embedding> {
        self.embedding.as_ref()
    }

    /// The explicit maps.
    #[must_use]
    pub const fn maps(&self) -> &Maps {
        &self.maps
    }

    /// The addresses of routers that have none.
    #[must_use]
    pub const fn routers(&self) -> &Routers {
        &self.routers
    }

    fn to_v4_by(&self, v6: Address) -> Option<(Address, By)> {
        match self.maps.to_v4(v6) {
            Some(v4) => Some((v4, By::Map)),
            None => Some((self.embedding?.extract(v6)?, By::Embedding)),
        }
    }

    fn embed(&self, v4: Address) -> Option<Address> {
        self.embedding?.embed(v4)
    }
}

impl Routers {
    /// Of ranges of IPv4 addresses, each from its first to its last.
    ///
    /// # Errors
    /// The range that is none: empty, or not of IPv4.
    pub fn new(ranges: &[RangeInclusive<Address>]) -> Result<Self, RangeInclusive<Address>> {
        let bits = |range: &RangeInclusive<Address>| {
            let (first, last) = (range.start().to_ipv4()?.to_bits(), range.end().to_ipv4()?.to_bits());
            (first <= last).then_some(first..=last)
        };
        let ranges: Box<[_]> =
            ranges.iter().map(|range| bits(range).ok_or_else(|| range.clone())).collect::<Result<_, _>>()?;
        let count = ranges.iter().map(|range| u64::from(range.end() - range.start()) + 1).sum();
        Ok(Self { ranges, count })
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The address that stands in for a router: for one router always the same (RFC 6791 section 3 has it
    /// chosen at random; a traceroute is easier to read when a router keeps its address).
    #[must_use]
    pub fn stand_in(&self, router: Address) -> Option<Address> {
        let mut place = hash::stable(&router.octets()).checked_rem(self.count)?;
        for range in &self.ranges {
            let count = u64::from(range.end() - range.start()) + 1;
            if place < count {
                let bits = range.start().wrapping_add(place as u32);
                return Some(std::net::Ipv4Addr::from_bits(bits).into());
            }
            place -= count;
        }
        None
    }
}

/// What no packet may come from or go to through a router: RFC 1812 sections 4.2.2.11 and 5.3.7, RFC 4291
/// sections 2.5.2, 2.5.3, 2.5.6 and 2.7. Groups are no single host, so no mapping knows them (RFC 7915 section 1.2).
fn is_illegal(address: Address) -> bool {
    match address.to_ip() {
        std::net::IpAddr::V4(v4) => v4.octets()[0] == 0 || v4.is_loopback() || v4.octets()[0] >= 224,
        std::net::IpAddr::V6(v6) => {
            v6.is_unspecified() || v6.is_loopback() || v6.is_multicast() || v6.is_unicast_link_local()
        }
    }
}

/// The IPv4 bits of an address; `None` if it is of IPv6.
fn v4_bits(address: Address) -> Option<u32> {
    address.to_ipv4().map(std::net::Ipv4Addr::to_bits)
}

/// The bits of an IPv6 address; `None` if it is of IPv4, whose form as IPv6 never stands in a packet.
fn v6_bits(address: Address) -> Option<u128> {
    (address.family() == Family::V6).then(|| u128::from_be_bytes(address.octets()))
}

fn v4(bits: u32) -> Address {
    std::net::Ipv4Addr::from_bits(bits).into()
}

/// An address of IPv6. `None` for bits that would be read back as an IPv4 address.
fn v6(bits: u128) -> Option<Address> {
    let address = Address::from(std::net::Ipv6Addr::from_bits(bits));
    (address.family() == Family::V6).then_some(address)
}

/// How many bits of an address of its family a prefix fixes.
const fn length(prefix: &Prefix) -> u8 {
    match prefix.family() {
        Family::V4 => prefix.length() - 96,
        Family::V6 => prefix.length(),
    }
}
