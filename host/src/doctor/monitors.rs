//! Monitors: whether they would see what clients see.

use std::net::IpAddr;

use shunt_engine::datapath::ModeName;
use shunt_engine::network::{NextHop, Via};

use super::reachability::is_on_link;
use super::{Facts, Finding};
use shunt_config::model::{Config, PacketVirtual};

pub(super) fn check(config: &Config, facts: &Facts, findings: &mut Vec<Finding>) {
    for virtual_ in &config.packet_virtuals {
        let watched =
            config.pools.iter().filter(|pool| !pool.monitors.is_empty() && virtual_.reaches(&pool.name));
        let watched: Vec<_> = watched.collect();
        let Some(pool) = watched.first() else { continue };
        let about = format!("virtual {}", virtual_.name);
        let Some(from) = virtual_.probe_from else {
            findings.push(Finding::note(
                about,
                format!("the monitor of `{}` connects to members directly: it succeeds even where packets of clients do not reach them", pool.name),
                "give the virtual a `probe-from`, so that probes take the service path",
            ));
            continue;
        };
        let members = watched.iter().flat_map(|pool| pool.members.iter().map(|it| it.address.ip()));
        let vias: Vec<Via> = members.filter_map(|member| via(member, facts)).collect();
        findings.push(way_back(virtual_, from, &vias, facts));
    }
}

/// Members have to reply to the probe source address as they reply to clients.
fn way_back(virtual_: &PacketVirtual, from: IpAddr, vias: &[Via], facts: &Facts) -> Finding {
    let about = format!("virtual {}", virtual_.name);
    if virtual_.mode != ModeName::Snat && !vias.is_empty() && is_on_link(from, vias, facts) {
        return Finding::note(
            about,
            format!(
                "probe-from {from} is on the members' own segment: probes do not test the members' route to clients"
            ),
            "probe from an address that members have to route, as those of clients",
        );
    }
    let own = vias.first().and_then(|via| facts.network.own_address(via.link, from.into()));
    let own = own.map_or_else(|| "this host".to_owned(), |own| own.to_string());
    match virtual_.mode {
        ModeName::Snat => Finding::good(about, "is probed on the service path"),
        ModeName::Nat => Finding::good(about, format!("is probed on the service path, from {from}")),
        _ => Finding::note(
            about,
            format!("members reply to probes at {from}, by the route of their replies to clients"),
            format!("on the router of that route: `ip route add {from} via {own}`, unless the route exists"),
        ),
    }
}

fn via(address: IpAddr, facts: &Facts) -> Option<Via> {
    match facts.network.next_hop(address.into()) {
        NextHop::Known(via, _) | NextHop::NeedsSolicitation(via) => Some(via),
        NextHop::NoRoute => None,
    }
}
