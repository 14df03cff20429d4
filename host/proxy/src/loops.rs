//! Connections of this process to addresses that clients connected to. One of them that comes in again has gone in a
//! circle: a router, or a rule of this host, sends to Shunt what Shunt sends.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use shunt_runtime::clock;

/// Of all workers: a connection may come back to any. From where, and to where.
static OPEN: Mutex<BTreeSet<(SocketAddr, SocketAddr)>> = Mutex::new(BTreeSet::new());

/// Circles are told at most so often, in milliseconds.
const TELL_EVERY: u64 = 1_000;

/// One that is open, or about to be.
#[derive(Debug)]
pub(crate) struct Outgoing(SocketAddr, SocketAddr);

impl Outgoing {
    pub(crate) fn begin(from: SocketAddr, to: SocketAddr) -> Self {
        open().insert((from, to));
        Outgoing(from, to)
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        open().remove(&(self.0, self.1));
    }
}

/// Whether a connection that came in is one of these.
pub(crate) fn is_own(client: SocketAddr, to: SocketAddr) -> bool {
    open().contains(&(client, to))
}

/// Logs that one came back, unless that was logged a moment ago.
pub(crate) fn tell(virtual_: &str, to: SocketAddr) {
    static TOLD: AtomicU64 = AtomicU64::new(0);
    let (now, last) = (clock::monotonic_ms(), TOLD.load(Relaxed));
    if last != 0 && now.saturating_sub(last) < TELL_EVERY {
        return;
    }
    TOLD.store(now.max(1), Relaxed);
    tracing::warn!(
        event = "loop", "virtual" = virtual_, destination = %to,
        "a connection of Shunt came back to it, and is refused: except what comes from this host from what is redirected to it"
    );
}

fn open() -> MutexGuard<'static, BTreeSet<(SocketAddr, SocketAddr)>> {
    // Whatever panicked, the set is whole.
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_known_until_it_ends() {
        let [from, to] = ["192.0.2.1:40000", "198.51.100.1:80"].map(|it| it.parse().unwrap());
        assert!(!is_own(from, to));
        let outgoing = Outgoing::begin(from, to);
        assert!(is_own(from, to) && !is_own(to, from));
        drop(outgoing);
        assert!(!is_own(from, to));
    }
}
