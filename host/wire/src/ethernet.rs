//! Ethernet II headers, and one 802.1Q tag that is kept as it is.

use core::fmt;
use core::net::Ipv6Addr;

use crate::Frame;
use crate::bytes::{array_at, put};
use crate::names;

/// Destination, source and type.
pub const HEADER_LEN: usize = 14;
/// What a VLAN tag adds in front of the type (IEEE 802.1Q section 9).
pub const VLAN_LEN: usize = 4;

/// A 48-bit Ethernet address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// To more than one station; broadcast is one of these (IEEE 802 section 8.2.2).
    #[must_use]
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Where a multicast IPv6 address is sent: `33:33` and its last 32 bits (RFC 2464 section 7).
    #[must_use]
    pub const fn of_multicast(address: Ipv6Addr) -> Self {
        let [.., a, b, c, d] = address.octets();
        Self([0x33, 0x33, a, b, c, d])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// What stands behind an Ethernet header or a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct EtherType(pub u16);

impl EtherType {
    pub const IPV4: Self = Self(names::ETHERTYPE_IPV4);
    pub const ARP: Self = Self(names::ETHERTYPE_ARP);
    pub const VLAN: Self = Self(names::ETHERTYPE_VLAN);
    pub const IPV6: Self = Self(names::ETHERTYPE_IPV6);
}

/// The destination of the frame; none if the frame is shorter than a header.
#[must_use]
pub fn destination(frame: &[u8]) -> Option<Mac> {
    array_at(frame, 0).map(Mac)
}

/// The source of the frame; none if the frame is shorter than a header.
#[must_use]
pub fn source(frame: &[u8]) -> Option<Mac> {
    array_at(frame, 6).map(Mac)
}

/// Sets both addresses. None, and nothing done, if the frame is shorter than that.
pub fn readdress(frame: &mut [u8], destination: Mac, source: Mac) -> Option<()> {
    let addresses: &mut [u8; 12] = frame.first_chunk_mut()?;
    addresses[..6].copy_from_slice(&destination.0);
    addresses[6..].copy_from_slice(&source.0);
    Some(())
}

/// Sends the frame back over the link: to its source, from what was its destination.
pub(crate) fn turn_round(frame: &mut [u8]) -> Option<()> {
    let (destination, source) = (destination(frame)?, source(frame)?);
    readdress(frame, source, destination)
}

/// Writes a header, with a tag if `vlan` (its control information) is there, at the start of an empty
/// frame, and makes the frame that long. Returns where the network header starts.
pub(crate) fn start(
    frame: &mut Frame<'_>,
    destination: Mac,
    source: Mac,
    vlan: Option<u16>,
    ether_type: EtherType,
) -> Option<usize> {
    let len = HEADER_LEN + if vlan.is_some() { VLAN_LEN } else { 0 };
    frame.set_len(len)?;
    let bytes = frame.bytes_mut();
    readdress(bytes, destination, source)?;
    if let Some(control) = vlan {
        put(bytes, 12, EtherType::VLAN.0.to_be_bytes())?;
        put(bytes, 14, control.to_be_bytes())?;
    }
    put(bytes, len - 2, ether_type.0.to_be_bytes())?;
    Some(len)
}
