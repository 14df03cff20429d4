//! Keys of pools that mean something to proxies alone, at pools that packets can go to.

use std::net::SocketAddr;

use super::super::model::{Config, ConnectFrom, MemberProtocol, Pool, Protocol, ProxyKind};
use super::super::report::{Cause, Refusal};
use super::super::tls::ServerName;
use super::super::walk::Walk;
use super::{family, path};

pub(super) fn check(config: &Config, walk: &mut Walk) {
    for pool in &config.pools {
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

/// Members that are called as the host of a request have no name where there is none.
fn members_have_names(pool: &Pool, config: &Config, walk: &mut Walk) {
    let mut tcp = config.virtuals.iter().filter(|it| it.protocol == Protocol::Tcp && !it.pass_through);
    let Some(virtual_) = tcp.find(|it| it.reaches(&pool.name)) else { return };
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
    let Some(virtual_) = udp.find(|it| it.reaches(&pool.name)) else { return };
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
    for virtual_ in config.virtuals.iter().filter(|it| it.reaches(&pool.name)) {
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
    let Some(virtual_) = forward.find(|it| it.reaches(&pool.name)) else { return };
    let (place, key) = walk.spot(&path(&["pool", &pool.name, "protocol"]));
    let (first, _) = walk.spot(&path(&["virtual", &virtual_.name, "proxy"]));
    let message = format!("virtual `{}` asks forward proxies by HTTP/1.1", virtual_.name);
    let refusal = Refusal::new(Cause::Conflict, message)
        .also(first, "forward proxies")
        .help("use `protocol = \"http/1.1\"`");
    walk.refuse(&place, Some(&key), refusal);
}

fn refuse(pool: &Pool, name: &str, message: &str, help: &str, config: &Config, walk: &mut Walk) {
    let packets = config.packet_virtuals.iter().find(|it| it.reaches(&pool.name));
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
