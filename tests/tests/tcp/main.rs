//! Proxies for TCP: bytes of clients and members, relayed unread.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot continue has failed")]

mod anywhere;
mod connecting;
mod data;
mod ejection;
mod limits;
mod ports;
mod relaying;
mod transparent;

use std::net::SocketAddr;

use serde_json::Value;
use shunt_tests::origin::Origin;
use shunt_tests::site::{self, Site};

/// One worker, a virtual named `web` with a pool of these members, and more keys of both.
fn config(listen: SocketAddr, keys: &str, of_pool: &str, members: &[SocketAddr]) -> String {
    let pool = site::pool("web", of_pool, members);
    site::config(listen, keys, &pool).replace("protocol = \"http\"", "protocol = \"tcp\"")
}

fn between(keys: &str, of_pool: &str, members: &[SocketAddr]) -> Site {
    Site::configured(|address| config(address, keys, of_pool, members))
}

/// Says its name, then what it gets until the client ends, and ends.
fn echo(name: &'static str) -> Origin {
    Origin::start(move |call| {
        call.send(name)?;
        let all = call.wire().try_rest()?;
        call.mark(String::from_utf8_lossy(&all));
        call.send(&all)?;
        call.end()
    })
}

fn of_virtual(site: &Site, name: &str) -> u64 {
    number(&site.daemon.status()["virtuals"][0], name)
}

fn of_member(site: &Site, at: usize, name: &str) -> u64 {
    number(&site.daemon.status()["pools"][0]["members"][at], name)
}

fn number(of: &Value, name: &str) -> u64 {
    of[name].as_u64().unwrap_or_else(|| panic!("{name} in {of}"))
}
