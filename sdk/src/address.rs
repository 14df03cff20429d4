//! Addresses: the contract's two numbers to and from Rust's types, and prefixes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::bindings::types::{Address, Endpoint};

/// A range of addresses in CIDR form, such as `192.0.2.0/24` or `2001:db8::/32`. A
/// single address is a prefix of full length.
///
/// As a field of the settings it is written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prefix {
    address: IpAddr,
    len: u8,
}

impl Prefix {
    /// Whether the address lies in the range. IPv4 and IPv6 never match each other.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let apart = own.to_bits() ^ other.to_bits();
                apart.checked_shr(32 - u32::from(self.len)).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let apart = own.to_bits() ^ other.to_bits();
                apart.checked_shr(128 - u32::from(self.len)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// The text is not a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrefixError;

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected an address or a prefix such as 192.0.2.0/24")
    }
}

impl std::error::Error for PrefixError {}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (address, len) = match text.split_once('/') {
            Some((address, len)) => (address, Some(len)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| PrefixError)?;
        let full = if address.is_ipv4() { 32 } else { 128 };
        let len = match len {
            // `parse` would take a sign.
            Some(len) if len.bytes().all(|b| b.is_ascii_digit()) => len.parse().map_err(|_| PrefixError)?,
            Some(_) => return Err(PrefixError),
            None => full,
        };
        if len > full { Err(PrefixError) } else { Ok(Prefix { address, len }) }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.len)
    }
}

/// The contract has IPv4 addresses as v4-mapped ones (RFC 4291 section 2.5.5.2).
pub(crate) fn from_endpoint(endpoint: Endpoint) -> SocketAddr {
    let Endpoint { address: Address { hi, lo }, port } = endpoint;
    let ip = if hi == 0 && lo >> 32 == 0xffff {
        IpAddr::V4(Ipv4Addr::from_bits(lo as u32))
    } else {
        IpAddr::V6(Ipv6Addr::from_bits(u128::from(hi) << 64 | u128::from(lo)))
    };
    SocketAddr::new(ip, port)
}

pub(crate) fn to_address(address: IpAddr) -> Address {
    let ip = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    let bits = ip.to_bits();
    Address { hi: (bits >> 64) as u64, lo: bits as u64 }
}

pub(crate) fn to_endpoint(address: SocketAddr) -> Endpoint {
    Endpoint { address: to_address(address.ip()), port: address.port() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_prefix_holds_its_range_and_nothing_else() {
        let office = prefix("192.0.2.64/26");
        assert!(office.contains(ip("192.0.2.64")));
        assert!(office.contains(ip("192.0.2.127")));
        assert!(!office.contains(ip("192.0.2.128")));
        assert!(!office.contains(ip("::ffff:192.0.2.64")), "families never match each other");
        assert!(prefix("2001:db8::/33").contains(ip("2001:db8:7fff::1")));
        assert!(!prefix("2001:db8::/33").contains(ip("2001:db8:8000::1")));
    }

    #[test]
    fn the_longest_and_the_shortest_prefix() {
        assert!(prefix("192.0.2.7").contains(ip("192.0.2.7")));
        assert!(!prefix("192.0.2.7").contains(ip("192.0.2.6")));
        assert!(prefix("0.0.0.0/0").contains(ip("255.255.255.255")));
        assert!(prefix("::/0").contains(ip("ffff::1")));
        assert!(prefix("::1").contains(ip("::1")));
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
        for text in ["", "192.0.2.0/33", "::/129", "192.0.2.0/", "192.0.2.0/+8", "192.0.2/24", "/8", "a/8"] {
            assert_eq!(text.parse::<Prefix>(), Err(PrefixError), "{text}");
        }
    }

    #[test]
    fn addresses_survive_the_way_through_the_contract() {
        for text in ["192.0.2.7:80", "0.0.0.0:0", "[2001:db8::1]:443", "[::]:0"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(from_endpoint(to_endpoint(address)), address);
        }
        let wire = to_endpoint("192.0.2.7:80".parse().unwrap());
        assert_eq!((wire.address.hi, wire.address.lo), (0, 0xffff_c000_0207));
    }
}
