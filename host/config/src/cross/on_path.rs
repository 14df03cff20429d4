//! Monitors on the service path: what `probe-from` asks of the rest.

use super::super::model::{Config, PacketVirtual, Pool};
use super::super::monitors::{Monitor, Probe};
use super::super::report::{Cause, Refusal, join};
use super::super::walk::Walk;
use super::{Owned, family, path};

/// What probes come from is Shunt's alone; virtuals may share it.
pub(super) fn owned_addresses(config: &Config, owned: &mut Owned, walk: &mut Walk) {
    for virtual_ in &config.packet_virtuals {
        let Some(address) = virtual_.probe_from else { continue };
        let (place, key) = walk.spot(&path(&["virtual", &virtual_.name, "probe-from"]));
        let whose = format!("the probes of packet virtual `{}`", virtual_.name);
        let before = owned.entry(address).or_insert_with(|| (whose, place.clone()));
        if before.1 == place || before.0.starts_with("the probes") {
            continue;
        }
        let (whose, first) = before.clone();
        let refusal = Refusal::new(Cause::Duplicate, format!("`{address}` is an address of {whose}"))
            .label("Shunt could not tell replies to probes from its packets")
            .also(first, "owned here")
            .help("give `probe-from` an address that nothing else uses");
        walk.refuse(&place, Some(&key), refusal);
    }
}

pub(super) fn check(virtual_: &PacketVirtual, config: &Config, walk: &mut Walk) {
    let Some(from) = virtual_.probe_from else { return };
    let here = path(&["virtual", &virtual_.name, "probe-from"]);
    let (place, key) = walk.spot(&here);
    let is_v4 = virtual_.listen.is_ipv4();
    if from.is_ipv4() != is_v4 {
        let message = format!("`probe-from` is {}, and `listen` is {}", family(!is_v4), family(is_v4));
        let (first, _) = walk.spot(&path(&["virtual", &virtual_.name, "listen"]));
        let refusal = Refusal::new(Cause::Conflict, message)
            .also(first, "clients connect here")
            .help(format!("use an {} address for `probe-from`", family(is_v4)));
        walk.refuse(&place, Some(&key), refusal);
    }
    let watched: Vec<_> = watched(virtual_, config, walk);
    // One that is wrong is told of already.
    let is_written = |pool: &Pool| walk.places.contains_key(&path(&["pool", &pool.name, "monitor"]));
    let reached = config.pools.iter().filter(|pool| virtual_.reaches(&pool.name));
    if watched.is_empty() && !reached.into_iter().any(is_written) {
        let message = "`probe-from` means nothing: no pool of this virtual has a `monitor`";
        let refusal = Refusal::new(Cause::Conflict, message).help("give the pool a `monitor`");
        walk.refuse(&place, Some(&key), refusal);
    }
    for (pool, monitor, monitor_path) in watched {
        if !monitor.probe.passes(virtual_.transport) {
            let (transport, kind) = (virtual_.transport.as_str(), monitor.probe.as_str());
            let message = format!(
                "the `{kind}` monitor of pool `{}` cannot probe through virtual `{}`, which forwards only {transport}",
                pool.name, virtual_.name
            );
            let kinds = Probe::passing(virtual_.transport).into_iter().map(|kind| format!("`{kind}`"));
            let kinds: Vec<_> = kinds.collect();
            let (first, _) = walk.spot(&join(&monitor_path, kind));
            let refusal = Refusal::new(Cause::Conflict, message)
                .also(first, "the monitor")
                .help(format!("monitor the pool by {}", kinds.join(" or ")));
            walk.refuse(&place, Some(&key), refusal);
        }
        if virtual_.is_wildcard() {
            targeted(virtual_, monitor, &monitor_path, walk);
        }
    }
}

/// Where every address is listened on, somebody has to be named whom probes are for.
fn targeted(virtual_: &PacketVirtual, monitor: &Monitor, here: &str, walk: &mut Walk) {
    let (place, key) = walk.spot(here);
    let is_v4 = virtual_.listen.is_ipv4();
    let Some(target) = monitor.target else {
        let message = format!("`target` is missing: virtual `{}` listens on every address", virtual_.name);
        let refusal = Refusal::new(Cause::MissingKey, message)
            .help("name a host behind the member that replies to probes: `target = \"192.0.2.1:80\"`");
        return walk.refuse(&place, Some(&key), refusal);
    };
    let (place, key) = walk.spot(&join(here, "target"));
    if target.address.is_ipv4() != is_v4 {
        let message =
            format!("`target` is {}, and virtual `{}` is {}", family(!is_v4), virtual_.name, family(is_v4));
        let refusal =
            Refusal::new(Cause::Conflict, message).help(format!("use an {} address", family(is_v4)));
        walk.refuse(&place, Some(&key), refusal);
    }
    if !monitor.probe.has_port() && target.port.is_some() {
        let message = format!("`target` has a port, and a {} has none", monitor.probe.as_str());
        let refusal = Refusal::new(Cause::Conflict, message).help(format!("write `{}`", target.address));
        walk.refuse(&place, Some(&key), refusal);
    }
    let needs_port = monitor.probe.has_port() && virtual_.listen.port() == 0;
    if needs_port && target.port.is_none() {
        let message = format!("`target` has no port, and virtual `{}` listens on every port", virtual_.name);
        let help = format!("write `{}`", std::net::SocketAddr::new(target.address, 80));
        walk.refuse(&place, Some(&key), Refusal::new(Cause::BadValue, message).help(help));
    }
}

/// A target that no virtual would use.
pub(super) fn targets(config: &Config, walk: &mut Walk) {
    let uses = |pool: &Pool| {
        config.packet_virtuals.iter().any(|virtual_| {
            virtual_.probe_from.is_some() && virtual_.is_wildcard() && virtual_.reaches(&pool.name)
        })
    };
    for pool in &config.pools {
        for (monitor, here) in monitors(pool, walk) {
            if monitor.target.is_some() && !uses(pool) {
                let (place, key) = walk.spot(&join(&here, "target"));
                let message = "`target` means nothing: no virtual with `probe-from` that listens on every address uses the pool";
                walk.refuse(&place, Some(&key), Refusal::new(Cause::Conflict, message).help("remove it"));
            }
        }
    }
}

/// The monitors of the pools that a virtual's flows can reach, each with its path.
fn watched<'a>(
    virtual_: &PacketVirtual,
    config: &'a Config,
    walk: &Walk,
) -> Vec<(&'a Pool, &'a Monitor, String)> {
    let reached = config.pools.iter().filter(|pool| virtual_.reaches(&pool.name));
    let of = |pool| monitors(pool, walk).into_iter().map(move |(monitor, here)| (pool, monitor, here));
    reached.flat_map(of).collect()
}

/// The monitors of a pool, each with its path: of the only one that of the key, of several those of its elements.
fn monitors<'a>(pool: &'a Pool, walk: &Walk) -> Vec<(&'a Monitor, String)> {
    let here = path(&["pool", &pool.name, "monitor"]);
    let of = |(index, monitor)| {
        let element = format!("{here}[{index}]");
        (monitor, if walk.places.contains_key(&element) { element } else { here.clone() })
    };
    pool.monitors.iter().enumerate().map(of).collect()
}
