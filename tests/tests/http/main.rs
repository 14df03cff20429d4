//! Virtuals of HTTP on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot continue says so and ends"
)]

mod balances;
mod early_answers;
mod explain;
mod fields;
mod flags;
mod forward_proxies;
mod fronts;
mod half_close;
mod hot_loads;
mod http2;
mod informational;
mod lifecycle;
mod limits;
mod members;
mod messages;
mod misbehaving;
mod mixed;
mod own_answers;
mod persistence;
mod proxy_headers;
mod response_bodies;
mod rules;
mod selection;
mod sets;
mod smuggling;
mod streaming;
mod tables;
mod tls;
mod upgrade;
