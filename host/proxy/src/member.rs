//! A member as one worker sees it, whatever protocol is spoken with it.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use shunt_engine::member::MemberState;
use shunt_runtime::clock;
use shunt_runtime::counters::{MemberCounters, Shard};
use shunt_runtime::tls::members::{NoTls, ToMember};

/// How often [`MemberView::sweep`] is to be called.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(10);

pub(crate) struct MemberView {
    pub(crate) address: SocketAddr,
    pub(crate) weight: u32,
    /// `None`: no TLS with it.
    pub(crate) tls: Option<Arc<ToMember>>,
    pub(crate) state: Arc<MemberState>,
    pub(crate) counters: Arc<Shard<MemberCounters>>,
    /// Connections that are not in use. What stands above keeps them; here they only grow old and are closed.
    pub(crate) kept: crate::http::member::Kept,
    /// When a failure of TLS was last told.
    told: Cell<Option<u64>>,
}

/// Failures of TLS with a member are told at most so often by each worker, in milliseconds.
const TELL_EVERY: u64 = 1_000;

impl MemberView {
    pub(crate) fn new(
        address: SocketAddr,
        weight: u32,
        tls: Option<Arc<ToMember>>,
        state: Arc<MemberState>,
        counters: Arc<Shard<MemberCounters>>,
    ) -> Self {
        MemberView { address, weight, tls, state, counters, kept: Default::default(), told: Cell::default() }
    }

    /// The same member with another weight: takes its connections over.
    pub(crate) fn with_weight(&self, weight: u32) -> Self {
        MemberView {
            address: self.address,
            weight,
            tls: self.tls.clone(),
            state: Arc::clone(&self.state),
            counters: Arc::clone(&self.counters),
            kept: self.kept.take(),
            told: self.told.clone(),
        }
    }

    /// Logs why there is no TLS, unless that was logged a moment ago: it is mostly for an operator to put right.
    pub(crate) fn tell_no_tls(&self, virtual_: &str, why: &NoTls) {
        let now = clock::monotonic_ms();
        if self.told.get().is_none_or(|last| now - last >= TELL_EVERY) {
            self.told.set(Some(now));
            let member = self.address;
            tracing::warn!(event = "member-tls-failed", "virtual" = virtual_, %member, "no TLS with the member: {why}");
        }
    }

    /// Closes connections that are idle for too long or were closed by the member.
    pub(crate) fn sweep(&self) {
        self.kept.sweep();
    }

    /// Closes every idle connection: the member is being taken out.
    pub(crate) fn close_idle(&self) {
        self.kept.close();
    }
}
