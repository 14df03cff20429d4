//! What can be used, and is most likely not what was meant.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::Remark;
use super::model::{Config, Virtual};
use shunt_rules::OnFault;

/// Everything that is suspicious in a configuration, each at its key.
pub(super) fn warnings(config: &Config) -> Vec<Remark> {
    let mut remarks = unused_pools(config);
    remarks.extend(own_listeners(config));
    remarks.extend(key_logs(config));
    remarks.extend(lone_ports(config));
    remarks.extend(second_keys(config));
    remarks
}

/// Virtuals whose kind of persistence knows few clients.
fn second_keys(config: &Config) -> Vec<Remark> {
    let known = |it: &&Virtual| it.persistence.as_ref().is_some_and(|it| it.by.wants_second());
    let message = "clients of TLS 1.3, and those with tickets, have no session that a member says: `tls-session` alone does \
                   not keep them at their member";
    let remark = |virtual_: &Virtual| Remark {
        key: ["virtual", &virtual_.name, "persistence"].map(str::to_owned).to_vec(),
        message: message.to_owned(),
        help: Some("add a second key: `persistence = { tls-session = { source = true } }`".to_owned()),
    };
    config.virtuals.iter().filter(known).map(remark).collect()
}

/// Why one port is not enough for a protocol.
const NAMES_ADDRESSES: &str =
    "whose messages name addresses and ports of further connections: Shunt does not rewrite them";

/// Protocols that need more than their port: port, name, why, and what to do.
const NEED_MORE: [(u16, &str, &str, &str); 3] = [
    (
        21,
        "FTP",
        NAMES_ADDRESSES,
        "serve it by a packet virtual on port 0 with persistence by source, as the page \"Proxies for TCP\" says, or use SFTP",
    ),
    (
        69,
        "TFTP",
        "whose servers answer from another port: Shunt takes a member's answers from the member's port alone",
        "serve it by a packet virtual on port 0 in mode `l2dsr` or `l3dsr` with persistence by source, as the page \"Proxies for TCP\" says",
    ),
    (
        554,
        "RTSP",
        NAMES_ADDRESSES,
        "let clients ask for media in the same connection, as the page \"Proxies for TCP\" says",
    ),
];

/// Virtuals for one port of a protocol that needs more.
fn lone_ports(config: &Config) -> Vec<Remark> {
    let proxies =
        config.virtuals.iter().flat_map(|it| it.listen.iter().map(move |listen| (&it.name, *listen)));
    let packets = config.packet_virtuals.iter().map(|it| (&it.name, it.listen));
    let remark = |(name, listen): (&String, SocketAddr)| {
        let (port, protocol, why, help) = NEED_MORE.iter().find(|(port, ..)| *port == listen.port())?;
        Some(Remark {
            key: ["virtual", name, "listen"].map(str::to_owned).to_vec(),
            message: format!("port {port} is {protocol}'s, {why}"),
            help: Some((*help).to_owned()),
        })
    };
    proxies.chain(packets).filter_map(remark).collect()
}

/// Virtuals whose secrets are written to a file.
fn key_logs(config: &Config) -> Vec<Remark> {
    let logged = config.virtuals.iter().filter(|it| it.tls.as_ref().is_some_and(|tls| tls.key_log.is_some()));
    let remark = |virtual_: &Virtual| Remark {
        key: ["virtual", &virtual_.name, "tls", "key-log"].map(str::to_owned).to_vec(),
        message: format!("whoever reads this file can decrypt all traffic of virtual `{}`", virtual_.name),
        help: Some("remove `key-log` once nothing is to be debugged any more".to_owned()),
    };
    logged.map(remark).collect()
}

fn unused_pools(config: &Config) -> Vec<Remark> {
    let mut used = BTreeSet::new();
    for virtual_ in &config.virtuals {
        used.extend(virtual_.pool.as_deref());
    }
    for virtual_ in &config.packet_virtuals {
        used.extend([&virtual_.pool, &virtual_.snat_pool].into_iter().flatten().map(String::as_str));
    }
    for pool in &config.pools {
        used.extend(pool.on_empty.pool());
    }
    for (_, rule) in config.rules() {
        used.extend(rule.slots.iter().map(|(_, pool)| pool.as_str()));
        if let OnFault::Pool(pool) = &rule.on_fault {
            used.insert(pool);
        }
    }
    let pools = config.pools.iter().map(|pool| ("pool", "pool", &pool.name));
    let snat_pools = config.snat_pools.iter().map(|pool| ("snat-pool", "SNAT pool", &pool.name));
    let unused = pools.chain(snat_pools).filter(|(_, _, name)| !used.contains(name.as_str()));
    let remark = |(table, what, name): (&str, &str, &String)| Remark {
        key: vec![table.to_owned(), name.clone()],
        message: format!("nothing uses {what} `{name}`"),
        help: Some(format!("use it as the `{table}` of a virtual or in the `slots` of a rule, or remove it")),
    };
    unused.map(remark).collect()
}

/// Members that are a listener of this Shunt. What such a member gets comes back to Shunt.
fn own_listeners(config: &Config) -> Vec<Remark> {
    let proxies =
        config.virtuals.iter().flat_map(|it| it.listen.iter().map(move |listen| (&it.name, *listen)));
    let listeners: Vec<(&String, SocketAddr)> =
        proxies.chain(config.packet_virtuals.iter().map(|it| (&it.name, it.listen))).collect();
    let members = config.pools.iter().flat_map(|pool| pool.members.iter().map(move |it| (pool, it.address)));
    let remark = |(pool, address): (&super::model::Pool, SocketAddr)| {
        let (name, _) = listeners.iter().find(|(_, listen)| takes(*listen, address))?;
        Some(Remark {
            key: ["pool", &pool.name, "members"].map(str::to_owned).to_vec(),
            message: format!("member {address} is the listener of virtual `{name}`"),
            help: Some(
                "use the address and port of the server: Shunt would send the traffic to itself, in a loop where the \
                 virtual uses this pool"
                    .to_owned(),
            ),
        })
    };
    members.filter_map(remark).collect()
}

/// Whether a listener is sure to take what is sent to an address.
fn takes(listen: SocketAddr, address: SocketAddr) -> bool {
    let (at, to) = (listen.ip(), address.ip());
    let every =
        at.is_unspecified() && at.is_ipv4() == to.is_ipv4() && (to.is_loopback() || to.is_unspecified());
    listen.port() == address.port() && (at == to || every)
}
