//! TLS of virtuals and members, with the clients and servers that people use: openssl, curl, nginx, HAProxy.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot continue says so and ends"
)]

mod bad_input;
mod certificates;
mod client_hello;
mod clients;
mod drain;
mod follow;
mod goodbye;
mod hello;
mod load;
mod members;
mod pass_through;
mod pki;
mod proxy_headers;
mod sessions;
mod tcp;
