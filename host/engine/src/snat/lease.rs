//! A port in use.

use std::sync::{Arc, Mutex, PoisonError};

use shunt_wire::{Address, Endpoint};

/// A SNAT address and port that one flow has toward one member endpoint, until this is given to
/// [`Ports::end`](super::Ports::end).
///
/// One that is dropped gives itself back as well: as of a flow of whose end nothing is known, so that the port
/// is quarantined for the longest time, and from when [`Ports`](super::Ports) next hears of the time.
#[derive(Debug)]
#[must_use]
pub struct Lease {
    held: Held,
    returns: Option<ReturnQueue>,
}

/// What is leased.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) endpoint: Endpoint,
    /// The place of its bitmap.
    pub(super) bitmap: u32,
    /// The port's index in the bitmap.
    pub(super) index: u32,
    /// The pool's when it was leased.
    pub(super) time_wait: u64,
}

/// Where dropped leases are put until someone who knows the time takes them.
#[derive(Clone, Debug, Default)]
pub(super) struct ReturnQueue(Arc<Mutex<Vec<Held>>>);

impl Lease {
    pub(super) fn new(held: Held, returns: &ReturnQueue) -> Self {
        Self { held, returns: Some(returns.clone()) }
    }

    /// The address and port. Of ICMP echo, the identifier.
    #[must_use]
    pub const fn endpoint(&self) -> Endpoint {
        self.held.endpoint
    }

    #[must_use]
    pub const fn address(&self) -> Address {
        self.held.endpoint.address
    }

    #[must_use]
    pub const fn port(&self) -> u16 {
        self.held.endpoint.port
    }

    /// What is leased, and nothing gives itself back any more. None if it is leased from elsewhere.
    pub(super) fn redeem(mut self, returns: &ReturnQueue) -> Option<Held> {
        if !self.returns.as_ref().is_some_and(|own| Arc::ptr_eq(&own.0, &returns.0)) {
            return None;
        }
        self.returns = None;
        Some(self.held)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(returns) = self.returns.take() {
            returns.put(self.held);
        }
    }
}

impl ReturnQueue {
    /// Those that were dropped since the last time.
    pub(super) fn take(&self) -> Vec<Held> {
        // An empty vector is no allocation. A panic elsewhere would leave the list a valid one.
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, held: Held) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(held);
    }
}
