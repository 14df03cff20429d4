//! What becomes of clients of pools without a member to choose.

use shunt_engine::datapath::ModeName;

use super::super::model::{Config, OnEmpty, PacketVirtual, Pool, Protocol};
use super::super::report::{Cause, Refusal};
use super::super::walk::Walk;
use super::path;

pub(super) fn check(config: &Config, walk: &mut Walk) {
    for pool in &config.pools {
        match &pool.on_empty {
            OnEmpty::Answer | OnEmpty::Reset => {}
            OnEmpty::Pool(_) => ends(pool, config, walk),
            OnEmpty::Queue { .. } => can_wait(pool, config, walk),
            OnEmpty::Route => have_destinations(pool, config, walk),
        }
    }
}

/// Requests and connections can wait; nothing else can.
fn can_wait(pool: &Pool, config: &Config, walk: &mut Walk) {
    let packets = config.packet_virtuals.iter().map(|it| (&it.name, it.reaches(&pool.name), "packets"));
    let datagrams = config.virtuals.iter().filter(|it| it.protocol == Protocol::Udp);
    let datagrams = datagrams.map(|it| (&it.name, it.reaches(&pool.name), "datagrams"));
    let Some((name, _, what)) = packets.chain(datagrams).find(|(_, reaches, _)| *reaches) else { return };
    let (place, key) = walk.spot(&path(&["pool", &pool.name, "on-empty"]));
    let (first, _) = walk.spot(&path(&["virtual", name, "protocol"]));
    let refusal =
        Refusal::new(Cause::Conflict, format!("virtual `{name}` forwards {what}, which do not wait"))
            .also(first, "here")
            .help("use `{ pool = \"…\" }`, or give the virtual a pool of its own");
    walk.refuse(&place, Some(&key), refusal);
}

/// Clients of transparent proxies connected to somewhere else, and packets to every address go somewhere.
fn have_destinations(pool: &Pool, config: &Config, walk: &mut Walk) {
    let reaches = |it: &&PacketVirtual| it.reaches(&pool.name);
    let packets = config.packet_virtuals.iter().filter(reaches).filter_map(|it| {
        let name = &it.name;
        Some(match (it.is_wildcard(), it.mode) {
            (true, ModeName::Route | ModeName::Snat) => return None,
            (true, mode) => {
                let why = format!("flows of virtual `{name}` need a member in mode `{mode}`");
                (
                    name,
                    why,
                    "use `{ pool = \"…\" }`; the member may be the router that would take the packets",
                )
            }
            (false, _) => {
                let why = format!("flows of virtual `{name}` have no other destination than its address");
                (name, why, "use `{ pool = \"…\" }`, or give the virtual a pool of its own")
            }
        })
    });
    let others = config.virtuals.iter().filter(|it| !it.transparent && it.reaches(&pool.name)).map(|it| {
        let why =
            format!("virtual `{}` is not `transparent`: its clients have no other destination", it.name);
        let help = "use `{ pool = \"…\" }`, or give transparent virtuals a pool of their own";
        (&it.name, why, help)
    });
    let Some((name, why, help)) = packets.chain(others).next() else { return };
    let (place, key) = walk.spot(&path(&["pool", &pool.name, "on-empty"]));
    let (first, _) = walk.spot(&path(&["virtual", name, "protocol"]));
    let refusal = Refusal::new(Cause::Conflict, why).also(first, "here").help(help);
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
