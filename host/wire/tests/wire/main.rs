//! Packets in, packets out, in the text form of golden packets. What stands behind an arrow is built again
//! from its fields, with every checksum summed in full, by code that shares nothing with what is tested.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot continue says so and ends"
)]

#[path = "../../../engine/tests/golden/frame/mod.rs"]
mod frame;

mod addresses;
mod answers;
mod crossings;
mod hostile;
mod packets;
mod partial;
mod rewrites;
mod segments;
mod translations;
mod vlan;
