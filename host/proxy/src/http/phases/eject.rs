//! Passive health: what a request at a member came to.

use std::rc::Rc;
use std::sync::PoisonError;

use http::StatusCode;
use shunt_runtime::clock;

use crate::http::phases::send::Sent;
use crate::http::phases::{Stop, Transaction};
use crate::http::problem::Problem;
use crate::member::MemberView;
use crate::view::PoolView;

/// Counts what a request came to, where the pool ejects members.
pub(super) fn observe(pool: &PoolView, member: &MemberView, good: bool) {
    let Some(settings) = &pool.pool.settings.ejection else { return };
    // Of two that fail at the same moment the second is counted with the first.
    let _one = (!good).then(|| pool.pool.state.ejecting.lock().unwrap_or_else(PoisonError::into_inner));
    let ejected = || pool.members.iter().filter(|it| it.state.ejection().is_ejected()).count();
    let others = || (ejected(), pool.members.len());
    let now = clock::monotonic_ms();
    if let Some(time) = member.state.ejection().observe(good, &settings.policy, now, others) {
        tracing::warn!(
            event = "member-ejected", pool = %pool.name, member = %member.address, milliseconds = time,
            "requests at the member failed in a row: it gets none for a while"
        );
    }
}

impl Transaction {
    /// The same of a request that was sent.
    pub(super) fn observe_sent(&self, pool: &PoolView, member: &Rc<MemberView>, sent: &Result<Sent, Stop>) {
        if pool.pool.settings.ejection.is_none() {
            return;
        }
        let good = match sent {
            Ok(Sent::Response(response, _)) => {
                let slow = pool.pool.settings.ejection.as_ref().and_then(|it| it.slow);
                !is_failure(response.status) && slow.is_none_or(|slow| self.started.elapsed() <= slow)
            }
            Err(Stop::Problem(Problem::NoResponse | Problem::TimedOut)) | Ok(Sent::Again) => false,
            // It is the client's.
            Err(_) => return,
        };
        observe(pool, member, good);
    }
}

/// As HAProxy's `observe layer7`: 501 and 505 are about the request.
fn is_failure(status: StatusCode) -> bool {
    status.is_server_error()
        && !matches!(status, StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED)
}
