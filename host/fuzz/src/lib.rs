//! What is fuzzed: functions that take any bytes, and panic if something does not hold.

mod client_hello;
mod datapath;
mod dissect;
mod dns;
mod proxy_protocol;
mod replay;
mod rewrite;
mod server_hello;
mod translate;

pub use client_hello::client_hello;
pub use datapath::datapath;
pub use dissect::dissect;
pub use dns::dns;
pub use proxy_protocol::proxy_protocol;
pub use replay::replay;
pub use rewrite::rewrite;
pub use server_hello::server_hello;
pub use translate::translate;

/// A target: its name, which is that of its folder in `corpus`, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 9] = [
    ("dissect", dissect),
    ("rewrite", rewrite),
    ("replay", replay),
    ("translate", translate),
    ("datapath", datapath),
    ("client_hello", client_hello),
    ("server_hello", server_hello),
    ("proxy_protocol", proxy_protocol),
    ("dns", dns),
];
