//! What the commands of the program print, and what they refuse.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot continue says so and ends"
)]

mod check;
mod commands;
mod files;
mod languages;
mod packs;
mod rules;
mod trust;
