//! Keys of pools that mean something to proxies alone, at pools that packets can go to.

use std::net::SocketAddr;

use super::super::model::{Config, ConnectFrom, MemberProtocol, OnEmpty, Pool, Protocol, ProxyKind, Virtual};
use super::super::report::{Cause, Refusal};
use super::super::tls::ServerName;
use super::super::walk::Walk;
use super::wildcards::uses;
use super::{family, path};

pub(super) fn check(config: &Config, walk: &mut Walk) {
    for pool in &config.pools {
        if pool.on_empty != OnEmpty::Answer {
            let what = "packets neither wait nor go to another pool";
            let help = "remove `on-empty`: members of a lower `priority` can stand in; or give the proxies a pool of their own";
            refuse(pool, "on-empty", what, help, config, walk);
            requests_are_seen(pool, config, walk);
            ends(pool, config, walk);
        }
        if pool.tls.as_ref().is_some_and(|it| it.server_name == ServerName::OfRequest) {
            members_have_names(pool, config, walk);
        }
        if pool.protocol != MemberProtocol::Http1 {
            forward_proxies_speak_http_1(pool, config, walk);
        }
        if pool.source == ConnectFrom::Client {
            clients_are_of_the_members_family(pool, config, walk);
        }
        if pool.source != ConnectFrom::Routed {
            let what = "packets come from the client, or from an SNAT pool";
            let help = "use mode `snat` with a `snat-pool`, or give the proxies a pool of their own";
            refuse(pool, "source", what, help, config, walk);
        }
        if pool.tls.is_some() {
            datagrams_have_none(pool, "tls", "TLS", config, walk);
        }
        if pool.proxy_protocol.is_some() {
            datagrams_have_none(pool, "proxy-protocol", "a header of the PROXY protocol", config, walk);
            let what = "the header stands in a connection, which is between the client and the member";
            let help = "remove `proxy-protocol`, or give the proxies a pool of their own";
            refuse(pool, "proxy-protocol", what, help, config, walk);
        }
    }
}

/// What is relayed has no requests.
fn requests_are_seen(pool: &Pool, config: &Config, walk: &mut Walk) {
    let relays = |it: &&Virtual| it.pass_through || it.protocol != Protocol::Http;
    let mut relaying = config.virtuals.iter().filter(relays);
    let Some(virtual_) = relaying.find(|it| uses(it.pool.as_ref(), &it.rules, pool)) else { return };
    let (why, by, label) = match virtual_.protocol {
        Protocol::Tcp | Protocol::Udp => ("relays what it gets", "protocol", "relayed"),
        Protocol::Http => ("passes TLS through", "tls", "passed through"),
    };
    let (place, key) = walk.spot(&path(&["pool", &pool.name, "on-empty"]));
    let (first, _) = walk.spot(&path(&["virtual", &virtual_.name, by]));
    let message = format!("virtual `{}` has no requests: it {why}", virtual_.name);
    let refusal = Refusal::new(Cause::Conflict, message)
        .also(first, label)
        .help("remove `on-empty`: members of a lower `priority` can stand in; or give the virtual a pool of its own");
    walk.refuse(&place, Some(&key), refusal);
}

/// A pool that stands in for another does not come back to it.
fn ends(pool: &Pool, config: &Config, walk: &mut Walk) {
    let mut way = vec![pool.name.as_str()];
    let mut at = pool;
    while let OnEmpty::Pool(next) = &at.on_empty {
        way.push(next);
        if *next == pool.name {
            let (place, key) = walk.spot(&path(&["pool", &pool.name, "on-empty"]));
            let refusal =
                Refusal::new(Cause::Conflict, format!("`on-empty` leads in a circle: {}", way.join(" → ")))
                    .help("let the last of them answer: remove its `on-empty`");
            return walk.refuse(&place, Some(&key), refusal);
        }
        let Some(pool) = config.pools.iter().find(|it| it.name == *next) else { return };
        // A circle that others make is told at those.
        if way.len() > config.pools.len() {
            return;
        }
        at = pool;
    }
}

