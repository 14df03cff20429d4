//! Packet virtuals between network namespaces, which need root.

mod caches;
mod config;
mod errors;
mod explain;
mod firewalls;
mod fragments;
mod l2dsr;
mod l3dsr;
mod monitors;
mod nat;
mod operators;
mod outbound;
mod reload;
mod rules;
mod siit;
mod snat;
mod snat_reuse;
mod translation;
