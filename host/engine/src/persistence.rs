//! Clients that stay with their member: a table of keys, and the tag that a cookie carries.

mod table;
mod tag;

pub use table::{Bound, Counts, MAX_KEY, PersistenceTable};
pub use tag::MemberTag;

use std::net::IpAddr;

/// The key of a client that is known by its address alone.
#[must_use]
pub fn source_key(client: IpAddr) -> [u8; 16] {
    shunt_wire::Address::from(client).octets()
}
