//! `on-connect-failed`: no connection to a member could be made.

use wasmtime::component::{ComponentType, Lift, Lower, Resource};

use super::validate::{Validated, answer, target};
use super::{Hook, verdict_names};
use crate::abi::Endpoint;
use crate::cases::file::{CauseCase, ConnectFailedCase};
use crate::cases::play::{Play, Stop};
use crate::direct::canon::variant;
use crate::direct::guest::{self, Lent};
use crate::instance::{Instance, request, with};
use crate::{
    Answer, Attachment, ConnectCause, ConnectFailure, Exchange, Fault, MemberFailure, Runner, Target, abi,
};

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

variant!(Returned { Next, Retry, To(abi::Target), Respond(abi::Answer) });

/// The function that a rule exports.
pub(crate) type Typed =
    super::Typed<(Resource<abi::Request>, Failed), Returned, (u32, u32, u64, u64, u32, u32, u32)>;

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
        let (function, store) = self.on_connect_failed_function()?;
        let failed = Failed::from(failure);
        exchange.member_failure = failure.tls;
        let returned = with(store, exchange, |store| {
            function.call(
                store,
                || (request(), failed),
                Lent::REQUEST,
                |_| {
                    let (some, hi, lo, port) = Endpoint::flat(failed.member);
                    Ok((guest::REQUEST, some, hi, lo, port, failed.cause as u32, failed.attempts))
                },
            )
        });
        exchange.member_failure = None;
        returned
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
        let tls = failed.tls.map(MemberFailure::from);
        let failure = ConnectFailure { member, cause, tls, attempts: failed.attempts };
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
