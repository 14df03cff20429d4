//! What Shunt asks of the kernel, asked of the kernel. As root, each test in a network namespace of its
//! own, which is gone with the test's thread.

mod frames;
mod leftovers;
mod namespace;
mod network;
mod object;
mod sockets;
mod steering;
