//! IPv4 addresses written into IPv6 ones behind a prefix (RFC 6052).

use std::fmt;
use std::net::Ipv4Addr;

use shunt_wire::{Address, Family};

use super::{length, v4, v4_bits, v6, v6_bits};
use crate::network::Prefix;

/// The lengths that a prefix may have (RFC 6052 section 2.2).
pub const LENGTHS: [u8; 6] = [32, 40, 48, 56, 64, 96];

/// `64:ff9b::/96` (RFC 6052 section 2.1), whose addresses stand for the global IPv4 internet.
const WELL_KNOWN: u128 = 0x0064_ff9b << 96;

/// A prefix that IPv4 addresses are written into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Embedding {
    prefix: Prefix,
}

impl Embedding {
    /// `None` unless the prefix is of IPv6, of one of the [`LENGTHS`], and leaves the bits 64 to 71 zero (RFC 6052
    /// section 2.2).
    #[must_use]
    pub fn new(prefix: Prefix) -> Option<Self> {
        let fits = prefix.family() == Family::V6 && LENGTHS.contains(&prefix.length());
        (fits && prefix.bits() >> 56 & 0xff == 0).then_some(Self { prefix })
    }

    #[must_use]
    pub const fn prefix(&self) -> Prefix {
        self.prefix
    }

    /// The IPv6 address for an IPv4 address. Those that are not global have none behind the well-known prefix
    /// (RFC 6052 section 3.1): elsewhere they would mean another host.
    #[must_use]
    pub fn embed(&self, address: Address) -> Option<Address> {
        let bits = v4_bits(address)?;
        if self.is_well_known() && is_private(bits) {
            return None;
        }
        let placed = u128::from(bits) << (96 - u32::from(length(&self.prefix)));
        v6(self.prefix.bits() | if self.skips_octet() { skip_octet(placed) } else { placed })
    }

    /// The IPv4 address in an IPv6 address; `None` if the address is not behind the prefix. Bits behind the IPv4
    /// address and the octet between its parts are not looked at (RFC 6052 section 2.2).
    #[must_use]
    pub fn extract(&self, address: Address) -> Option<Address> {
        let bits = v6_bits(address).filter(|_| self.prefix.contains(address))?;
        let closed = if self.skips_octet() { close_octet(bits) } else { bits };
        let found = (closed >> (96 - u32::from(length(&self.prefix)))) as u32;
        (!(self.is_well_known() && is_private(found))).then(|| v4(found))
    }

    /// Is it `64:ff9b::/96`?
    #[must_use]
    pub fn is_well_known(&self) -> bool {
        self.prefix.bits() == WELL_KNOWN && self.prefix.length() == 96
    }

    /// With all but the longest prefix the IPv4 address would reach over the bits 64 to 71, or begin there.
    const fn skips_octet(&self) -> bool {
        self.prefix.length() < 96
    }
}

/// Moves what stands from bit 64 on behind the octet that stays zero.
const fn skip_octet(bits: u128) -> u128 {
    let (high, low) = ((bits >> 64) as u64, bits as u64);
    (high as u128) << 64 | (low >> 8) as u128
}

const fn close_octet(bits: u128) -> u128 {
    let (high, low) = ((bits >> 64) as u64, bits as u64);
    (high as u128) << 64 | (low << 8) as u128
}

/// Addresses that mean another host in every network, or none at all: private, shared, loopback, link-local,
/// "this network", protocol assignments (RFC 6890 section 2.2.2).
///
/// RFC 6052 section 3.1 names the documentation and benchmarking ranges too. They are let through: they stand
/// for global addresses wherever they are used.
fn is_private(bits: u32) -> bool {
    let address = Ipv4Addr::from_bits(bits);
    let [a, b, c, _] = address.octets();
    a == 0
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || (a == 100 && b & 0xc0 == 64)
        || (a, b, c) == (192, 0, 0)
}

impl fmt::Display for Embedding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.prefix.fmt(f)
    }
}
