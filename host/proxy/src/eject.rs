//! Passive health: what requests, connections and sessions at a member come to.

use std::rc::Rc;
use std::sync::PoisonError;

use shunt_runtime::clock;

use crate::member::MemberView;
use crate::view::PoolView;

/// Counts what one came to, where the pool ejects members.
pub(crate) fn observe(pool: &PoolView, member: &MemberView, good: bool) {
    let Some(settings) = &pool.pool.settings.ejection else { return };
    // Of two that fail at the same moment the second is counted with the first.
    let _one = (!good).then(|| pool.pool.state.ejecting.lock().unwrap_or_else(PoisonError::into_inner));
    let ejected = || pool.members.iter().filter(|it| it.state.ejection().is_ejected()).count();
    let others = || (ejected(), pool.members.len());
    let now = clock::monotonic_ms();
    if let Some(time) = member.state.ejection().observe(good, &settings.policy, now, others) {
        tracing::warn!(
            event = "member-ejected", pool = %pool.name, member = %member.address, milliseconds = time,
            "requests, connections or sessions at the member failed in a row: it gets none for a while"
        );
    }
}

impl PoolView {
    /// The same pool, for what is told when a connection or a session is over; `None`: nothing is to be told.
    pub(crate) fn to_be_told(self: &Rc<Self>) -> Option<Rc<Self>> {
        self.pool.settings.ejection.is_some().then(|| Rc::clone(self))
    }
}
