//! What the kernel program and user space say to each other: keys and values of the maps through which
//! the program learns whose frames are whose, and the names of what it does with a frame.
//!
//! Numbers are in the machine's own byte order on both sides. All padding is written out, so that equal
//! keys are equal bytes.

use crate::Address;

/// The map of addresses that somebody on this host has: [`Address`] to [`Owner`].
pub const ADDRESSES: &str = "ADDRESSES";
/// The map of endpoints whose packets are return traffic of what Shunt sent: [`ReturnEndpoint`] to 1.
pub const RETURN_ENDPOINTS: &str = "RETURNS";
/// The map of ends of tunnels that Shunt sends into: [`TunnelEnd`] to 1.
pub const TUNNELS: &str = "TUNNELS";
/// The map of segments: [`Segment`] to [`Takes`]. Of one that is not there, what is owned is taken.
pub const SEGMENTS: &str = "SEGMENTS";
/// The map of interfaces: index to [`Interface`].
pub const INTERFACES: &str = "INTERFACES";
/// The AF_XDP sockets, each interface's side by side: see [`Interface::first`].
pub const SOCKETS: &str = "SOCKETS";
/// How often each [`Outcome`] was, per CPU.
pub const OUTCOMES: &str = "OUTCOMES";
/// The program.
pub const PROGRAM: &str = "steer";

/// How many addresses the program can know.
pub const MAX_ADDRESSES: u32 = 1 << 16;
/// How many return endpoints the program can know; each address with one counts once more.
pub const MAX_RETURN_ENDPOINTS: u32 = 1 << 18;
/// How many ends of tunnels the program can know.
pub const MAX_TUNNELS: u32 = 1 << 18;
/// How many segments the program can know.
pub const MAX_SEGMENTS: u32 = 1 << 12;
/// How many interfaces the program can run on.
pub const MAX_INTERFACES: u32 = 64;
/// How many sockets there can be over all interfaces.
pub const MAX_SOCKETS: u32 = 1 << 12;

/// Who answers for an address of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Owner {
    /// A virtual's or a SNAT pool's: the kernel never sees its traffic.
    Shunt = 1,
    /// The kernel's own: what goes there is not Shunt's, whoever sent it.
    Host = 2,
}

/// Where return traffic comes from: a member's endpoint, of a mode in which they pass through Shunt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct ReturnEndpoint {
    address: Address,
    port: u16,
    protocol: u8,
    zero: [u8; 5],
}

impl ReturnEndpoint {
    /// The endpoint of `protocol` (an IP protocol number). Port 0 of TCP and UDP is every port. With echo
    /// replies (protocols 1 and 58), which have none, it is 0.
    #[must_use]
    pub const fn new(address: Address, port: u16, protocol: u8) -> Self {
        Self { address, port, protocol, zero: [0; 5] }
    }

    /// Any endpoint of the address: what a fragment without ports is matched with. IP protocol 0 is
    /// IPv6's hop-by-hop options, which no endpoint has.
    #[must_use]
    pub const fn any(address: Address) -> Self {
        Self::new(address, 0, 0)
    }

    /// All protocols of the address but TCP, UDP, and ICMP of both versions: those are told apart by address
    /// alone. The number 255 is reserved (IANA's assigned protocol numbers): no protocol has it.
    #[must_use]
    pub const fn other_protocols(address: Address) -> Self {
        Self::new(address, 0, 255)
    }

    /// The endpoint that stands for every port of its protocol, as a member has it that gets each packet on
    /// the port that was asked for. None of an endpoint without a port.
    #[must_use]
    pub const fn every_port(self) -> Option<Self> {
        match self.port {
            0 => None,
            _ => Some(Self { port: 0, ..self }),
        }
    }

    #[must_use]
    pub const fn address(&self) -> Address {
        self.address
    }
}

/// The far end of a tunnel: a member, and what it takes tunnelled packets by. Errors about what was sent
/// there are Shunt's, also where the outer source is an address of the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct TunnelEnd {
    address: Address,
    port: u16,
    protocol: u8,
    zero: [u8; 5],
}

