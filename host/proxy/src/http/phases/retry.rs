//! Retries: a request that a member did not serve goes to another, as the pool's `retry` says.

use std::rc::Rc;

use tokio::time::Instant;

use crate::deadline::Waiting;
use crate::http::body::RequestBody;
use crate::http::phases::send::{Sent, is_idempotent};
use crate::http::phases::{Stop, Transaction};
use crate::http::problem::Problem;
use crate::member::MemberView;
use crate::view::PoolView;

impl Transaction {
    /// Gives the attempt that begins less time, where another can follow it.
    pub(super) fn limit_attempt(&self, pool: &PoolView) {
        let settings = &pool.pool.settings;
        if let Some(timeout) = settings.retry.timeout
            && self.has_attempts(pool)
            && self.is_at_hand()
        {
            let within = timeout.min(self.view.virtual_.settings.timeouts.first_byte);
            self.stream.deadline.wait_for(Waiting::FirstByte, Instant::now() + within);
        }
    }

    /// What a request that was sent came to: if it failed and may be sent again, that.
    pub(super) fn retried(
        &mut self,
        pool: &Rc<PoolView>,
        member: &MemberView,
        sent: Result<Sent, Stop>,
    ) -> Result<Sent, Stop> {
        let retry = &pool.pool.settings.retry;
        let failed = match &sent {
            Ok(Sent::Response(head, _)) => {
                !retry.answers.is_empty() && retry.answers.iter().any(|it| it.contains(&head.status.as_u16()))
            }
            Ok(Sent::Again) => false,
            Err(Stop::Problem(Problem::TimedOut)) => retry.timeout.is_some(),
            Err(Stop::Problem(Problem::NoResponse)) => retry.no_answer,
            Err(_) => false,
        };
        if !failed || !self.has_attempts(pool) || !self.is_at_hand() || !self.has_another(pool, member) {
            return sent;
        }
        if !self.may_retry(pool) {
            return sent;
        }
        self.tried.push(member.address);
        self.served_by = None;
        self.wait_for_member();
        Ok(Sent::Again)
    }

    /// Whether the pool's budget has one more retry, which is taken and counted then.
    pub(super) fn may_retry(&mut self, pool: &PoolView) -> bool {
        let (retry, state) = (&pool.pool.settings.retry, &pool.pool.state);
        if let Some(most) = retry.at_once
            && self.retrying.is_none()
        {
            self.retrying = state.retrying.take(most);
        }
        let has_room = retry.at_once.is_none() || self.retrying.is_some();
        let may = has_room && (retry.budget.is_none() || state.retries.take());
        let count = if may { &self.view.counters.retries } else { &self.view.counters.retries_withheld };
        count.add(1);
        may
    }

    /// Whether a member that is tried now is not the last.
    fn has_attempts(&self, pool: &PoolView) -> bool {
        self.tried.len() + 1 < pool.pool.settings.retry.attempts
    }

    /// Whether all of the request can be sent again, and does no harm then (RFC 9110 section 9.2.2).
    fn is_at_hand(&self) -> bool {
        let has_no_body = matches!(self.body, RequestBody::Empty) && !self.body_state.given_away.get();
        is_idempotent(&self.exchange.request.method) && (self.replay.is_some() || has_no_body)
    }

    pub(super) fn has_another(&self, pool: &PoolView, member: &MemberView) -> bool {
        pool.has_another(&self.tried, member.address)
    }
}
