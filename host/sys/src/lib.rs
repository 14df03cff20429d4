//! What Shunt asks of the kernel, as calls that say what went wrong and what to do about it.
//!
//! The one crate that may hold unsafe code; each block says why it is sound.

pub mod accept;
pub mod background;
pub mod cores;
pub mod datagrams;
mod ethtool;
pub mod files;
pub mod fragments;
pub mod interfaces;
pub mod listen;
pub mod memory;
pub mod netlink;
pub mod pipe;
pub mod ports;
pub mod process;
pub mod raw;
pub mod source;
pub mod stream;
pub mod tun;
pub mod waker;
pub mod xdp;
pub mod xsk;
