//! What Shunt asks of the kernel, as calls that say what went wrong and what to do about it.
//!
//! The one crate that may hold unsafe code. It holds none yet: what is here has safe bindings.

pub mod cores;
pub mod files;
pub mod listen;
