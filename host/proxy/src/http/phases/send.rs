//! Send: the request to the member, and the wait for the head of its response.

use std::rc::Rc;

use http::{Method, StatusCode, response};
use shunt_rules::{ConnectCause, Hook};
use shunt_runtime::clock;
use tokio::time::Instant;

use crate::http::body::{RequestBody, RequestBodyFailure};
use crate::http::fields::switches_to_http;
use crate::http::member::{Broken, Lease, MOST_KEPT, Resend, SendError};
use crate::http::phases::{Stop, Transaction};
use crate::http::problem::Problem;
use crate::member::MemberView;

pub(super) enum Sent {
    Response(response::Parts, Lease),
    /// The request can be sent again, to another member.
    Again,
}

impl Transaction {
    pub(super) async fn send(&mut self, lease: Lease) -> Result<Sent, Stop> {
        let member = Rc::clone(lease.member());
        match self.send_once(lease).await {
            Ok((response, lease)) => self.sent(response, lease),
            Err(SendError::Stale(error, again)) => Box::pin(self.send_again(&member, error, again)).await,
            Err(error) => Err(self.failed(&member, error)),
        }
    }

    /// The member closed a connection while it was idle, or had not ended what it sent on it. The request gets a second
    /// attempt, where nothing of the request is lost and the member may get it twice.
    async fn send_again(
        &mut self,
        member: &Rc<MemberView>,
        error: Broken,
        again: Resend,
    ) -> Result<Sent, Stop> {
        if let Err(again) = self.take_back(again) {
            return Err(self.failed(member, SendError::Stale(error, again)));
        }
        tracing::debug!(member = %member.address, %error, "kept connection serves no more, connecting again");
        let Some(reserved) = member.state.try_begin() else {
            // Others have taken its connections.
            self.connect_failed(member, ConnectCause::Other.into())?;
            return Ok(Sent::Again);
        };
        match self.connect_new(member, Some(reserved)).await {
            Err(cause) => {
                self.connect_failed(member, cause)?;
                Ok(Sent::Again)
            }
            Ok(lease) => match self.send_once(lease).await {
                Ok((response, lease)) => self.sent(response, lease),
                // It does not take any: another member may.
                Err(SendError::Stale(error, again @ Resend::Unsent(_))) => {
                    tracing::debug!(member = %member.address, %error, "not processed again");
                    member.counters.failures.add(1);
                    drop(self.take_back(again));
                    self.connect_failed(member, ConnectCause::Other.into())?;
                    Ok(Sent::Again)
                }
                Err(error) => Err(self.failed(member, error)),
            },
        }
    }

    /// Has at hand what is left of the request, if the member may get that.
    fn take_back(&mut self, again: Resend) -> Result<(), Resend> {
        match again {
            Resend::Unsent(body) => {
                // What is at hand is sent as it is.
                if self.replay.is_none() {
                    self.body = body;
                }
                self.body_state.given_away.set(false);
                Ok(())
            }
            Resend::Whole(body) if is_idempotent(&self.exchange.request.method) => {
                self.replay = Some(body);
                Ok(())
            }
            again => Err(again),
        }
    }

    fn sent(&mut self, response: response::Parts, lease: Lease) -> Result<Sent, Stop> {
        let member = lease.member();
        if response.status == StatusCode::SWITCHING_PROTOCOLS
            && (!self.upgrade || switches_to_http(&response.headers))
        {
            // Only who asked for another protocol may get it, and only that one (RFC 9110 section 7.8).
            member.counters.failures.add(1);
            return Err(Problem::NoResponse.into());
        }
        member.counters.bytes_to_server.add(self.body_state.sent.get());
        self.served_by = Some(member.address);
        if self.view.hooks.contains(Hook::OnDone) {
            self.first_byte = Some(self.started.elapsed());
        }
        Ok(Sent::Response(response, lease))
    }

    async fn send_once(&mut self, mut lease: Lease) -> Result<(response::Parts, Lease), SendError> {
        lease.member().counters.requests.add(1);
        // What went to a member before is not what goes to this one.
        self.body_state.sent.set(0);
        let body = match &self.replay {
            Some(bytes) => RequestBody::whole(bytes.clone(), &self.body_state),
            None => {
                self.body_state.given_away.set(!matches!(self.body, RequestBody::Empty));
                std::mem::replace(&mut self.body, RequestBody::Empty)
            }
        };
        let passes = !self.connects && !self.view.reads_answers;
        let begun = lease.member().times_answers.get().then(Instant::now);
        let response = lease.send(&self.exchange.request, body, &self.stream, passes).await;
        if let (Some(begun), Ok(_) | Err(SendError::FirstByte)) = (begun, &response) {
            let took = u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX);
            lease.member().state.response_time().record(took, clock::monotonic_ms());
        }
        Ok((response?, lease))
    }

    /// Whether it does no harm that the member gets the request twice (RFC 9110 section 9.2.2), and all of it
    /// is at hand for that.
    pub(super) fn is_repeatable(&self) -> bool {
        is_idempotent(&self.exchange.request.method)
            && (self.replay.is_some() || self.body.is_at_most(MOST_KEPT as u64 / 2))
    }

    /// Whether the whole request is still at hand.
    pub(super) fn can_replay(&self) -> bool {
        self.replay.is_some() || !self.body_state.given_away.get()
    }

    fn failed(&self, member: &MemberView, error: SendError) -> Stop {
        let problem = match (self.body_state.failed.get(), error) {
            (Some(RequestBodyFailure::TooLarge), _) => Problem::BodyTooLarge,
            (Some(RequestBodyFailure::Malformed), _) => Problem::BadRequest("the body ended early"),
            (Some(RequestBodyFailure::Framing(why)), _) => Problem::Framing(why),
            (Some(RequestBodyFailure::Stalled), _) => Problem::BodyStalled,
            (None, SendError::FirstByte) => {
                member.counters.failures.add(1);
                Problem::TimedOut
            }
            (None, SendError::Stale(error, _) | SendError::Member(error)) => {
                member.counters.failures.add(1);
                tracing::debug!(member = %member.address, %error, "no response");
                Problem::NoResponse
            }
        };
        problem.into()
    }
}

/// RFC 9110 section 9.2.2.
pub(super) fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}
