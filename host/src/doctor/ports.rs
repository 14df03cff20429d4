//! Interfaces: whether they are there and up, and what they cost.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use shunt_rules::suggest::nearest;
use shunt_sys::netlink::Link;
use shunt_sys::xsk;
use shunt_wire::Mac;

use super::facts::PortFacts;
use super::{Facts, Finding};
use shunt_config::model::Config;
use shunt_packets::{carrier, holder};

pub(super) fn check(config: &Config, facts: &Facts, findings: &mut Vec<Finding>) {
    let mut carriers = BTreeSet::new();
    let named: BTreeSet<&String> = config.packet_interfaces().collect();
    for name in named {
        match carrier(name, &facts.state) {
            Ok((link, carrier)) => {
                carriers.insert(carrier);
                findings.extend(facts.state.links.get(&link).map(is_up));
            }
            Err(problem) => {
                // Loopback and tunnels have no frames, and so no MAC; a TUN has Shunt at its other end.
                let links = facts.state.links.values();
                let links = links.filter(|link| link.tun || link.mac != Mac::default());
                let names = links.map(|link| link.name.as_str()).filter(|other| other != name);
                let remedy = match nearest(name, names.clone()) {
                    Some(near) => format!("did you mean {near}? fix `interfaces`"),
                    None => format!("name one of {}", names.collect::<Vec<_>>().join(", ")),
                };
                findings.push(Finding::failed(format!("interface {name}"), problem, remedy));
            }
        }
    }
    let links = carriers.iter().filter_map(|index| facts.state.links.get(index));
    for link in links.filter(|link| !link.tun) {
        let port = facts.ports.get(&link.index).cloned().unwrap_or_default();
        findings.push(frames_fit(link));
        findings.push(queues(link, &port, facts.cores));
    }
    addresses(config, facts, findings);
    findings.extend(families(config, facts));
}

fn is_up(link: &Link) -> Finding {
    let (about, name) = (format!("interface {}", link.name), &link.name);
    if link.up {
        Finding::good(about, "is up")
    } else if link.tun {
        let found = "is a TUN that is down, or whose other end nobody has; Shunt takes it when it runs";
        Finding::note(about, found, format!("`ip link set dev {name} up`, unless it is up"))
    } else {
        let remedy = format!("`ip link set dev {name} up`; if it is up, check the cable and the switch");
        Finding::failed(about, "is down, or has no carrier", remedy)
    }
}

fn frames_fit(link: &Link) -> Finding {
    let (about, name, mtu) = (format!("interface {}", link.name), &link.name, link.mtu);
    if mtu <= xsk::MAX_MTU {
        return Finding::good(about, format!("its MTU of {mtu} fits a buffer"));
    }
    let most = xsk::MAX_MTU;
    let remedy = format!("`ip link set dev {name} mtu {most}`");
    Finding::failed(about, format!("its MTU is {mtu}, and Shunt's buffers hold frames of {most}"), remedy)
}

fn queues(link: &Link, port: &PortFacts, cores: usize) -> Finding {
    let (about, name) = (format!("interface {}", link.name), &link.name);
    match port.queues {
        Some(1) if cores > 1 => Finding::note(
            about,
            format!("has 1 receive queue: one of {cores} cores handles all of its packets"),
            format!("`ethtool -L {name} combined {cores}`, if the hardware has as many"),
        ),
        Some(queues) => {
            Finding::good(about, format!("has {queues} receive queues, {cores} cores serve them"))
        }
        None => Finding::note(
            about,
            "does not tell how many receive queues it has",
            format!("`ls /sys/class/net/{name}/queues` shows them"),
        ),
    }
}

/// Addresses that are Shunt's alone.
fn addresses(config: &Config, facts: &Facts, findings: &mut Vec<Finding>) {
    // A virtual on every address has none of its own.
    let vips = config
        .packet_virtuals
        .iter()
        .filter(|it| !it.is_wildcard())
        .map(|it| (it.listen.ip(), format!("virtual {}", it.name)));
    let leased = config
        .snat_pools
        .iter()
        .flat_map(|pool| pool.addresses.iter().map(move |it| (*it, format!("snat-pool {}", pool.name))));
    let sources = config.packet_virtuals.iter().flat_map(|virtual_| {
        let about = format!("tunnel-sources of virtual {}", virtual_.name);
        virtual_.tunnel_sources.iter().map(move |it| (*it, about.clone()))
    });
    let probes: BTreeMap<IpAddr, String> = config
        .packet_virtuals
        .iter()
        .filter_map(|it| Some((it.probe_from?, format!("probe-from of virtual {}", it.name))))
        .collect();
    let owned = vips.chain(leased).chain(sources).chain(probes.clone());
    let mut free = BTreeMap::<String, Vec<String>>::new();
    let mut seen = BTreeSet::new();
    for (address, about) in owned.filter(|(address, _)| seen.insert(*address)) {
        // A daemon that runs has the address of its probes on a TUN device of its own.
        let is_its_own = |link: &Link| link.tun && probes.contains_key(&address);
        let holder = holder(&facts.state, address).filter(|(link, _)| !is_its_own(link));
        if let Some((link, prefix)) = holder {
            let remedy = format!("`ip address del {address}/{prefix} dev {}`", link.name);
            findings.push(Finding::failed(
                about,
                format!("{address} is an address of this host, and must be Shunt's alone"),
                remedy,
            ));
        } else {
            free.entry(about).or_default().push(address.to_string());
        }
    }
    for (about, addresses) in free {
        let more = addresses.len().saturating_sub(2);
        let shown = addresses.into_iter().take(2).collect::<Vec<_>>().join(", ");
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        findings.push(Finding::good(about, format!("{shown}{rest}: no address of this host")));
    }
}

fn families(config: &Config, facts: &Facts) -> Vec<Finding> {
    let v6 = config.packet_virtuals.iter().filter(|it| it.listen.is_ipv6());
    let interfaces: BTreeSet<&String> = v6.flat_map(|it| &it.interfaces).collect();
    let off = interfaces
        .into_iter()
        .filter(|name| facts.sysctl(&format!("net/ipv6/conf/{name}/disable_ipv6")) == Some("1"));
    off.map(|name| {
        Finding::failed(
            format!("interface {name}"),
            "IPv6 is switched off, and an IPv6 virtual uses it",
            format!("`sysctl -w net.ipv6.conf.{name}.disable_ipv6=0`"),
        )
    })
    .collect()
}
