//! The protocol of a flow, and its traffic.

use std::fmt;
use std::ops::AddAssign;

use shunt_wire::ip;

/// The transport protocol of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FlowProtocol {
    Tcp,
    Udp,
    /// Echo requests and their replies.
    Icmp,
    /// Another IP protocol, whose packets are known by their addresses alone.
    Other(u8),
}

impl FlowProtocol {
    /// Of an IP protocol number.
    #[must_use]
    pub const fn of(number: u8) -> Self {
        match number {
            ip::TCP => Self::Tcp,
            ip::UDP => Self::Udp,
            ip::ICMP | ip::ICMPV6 => Self::Icmp,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for FlowProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => f.pad("tcp"),
            Self::Udp => f.pad("udp"),
            Self::Icmp => f.pad("icmp"),
            Self::Other(number) => f.pad(&format!("protocol {number}")),
        }
    }
}

/// What was received in one direction, as it came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub packets: u64,
    /// Bytes of IP datagrams.
    pub bytes: u64,
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, more: Traffic) {
        self.packets += more.packets;
        self.bytes += more.bytes;
    }
}

impl Traffic {
    /// Counts one packet.
    pub const fn add(&mut self, bytes: u16) {
        self.packets += 1;
        self.bytes += bytes as u64;
    }
}
