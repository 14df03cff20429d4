//! `shunt doctor`: what on this host keeps packet virtuals from working, found without the daemon.
//!
//! | module | what |
//! |---|---|
//! | `facts` | what this host is, read once |
//! | `host` | privileges and the kernel |
//! | `certificates` | whether they can be served, and for how long |
//! | `files` | how many files and sockets may be open |
//! | `datagrams` | room and ports for proxies of UDP |
//! | `ports` | interfaces: there, up, whose addresses, how fast |
//! | `reachability` | whether packets reach members, and replies come back |
//! | `monitors` | whether they would see what clients see |
//! | `transparent` | whether packets for other hosts' addresses reach Shunt |
//! | `members` | what members have to be set up with, which cannot be seen from here |
//! | `names` | what a daemon that runs found of names |
//!
//! Checks take facts and give findings: nothing is changed, and nothing is sent.

mod certificates;
mod datagrams;
mod facts;
mod files;
mod host;
mod members;
mod monitors;
mod names;
mod ports;
mod reachability;
#[cfg(test)]
mod tests;
mod transparent;

use std::net::SocketAddr;

use serde::Serialize;

pub use facts::Facts;
pub use files::{RAISE_FILES, too_few_files};
pub use names::resolved;
use shunt_config::model::Config;
use shunt_packets::holder;

/// What was looked at, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub result: Outcome,
    /// What was looked at: `interface eth0`, `virtual web`.
    pub about: String,
    pub found: String,
    /// What to do.
    pub remedy: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Good,
    /// It cannot be seen from here, or it works and could be better.
    Note,
    /// It does not work like this.
    Failed,
}

/// Looks at everything that a configuration uses.
pub fn examine(config: &Config, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    files::check(config, facts, &mut findings);
    datagrams::check(config, facts, &mut findings);
    own_listeners(config, facts, &mut findings);
    certificates::check(facts, &mut findings);
    transparent::check(config, facts, &mut findings);
    if !config.forwards_packets() {
        findings.push(Finding::good("configuration", "has no packet virtuals, so nothing else is checked"));
        return findings;
    }
    host::check(facts, &mut findings);
    ports::check(config, facts, &mut findings);
    reachability::check(config, facts, &mut findings);
    monitors::check(config, facts, &mut findings);
    members::remind(config, facts, &mut findings);
    findings
}

/// Members that are listeners of Shunt on an address of this host, which the configuration alone does not show.
fn own_listeners(config: &Config, facts: &Facts, findings: &mut Vec<Finding>) {
    for pool in &config.pools {
        for address in pool.members.iter().map(|it| it.address) {
            let ours = |listen: &SocketAddr| {
                let every = listen.ip().is_unspecified()
                    && listen.is_ipv4() == address.is_ipv4()
                    && (address.ip().is_loopback() || holder(&facts.state, address.ip()).is_some());
                listen.port() == address.port() && (listen.ip() == address.ip() || every)
            };
            let Some(virtual_) = config.virtuals.iter().find(|it| it.listen.iter().any(ours)) else {
                continue;
            };
            findings.push(Finding::failed(
                format!("pool {}", pool.name),
                format!(
                    "member {address} is the listener of virtual {}: Shunt would send traffic to itself",
                    virtual_.name
                ),
                "use the address and port of the server",
            ));
        }
    }
}

/// What a daemon that runs says of the XDP program on an interface.
pub fn attached(interface: &str, mode: &str) -> Finding {
    let about = format!("interface {interface}");
    if mode == "native" {
        return Finding::good(about, "runs the XDP program in its driver");
    }
    if mode == "gone" {
        return Finding::failed(about, "is gone", "run `shunt reload` once it exists again");
    }
    if mode == "tun" {
        return Finding::good(about, "is a TUN device, which the first packet worker reads");
    }
    Finding::note(
        about,
        "its driver runs no XDP program: the kernel allocates a packet for every frame first, frames larger than its MTU \
         (which GRO makes here, and TSO in guests of the same computer) are lost, and VLAN tags that the card strips are \
         invisible",
        format!(
            "use a driver with XDP (`ethtool -i` names this one); drivers of virtual machines may need more queues for \
             it. Otherwise `ethtool -K {interface} gro off lro off`, in guests of the same computer that send to it \
             `ethtool -K NAME tso off gso off`, and with VLANs on it `ethtool -K {interface} rxvlan off`"
        ),
    )
}

impl Finding {
    fn good(about: impl Into<String>, found: impl Into<String>) -> Finding {
        Finding { result: Outcome::Good, about: about.into(), found: found.into(), remedy: None }
    }

    fn note(about: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding {
            result: Outcome::Note,
            about: about.into(),
            found: found.into(),
            remedy: Some(remedy.into()),
        }
    }

    fn failed(about: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding {
            result: Outcome::Failed,
            about: about.into(),
            found: found.into(),
            remedy: Some(remedy.into()),
        }
    }
}
