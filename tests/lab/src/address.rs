//! Which addresses things have. The same in every lab, so that a capture reads like the last one.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Which Internet protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub const BOTH: [Family; 2] = [Family::V4, Family::V6];

    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Family::V4 => Family::V6,
            Family::V6 => Family::V4,
        }
    }

    /// The option that makes `ip`, `curl` and `ping` use it.
    #[must_use]
    pub fn option(self) -> &'static str {
        match self {
            Family::V4 => "-4",
            Family::V6 => "-6",
        }
    }

    /// Bytes of an IP header without options.
    #[must_use]
    pub fn header(self) -> u32 {
        match self {
            Family::V4 => 20,
            Family::V6 => 40,
        }
    }

    /// Bits of an address.
    #[must_use]
    pub fn bits(self) -> u8 {
        match self {
            Family::V4 => 32,
            Family::V6 => 128,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}

/// How packets get to members, by the words of Shunt's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    Nat,
    Snat,
    L2dsr,
    L3dsrDscp,
    L3dsrIpip,
    L3dsrGre,
    L3dsrGue,
}

impl Mode {
    pub const ALL: [Mode; 7] = [
        Mode::Nat,
        Mode::Snat,
        Mode::L2dsr,
        Mode::L3dsrDscp,
        Mode::L3dsrIpip,
        Mode::L3dsrGre,
        Mode::L3dsrGue,
    ];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mode::Nat => "nat",
            Mode::Snat => "snat",
            Mode::L2dsr => "l2dsr",
            Mode::L3dsrDscp => "l3dsr-dscp",
            Mode::L3dsrIpip => "l3dsr-ipip",
            Mode::L3dsrGre => "l3dsr-gre",
            Mode::L3dsrGue => "l3dsr-gue",
        }
    }

    /// Whether members answer clients themselves, from the address of the virtual.
    #[must_use]
    pub fn is_direct(self) -> bool {
        !matches!(self, Mode::Nat | Mode::Snat)
    }

    /// Bytes that the mode puts in front of a datagram, where the outer header is of this family.
    #[must_use]
    pub fn overhead(self, outer: Family) -> u32 {
        match self {
            Mode::L3dsrIpip => outer.header(),
            // A GRE header without options; UDP and a GUE header without any.
            Mode::L3dsrGre => outer.header() + 4,
            Mode::L3dsrGue => outer.header() + 8 + 4,
            Mode::Nat | Mode::Snat | Mode::L2dsr | Mode::L3dsrDscp => 0,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A network, of which every lab has some or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Where clients are.
    Clients,
    /// Where the virtuals' addresses are.
    Service,
    /// Where members are, if not on `Service`.
    Servers,
}

impl Place {
    /// The name of its segment, and of the link of each host there.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Place::Clients => "clients",
            Place::Service => "service",
            Place::Servers => "servers",
        }
    }

    pub(crate) fn number(self) -> u8 {
        match self {
            Place::Clients => 1,
            Place::Service => 2,
            Place::Servers => 3,
        }
    }

    /// The address of a station on it. IPv4 from the ranges for documentation (RFC 5737), where they suffice;
    /// IPv6 likewise (RFC 3849).
    #[must_use]
    pub fn address(self, family: Family, station: u8) -> IpAddr {
        match (family, self) {
            (Family::V4, Place::Clients) => Ipv4Addr::new(192, 0, 2, station).into(),
            (Family::V4, Place::Service) => Ipv4Addr::new(198, 51, 100, station).into(),
            (Family::V4, Place::Servers) => Ipv4Addr::new(10, 3, 0, station).into(),
            (Family::V6, place) => {
                // Station 100 is ::100, as one reads it.
                let [network, station] = [place.number(), station].map(u16::from);
                let digits = station / 100 * 0x100 + station / 10 % 10 * 0x10 + station % 10;
                Ipv6Addr::new(0x2001, 0xdb8, network, 0, 0, 0, 0, digits).into()
            }
        }
    }

    /// The same with a port.
    #[must_use]
    pub fn socket(self, family: Family, station: u8, port: u16) -> SocketAddr {
        SocketAddr::new(self.address(family, station), port)
    }

    /// The same with the length of its prefix, as `ip address add` takes it.
    pub(crate) fn interface(self, family: Family, station: u8) -> String {
        format!("{}/{}", self.address(family, station), prefix(family))
    }

    /// The network itself, as `ip route add` takes it.
    #[must_use]
    pub fn network(self, family: Family) -> String {
        format!("{}/{}", self.address(family, 0), prefix(family))
    }
}

fn prefix(family: Family) -> u8 {
    match family {
        Family::V4 => 24,
        Family::V6 => 64,
    }
}
