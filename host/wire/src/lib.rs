//! Bytes that other programs read.
//!
//! What stands here has one layout for every reader: the host, the rules and (later) the kernel
//! program. No allocation, no I/O, no time, no unsafe.

#![no_std]

mod address;
pub mod checksum;

pub use address::{Address, Endpoint};
