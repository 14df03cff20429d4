//! What shows only over several tables, of virtuals that take packets to every address, and of pools that
//! only packets can use.

use shunt_engine::datapath::{ModeName, Transport};

use super::super::model::{Config, PacketVirtual, Pool};
use super::super::report::{Cause, Refusal};
use super::super::walk::Walk;
use super::{family, member_path, path};

pub(super) fn check(config: &Config, walk: &mut Walk) {
    let wildcards: Vec<&PacketVirtual> =
        config.packet_virtuals.iter().filter(|virtual_| virtual_.is_wildcard()).collect();
    for (place, virtual_) in wildcards.iter().enumerate() {
        for other in &wildcards[..place] {
            takes_the_same(virtual_, other, walk);
        }
        let rest = wildcards.iter().filter(|other| other.name != virtual_.name);
        rest.for_each(|other| answers_are_told_apart(virtual_, other, walk));
    }
    for pool in &config.pools {
        ports_are_known(pool, config, walk);
    }
}

/// Two on every address may stand beside each other if flows of each begin on interfaces of its own.
fn takes_the_same(virtual_: &PacketVirtual, other: &PacketVirtual, walk: &mut Walk) {
    let shared = virtual_.client_interfaces.iter().find(|name| other.client_interfaces.contains(name));
    let Some(shared) = shared.filter(|_| virtual_.listen == other.listen) else { return };
    let either = |transport| [virtual_.transport, other.transport].contains(&transport);
    if either(Transport::Tcp) && either(Transport::Udp) {
        return;
    }
    let message = format!("virtual `{}` already listens on `{}`", other.name, virtual_.listen);
    let (place, key) = walk.spot(&path(&["virtual", &virtual_.name, "listen"]));
    let (first, _) = walk.spot(&path(&["virtual", &other.name, "listen"]));
    let refusal = Refusal::new(Cause::Duplicate, message)
        .label(format!("again here, and `{shared}` is an interface of both"))
        .also(first, "first here")
        .help("give each its own `client-interfaces`, or another port");
    walk.refuse(&place, Some(&key), refusal);
}

/// An answer of a routed flow, which could also begin a flow of a virtual that rewrites any port, would be looked
/// for by a worker that does not have it.
fn answers_are_told_apart(rewriting: &PacketVirtual, routing: &PacketVirtual, walk: &mut Walk) {
    let rewrites =
        rewriting.mode == ModeName::Nat || rewriting.mode != ModeName::Route && !rewriting.rules.is_empty();
    let same_family = rewriting.listen.is_ipv4() == routing.listen.is_ipv4();
    if !rewrites || rewriting.listen.port() != 0 || routing.mode != ModeName::Route || !same_family {
        return;
    }
    let message = format!(
        "virtual `{}` may rewrite packets of every port, and virtual `{}` routes {} packets: Shunt cannot tell their replies apart",
        rewriting.name,
        routing.name,
        family(routing.listen.is_ipv4())
    );
    let (place, key) = walk.spot(&path(&["virtual", &rewriting.name, "listen"]));
    let (first, _) = walk.spot(&path(&["virtual", &routing.name, "listen"]));
    let refusal = Refusal::new(Cause::Conflict, message)
        .also(first, "routed here")
        .help("give the first a port, or mode `snat`");
    walk.refuse(&place, Some(&key), refusal);
}

/// A member of every port can be sent packets; nobody can connect to it.
fn ports_are_known(pool: &Pool, config: &Config, walk: &mut Walk) {
    let Some(index) = pool.members.iter().position(|member| member.address.port() == 0) else { return };
    let refusal = |message: String, help: &str| {
        Refusal::new(Cause::Conflict, message)
            .label("port 0 stands for the port that the client connects to")
            .help(help)
    };
    let (place, key) = walk.spot(&member_path(pool, index));
    if let Some((name, _)) = proxy_of(pool, config) {
        let message =
            format!("proxy `{name}` connects to members of `{}`, and this one has no port", pool.name);
        walk.refuse(&place, Some(&key), refusal(message, "write the port that it listens on"));
    } else if pool.monitors.iter().any(|monitor| monitor.probe.has_port()) {
        let message = format!("the monitor of `{}` connects to members, and this one has no port", pool.name);
        let help = "write the port to probe (mode `route` uses it for nothing else), or use `ping = true`";
        walk.refuse(&place, Some(&key), refusal(message, help));
    }
}

/// A proxy that can send requests to a pool, and the key by which.
pub(super) fn proxy_of<'c>(pool: &Pool, config: &'c Config) -> Option<(&'c str, &'static str)> {
    let virtual_ = config.virtuals.iter().find(|it| it.reaches(&pool.name))?;
    let by = if virtual_.pool.as_ref() == Some(&pool.name) { "pool" } else { "name" };
    Some((&virtual_.name, by))
}