/// Members that are called as the host of a request have no name where there is none.
fn members_have_names(pool: &Pool, config: &Config, walk: &mut Walk) {
    let mut tcp = config.virtuals.iter().filter(|it| it.protocol == Protocol::Tcp && !it.pass_through);
    let Some(virtual_) = tcp.find(|it| uses(it.pool.as_ref(), &it.rules, pool)) else { return };
    let (place, key) = walk.spot(&path(&["pool", &pool.name, "tls", "server-name"]));
    let (first, _) = walk.spot(&path(&["virtual", &virtual_.name, "protocol"]));
    let message = format!("virtual `{}` sees no hosts: it relays bytes", virtual_.name);
    let refusal = Refusal::new(Cause::Conflict, message)
        .also(first, "relayed")
        .help("write the name of the members, or give the virtual a pool of its own");
    walk.refuse(&place, Some(&key), refusal);
}

/// What stands in a connection cannot stand in datagrams.
fn datagrams_have_none(pool: &Pool, key: &str, what: &str, config: &Config, walk: &mut Walk) {
    let mut udp = config.virtuals.iter().filter(|it| it.protocol == Protocol::Udp);
    let Some(virtual_) = udp.find(|it| uses(it.pool.as_ref(), &it.rules, pool)) else { return };
    let (place, key) = walk.spot(&path(&["pool", &pool.name, key]));
    let (first, _) = walk.spot(&path(&["virtual", &virtual_.name, "protocol"]));
    let message = format!("virtual `{}` sends datagrams to its members, without {what}", virtual_.name);
    let refusal = Refusal::new(Cause::Conflict, message)
        .also(first, "datagrams")
        .help("remove it, or give the virtual a pool of its own");
    walk.refuse(&place, Some(&key), refusal);
}

/// A connection has one address family. What proxies in front say of clients is known when they say it.
fn clients_are_of_the_members_family(pool: &Pool, config: &Config, walk: &mut Walk) {
    for virtual_ in config.virtuals.iter().filter(|it| uses(it.pool.as_ref(), &it.rules, pool)) {
        let other = |listen: &SocketAddr| {
            pool.members.iter().position(|it| it.name.is_none() && it.address.is_ipv4() != listen.is_ipv4())
        };
        let Some((listen, member)) = virtual_.listen.iter().find_map(|it| Some((it, other(it)?))) else {
            continue;
        };
        let (place, key) = walk.spot(&path(&["pool", &pool.name, "source"]));
        let (first, _) = walk.spot(&path(&["virtual", &virtual_.name, "listen"]));
        let message = format!(
            "clients of `{}` come by {}, and member `{}` is {}: no connection can come from one and go to the other",
            virtual_.name,
            family(listen.is_ipv4()),
            pool.members[member].address,
            family(!listen.is_ipv4())
        );
        let refusal = Refusal::new(Cause::Conflict, message)
            .also(first, "here")
            .help("give each family a virtual and a pool of its own, or remove `source`");
        walk.refuse(&place, Some(&key), refusal);
    }
}

/// What clients ask of forward proxies is passed on as HTTP/1.1 says it.
fn forward_proxies_speak_http_1(pool: &Pool, config: &Config, walk: &mut Walk) {
    let mut forward = config.virtuals.iter().filter(|it| it.proxy == ProxyKind::Forward);
    let Some(virtual_) = forward.find(|it| uses(it.pool.as_ref(), &it.rules, pool)) else { return };
    let (place, key) = walk.spot(&path(&["pool", &pool.name, "protocol"]));
    let (first, _) = walk.spot(&path(&["virtual", &virtual_.name, "proxy"]));
    let message = format!("virtual `{}` asks forward proxies by HTTP/1.1", virtual_.name);
    let refusal = Refusal::new(Cause::Conflict, message)
        .also(first, "forward proxies")
        .help("use `protocol = \"http/1.1\"`");
    walk.refuse(&place, Some(&key), refusal);
}

fn refuse(pool: &Pool, name: &str, message: &str, help: &str, config: &Config, walk: &mut Walk) {
    let packets = config.packet_virtuals.iter().find(|it| uses(it.pool.as_ref(), &it.rules, pool));
    let Some(virtual_) = packets else { return };
    let by = if virtual_.pool.as_ref() == Some(&pool.name) { "pool" } else { "name" };
    let (place, key) = walk.spot(&path(&["pool", &pool.name, name]));
    let (first, _) = walk.spot(&path(&["virtual", &virtual_.name, by]));
    let refusal = Refusal::new(Cause::Conflict, message.to_owned())
        .label(format!("packet virtual `{}` uses this pool", virtual_.name))
        .also(first, "here")
        .help(help);
    walk.refuse(&place, Some(&key), refusal);
}
