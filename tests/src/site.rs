//! Configurations of HTTP virtuals: their tables, and the one that most tests need: one virtual, one pool, one worker.

#![allow(clippy::expect_used, reason = "a test that cannot continue says so and ends")]

use std::net::SocketAddr;
use std::path::Path;

use crate::address;
use crate::daemon::Daemon;
use crate::origin::Origin;
use crate::raw::Client;

/// A daemon with one virtual.
pub struct Site {
    pub daemon: Daemon,
    pub address: SocketAddr,
}

impl Site {
    /// In front of these origins.
    #[track_caller]
    #[must_use]
    pub fn of(origins: &[&Origin]) -> Site {
        Site::with("", origins)
    }

    /// With more keys of its virtual.
    #[track_caller]
    #[must_use]
    pub fn with(keys: &str, origins: &[&Origin]) -> Site {
        let members: Vec<_> = origins.iter().map(|it| it.address()).collect();
        Site::members(keys, &members)
    }

    /// In front of members that may not be there.
    #[track_caller]
    #[must_use]
    pub fn members(keys: &str, members: &[SocketAddr]) -> Site {
        Site::configured(|address| config(address, keys, &pool("web", "", members)))
    }

    /// With a configuration of its own.
    #[track_caller]
    #[must_use]
    pub fn configured(config: impl FnOnce(SocketAddr) -> String) -> Site {
        let address = address::free();
        Site { daemon: Daemon::start(&config(address)), address }
    }

    /// Resident memory of the daemon, in bytes.
    #[must_use]
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.daemon.pid()));
        let status = status.expect("a process that is there");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.split_whitespace().next().and_then(|it| it.parse::<u64>().ok()).expect("a size") << 10
    }

    #[must_use]
    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }
}

/// One worker, a virtual named `web` and what comes after it.
#[must_use]
pub fn config(listen: SocketAddr, keys: &str, rest: &str) -> String {
    let pool = if keys.contains("pool =") { "" } else { "pool = \"web\"" };
    format!(
        r#"
[process]
workers = 1
drain = "20s"

[[virtual]]
name = "web"
listen = "{listen}"
protocol = "http"
{pool}
{keys}

{rest}
"#
    )
}

#[must_use]
pub fn virtual_(name: &str, listen: SocketAddr, pool: &str, keys: &str) -> String {
    format!(
        "[[virtual]]\nname = \"{name}\"\nlisten = \"{listen}\"\nprotocol = \"http\"\npool = \"{pool}\"\n{keys}\n\n"
    )
}

/// A rule of the virtual before it, from this pack.
#[must_use]
pub fn rule(name: &str, pack: &Path, keys: &str) -> String {
    format!("[[virtual.rule]]\nname = \"{name}\"\npack = \"{}\"\n{keys}\n\n", pack.display())
}

#[must_use]
pub fn pool(name: &str, keys: &str, members: &[SocketAddr]) -> String {
    let members: Vec<_> = members.iter().map(|it| format!("{{ address = \"{it}\" }}")).collect();
    format!("[[pool]]\nname = \"{name}\"\nmembers = [{}]\n{keys}\n\n", members.join(", "))
}
