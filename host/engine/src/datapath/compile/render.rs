//! A compiled rewrite, and next hops, as text for operators.

use shunt_wire::rewrite::{Change, Tunnel};
use shunt_wire::{Address, Endpoint, Family, FlowKey, Hop};

use super::plan::{NEVER, Path};
use crate::network::{Network, NextHop};

/// What is done to the packets of a direction, a line for each thing.
pub(in crate::datapath) fn of(key: &FlowKey, path: &Path, network: &Network) -> Vec<String> {
    let rewrite = &path.rewrite;
    let mut lines = Vec::new();
    match &rewrite.change {
        Change::None => {}
        Change::Translate(translate) => {
            readdress(&mut lines, key, translate.source(), translate.destination());
        }
        Change::TranslateFamily(cross) => readdress(&mut lines, key, cross.source(), cross.destination()),
        Change::Dscp(dscp) => {
            let (old, new) = (key.destination().address, dscp.destination());
            lines.push(format!("destination {old} becomes {new}"));
            lines.push(format!("DSCP {}, ECN kept", dscp.code_point()));
        }
        Change::Encapsulate(outer) => {
            let kind = match outer.tunnel() {
                Tunnel::Ipip => "IP".to_string(),
                Tunnel::Gre => "GRE".to_string(),
                Tunnel::Gue { source_port, destination_port } => {
                    format!("GUE from UDP port {source_port} to {destination_port}")
                }
            };
            let (source, destination) = (outer.source(), outer.destination());
            lines.push(format!("in {kind}, {} bytes more, from {source} to {destination}", outer.len()));
        }
    }
    lines.push(match rewrite.hop {
        Hop::Decrement => "hop limit one less".to_string(),
        Hop::Keep => "hop limit kept".to_string(),
    });
    if rewrite.mss != 0 {
        lines.push(format!("SYN announces segments of {} bytes at most", rewrite.mss));
    }
    let vlan = path.vlan.map(|number| format!(", VLAN {number}")).unwrap_or_default();
    let next_hop = if rewrite.epoch == NEVER {
        "next hop not known yet".to_string()
    } else {
        format!("to {} from {}", rewrite.destination_mac, rewrite.source_mac)
    };
    let by = link(network, rewrite.interface);
    lines.push(format!("{next_hop}, by {by}{vlan}, up to {} bytes", rewrite.mtu));
    lines
}

fn readdress(lines: &mut Vec<String>, key: &FlowKey, source: Endpoint, destination: Endpoint) {
    if source != key.source() {
        lines.push(format!("source {} becomes {source}", key.source()));
    }
    if destination != key.destination() {
        lines.push(format!("destination {} becomes {destination}", key.destination()));
    }
}

/// The name of a link, or its number where the kernel has taken it away.
fn link(network: &Network, index: u32) -> String {
    network.interface(index).map_or_else(|| format!("interface {index}"), |it| it.name.to_string())
}

pub(in crate::datapath) const fn family(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

/// The names of links.
pub(in crate::datapath) fn links(network: &Network, links: &[u32]) -> String {
    links.iter().map(|index| link(network, *index)).collect::<Vec<_>>().join(", ")
}

/// How packets get to an address.
pub(in crate::datapath) fn way(network: &Network, destination: Address) -> String {
    let (via, mac) = match network.next_hop(destination) {
        NextHop::Known(via, mac) => (via, mac.to_string()),
        NextHop::NeedsSolicitation(via) => (via, "a MAC that must be asked for".to_owned()),
        NextHop::NoRoute => return format!("there is no route to {destination}"),
    };
    let by = if via.on_link { "on link".to_owned() } else { format!("by gateway {}", via.neighbour) };
    format!("{destination} is reached {by} on {}, at {mac}", links(network, &[via.link]))
}
