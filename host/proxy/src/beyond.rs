//! Clients beyond `limits.connections`: refused, and told in the log.

use std::cell::Cell;
use std::net::SocketAddr;

use shunt_config::model::Limits;
use shunt_runtime::clock;

use crate::view::VirtualView;

/// Refusals are written to the log at most so often by each listener, in milliseconds.
const TELL_EVERY: u64 = 1_000;

/// How many a listener has refused that are not in the log yet.
#[derive(Default)]
pub(crate) struct Beyond {
    refused: Cell<u64>,
    /// When the last line was written.
    told: Cell<Option<u64>>,
}

impl Beyond {
    /// Logs that clients are refused, unless that was logged a moment ago. `what`: connections, or sessions of UDP.
    pub(crate) fn tell(&self, view: &VirtualView, client: SocketAddr, what: &str) {
        let refused = self.refused.get() + 1;
        let now = clock::monotonic_ms();
        if self.told.get().is_some_and(|last| now - last < TELL_EVERY) {
            self.refused.set(refused);
            return;
        }
        self.told.set(Some(now));
        self.refused.set(0);
        let settings = &view.virtual_.settings;
        tracing::warn!(
            "virtual" = %settings.name,
            limit = settings.limits.connections.map_or(Limits::PER_WORKER, |most| most as usize),
            refused,
            last = %client,
            "limits.connections is reached: {what} are refused; raise it or find out who holds them"
        );
    }
}
