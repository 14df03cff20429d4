//! `on-response`: the head of a member's response.

use wasmtime::component::{ComponentType, Lift, Resource};

use super::validate::{Validated, answer};
use super::{Hook, verdict_names};
use crate::cases::file::ResponseCase;
use crate::cases::play::{Play, Stop};
use crate::direct::canon::variant;
use crate::direct::guest::{self, Lent};
use crate::instance::{Instance, RESPONSE, request, with};
use crate::{Answer, Attachment, Exchange, Fault, Runner, abi};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseVerdict {
    Next,
    Replace(Answer),
    Retry,
    /// Collect so many bytes of the body, then call `on-response-body`.
    NeedBody(u32),
}

verdict_names!(ResponseVerdict { Next => "next", Replace => "replace", Retry => "retry", NeedBody => "need-body" });

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum Returned {
    #[component(name = "next")]
    Next,
    #[component(name = "replace")]
    Replace(abi::Answer),
    #[component(name = "retry")]
    Retry,
}

variant!(Returned { Next, Replace(abi::Answer), Retry });

/// The function that a rule exports.
pub(crate) type Typed = super::Typed<(Resource<abi::Request>, Resource<abi::Response>), Returned, (u32, u32)>;

fn validated(verdict: Returned, attachment: &Attachment) -> Validated<ResponseVerdict> {
    Ok(match verdict {
        Returned::Next => ResponseVerdict::Next,
        Returned::Replace(with) => ResponseVerdict::Replace(answer(with, attachment)?),
        Returned::Retry => ResponseVerdict::Retry,
    })
}

impl Runner {
    /// `exchange.response` must be set.
    ///
    /// # Errors
    /// A fault of this call.
    pub fn on_response(&mut self, exchange: &mut Box<Exchange>) -> Result<ResponseVerdict, Fault> {
        if !self.attachment.hooks().contains(Hook::OnResponse) {
            return Ok(ResponseVerdict::Next);
        }
        exchange.body_wanted = None;
        let verdict = self.call(Hook::OnResponse, |instance| instance.on_response(exchange), validated)?;
        Ok(match (verdict, exchange.body_wanted.take()) {
            (ResponseVerdict::Next, Some(max)) => ResponseVerdict::NeedBody(max),
            (verdict, _) => verdict,
        })
    }
}

impl Instance {
    fn on_response(&mut self, exchange: &mut Box<Exchange>) -> wasmtime::Result<Returned> {
        let (function, store) = self.on_response_function()?;
        with(store, exchange, |store| {
            let lent = || (request(), Resource::new_borrow(RESPONSE));
            function.call(store, lent, Lent::BOTH, |_| Ok((guest::REQUEST, guest::RESPONSE)))
        })
    }
}

impl Play<'_> {
    pub(crate) fn on_response(&mut self, response: &ResponseCase) -> Result<(), Stop> {
        let verdict = self.runner.on_response(&mut self.played.exchange)?;
        self.played.verdict = verdict.name();
        match verdict {
            ResponseVerdict::Replace(answer) => self.played.answer = Some(answer),
            ResponseVerdict::NeedBody(max) => {
                if let Some(body) = &response.body {
                    let shown = body.len().min(usize::try_from(max).unwrap_or(usize::MAX));
                    return self.on_response_body(&body.as_bytes()[..shown], shown == body.len());
                }
            }
            ResponseVerdict::Next | ResponseVerdict::Retry => {}
        }
        Ok(())
    }
}
