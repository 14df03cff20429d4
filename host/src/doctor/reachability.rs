//! Routes to members and back.

use std::collections::BTreeSet;
use std::net::IpAddr;

use shunt_engine::datapath::ModeName;
use shunt_engine::network::{NextHop, Via};
use shunt_sys::netlink::Neighbour;
use shunt_wire::Address;

use super::{Facts, Finding};
use shunt_config::model::{Config, Member, PacketVirtual};

pub(super) fn check(config: &Config, facts: &Facts, findings: &mut Vec<Finding>) {
    for virtual_ in &config.packet_virtuals {
        let pool = virtual_.pool.as_ref();
        let pool = pool.and_then(|name| config.pools.iter().find(|pool| pool.name == *name));
        let Some(pool) = pool else { continue };
        let mut reached = Vec::new();
        for member in &pool.members {
            match way(virtual_, member, facts) {
                Ok(via) => reached.push((member, via)),
                Err(finding) => findings.push(finding),
            }
        }
        if reached.len() == pool.members.len() {
            let about = format!("virtual {}", virtual_.name);
            findings.push(Finding::good(about, format!("every member of {} is reachable", pool.name)));
        }
        let vias: Vec<Via> = reached.iter().map(|(_, via)| *via).collect();
        findings.extend(answers_come_in(virtual_, &vias, facts));
        findings.extend(tunnels_fit(virtual_, &reached, facts));
    }
    findings.extend(forwarding(config, facts));
}

/// The way to one member, or what is wrong with it.
fn way(virtual_: &PacketVirtual, member: &Member, facts: &Facts) -> Result<Via, Finding> {
    let (about, address) = (format!("virtual {}", virtual_.name), member.address.ip());
    let via = match facts.network.next_hop(address.into()) {
        NextHop::Known(via, _) | NextHop::NeedsSolicitation(via) => via,
        NextHop::NoRoute => {
            let found = format!("there is no route to member {address}");
            return Err(Finding::failed(
                about,
                found,
                format!("add a route; `ip route get {address}` shows the present one"),
            ));
        }
    };
    let neighbour = via.neighbour.to_ip();
    if facts.state.neighbours.get(&(via.link, neighbour)) == Some(&Neighbour::Failed) {
        let who = if neighbour == address {
            "member".to_owned()
        } else {
            format!("gateway {neighbour} toward member")
        };
        let asks = if neighbour.is_ipv4() { "ARP" } else { "neighbour discovery" };
        let found = format!("{who} {address} does not answer {asks}");
        return Err(Finding::failed(
            about,
            found,
            "look whether it is up, and in the VLAN that it should be in",
        ));
    }
    if matches!(virtual_.mode, ModeName::L2dsr | ModeName::Route) && !via.on_link {
        let mode = virtual_.mode.as_str();
        let found = format!(
            "mode {mode} needs member {address} on a segment of this host, and a router is between them"
        );
        let remedy = "move the member to a segment of this host, or choose another mode";
        return Err(Finding::failed(about, found, remedy));
    }
    if virtual_.mode.is_tunnel() && facts.network.own_address(via.link, address.into()).is_none() {
        let name = interface_name(facts, via.link);
        let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
        let found = format!("{name}, toward member {address}, has no {family} address to send a tunnel from");
        return Err(Finding::failed(about, found, format!("give it one: `ip address add … dev {name}`")));
    }
    Ok(via)
}

/// Answers that pass through Shunt must come in where it takes them.
fn answers_come_in(virtual_: &PacketVirtual, vias: &[Via], facts: &Facts) -> Vec<Finding> {
    if !virtual_.mode.is_two_way() {
        return Vec::new();
    }
    let links: BTreeSet<String> = vias.iter().map(|via| interface_name(facts, via.link)).collect();
    let missing = links.into_iter().filter(|name| !virtual_.interfaces.contains(name));
    missing
        .map(|name| {
            Finding::failed(
                format!("virtual {}", virtual_.name),
                format!("members reply through {name}, which is not in the virtual's `interfaces`"),
                format!("add \"{name}\" to its `interfaces`"),
            )
        })
        .collect()
}

