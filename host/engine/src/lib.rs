//! What Shunt decides, apart from any I/O.
//!
//! Everything here is a function of its arguments: `now` is a number of milliseconds, keys for
//! hashing come from the caller, and nothing waits. So a test can put any moment and any order of
//! events before it. The crate's own `clippy.toml` keeps it so.

#![forbid(unsafe_code)]

pub mod at_once;
pub mod balance;
pub mod convergence;
pub mod datapath;
pub mod demand;
pub mod ejection;
pub mod eligible;
pub mod flow;
pub mod fragment;
pub mod hash;
pub mod health;
pub mod limit;
pub mod mapping;
pub mod member;
pub mod names;
pub mod network;
pub mod packet;
pub mod persistence;
pub mod queue;
pub mod retry;
pub mod snat;
pub mod timer;
