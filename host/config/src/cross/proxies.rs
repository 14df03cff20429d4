//! Keys of pools that mean something to proxies alone, at pools that packets can go to.

use shunt_engine::balance::Balance;

use super::super::model::{Config, Pool};
use super::super::report::{Cause, Refusal};
use super::super::walk::Walk;
use super::path;
use super::wildcards::uses;

pub(super) fn check(config: &Config, walk: &mut Walk) {
    for pool in &config.pools {
        if pool.balance == Balance::UrlHash {
            let help = "use another `balance`, or give the proxies a pool of their own";
            refuse(pool, "balance", "`url-hash` balances requests, not packets", help, config, walk);
        }
        if pool.proxy_protocol.is_some() {
            let what = "the header stands in a connection, which is between the client and the member";
            let help = "remove `proxy-protocol`, or give the proxies a pool of their own";
            refuse(pool, "proxy-protocol", what, help, config, walk);
        }
    }
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
