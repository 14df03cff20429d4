//! Connections that come from clients' addresses: whether what members reply reaches Shunt.

use std::collections::BTreeSet;
use std::net::IpAddr;

use shunt_config::model::{Config, ConnectFrom, Pool};
use shunt_engine::network::{NextHop, Via};

use super::{Facts, Finding};

/// CAP_NET_ADMIN and CAP_NET_RAW of linux/capability.h: one of them is enough (ip(7): `IP_TRANSPARENT`).
const ONE_OF: u64 = 1 << 12 | 1 << 13;

/// The mark and the table of the commands that are shown.
const SHOWN: &str = "1";
const TABLE: &str = "100";

pub(super) fn check(config: &Config, facts: &Facts, findings: &mut Vec<Finding>) {
    let pools = config.pools.iter().filter(|pool| pool.source == ConnectFrom::Client);
    for pool in pools {
        if facts.capabilities & ONE_OF == 0 {
            // The daemon may run as somebody else.
            findings.push(Finding::note(
                about(pool),
                "connections come from clients' addresses, and this user has no CAP_NET_RAW",
                "run `shunt run` as root, or with this capability (systemd: AmbientCapabilities=CAP_NET_RAW)",
            ));
        }
        let families: BTreeSet<bool> = pool.members.iter().map(|it| it.address.is_ipv4()).collect();
        for is_v4 in families {
            let first = pool.members.iter().map(|it| it.address.ip()).find(|it| it.is_ipv4() == is_v4);
            findings.extend(first.map(|member| come_in(pool, member, facts)));
        }
        findings.extend(come_by_this_host(pool, facts));
    }
}

fn about(pool: &Pool) -> String {
    format!("pool {}", pool.name)
}

/// Replies are for addresses of clients, and have to be taken for this host's own.
fn come_in(pool: &Pool, member: IpAddr, facts: &Facts) -> Finding {
    let (family, option) = if member.is_ipv4() { ("IPv4", "-4") } else { ("IPv6", "-6") };
    let marking = |mark: &str| {
        format!(
            "`nft add table inet shunt`, `nft add chain inet shunt replies {{ type filter hook prerouting priority mangle\\; }}`, \
             `nft add rule inet shunt replies meta l4proto {{ tcp, udp }} socket transparent 1 meta mark set {mark}`"
        )
    };
    match facts.local_marks.of(member) {
        [] => Finding::failed(
            about(pool),
            format!(
                "members' replies to {family} addresses of clients do not reach Shunt: no rule sends marked packets to a table \
                 in which every address is local"
            ),
            format!(
                "`ip {option} rule add fwmark {SHOWN} lookup {TABLE}`, `ip {option} route add local default dev lo table {TABLE}`, \
                 {}",
                marking(SHOWN)
            ),
        ),
        [mark, ..] => Finding::note(
            about(pool),
            format!(
                "members' replies to {family} addresses of clients reach Shunt if they have the mark {mark}; rules of the firewall \
                 cannot be seen from here"
            ),
            format!("unless it is there: {}", marking(&mark.to_string())),
        ),
    }
}

/// The routes of members cannot be seen from here.
fn come_by_this_host(pool: &Pool, facts: &Facts) -> Option<Finding> {
    let (member, via) =
        pool.members.iter().find_map(|it| Some((it.address.ip(), via(it.address.ip(), facts)?)))?;
    let own = facts.network.own_address(via.link, via.neighbour);
    let own = own.map_or_else(|| "this host".to_owned(), |own| own.to_string());
    let routers = match via.on_link {
        true => String::new(),
        false => format!(", and the same on the routers between it and {member}"),
    };
    Some(Finding::note(
        about(pool),
        "members must send replies to clients through this host, also to clients of their own segment",
        format!("on each member: `ip route replace default via {own}`{routers}"),
    ))
}

fn via(address: IpAddr, facts: &Facts) -> Option<Via> {
    match facts.network.next_hop(address.into()) {
        NextHop::Known(via, _) | NextHop::NeedsSolicitation(via) => Some(via),
        NextHop::NoRoute => None,
    }
}
