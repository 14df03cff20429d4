//! `on-connect-failed`: no connection to a member could be made.

use wasmtime::component::{ComponentType, Lift, Lower, Resource, TypedFunc};

use super::validate::{Validated, answer, target};
use super::{Hook, verdict_names};
use crate::abi::Endpoint;
use crate::cases::file::{CauseCase, ConnectFailedCase};
use crate::cases::play::{Play, Stop};
use crate::instance::{Instance, first, request};
use crate::{Answer, Attachment, ConnectCause, ConnectFailure, Exchange, Fault, Runner, Target, abi};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectFailedVerdict {
    Next,
    Retry,
    To(Target),
    Respond(Answer),
}

verdict_names!(ConnectFailedVerdict { Next => "next", Retry => "retry", To => "to", Respond => "respond" });

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum Returned {
    #[component(name = "next")]
    Next,
    #[component(name = "retry")]
    Retry,
    #[component(name = "to")]
    To(abi::Target),
    #[component(name = "respond")]
    Respond(abi::Answer),
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Cause {
    #[component(name = "no-member")]
    NoMember,
    #[component(name = "refused")]
    Refused,
    #[component(name = "timed-out")]
    TimedOut,
    #[component(name = "unreachable")]
    Unreachable,
    #[component(name = "other")]
    Other,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct Failed {
    member: Option<Endpoint>,
    cause: Cause,
    attempts: u32,
}

impl From<&ConnectFailure> for Failed {
    fn from(failure: &ConnectFailure) -> Failed {
        Failed {
            member: failure.member.map(Endpoint::from),
            cause: match failure.cause {
                ConnectCause::NoMember => Cause::NoMember,
                ConnectCause::Refused => Cause::Refused,
                ConnectCause::TimedOut => Cause::TimedOut,
                ConnectCause::Unreachable => Cause::Unreachable,
                ConnectCause::Other => Cause::Other,
            },
            attempts: failure.attempts,
        }
    }
}

/// The function that a rule exports.
pub(crate) type Typed = TypedFunc<(Resource<abi::Request>, Failed), (Returned,)>;

fn validated(verdict: Returned, attachment: &Attachment) -> Validated<ConnectFailedVerdict> {
    Ok(match verdict {
        Returned::Next => ConnectFailedVerdict::Next,
        Returned::Retry => ConnectFailedVerdict::Retry,
        Returned::To(to) => ConnectFailedVerdict::To(target(to, attachment)?),
        Returned::Respond(with) => ConnectFailedVerdict::Respond(answer(with, attachment)?),
    })
}

impl Runner {
    /// # Errors
    /// A fault of this call.
    pub fn on_connect_failed(
        &mut self,
        exchange: &mut Box<Exchange>,
        failure: &ConnectFailure,
    ) -> Result<ConnectFailedVerdict, Fault> {
        if !self.attachment.hooks().contains(Hook::OnConnectFailed) {
            return Ok(ConnectFailedVerdict::Next);
        }
        let call = |instance: &mut Instance| instance.on_connect_failed(exchange, failure);
        self.call(Hook::OnConnectFailed, call, validated)
    }
}

impl Instance {
    fn on_connect_failed(
        &mut self,
        exchange: &mut Box<Exchange>,
        failure: &ConnectFailure,
    ) -> wasmtime::Result<Returned> {
        let function = self.on_connect_failed_function()?;
        self.with(exchange, |store| function.call(store, (request(), failure.into())).map(first))
    }
}

impl Play<'_> {
    pub(crate) fn on_connect_failed(&mut self, failed: &ConnectFailedCase) -> Result<(), Stop> {
        let member = (failed.cause != CauseCase::NoMember).then(|| self.member());
        let cause = match failed.cause {
            CauseCase::NoMember => ConnectCause::NoMember,
            CauseCase::Refused => ConnectCause::Refused,
            CauseCase::TimedOut => ConnectCause::TimedOut,
            CauseCase::Unreachable => ConnectCause::Unreachable,
            CauseCase::Other => ConnectCause::Other,
        };
        let failure = ConnectFailure { member, cause, attempts: failed.attempts };
        let verdict = self.runner.on_connect_failed(&mut self.played.exchange, &failure)?;
        self.played.verdict = verdict.name();
        match verdict {
            ConnectFailedVerdict::To(target) => self.played.target = Some(target),
            ConnectFailedVerdict::Respond(answer) => self.played.answer = Some(answer),
            ConnectFailedVerdict::Next | ConnectFailedVerdict::Retry => {}
        }
        Ok(())
    }
}
