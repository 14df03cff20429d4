//! The live state of the pools that the rule has slots for.

use std::net::SocketAddr;
use std::time::Duration;

use crate::address::from_endpoint;
use crate::bindings::lb as wire;

pub use wire::{MemberState, Pool};

/// A member of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Its address.
    pub address: SocketAddr,
    /// Whether it may be chosen.
    pub state: MemberState,
    /// Its weight in the configuration.
    pub weight: u32,
    /// Requests and connections in flight, over all workers.
    pub active: u32,
}

/// The state of a pool. Naming a slot that `pack.toml` does not declare is a fault.
pub fn pool(slot: &str) -> Pool {
    wire::get_pool(slot)
}

/// Those that wait for a member of a pool, over all workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// Requests and connections that wait.
    pub waiting: u32,
    /// How long the first of them has waited: what a new one has to expect at least, while nothing
    /// changes. Zero when none waits.
    pub oldest: Duration,
}

/// The queue of a pool; one without `on-empty = { queue = … }` has none that wait. Naming a slot
/// that `pack.toml` does not declare is a fault.
///
/// ```
/// # use shunt_sdk::prelude::*;
/// # fn show() -> request::Verdict {
/// // Who would wait for a second or longer is told so at once.
/// if lb::queue("web").oldest >= Duration::from_secs(1) {
///     return respond(503).header("retry-after", "5").text("Busy; come again.\n");
/// }
/// next()
/// # }
/// ```
pub fn queue(slot: &str) -> Queue {
    let wire::Queue { waiting, oldest_ms } = wire::get_queue(slot);
    Queue { waiting, oldest: Duration::from_millis(oldest_ms.into()) }
}

/// The members of a pool, in the order of the configuration.
pub fn members(slot: &str) -> Vec<Member> {
    let member = |wire::Member { address, state, weight, active }| Member {
        address: from_endpoint(address),
        state,
        weight,
        active,
    };
    wire::members(slot).into_iter().map(member).collect()
}
