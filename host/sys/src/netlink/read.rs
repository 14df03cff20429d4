//! What messages of rtnetlink(7) say.

use std::net::IpAddr;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteNextHop, RouteNextHopFlags,
    RouteType, RouteVia,
};
use shunt_wire::Mac;

use super::state::{Hop, InterfaceAddress, Link, Neighbour, Route, Vlan};

pub(super) fn link(message: &LinkMessage) -> Option<Link> {
    let flags = message.header.flags;
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        mac: Mac([0; 6]),
        mtu: 0,
        up: flags.contains(LinkFlags::Up | LinkFlags::Running),
        vlan: None,
        tun: false,
    };
    let (mut parent, mut id) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Address(bytes) => link.mac = mac(bytes).unwrap_or(link.mac),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Link(index) => parent = Some(*index),
            LinkAttribute::LinkInfo(infos) => {
                id = vlan_id(infos);
                link.tun = infos.contains(&LinkInfo::Kind(InfoKind::Tun));
            }
            _ => {}
        }
    }
    if let (Some(parent), Some(id)) = (parent, id) {
        link.vlan = Some(Vlan { parent, id });
    }
    // A TAP is of the same kind; it carries Ethernet frames, and has a MAC.
    link.tun &= link.mac == Mac([0; 6]);
    // Every interface has a name; a message without one is about something else of it.
    (!link.name.is_empty()).then_some(link)
}

pub(super) fn address(message: &AddressMessage) -> Option<InterfaceAddress> {
    let find = |wanted: fn(&AddressAttribute) -> Option<IpAddr>| message.attributes.iter().find_map(wanted);
    // Where a link has two ends, `Address` is the other end (linux/if_addr.h).
    let local = find(|attribute| match attribute {
        AddressAttribute::Local(ip) => Some(*ip),
        _ => None,
    });
    let address = find(|attribute| match attribute {
        AddressAttribute::Address(ip) => Some(*ip),
        _ => None,
    });
    let header = &message.header;
    Some(InterfaceAddress { interface: header.index, address: local.or(address)?, prefix: header.prefix_len })
}

pub(super) fn neighbour(message: &NeighbourMessage) -> Option<((u32, IpAddr), Neighbour)> {
    let (mut address, mut station) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => address = Some(IpAddr::V4(*ip)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => address = Some(IpAddr::V6(*ip)),
            NeighbourAttribute::LinkLayerAddress(bytes) => station = mac(bytes),
            _ => {}
        }
    }
    // Bridges tell of their ports by the same message.
    if !matches!(message.header.family, AddressFamily::Inet | AddressFamily::Inet6) {
        return None;
    }
    let known = |stale| station.map_or(Neighbour::Asked, |mac| Neighbour::Known { mac, stale });
    let neighbour = match message.header.state {
        NeighbourState::Failed => Neighbour::Failed,
        NeighbourState::Incomplete | NeighbourState::None => Neighbour::Asked,
        NeighbourState::Stale => known(true),
        _ => known(false),
    };
    Some(((message.header.ifindex, address?), neighbour))
}

/// A route of the main table; none of another table, or of a type that says nothing about where packets
/// go.
pub(super) fn route(message: &RouteMessage) -> Option<Route> {
    let header = &message.header;
    let mut table = u32::from(header.table);
    let (mut destination, mut metric) = (None, 0);
    let mut single = Hop { interface: 0, gateway: None };
    let mut hops = Vec::new();
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Destination(address) => destination = ip(address),
            RouteAttribute::Priority(priority) => metric = *priority,
            RouteAttribute::Oif(interface) => single.interface = *interface,
            RouteAttribute::MultiPath(several) => hops.extend(several.iter().filter_map(next_hop)),
            other => single.gateway = gateway(other).or(single.gateway),
        }
    }
    let in_main = table == u32::from(RouteHeader::RT_TABLE_MAIN);
    // Clones are what the kernel remembers of single destinations (RTM_F_CLONED).
    if !in_main || header.flags.contains(RouteFlags::Cloned) {
        return None;
    }
    let everything = || match header.address_family {
        AddressFamily::Inet => Some(IpAddr::from([0; 4])),
        AddressFamily::Inet6 => Some(IpAddr::from([0; 16])),
        _ => None,
    };
    match header.kind {
        RouteType::Unicast => {
            let dead = RouteFlags::Dead | RouteFlags::Linkdown;
            if single.interface != 0 && !header.flags.intersects(dead) {
                hops.push(single);
            }
        }
        RouteType::BlackHole | RouteType::Unreachable | RouteType::Prohibit => hops.clear(),
        _ => return None,
    }
    let destination = destination.or_else(everything)?;
    Some(Route { destination, prefix: header.destination_prefix_length, metric, hops })
}

fn next_hop(hop: &RouteNextHop) -> Option<Hop> {
    let dead = RouteNextHopFlags::Dead | RouteNextHopFlags::Linkdown;
    let gateway = hop.attributes.iter().find_map(gateway);
    (!hop.flags.intersects(dead)).then_some(Hop { interface: hop.interface_index, gateway })
}

fn gateway(attribute: &RouteAttribute) -> Option<IpAddr> {
    match attribute {
        RouteAttribute::Gateway(address) => ip(address),
        RouteAttribute::Via(RouteVia::Inet(v4)) => Some(IpAddr::V4(*v4)),
        RouteAttribute::Via(RouteVia::Inet6(v6)) => Some(IpAddr::V6(*v6)),
        _ => None,
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        RouteAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        _ => None,
    }
}

fn mac(bytes: &[u8]) -> Option<Mac> {
    bytes.try_into().ok().map(Mac)
}

fn vlan_id(infos: &[LinkInfo]) -> Option<u16> {
    let data = infos.iter().find_map(|info| match info {
        LinkInfo::Data(InfoData::Vlan(vlan)) => Some(vlan),
        _ => None,
    })?;
    data.iter().find_map(|attribute| match attribute {
        InfoVlan::Id(id) => Some(*id),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