impl TunnelEnd {
    /// What is in a packet of the IP protocol itself: 4 and 41 (RFC 2003, RFC 4213), 47 (GRE).
    #[must_use]
    pub const fn of_protocol(address: Address, protocol: u8) -> Self {
        Self { address, port: 0, protocol, zero: [0; 5] }
    }

    /// What is in UDP to a port, as with GUE.
    #[must_use]
    pub const fn udp(address: Address, port: u16) -> Self {
        Self { address, port, protocol: 17, zero: [0; 5] }
    }

    #[must_use]
    pub const fn address(&self) -> Address {
        self.address
    }
}

/// Frames that come in by one interface under one VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct Segment {
    interface: u32,
    vlan: u16,
    zero: [u8; 2],
}

impl Segment {
    /// The frames of an interface that the program runs on, with the VLAN that they are in; 0 is none
    /// (IEEE 802.1Q: such a tag says a priority alone).
    #[must_use]
    pub const fn new(interface: u32, vlan: u16) -> Self {
        Self { interface, vlan, zero: [0; 2] }
    }
}

/// Which frames of a segment are Shunt's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Takes {
    /// Those that have to do with addresses of Shunt's, and replies of members.
    Owned = 0,
    /// Also every packet that a router would forward: to this station's MAC, and neither to an address
    /// of the host's nor to or from one that no router forwards. An ICMP error may come from any address.
    All = 1,
}

/// An interface that the program runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Interface {
    /// The place of its queue 0 in [`SOCKETS`].
    pub first: u32,
    /// How many queues have a place there.
    pub queues: u32,
    /// Its own address: a frame to another one is a bystander's (a bridge's, a macvlan's).
    pub mac: [u8; 6],
    zero: [u8; 2],
}

impl Interface {
    #[must_use]
    pub const fn new(first: u32, queues: u32, mac: [u8; 6]) -> Self {
        Self { first, queues, mac, zero: [0; 2] }
    }
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Outcome {
    /// To the kernel: not Shunt's.
    Pass,
    /// To the kernel: shorter than its headers say.
    Unreadable,
    /// To the socket: for an address of Shunt's.
    Owned,
    /// To the socket: somebody asks for the MAC of an address of Shunt's.
    Resolution,
    /// To the socket: from a member's endpoint.
    Reply,
    /// To the socket: an ICMP error about a packet of Shunt's.
    Error,
    /// To the socket: a later fragment from a member's address.
    Fragment,
    /// To the socket: from an address of Shunt's to the host. A member that has the address as well
    /// answers a probe directly.
    Direct,
    /// To the socket: none of the above, of a segment that Shunt takes whole.
    Segment,
    /// Dropped: Shunt's, but no socket takes frames of this queue.
    NoSocket,
}

impl Outcome {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Pass,
        Self::Unreadable,
        Self::Owned,
        Self::Resolution,
        Self::Reply,
        Self::Error,
        Self::Fragment,
        Self::Direct,
        Self::Segment,
        Self::NoSocket,
    ];

    /// As counters and logs have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Unreadable => "unreadable",
            Self::Owned => "owned",
            Self::Resolution => "resolution",
            Self::Reply => "reply",
            Self::Error => "error",
            Self::Fragment => "fragment",
            Self::Direct => "direct",
            Self::Segment => "segment",
            Self::NoSocket => "no-socket",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_all_in_order() {
        for (number, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, number);
            assert_eq!(Outcome::ALL.iter().filter(|other| other.name() == outcome.name()).count(), 1);
        }
    }

    /// A hole would hold bytes that differ between equal keys.
    #[test]
    fn there_are_no_holes() {
        assert_eq!(size_of::<ReturnEndpoint>(), size_of::<Address>() + 2 + 1 + 5);
        assert_eq!(size_of::<TunnelEnd>(), size_of::<Address>() + 2 + 1 + 5);
        assert_eq!(size_of::<Segment>(), 4 + 2 + 2);
        assert_eq!(size_of::<Interface>(), 4 + 4 + 6 + 2);
    }
}
