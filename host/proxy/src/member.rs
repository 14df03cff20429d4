//! A member as one worker sees it, whatever protocol is spoken with it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use shunt_engine::member::MemberState;
use shunt_runtime::counters::{MemberCounters, Shard};

/// How often [`MemberView::sweep`] is to be called.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(10);

pub(crate) struct MemberView {
    pub(crate) address: SocketAddr,
    pub(crate) weight: u32,
    pub(crate) state: Arc<MemberState>,
    pub(crate) counters: Arc<Shard<MemberCounters>>,
    /// Connections that are not in use. What stands above keeps them; here they only grow old and are closed.
    pub(crate) kept: crate::http::member::Kept,
}

impl MemberView {
    pub(crate) fn new(
        address: SocketAddr,
        weight: u32,
        state: Arc<MemberState>,
        counters: Arc<Shard<MemberCounters>>,
    ) -> Self {
        MemberView { address, weight, state, counters, kept: Default::default() }
    }

    /// The same member with another weight: takes its connections over.
    pub(crate) fn with_weight(&self, weight: u32) -> Self {
        MemberView {
            address: self.address,
            weight,
            state: Arc::clone(&self.state),
            counters: Arc::clone(&self.counters),
            kept: self.kept.take(),
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
