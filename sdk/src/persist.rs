//! Bindings of clients to members, in the pools that the rule has slots for: those that
//! [`persist`](crate::Verdict::persist) makes, and others that the rule makes itself. `shunt persistence` shows them.
//!
//! A key is that of the virtual where the rule is attached, or of its persistence group: it
//! means the same client as in a verdict. Naming a slot that `pack.toml` does not declare is a
//! fault, and so is a key of more than 256 bytes.
//!
//! ```
//! # use shunt_sdk::prelude::*;
//! /// A client that logs out is bound anew.
//! fn forget(user: &str) {
//!     persist::delete("web", user);
//! }
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use crate::address::{from_endpoint, to_endpoint};
use crate::bindings::persist as wire;
use crate::hash::Key;

/// The member that a key is bound to. That is a use: the time of the binding begins again.
pub fn lookup(slot: &str, key: impl Key) -> Option<SocketAddr> {
    key.with_bytes(|key| wire::lookup(slot, key)).map(from_endpoint)
}

/// Binds a key to a member, for as long as the virtual says after each use. Whether it is
/// bound: not to a member that the pool does not have, nor where the table is full of bindings
/// that are all in use.
pub fn bind(slot: &str, key: impl Key, member: SocketAddr) -> bool {
    key.with_bytes(|key| wire::bind(slot, key, to_endpoint(member), 0))
}

/// As [`bind`], with a time of its own.
pub fn bind_for(slot: &str, key: impl Key, member: SocketAddr, timeout: Duration) -> bool {
    let timeout = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX).max(1);
    key.with_bytes(|key| wire::bind(slot, key, to_endpoint(member), timeout))
}

/// Deletes the binding of a key; whether there was one.
pub fn delete(slot: &str, key: impl Key) -> bool {
    key.with_bytes(|key| wire::delete(slot, key))
}

/// How many bindings a pool has, of all virtuals. Those whose time is over are among them until
/// they are swept.
pub fn count(slot: &str) -> u64 {
    wire::count(slot)
}
