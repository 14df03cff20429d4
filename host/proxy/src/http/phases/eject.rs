//! Passive health: what a request at a member came to.

use std::rc::Rc;

use http::StatusCode;

use crate::eject::observe;
use crate::http::phases::send::Sent;
use crate::http::phases::{Stop, Transaction};
use crate::http::problem::Problem;
use crate::member::MemberView;
use crate::view::PoolView;

impl Transaction {
    /// Counts what a request came to that was sent, where the pool ejects members.
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
