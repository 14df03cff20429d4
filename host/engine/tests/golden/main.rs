//! Golden packets: the text that they are written in.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot continue says so and ends"
)]

#[allow(dead_code, reason = "cases are only read here")]
mod case;
mod frame;
mod text;
