//! A compiled rewrite, in words.

use shunt_wire::rewrite::{Change, Hop, Tunnel};
use shunt_wire::{Endpoint, FlowKey};

use super::stages::compile::{NEVER, Path};

/// What is done to the packets of a direction, a line for each thing.
pub(super) fn of(key: &FlowKey, path: &Path) -> Vec<String> {
    let rewrite = &path.rewrite;
    let mut lines = Vec::new();
    match &rewrite.change {
        Change::None => {}
        Change::Translate(translate) => {
            readdress(&mut lines, key, translate.source(), translate.destination());
        }
        Change::Cross(cross) => readdress(&mut lines, key, cross.source(), cross.destination()),
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
    lines.push(format!("{next_hop}, by interface {}{vlan}, up to {} bytes", rewrite.interface, rewrite.mtu));
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
