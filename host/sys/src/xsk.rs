//! AF_XDP sockets: frames of one interface's queue, in memory that the kernel and this process share.
//!
//! Copy mode, which works with every driver. On the crate `xdp`, whose limits shape this: a socket's
//! memory belongs to it alone, so that a frame which leaves by another socket is copied once; and it
//! reads no need-wakeup flags, so that sending always ends in a system call per batch, as copy mode
//! wants it anyway.
//!
//! A queue has one socket at most. A thread without a queue of an interface sends there by a
//! [`Sender`](crate::raw::Sender).

mod error;
mod queues;
mod socket;
mod sockets;

pub use error::{Cause, XskError};
pub use queues::queues;
pub use socket::{MAX_MTU, Options, Socket, Statistics};
pub use sockets::{Fate, Outbox, Received, Reception, Sockets, Unsent};
