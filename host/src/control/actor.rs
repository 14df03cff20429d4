//! Who asks for a change, as the log names them.

use std::fmt;

/// Who asked for a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A program at the admin socket, as the kernel names it (`SO_PEERCRED`, unix(7)).
    Peer {
        uid: u32,
        /// `None`: it is of a PID namespace that cannot be seen.
        pid: Option<i32>,
    },
    /// A signal, by its name.
    Signal(&'static str),
    /// The breaker of a rule that faulted too often.
    Breaker,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::Peer { uid, pid: Some(pid) } => write!(f, "uid {uid}, pid {pid}"),
            Actor::Peer { uid, pid: None } => write!(f, "uid {uid}"),
            Actor::Signal(name) => f.write_str(name),
            Actor::Breaker => f.write_str("breaker"),
        }
    }
}
