//! Where the headers of a frame are.

use crate::{Address, ethernet, ip};

/// The version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Family {
    V4 = 4,
    V6 = 6,
}

impl Family {
    /// The address that is no host's (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.2).
    #[must_use]
    pub const fn unspecified(self) -> Address {
        match self {
            Self::V4 => Address { hi: 0, lo: 0xffff << 32 },
            Self::V6 => Address { hi: 0, lo: 0 },
        }
    }
}

/// Where things are in a frame, in bytes from its start, said by who read the frame and checked its
/// lengths once. Whatever is given a layout of another frame refuses it or writes nonsense into that
/// frame, and never reaches beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Layout {
    /// The IP header.
    pub l3: u16,
    /// What follows the IP header with its options or extension headers: the transport header.
    pub l4: u16,
    /// The end of the IP datagram. Ethernet padding may follow.
    pub end: u16,
    pub family: Family,
    /// What stands at `l4`: the protocol of the IPv4 header, or the next header of the last extension
    /// header.
    pub protocol: u8,
    pub part: Part,
}

/// How much of an IP packet a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Part {
    /// All of it.
    Whole,
    /// The first fragment: with the transport header, but not all that its checksum covers.
    First,
    /// Another fragment: there is no transport header at [`Layout::l4`].
    Later,
}

impl Layout {
    /// The length of the IP datagram.
    #[must_use]
    pub const fn datagram_len(&self) -> u16 {
        self.end.saturating_sub(self.l3)
    }

    /// Does a transport header stand at [`Layout::l4`]?
    #[must_use]
    pub const fn has_transport(&self) -> bool {
        !matches!(self.part, Part::Later)
    }

    /// Are the headers that a rewrite touches behind an Ethernet header, in order, and wholly before `end`?
    #[must_use]
    pub(crate) const fn holds_headers(&self) -> bool {
        let network = ip::header_len(self.family);
        let transport = if self.has_transport() { transport_len(self.protocol) } else { 0 };
        self.l3 as usize >= ethernet::HEADER_LEN
            && self.l3 as usize + network <= self.l4 as usize
            && self.l4 as usize + transport <= self.end as usize
    }
}

/// The length of a transport header without options.
const fn transport_len(protocol: u8) -> usize {
    match protocol {
        ip::TCP => 20,
        ip::UDP | ip::ICMP | ip::ICMPV6 => 8,
        _ => 0,
    }
}
