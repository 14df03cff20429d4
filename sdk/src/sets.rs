//! Sets of entries that the operator keeps: addresses, host names, paths, each with a value
//! where it has one (data groups).
//!
//! `pack.toml` declares them, and `[capabilities]` asks for `sets`:
//!
//! ```toml
//! [sets]
//! deny = { kind = "addresses", purpose = "clients that are refused, with the reason" }
//! ```
//!
//! | kind | what matches |
//! |---|---|
//! | `addresses` | the longest prefix that has the address |
//! | `exact` | the same text |
//! | `prefix` | the longest entry that the text begins with |
//! | `suffix` | the longest host name that the text is, or is below; letter case does not count |
//! | `regex` | the first pattern of the file that matches |
//!
//! Naming a set that the pack does not declare is a fault.
//!
//! ```
//! # use shunt_sdk::prelude::*;
//! # fn show(request: &Request) -> request::Verdict {
//! match sets::address("deny", request.flow().client.ip()) {
//!     Some(reason) => respond(403).text(&reason),
//!     None => next(),
//! }
//! # }
//! ```

use std::net::IpAddr;

use crate::address::to_address;
use crate::bindings::sets as wire;

/// What was found: `matched` is the entry as the operator wrote it, `value` what stands behind
/// it, empty where nothing does.
pub use wire::Entry;

/// The value of the longest prefix that has this address; empty where the entry has none. Asking
/// a set of another kind than `addresses` is a fault.
pub fn address(set: &str, address: IpAddr) -> Option<String> {
    wire::lookup_address(set, to_address(address))
}

/// The entry that matches a text, by the kind of the set. A text of more than 65,536 bytes, or
/// 4,096 with the kind `regex`, is a fault.
pub fn find(set: &str, text: &str) -> Option<Entry> {
    wire::lookup(set, text)
}
