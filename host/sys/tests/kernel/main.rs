//! What Shunt asks of the kernel, asked of the kernel. As root, each test in a network namespace of its
//! own, which is gone with the test's thread.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot continue says so and ends")]

mod frames;
mod leftovers;
mod namespace;
mod network;
mod object;
mod privilege;
mod sockets;
mod steering;
mod tun;
