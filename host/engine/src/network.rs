//! The network as the kernel knows it, as values: interfaces, neighbours, routes.
//!
//! Who follows the kernel builds a [`Network`] and gives the datapath a new one when something
//! changed. Nothing here asks the kernel: what is not known is said to be so ([`NextHop`]).

mod prefix;
mod routes;
#[cfg(test)]
mod tests;

pub use prefix::Prefix;
pub use routes::{Hop, Route};

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use shunt_wire::Address;
use shunt_wire::ethernet::Mac;

use routes::Routes;

/// An Ethernet interface, or a VLAN on one; or a TUN, whose datagrams bear an Ethernet header with MACs of
/// zeros here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The kernel's number of it.
    pub index: u32,
    pub name: Arc<str>,
    pub mac: Mac,
    /// The largest IP datagram that it carries, in bytes.
    pub mtu: u16,
    /// Its own addresses, each with the length of the prefix that is on link, in bits.
    pub addresses: Vec<(Address, u8)>,
    /// Set where this is a VLAN: frames leave tagged, by the parent.
    pub vlan: Option<Vlan>,
    /// There is one station at the other end, which takes everything: nobody has a MAC, and nobody is asked
    /// for one.
    pub point_to_point: bool,
}

/// Where the frames of a VLAN travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vlan {
    /// The interface that carries it.
    pub parent: u32,
    /// 1 to 4094.
    pub id: u16,
}

/// Everything that is known of the network at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    interfaces: BTreeMap<u32, Interface>,
    /// Interfaces that are VLANs, by their place on others.
    vlans: BTreeMap<(u32, u16), u32>,
    neighbours: BTreeMap<(u32, Address), Mac>,
    routes: Routes,
}

/// The way to the next hop: how a frame leaves, and who takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via {
    /// The interface that frames are sent by.
    pub interface: u32,
    /// The interface that neighbours are asked on: the VLAN, where there is one.
    pub link: u32,
    /// The VLAN that frames are tagged with.
    pub vlan: Option<u16>,
    pub source_mac: Mac,
    /// The largest IP datagram that fits, in bytes.
    pub mtu: u16,
    /// Whose MAC is needed: the gateway, or the destination where it is on link.
    pub neighbour: Address,
    /// The neighbour is the destination itself.
    pub on_link: bool,
}

/// What is known of the way to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextHop {
    Known(Via, Mac),
    /// The kernel has to ask for the neighbour's MAC.
    NeedsSolicitation(Via),
    NoRoute,
}

impl Interface {
    /// Is an address of a prefix that is on this link?
    #[must_use]
    pub fn has_on_link(&self, address: Address) -> bool {
        let prefixes = self.addresses.iter().filter_map(|(own, length)| Prefix::new(*own, *length));
        prefixes.into_iter().any(|prefix| prefix.contains(address))
    }
}

impl Network {
    /// The next hop on the way to `destination`, by its longest prefix.
    #[must_use]
    pub fn next_hop(&self, destination: Address) -> NextHop {
        let Some(via) = self.via(destination) else { return NextHop::NoRoute };
        if self.interface(via.link).is_some_and(|link| link.point_to_point) {
            return NextHop::Known(via, Mac::default());
        }
        match self.neighbours.get(&(via.link, via.neighbour)) {
            Some(mac) => NextHop::Known(via, *mac),
            None => NextHop::NeedsSolicitation(via),
        }
    }

    #[must_use]
    pub fn interface(&self, index: u32) -> Option<&Interface> {
        self.interfaces.get(&index)
    }

    pub fn interfaces(&self) -> impl Iterator<Item = &Interface> {
        self.interfaces.values()
    }

    #[must_use]
    pub fn neighbour(&self, link: u32, address: Address) -> Option<Mac> {
        self.neighbours.get(&(link, address)).copied()
    }

    /// The interface that a frame belongs to which came in by `index` with this tag: the VLAN where
    /// there is one, else the interface itself.
    #[must_use]
    pub fn link(&self, index: u32, vlan: Option<u16>) -> u32 {
        vlan.and_then(|id| self.vlans.get(&(index, id))).copied().unwrap_or(index)
    }

    /// The address that Shunt speaks from toward `peer` on an interface: one that shares a prefix
    /// with it, else the first of its family.
    ///
    /// Link-local addresses mean nothing past the link, and are never taken (RFC 3927 section 2.7, RFC 4291
    /// section 2.5.6).
    #[must_use]
    pub fn own_address(&self, link: u32, peer: Address) -> Option<Address> {
        let usable = |address: &Address| {
            address.family() == peer.family()
                && match address.to_ip() {
                    IpAddr::V4(own) => !own.is_link_local(),
                    IpAddr::V6(own) => !own.is_unicast_link_local(),
                }
        };
        let own = &self.interfaces.get(&link)?.addresses;
        let mut of_family = own.iter().filter(|(address, _)| usable(address));
        let shared = of_family
            .clone()
            .find(|(address, length)| Prefix::new(*address, *length).is_some_and(|it| it.contains(peer)));
        shared.or_else(|| of_family.next()).map(|(address, _)| *address)
    }

    /// Adds an interface, or replaces what was known of it.
    pub fn set_interface(&mut self, interface: Interface) {
        self.forget_interface(interface.index);
        if let Some(Vlan { parent, id }) = interface.vlan {
            self.vlans.insert((parent, id), interface.index);
        }
        self.interfaces.insert(interface.index, interface);
    }

    /// Forgets an interface and its neighbours. Routes by it lead nowhere until it is back.
    pub fn remove_interface(&mut self, index: u32) {
        self.forget_interface(index);
        self.neighbours.retain(|(link, _), _| *link != index);
    }

    fn forget_interface(&mut self, index: u32) {
        let vlan = self.interfaces.remove(&index).and_then(|interface| interface.vlan);
        if let Some(Vlan { parent, id }) = vlan
            && self.vlans.get(&(parent, id)) == Some(&index)
        {
            self.vlans.remove(&(parent, id));
        }
    }

    /// Learns a neighbour's MAC.
    pub fn set_neighbour(&mut self, link: u32, address: Address, mac: Mac) {
        self.neighbours.insert((link, address), mac);
    }

    /// Forgets a neighbour: it is gone, or does not answer.
    pub fn remove_neighbour(&mut self, link: u32, address: Address) {
        self.neighbours.remove(&(link, address));
    }

    /// Adds a route. Several of one prefix may stand beside each other: the lowest metric counts, and
    /// among equal ones the destination decides.
    pub fn add_route(&mut self, route: Route) {
        self.routes.add(route);
    }

    /// Removes the route that equals this one.
    pub fn remove_route(&mut self, route: &Route) {
        self.routes.remove(route);
    }

    /// The way to a neighbour on a link, whatever the routes say.
    #[must_use]
    pub fn on_link(&self, link: u32, neighbour: Address) -> Option<Via> {
        self.by(&Hop { gateway: None, interface: link }, neighbour)
    }

    fn via(&self, destination: Address) -> Option<Via> {
        self.by(&self.routes.find(destination)?, destination)
    }

    fn by(&self, hop: &Hop, destination: Address) -> Option<Via> {
        let link = self.interfaces.get(&hop.interface)?;
        let (carrier, vlan) = match link.vlan {
            Some(Vlan { parent, id }) => (self.interfaces.get(&parent)?, Some(id)),
            None => (link, None),
        };
        Some(Via {
            interface: carrier.index,
            link: link.index,
            vlan,
            source_mac: link.mac,
            mtu: link.mtu,
            neighbour: hop.gateway.unwrap_or(destination),
            on_link: hop.gateway.is_none(),
        })
    }
}
