//! Bytes that other programs read.
//!
//! What stands here has one layout for every reader: the host, the rules and (later) the kernel
//! program. No allocation, no I/O, no time, no unsafe.
//!
//! Packets are read elsewhere. Here they are rewritten in place ([`rewrite`], [`translation`],
//! [`fragment`]) and answered ([`icmp`], [`tcp`], [`arp`], [`ndp`]), by a [`Layout`] that says where their headers are.
//! Of HTTP there is what several readers of a message must agree on ([`authority`]), of TLS the hello of a client
//! ([`client_hello`]), of DNS what a resolver is asked and answers ([`dns`]).

#![no_std]

mod address;
pub mod arp;
pub mod authority;
mod bytes;
pub mod checksum;
pub mod client_hello;
pub mod dns;
mod error;
pub mod ethernet;
pub mod flow;
pub mod fragment;
pub mod frame;
pub mod icmp;
pub mod identification;
pub mod ip;
pub mod layout;
pub mod names;
pub mod ndp;
pub mod proxy_protocol;
pub mod rewrite;
pub mod server_hello;
pub mod steering;
pub mod tcp;
pub mod translation;
pub mod vlan;

pub use address::{Address, Endpoint};
pub use error::{Hop, RewriteError};
pub use ethernet::Mac;
pub use flow::FlowKey;
pub use frame::Frame;
pub use layout::{Family, Layout};
pub use rewrite::Rewrite;
