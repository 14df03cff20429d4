//! What the planes share: the snapshot in force, live state that a reload keeps, counters, the
//! clock, TLS material. Nothing here knows a protocol.
//!
//! | module | what |
//! |---|---|
//! | [`snapshot`] | a configuration in force, with all that it needs to serve |
//! | [`plane`] | a kind of traffic, and how a change goes through all of them or none |
//! | [`registry`] | live state by identity: what a reload must not forget |
//! | [`counters`] | counters that each worker writes for itself |
//! | [`clock`] | the monotonic clock, as the numbers that the engine takes |
//! | [`pages`] | pages of answers that Shunt makes itself |
//! | [`tls`] | certificates and keys, chosen by server name |
//! | [`traces`] | who follows requests as they are served |
//! | [`rules`] | what planes do alike around rules |

mod apart;
pub mod clock;
pub mod cookie_keys;
pub mod counters;
pub mod dial;
pub mod log;
pub mod overload;
pub mod pages;
pub mod plane;
pub mod registry;
pub mod rules;
pub mod snapshot;
pub mod tls;
pub mod traces;

pub use snapshot::{Member, PacketVirtual, PathPool, Pool, Snapshot, Virtual, VirtualLoad};
