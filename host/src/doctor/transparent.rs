//! Addresses that are none of this host's: whether what is for them reaches Shunt, where it connects from clients' addresses
//! or takes connections to any.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use shunt_config::model::{Config, ConnectFrom, Pool, Virtual};
use shunt_engine::network::{NextHop, Via};

use super::{Facts, Finding};

/// CAP_NET_ADMIN and CAP_NET_RAW of linux/capability.h: one of them is enough (ip(7): `IP_TRANSPARENT`).
const ONE_OF: u64 = 1 << 12 | 1 << 13;

/// The mark and the table of the commands that are shown.
const SHOWN: &str = "1";
const TABLE: &str = "100";

/// What needs it.
struct Needs {
    about: String,
    /// What has to reach Shunt.
    what: &'static str,
    /// Families of it.
    v4: BTreeSet<bool>,
    /// What marks it, for `nft`.
    marks: String,
}

pub(super) fn check(config: &Config, facts: &Facts, findings: &mut Vec<Finding>) {
    let as_clients = || config.pools.iter().filter(|pool| pool.source == ConnectFrom::Client);
    let any = config.virtuals.iter().filter(|it| it.transparent).map(of_virtual);
    for needs in as_clients().map(of_pool).chain(any) {
        if facts.capabilities & ONE_OF == 0 {
            // The daemon may run as somebody else.
            findings.push(Finding::note(
                needs.about.clone(),
                "it uses addresses that are none of this host's, and this user has no CAP_NET_RAW",
                "run `shunt run` as root, or with this capability (systemd: AmbientCapabilities=CAP_NET_RAW)",
            ));
        }
        findings.extend(needs.v4.iter().map(|is_v4| needs.comes_in(*is_v4, facts)));
    }
    findings.extend(as_clients().filter_map(|pool| come_by_this_host(pool, facts)));
}

fn of_pool(pool: &Pool) -> Needs {
    Needs {
        about: format!("pool {}", pool.name),
        what: "members' replies to",
        v4: pool.members.iter().map(|it| it.address.is_ipv4()).collect(),
        marks: "meta l4proto { tcp, udp } socket transparent 1 meta mark set".to_owned(),
    }
}

fn of_virtual(virtual_: &Virtual) -> Needs {
    let port = virtual_.listen.first().map(|listen| listen.port()).unwrap_or_default();
    Needs {
        about: format!("virtual {}", virtual_.name),
        what: "connections to",
        v4: virtual_.listen.iter().map(|it| it.is_ipv4()).collect(),
        marks: format!("tcp dport … tproxy to :{port} meta mark set"),
    }
}

impl Needs {
    /// Packets for other addresses have to be taken for this host's own.
    fn comes_in(&self, is_v4: bool, facts: &Facts) -> Finding {
        let (any, family, option): (IpAddr, _, _) = match is_v4 {
            true => (Ipv4Addr::UNSPECIFIED.into(), "IPv4", "-4"),
            false => (Ipv6Addr::UNSPECIFIED.into(), "IPv6", "-6"),
        };
        let (what, marks) = (self.what, &self.marks);
        let rule = |mark: &str| {
            format!(
                "in a chain `type filter hook prerouting priority mangle` of nft the rule `{marks} {mark}`"
            )
        };
        match facts.local_marks.of(any) {
            [] => Finding::failed(
                self.about.clone(),
                format!(
                    "{what} other {family} addresses do not reach Shunt: no rule sends marked packets to a table in which every \
                     address is local"
                ),
                format!(
                    "`ip {option} rule add fwmark {SHOWN} lookup {TABLE}`, `ip {option} route add local default dev lo table \
                     {TABLE}`, and {}",
                    rule(SHOWN)
                ),
            ),
            [mark, ..] => Finding::note(
                self.about.clone(),
                format!(
                    "{what} other {family} addresses reach Shunt if they have the mark {mark}; rules of the firewall cannot be \
                     seen from here"
                ),
                format!("unless it is there, {}", rule(&mark.to_string())),
            ),
        }
    }
}

/// The routes of members cannot be seen from here.
fn come_by_this_host(pool: &Pool, facts: &Facts) -> Option<Finding> {
    let members = pool.members.iter().map(|it| it.address.ip());
    let (member, via) = members.filter_map(|it| Some((it, via(it, facts)?))).next()?;
    let own = facts.network.own_address(via.link, via.neighbour);
    let own = own.map_or_else(|| "this host".to_owned(), |own| own.to_string());
    let routers = match via.on_link {
        true => String::new(),
        false => format!(", and the same on the routers between it and {member}"),
    };
    Some(Finding::note(
        format!("pool {}", pool.name),
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
