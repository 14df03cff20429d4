//! What is read of frames that are written as text, and what is not read.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot continue says so and ends"
)]

#[path = "../golden/frame/mod.rs"]
mod frame;
#[path = "../../../wire/tests/wire/packets.rs"]
#[expect(dead_code, reason = "what rewrites are tested with besides")]
mod packets;

#[path = "../../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "it is a crate of its own where it is fuzzed")]
mod targets;

mod corpus;
mod hostile;
mod kinds;
mod refusals;
