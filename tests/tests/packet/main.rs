//! Packet virtuals between network namespaces, which need root.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot continue says so and ends"
)]

mod beside;
mod caches;
mod config;
mod errors;
mod every_port;
mod explain;
mod firewalls;
mod fragments;
mod l2dsr;
mod l3dsr;
mod monitors;
mod nat;
mod operators;
mod outbound;
mod prepare;
mod reload;
mod rules;
mod siit;
mod snat;
mod snat_reuse;
mod translation;

/// Whether labs can be made here; where they cannot, the test counts as skipped.
fn has_labs() -> bool {
    shunt_lab::needs::namespaces("packets between network namespaces")
}
