//! What there is in a network.

use std::collections::BTreeMap;
use std::net::IpAddr;

use shunt_wire::Mac;

/// The network of a namespace at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkState {
    /// By the kernel's number.
    pub links: BTreeMap<u32, Link>,
    /// Ordered.
    pub addresses: Vec<InterfaceAddress>,
    /// By the number of the interface, and the neighbour's address.
    pub neighbours: BTreeMap<(u32, IpAddr), Neighbour>,
    /// Those of the main table, in no order that means anything.
    pub routes: Vec<Route>,
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number of it.
    pub index: u32,
    pub name: String,
    /// All zero where it has none, as loopback and tunnels.
    pub mac: Mac,
    /// The largest IP datagram that it carries, in bytes.
    pub mtu: u32,
    /// It is switched on, and its carrier is there.
    pub up: bool,
    /// Set where it is a VLAN (802.1Q) on another interface.
    pub vlan: Option<Vlan>,
    /// Set where it is a TUN: its other end is a process, and nothing stands in front of IP datagrams.
    pub tun: bool,
}

/// Where the frames of a VLAN travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vlan {
    /// The interface that carries it.
    pub parent: u32,
    pub id: u16,
}

/// An address of this host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InterfaceAddress {
    pub interface: u32,
    pub address: IpAddr,
    /// How many first bits are on link: 32 or 128 at most.
    pub prefix: u8,
}

/// What the kernel knows of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbour {
    /// Its MAC. `stale` when it has not been confirmed for a while: it is good to use, and to be solicited,
    /// because the kernel asks only about what it uses itself.
    Known { mac: Mac, stale: bool },
    /// The kernel asks.
    Asked,
    /// It did not answer.
    Failed,
}

/// A route of the main table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub destination: IpAddr,
    /// How many first bits of the destination count: 32 or 128 at most.
    pub prefix: u8,
    /// Of routes with the same destination the lowest counts.
    pub metric: u32,
    /// Where it leads; to several by turns. None where it says that nothing goes there (unreachable,
    /// prohibit, blackhole), or all its interfaces are down.
    pub hops: Vec<Hop>,
}

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    pub interface: u32,
    /// `None`: the destination is on link. It may be of the other family.
    pub gateway: Option<IpAddr>,
}
