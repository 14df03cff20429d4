//! Clients, routers and members around a load balancer, out of network namespaces and veth pairs.
//!
//! A [`Topology`] is three or four segments of Ethernet with hosts on them, in both families; it has everything but the
//! load balancer, for which it keeps the host `shunt` free. [`Shunt`] runs the daemon there. The members are ordinary
//! Linux hosts with the configuration that the book gives operators for each [`Mode`], and know nothing of Shunt's code; that they
//! work is proved by `tests/standins.rs`, where something else stands in Shunt's place.
//!
//! Everything needs root, happens inside namespaces that the lab made, and is taken down when it is dropped, also
//! after a panic; what a killed process left behind is removed by the next lab.
//!
//! Needed: `ip`, `ethtool`, `nft`, `curl`, `ping` ([`check_programs`]), and for captures `tcpdump`.

mod address;
mod capture;
mod client;
mod daemon;
mod echo;
mod host;
mod line;
mod member;
mod namespace;
pub mod needs;
mod network;
mod origin;
mod pieces;
mod plan;
mod process;
mod programs;
mod siit;
mod stream;
mod topology;
mod tunnel;

use std::time::Duration;

pub use address::{Family, Mode, Place};
pub use client::{Answer, Fetch, Held, Request, ask};
pub use daemon::Shunt;
pub use host::Host;
pub use line::Line;
pub use member::Member;
pub use namespace::Namespace;
pub use network::{Lab, Offloads, Segment};
pub use plan::Plan;
pub use process::Process;
pub use programs::check_programs;
pub use siit::{Siit, Through};
pub use stream::{bytes, digest};
pub use topology::{Shape, Topology};
pub use tunnel::{Heard, TunnelEnd};

/// Longer than anything takes here that is not stuck.
pub const PATIENCE: Duration = Duration::from_secs(30);
