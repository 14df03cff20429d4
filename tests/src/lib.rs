//! What the black-box tests share: a daemon that is started and ended, origins, and HTTP byte by byte.
//!
//! The program under test is the one that was built: `SHUNT_BIN` names it, or it is the `shunt`
//! beside the folder that the test program is in (`target/debug/shunt` for `target/debug/deps/…`).
//! Cargo does not build it for these tests, for no crate of the workspace is a dependency here;
//! `cargo xtask test` does so first, and by hand it is `cargo build`.
//!
//! Everything happens on loopback. Addresses come from [`address::free`], so that tests that run at
//! the same time never meet.

pub mod address;
pub mod daemon;
pub mod dns;
pub mod frames;
pub mod load;
pub mod origin;
pub mod packet;
pub mod packs;
pub mod program;
pub mod raw;
pub mod registry;
pub mod root;
pub mod server;
pub mod site;
pub mod stored;
