//! The live state of the pools that the rule has slots for.

use std::net::SocketAddr;

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