/// A full packet of a client, in its outer header, must fit the path to the member.
fn tunnels_fit(virtual_: &PacketVirtual, reached: &[(&Member, Via)], facts: &Facts) -> Option<Finding> {
    let outer = |address: IpAddr| if address.is_ipv4() { 20 } else { 40 };
    // RFC 2784 section 2: 4 bytes without options. GUE: a UDP header, and 4 bytes of its own.
    let inner = match virtual_.mode {
        ModeName::L3dsrIpip => 0,
        ModeName::L3dsrGre => 4,
        ModeName::L3dsrGue => 8 + 4,
        ModeName::Nat | ModeName::Snat | ModeName::Route | ModeName::L2dsr | ModeName::L3dsrDscp => {
            return None;
        }
    };
    let clients = virtual_
        .interfaces
        .iter()
        .filter_map(|name| facts.state.links.values().find(|link| link.name == *name).map(|link| link.mtu));
    let largest = clients.max()?;
    let rooms = reached.iter().map(|(member, via)| {
        let overhead = outer(member.address.ip()) + inner;
        (u32::from(via.mtu).saturating_sub(overhead), overhead, *via)
    });
    let (room, overhead, via) = rooms.min_by_key(|(room, ..)| *room)?;
    let about = format!("virtual {}", virtual_.name);
    if room >= largest {
        return Some(Finding::good(about, format!("packets of {largest} bytes fit its tunnels")));
    }
    let (name, needed) = (interface_name(facts, via.link), largest + overhead);
    // 40: the IPv4 and TCP headers; 60 with IPv6.
    let headers = if virtual_.listen.is_ipv4() { 40 } else { 60 };
    Some(Finding::note(
        about,
        format!(
            "clients may send packets of {largest} bytes, and its tunnels over {name} have room for {room}"
        ),
        format!(
            "`ip link set dev {name} mtu {needed}` on all links to the members, or make members announce a smaller MSS: \
             `ip route change default via … advmss {}` (an MSS clamp here would limit the other direction)",
            room.saturating_sub(headers)
        ),
    ))
}

/// Members whose gateway is this host send other things than answers too.
fn forwarding(config: &Config, facts: &Facts) -> Vec<Finding> {
    let nat = |is_v4: bool| {
        let of_family = config.packet_virtuals.iter().filter(move |it| it.listen.is_ipv4() == is_v4);
        of_family.filter(|it| it.mode == ModeName::Nat).map(|it| it.name.as_str()).collect::<Vec<_>>()
    };
    let families = [
        (nat(true), "net/ipv4/ip_forward", "net.ipv4.ip_forward"),
        (nat(false), "net/ipv6/conf/all/forwarding", "net.ipv6.conf.all.forwarding"),
    ];
    let closed = families
        .into_iter()
        .filter(|(virtuals, path, _)| !virtuals.is_empty() && facts.sysctl(path) == Some("0"));
    closed
        .map(|(virtuals, _, name)| {
            Finding::note(
                format!("virtual {}", virtuals.join(", ")),
                format!(
                    "{name} is 0: this host does not forward what members send besides replies (DNS, updates)"
                ),
                format!("`sysctl -w {name}=1` if this host is also their router"),
            )
        })
        .collect()
}

fn interface_name(facts: &Facts, index: u32) -> String {
    facts.state.links.get(&index).map_or_else(|| index.to_string(), |link| link.name.clone())
}

/// Whether neighbours by the routes to these members can ask for an address.
pub(super) fn is_on_link(address: IpAddr, vias: &[Via], facts: &Facts) -> bool {
    let shares = |via: &Via| {
        facts.network.interface(via.link).is_some_and(|interface| {
            interface.addresses.iter().any(|(own, length)| {
                shunt_engine::network::Prefix::new(*own, *length)
                    .is_some_and(|prefix| prefix.contains(Address::from(address)))
            })
        })
    };
    vias.iter().all(shares)
}
