//! `on-request`: the head of a request.

use wasmtime::Store;
use wasmtime::component::{ComponentType, Lift, Resource};

use super::validate::{Validated, answer, target};
use super::{Export, Hook, verdict_names};
use crate::cases::file::RequestCase;
use crate::cases::play::{Play, Stop};
use crate::direct::canon::variant;
use crate::direct::guest::{self, Lent};
use crate::instance::{Instance, Made, request, with};
use crate::state::State;
use crate::{Answer, Attachment, Exchange, Fault, Runner, Target, abi};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestVerdict {
    Next,
    To(Target),
    Respond(Answer),
    /// Collect so many bytes of the body, then call `on-request-body`.
    NeedBody(u32),
    Reject,
}

verdict_names!(RequestVerdict { Next => "next", To => "to", Respond => "respond", NeedBody => "need-body", Reject => "reject" });

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum Returned {
    #[component(name = "next")]
    Next,
    #[component(name = "to")]
    To(abi::Target),
    #[component(name = "respond")]
    Respond(abi::Answer),
    #[component(name = "need-body")]
    NeedBody(u32),
    #[component(name = "reject")]
    Reject,
}

variant!(Returned { Next, To(abi::Target), Respond(abi::Answer), NeedBody(u32), Reject });

type Newest = super::Typed<(Resource<abi::Request>,), Returned, u32>;

/// The function that a rule exports, by what it returns.
pub(crate) enum Typed {
    Newest(Newest),
    #[cfg(test)]
    V0_0_9(wasmtime::component::TypedFunc<(Resource<abi::Request>,), (abi::v0_0_9::RequestVerdict,)>),
}

impl Export for Typed {
    fn find(store: &mut Store<State>, made: Made, hook: Hook) -> wasmtime::Result<Typed> {
        match (store.data().attachment.rule().contract().version, made) {
            #[cfg(test)]
            ("0.0.9", Made::Component(instance)) => {
                super::component_function(store, instance, hook).map(Typed::V0_0_9)
            }
            (_, made) => Newest::find(store, made, hook).map(Typed::Newest),
        }
    }
}

impl Typed {
    #[inline]
    fn call(&self, store: &mut Store<State>) -> wasmtime::Result<Returned> {
        match self {
            Typed::Newest(function) => {
                function.call(store, || (request(),), Lent::REQUEST, |_| Ok(guest::REQUEST))
            }
            #[cfg(test)]
            Typed::V0_0_9(function) => {
                function.call(store, (request(),)).map(crate::instance::first).map(Returned::from)
            }
        }
    }
}

#[cfg(test)]
impl From<abi::v0_0_9::RequestVerdict> for Returned {
    fn from(verdict: abi::v0_0_9::RequestVerdict) -> Returned {
        match verdict {
            abi::v0_0_9::RequestVerdict::Next => Returned::Next,
            abi::v0_0_9::RequestVerdict::To(target) => Returned::To(target),
            abi::v0_0_9::RequestVerdict::Respond(answer) => Returned::Respond(answer),
            abi::v0_0_9::RequestVerdict::Reject => Returned::Reject,
        }
    }
}

#[inline]
fn validated(verdict: Returned, attachment: &Attachment) -> Validated<RequestVerdict> {
    Ok(match verdict {
        Returned::Next => RequestVerdict::Next,
        Returned::To(to) => RequestVerdict::To(target(to, attachment)?),
        Returned::Respond(with) => RequestVerdict::Respond(answer(with, attachment)?),
        Returned::NeedBody(_) if !attachment.hooks().contains(Hook::OnRequestBody) => {
            return Err("asked for the body, but the rule has no on-request-body".to_owned());
        }
        Returned::NeedBody(max) => RequestVerdict::NeedBody(max),
        Returned::Reject => RequestVerdict::Reject,
    })
}

impl Runner {
    /// # Errors
    /// A fault of this call.
    pub fn on_request(&mut self, exchange: &mut Box<Exchange>) -> Result<RequestVerdict, Fault> {
        if !self.attachment.hooks().contains(Hook::OnRequest) {
            return Ok(RequestVerdict::Next);
        }
        self.call(Hook::OnRequest, |instance| instance.on_request(exchange), validated)
    }
}

impl Instance {
    fn on_request(&mut self, exchange: &mut Box<Exchange>) -> wasmtime::Result<Returned> {
        let (function, store) = self.on_request_function()?;
        with(store, exchange, |store| function.call(store))
    }
}

impl Play<'_> {
    pub(crate) fn on_request(&mut self, request: &RequestCase) -> Result<(), Stop> {
        let verdict = self.runner.on_request(&mut self.played.exchange)?;
        self.played.verdict = verdict.name();
        match verdict {
            RequestVerdict::To(target) => self.played.target = Some(target),
            RequestVerdict::Respond(answer) => self.played.answer = Some(answer),
            RequestVerdict::NeedBody(max) => {
                if let Some(body) = &request.body {
                    let shown = body.len().min(usize::try_from(max).unwrap_or(usize::MAX));
                    return self.on_request_body(&body.as_bytes()[..shown], shown == body.len());
                }
            }
            RequestVerdict::Next | RequestVerdict::Reject => {}
        }
        Ok(())
    }
}
