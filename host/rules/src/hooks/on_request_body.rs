//! `on-request-body`: the body that `on-request` asked for, or its beginning.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use wasmtime::component::{ComponentType, Lift, Lower, Resource};

use super::validate::{Validated, answer, target};
use super::{Hook, verdict_names};
use crate::cases::play::{Play, Stop};
use crate::direct::canon::variant;
use crate::direct::function::give_list;
use crate::direct::guest::{self, Lent};
use crate::instance::{Instance, request, with};
use crate::{Answer, Attachment, Exchange, Fault, Runner, Target, abi};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyVerdict {
    Next,
    /// Send these bytes in place of those that were shown.
    Replace(Bytes),
    To(Target),
    Respond(Answer),
    Reject,
}

verdict_names!(BodyVerdict { Next => "next", Replace => "replace", To => "to", Respond => "respond", Reject => "reject" });

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum Returned {
    #[component(name = "next")]
    Next,
    #[component(name = "replace")]
    Replace(Vec<u8>),
    #[component(name = "to")]
    To(abi::Target),
    #[component(name = "respond")]
    Respond(abi::Answer),
    #[component(name = "reject")]
    Reject,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct Body<'a> {
    bytes: &'a [u8],
    complete: bool,
}

variant!(Returned { Next, Replace(Vec<u8>), To(abi::Target), Respond(abi::Answer), Reject });

/// The function that a rule exports.
pub(crate) type Typed<'a> = super::Typed<(Resource<abi::Request>, Body<'a>), Returned, (u32, u32, u32, u32)>;

fn validated(verdict: Returned, attachment: &Attachment) -> Validated<BodyVerdict> {
    Ok(match verdict {
        Returned::Next => BodyVerdict::Next,
        Returned::Replace(bytes) => BodyVerdict::Replace(bytes.into()),
        Returned::To(to) => BodyVerdict::To(target(to, attachment)?),
        Returned::Respond(with) => BodyVerdict::Respond(answer(with, attachment)?),
        Returned::Reject => BodyVerdict::Reject,
    })
}

impl Runner {
    /// `complete` is false when more of the body follows than was asked for.
    ///
    /// # Errors
    /// A fault of this call.
    pub fn on_request_body(
        &mut self,
        exchange: &mut Box<Exchange>,
        body: &[u8],
        complete: bool,
    ) -> Result<BodyVerdict, Fault> {
        if !self.attachment.hooks().contains(Hook::OnRequestBody) {
            return Ok(BodyVerdict::Next);
        }
        let body = Body { bytes: body, complete };
        self.call(Hook::OnRequestBody, |instance| instance.on_request_body(exchange, body), validated)
    }
}

impl Instance {
    fn on_request_body(
        &mut self,
        exchange: &mut Box<Exchange>,
        body: Body<'_>,
    ) -> wasmtime::Result<Returned> {
        let (function, store) = self.on_request_body_function()?;
        with(store, exchange, |store| {
            function.call(
                store,
                || (request(), body),
                Lent::REQUEST,
                |store| {
                    let (at, len) = give_list(store, body.bytes)?;
                    Ok((guest::REQUEST, at, len, body.complete.into()))
                },
            )
        })
    }
}

impl Play<'_> {
    pub(crate) fn on_request_body(&mut self, body: &[u8], complete: bool) -> Result<(), Stop> {
        let verdict = self.runner.on_request_body(&mut self.played.exchange, body, complete)?;
        self.played.verdict = verdict.name();
        match verdict {
            BodyVerdict::To(target) => self.played.target = Some(target),
            BodyVerdict::Respond(answer) => self.played.answer = Some(answer),
            // So that `body` in `expect` can look at it.
            BodyVerdict::Replace(bytes) => {
                self.played.answer =
                    Some(Answer { status: StatusCode::OK, headers: HeaderMap::new(), body: bytes });
            }
            BodyVerdict::Next | BodyVerdict::Reject => {}
        }
        Ok(())
    }
}
