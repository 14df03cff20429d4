//! Addresses as two 64-bit numbers: what enters a guest in registers and fits a map key.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::Family;

/// An IPv4 or IPv6 address as one 128-bit number in network order.
///
/// IPv4 is v4-mapped (`::ffff:a.b.c.d`, RFC 4291 section 2.5.5.2). The mapping is one to one: an IPv6
/// address in that range and the IPv4 address that it maps are the same `Address`, and it is read
/// back as IPv4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct Address {
    /// The first 64 bits.
    pub hi: u64,
    /// The last 64 bits.
    pub lo: u64,
}

impl Address {
    /// The prefix `::ffff:0:0/96` of v4-mapped addresses, in the last 64 bits.
    const V4_MAPPED: u64 = 0xffff << 32;

    /// The IPv4 address, if it is one.
    #[must_use]
    pub const fn to_ipv4(self) -> Option<Ipv4Addr> {
        if self.hi == 0 && self.lo & !0xffff_ffff == Self::V4_MAPPED {
            Some(Ipv4Addr::from_bits((self.lo & 0xffff_ffff) as u32))
        } else {
            None
        }
    }

    /// The address as the standard library has it.
    #[must_use]
    pub const fn to_ip(self) -> IpAddr {
        match self.to_ipv4() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6(Ipv6Addr::from_bits((self.hi as u128) << 64 | self.lo as u128)),
        }
    }

    /// IPv4 if it is a v4-mapped address.
    #[must_use]
    pub const fn family(self) -> Family {
        if self.to_ipv4().is_some() { Family::V4 } else { Family::V6 }
    }

    /// Whether routers forward packets from and to it: it is a host's, and not of one link alone (RFC 3927 section 7,
    /// RFC 4291 section 2.5.6), nor this network, loopback, a group or reserved (RFC 1812 section 5.3.7, RFC 6890).
    #[must_use]
    #[inline(always)]
    pub const fn is_forwarded(self) -> bool {
        if self.hi == 0 && self.lo >> 32 == Self::V4_MAPPED >> 32 {
            let bits = self.lo as u32;
            return !matches!(bits >> 24, 0 | 127 | 224..) && bits >> 16 != 0xa9fe;
        }
        let unspecified_or_loopback = self.hi == 0 && self.lo <= 1;
        !unspecified_or_loopback && self.hi >> 56 != 0xff && self.hi >> 54 != 0xfe80 >> 6
    }

    /// The 16 octets in network order.
    #[must_use]
    pub const fn octets(self) -> [u8; 16] {
        ((self.hi as u128) << 64 | self.lo as u128).to_be_bytes()
    }
}

impl From<Ipv4Addr> for Address {
    fn from(v4: Ipv4Addr) -> Self {
        Self { hi: 0, lo: Self::V4_MAPPED | u64::from(v4.to_bits()) }
    }
}

impl From<Ipv6Addr> for Address {
    fn from(v6: Ipv6Addr) -> Self {
        let bits = v6.to_bits();
        Self { hi: (bits >> 64) as u64, lo: bits as u64 }
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => v4.into(),
            IpAddr::V6(v6) => v6.into(),
        }
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        address.to_ip()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ip().fmt(f)
    }
}

/// An address and a port; port 0 where the transport has none.
///
/// The flow label and the scope of an IPv6 socket address are not part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    pub address: Address,
    pub port: u16,
}

impl From<SocketAddr> for Endpoint {
    fn from(socket: SocketAddr) -> Self {
        Self { address: socket.ip().into(), port: socket.port() }
    }
}

impl From<Endpoint> for SocketAddr {
    fn from(endpoint: Endpoint) -> Self {
        Self::new(endpoint.address.to_ip(), endpoint.port)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::from(*self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    #[test]
    fn ipv4_is_v4_mapped() {
        let address = Address::from(Ipv4Addr::new(192, 0, 2, 7));
        assert_eq!(address, Address { hi: 0, lo: 0x0000_ffff_c000_0207 });
        assert_eq!(address.octets(), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 7]);
        assert_eq!(address.to_string(), "192.0.2.7");
    }

    #[test]
    fn a_mapped_ipv6_address_is_the_ipv4_address() {
        let mapped = Address::from(Ipv4Addr::new(192, 0, 2, 7).to_ipv6_mapped());
        assert_eq!(mapped, Address::from(Ipv4Addr::new(192, 0, 2, 7)));
    }

    #[test]
    fn the_neighbours_of_the_mapped_range_are_ipv6() {
        for lo in [0xfffe_ffff_ffff, 0x1_0000_0000_0000] {
            assert_eq!(Address { hi: 0, lo }.to_ipv4(), None);
        }
        assert_eq!(Address { hi: 1, lo: 0xffff_0000_0000 }.to_ipv4(), None);
    }

    proptest! {
        #[test]
        fn an_ipv4_address_comes_back(bits: u32) {
            let ip = IpAddr::V4(Ipv4Addr::from_bits(bits));
            prop_assert_eq!(Address::from(ip).to_ip(), ip);
        }

        #[test]
        fn an_ipv6_address_comes_back(bits: u128) {
            let v6 = Ipv6Addr::from_bits(bits);
            prop_assert_eq!(Address::from(v6).to_ip(), IpAddr::V6(v6).to_canonical());
            prop_assert_eq!(Address::from(v6).octets(), v6.octets());
        }

        #[test]
        fn an_endpoint_comes_back(bits: u128, port: u16) {
            let socket = SocketAddr::new(IpAddr::V6(Ipv6Addr::from_bits(bits)).to_canonical(), port);
            prop_assert_eq!(SocketAddr::from(Endpoint::from(socket)), socket);
        }
    }
}
