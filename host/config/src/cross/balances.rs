//! Balances that go by what a virtual does not see.

use shunt_engine::balance::{Balance, Needs};

use super::super::model::{Config, Pool, Protocol, Virtual};
use super::super::report::{Cause, Refusal};
use super::super::suggest::or_list;
use super::super::walk::Walk;
use super::path;
use super::wildcards::proxy_of;

pub(super) fn check(config: &Config, walk: &mut Walk) {
    for pool in &config.pools {
        match pool.balance.needs() {
            Needs::Nothing => {}
            Needs::Packets => packets_come(pool, config, walk),
            Needs::Requests => requests_come(pool, config, walk),
        }
        if pool.balance == Balance::DestinationHash {
            destinations_differ(pool, config, walk);
        }
    }
}

/// What to use in its place where that is seen, or nothing else.
fn instead(seen: Needs, whose: &str) -> String {
    let fits = |needs| needs == Needs::Nothing || needs == seen;
    let names = Balance::ALL.iter().filter(|(_, it)| fits(it.needs())).map(|(name, _)| format!("`{name}`"));
    format!("use {}, or give the {whose} a pool of their own", or_list(&names.collect::<Vec<_>>()))
}

fn packets_come(pool: &Pool, config: &Config, walk: &mut Walk) {
    let Some((name, what)) = proxy_of(pool, config) else { return };
    let word = pool.balance.as_str();
    let (place, key) = walk.spot(&path(&["pool", &pool.name, "balance"]));
    let (first, _) = walk.spot(&path(&["virtual", name, what]));
    let refusal = Refusal::new(Cause::Conflict, format!("`{word}` balances packets, not requests"))
        .label(format!("proxy `{name}` uses this pool"))
        .also(first, "here")
        .help(instead(Needs::Requests, "packet virtuals"));
    walk.refuse(&place, Some(&key), refusal);
}

fn requests_come(pool: &Pool, config: &Config, walk: &mut Walk) {
    let word = pool.balance.as_str();
    let (place, key) = walk.spot(&path(&["pool", &pool.name, "balance"]));
    let packets = config.packet_virtuals.iter().find(|it| it.reaches(&pool.name));
    if let Some(virtual_) = packets {
        let by = if virtual_.pool.as_ref() == Some(&pool.name) { "pool" } else { "name" };
        let (first, _) = walk.spot(&path(&["virtual", &virtual_.name, by]));
        let refusal = Refusal::new(Cause::Conflict, format!("`{word}` balances requests, not packets"))
            .label(format!("packet virtual `{}` uses this pool", virtual_.name))
            .also(first, "here")
            .help(instead(Needs::Packets, "proxies"));
        walk.refuse(&place, Some(&key), refusal);
    }
    // What is relayed is not read.
    let unread = |it: &&Virtual| it.pass_through || it.protocol != Protocol::Http;
    let mut unread = config.virtuals.iter().filter(unread);
    if let Some(virtual_) = unread.find(|it| it.reaches(&pool.name)) {
        let (by, label) = match virtual_.protocol {
            Protocol::Tcp | Protocol::Udp => ("protocol", "relayed"),
            Protocol::Http => ("tls", "passed through"),
        };
        let (first, _) = walk.spot(&path(&["virtual", &virtual_.name, by]));
        let message = format!("`{word}` balances requests, and virtual `{}` sees none", virtual_.name);
        let refusal =
            Refusal::new(Cause::Conflict, message).also(first, label).help(instead(Needs::Nothing, "others"));
        walk.refuse(&place, Some(&key), refusal);
    }
}

fn destinations_differ(pool: &Pool, config: &Config, walk: &mut Walk) {
    let one = config.packet_virtuals.iter().find(|it| !it.is_wildcard() && it.reaches(&pool.name));
    let Some(virtual_) = one else { return };
    let (place, key) = walk.spot(&path(&["pool", &pool.name, "balance"]));
    let (first, _) = walk.spot(&path(&["virtual", &virtual_.name, "listen"]));
    let message = format!(
        "packets of virtual `{}` have one destination, so one member would get all of them",
        virtual_.name
    );
    let refusal = Refusal::new(Cause::Conflict, message)
        .also(first, "one address")
        .help("use another `balance`: `destination-hash` is for virtuals on every address");
    walk.refuse(&place, Some(&key), refusal);
}
