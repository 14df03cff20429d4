//! IP headers that Shunt writes (RFC 791, RFC 8200), and the numbers that stand in them.

pub mod numbers;

pub use numbers::*;

use core::net::{Ipv4Addr, Ipv6Addr};

use crate::bytes::{array_at, put};
use crate::checksum::{Sum, checksum};
use crate::{Address, Family};

/// An IPv4 header without options (RFC 791 section 3.1).
pub const V4_HEADER_LEN: usize = 20;
/// An IPv6 header without extension headers (RFC 8200 section 3).
pub const V6_HEADER_LEN: usize = 40;
/// An IPv6 fragment header (RFC 8200 section 4.5).
pub const FRAGMENT_HEADER_LEN: usize = 8;
/// The hop limit of what Shunt sends itself (RFC 1700, IP time to live parameter).
pub const DEFAULT_HOP_LIMIT: u8 = 64;
/// Every IPv6 link carries packets of this length (RFC 8200 section 5).
pub const V6_MIN_MTU: u16 = 1280;

/// A header without options that starts a datagram of Shunt's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) source: Address,
    /// Of the family of the source.
    pub(crate) destination: Address,
    pub(crate) protocol: u8,
    pub(crate) traffic_class: u8,
    /// 20 bits; IPv6 only.
    pub(crate) flow_label: u32,
    pub(crate) hop_limit: u8,
    /// IPv4 only: routers may fragment it, under this identification.
    pub(crate) may_fragment: Option<u16>,
}

impl Header {
    /// From Shunt itself, of no special class.
    pub(crate) const fn new(source: Address, destination: Address, protocol: u8) -> Self {
        Self {
            source,
            destination,
            protocol,
            traffic_class: 0,
            flow_label: 0,
            hop_limit: DEFAULT_HOP_LIMIT,
            may_fragment: None,
        }
    }

    /// Writes the header at the start of `bytes`, in front of `payload_len` bytes. None, and nothing
    /// done, if there is no room, or the datagram would be longer than the length field can say.
    pub(crate) fn write(&self, bytes: &mut [u8], payload_len: usize) -> Option<()> {
        match self.source.family() {
            Family::V4 => self.write_v4(bytes, payload_len),
            Family::V6 => self.write_v6(bytes, payload_len),
        }
    }

    /// The sum of the pseudo-header in front of `payload_len` bytes.
    pub(crate) const fn pseudo(&self, payload_len: usize) -> Sum {
        Sum::pseudo(self.source, self.destination, self.protocol, payload_len as u32)
    }

    fn write_v4(&self, bytes: &mut [u8], payload_len: usize) -> Option<()> {
        let total = u16::try_from(V4_HEADER_LEN + payload_len).ok()?;
        let mut header = [0; V4_HEADER_LEN];
        header[0] = 0x45;
        header[1] = self.traffic_class;
        header[2..4].copy_from_slice(&total.to_be_bytes());
        match self.may_fragment {
            Some(identification) => header[4..6].copy_from_slice(&identification.to_be_bytes()),
            // Never fragmented, neither here nor on the way, so that its identification, zero, means nothing
            // (RFC 6864 section 4.1).
            None => header[6] = 0x40,
        }
        header[8] = self.hop_limit;
        header[9] = self.protocol;
        header[12..16].copy_from_slice(&v4_octets(self.source));
        header[16..20].copy_from_slice(&v4_octets(self.destination));
        let check = checksum(&header);
        header[10..12].copy_from_slice(&check.to_be_bytes());
        put(bytes, 0, header)
    }

    fn write_v6(&self, bytes: &mut [u8], payload_len: usize) -> Option<()> {
        let len = u16::try_from(payload_len).ok()?;
        let first = 6 << 28 | u32::from(self.traffic_class) << 20 | (self.flow_label & 0xf_ffff);
        let mut header = [0; V6_HEADER_LEN];
        header[..4].copy_from_slice(&first.to_be_bytes());
        header[4..6].copy_from_slice(&len.to_be_bytes());
        header[6] = self.protocol;
        header[7] = self.hop_limit;
        header[8..24].copy_from_slice(&self.source.octets());
        header[24..40].copy_from_slice(&self.destination.octets());
        put(bytes, 0, header)
    }
}

/// The length of the header that [`Header::write`] writes.
pub(crate) const fn header_len(family: Family) -> usize {
    match family {
        Family::V4 => V4_HEADER_LEN,
        Family::V6 => V6_HEADER_LEN,
    }
}

/// The addresses of the header at the start of `bytes`: source and destination.
#[must_use]
pub fn addresses(bytes: &[u8], family: Family) -> Option<(Address, Address)> {
    Some(match family {
        Family::V4 => (v4_address(array_at(bytes, 12)?), v4_address(array_at(bytes, 16)?)),
        Family::V6 => (v6_address(array_at(bytes, 8)?), v6_address(array_at(bytes, 24)?)),
    })
}

/// The octets of an IPv4 address.
pub(crate) const fn v4_octets(address: Address) -> [u8; 4] {
    (address.lo as u32).to_be_bytes()
}

fn v4_address(octets: [u8; 4]) -> Address {
    Ipv4Addr::from(octets).into()
}

fn v6_address(octets: [u8; 16]) -> Address {
    Ipv6Addr::from(octets).into()
}
