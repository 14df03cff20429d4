//! What an IP header says, as far as steering asks.

use shunt_wire::Address;
use shunt_wire::ip::numbers::{
    DESTINATION_OPTIONS, FRAGMENT, GRE, HOP_BY_HOP, ICMP, ICMPV6, IPIP, IPV6, ROUTING, TCP, UDP,
};
use shunt_wire::names::{V4_ECHO_REPLY, V6_ECHO_REPLY};
use shunt_wire::steering::{ReturnEndpoint, TunnelEnd};

use crate::bytes::Bytes;

/// More stand in no packet that means well.
const MOST_EXTENSIONS: usize = 6;

/// The version that an Ethernet type or an ICMP error promises.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V4,
    V6,
}

/// The addresses, which every packet has.
#[derive(Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) source: Address,
    pub(crate) destination: Address,
}

/// What comes after the addresses.
#[derive(Clone, Copy)]
pub(crate) struct Transport {
    pub(crate) protocol: u8,
    /// Where its header starts, or a later fragment's data.
    pub(crate) offset: usize,
    /// A fragment that is not the first: no transport header stands here.
    pub(crate) later_fragment: bool,
}

impl Addresses {
    #[inline(always)]
    pub(crate) fn read(bytes: &Bytes<'_>, at: usize, version: Version) -> Option<Self> {
        match version {
            Version::V4 => {
                Some(Self { source: v4(bytes.u32(at + 12)?), destination: v4(bytes.u32(at + 16)?) })
            }
            Version::V6 => Some(Self { source: v6(bytes, at + 8)?, destination: v6(bytes, at + 24)? }),
        }
    }
}

impl Transport {
    #[inline(always)]
    pub(crate) fn read(bytes: &Bytes<'_>, at: usize, version: Version) -> Option<Self> {
        match version {
            Version::V4 => Self::read_v4(bytes, at),
            Version::V6 => Self::read_v6(bytes, at),
        }
    }

    /// The endpoint that a packet comes from, or that it goes to: the return endpoint that it would be. None
    /// where no return endpoint sends such packets.
    #[inline(always)]
    pub(crate) fn return_endpoint(
        &self,
        bytes: &Bytes<'_>,
        address: Address,
        end: End,
    ) -> Option<ReturnEndpoint> {
        if self.later_fragment {
            return Some(ReturnEndpoint::any(address));
        }
        let port = match self.protocol {
            TCP | UDP => bytes.u16(self.offset + end as usize)?,
            ICMP | ICMPV6 if end == End::Destination => 0,
            ICMP if bytes.u8(self.offset)? == V4_ECHO_REPLY => 0,
            ICMPV6 if bytes.u8(self.offset)? == V6_ECHO_REPLY => 0,
            ICMP | ICMPV6 => return None,
            _ => return Some(ReturnEndpoint::other_protocols(address)),
        };
        Some(ReturnEndpoint::new(address, port, self.protocol))
    }

    /// The far end of the tunnel that a packet would have gone into: None where it carries no packet.
    #[inline(always)]
    pub(crate) fn tunnel_end(&self, bytes: &Bytes<'_>, address: Address) -> Option<TunnelEnd> {
        match self.protocol {
            IPIP | IPV6 | GRE => Some(TunnelEnd::of_protocol(address, self.protocol)),
            UDP if !self.later_fragment => {
                Some(TunnelEnd::udp(address, bytes.u16(self.offset + End::Destination as usize)?))
            }
            _ => None,
        }
    }

    /// RFC 791 section 3.1.
    #[inline(always)]
    fn read_v4(bytes: &Bytes<'_>, at: usize) -> Option<Self> {
        let words = bytes.u8(at)? & 0xf;
        if words < 5 {
            return None;
        }
        let fragment = bytes.u16(at + 6)?;
        Some(Self {
            protocol: bytes.u8(at + 9)?,
            offset: at + usize::from(words) * 4,
            later_fragment: fragment & 0x1fff != 0,
        })
    }

    /// RFC 8200 section 4. The authentication header (RFC 4302) is no extension here but a protocol, as in the
    /// engine: what it protects must not change, and so is no transport to look into.
    #[inline(always)]
    fn read_v6(bytes: &Bytes<'_>, at: usize) -> Option<Self> {
        let mut transport = Self { protocol: bytes.u8(at + 6)?, offset: at + 40, later_fragment: false };
        for _ in 0..MOST_EXTENSIONS {
            let length = match transport.protocol {
                HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => {
                    (usize::from(bytes.u8(transport.offset + 1)?) + 1) * 8
                }
                FRAGMENT => {
                    // The offset stands in the upper 13 bits (RFC 8200 section 4.5).
                    transport.later_fragment = bytes.u16(transport.offset + 2)? & 0xfff8 != 0;
                    8
                }
                _ => return Some(transport),
            };
            transport.protocol = bytes.u8(transport.offset)?;
            transport.offset += length;
            if transport.later_fragment {
                break;
            }
        }
        Some(transport)
    }
}

/// Where a port stands in the headers of TCP and UDP.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Source = 0,
    Destination = 2,
}

/// v4-mapped, as [`Address`] has it.
#[inline(always)]
pub(crate) fn v4(bits: u32) -> Address {
    Address { hi: 0, lo: 0xffff << 32 | bits as u64 }
}

#[inline(always)]
pub(crate) fn v6(bytes: &Bytes<'_>, at: usize) -> Option<Address> {
    Some(Address { hi: bytes.u64(at)?, lo: bytes.u64(at + 8)? })
}
