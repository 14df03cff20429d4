//! The daemon's life, its reloads and its admin socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot continue says so and ends"
)]

mod admin;
mod agents;
mod compile;
mod life;
mod log;
mod members;
mod names;
mod prepare;
mod probes;
mod registry;
mod reload;
mod reloads;
