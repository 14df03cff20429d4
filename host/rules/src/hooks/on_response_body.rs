//! `on-response-body`: the body that `on-response` asked for, or its beginning.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use wasmtime::component::{ComponentType, Lift, Lower, Resource};

use super::validate::{Validated, answer};
use super::{Hook, verdict_names};
use crate::cases::play::{Play, Stop};
use crate::direct::canon::variant;
use crate::direct::function::give_list;
use crate::direct::guest::{self, Lent};
use crate::instance::{Instance, RESPONSE, request, with};
use crate::{Answer, Attachment, Exchange, Fault, Runner, abi};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseBodyVerdict {
    Next,
    /// Send these bytes in place of those that were shown.
    Replace(Bytes),
    Respond(Answer),
}

verdict_names!(ResponseBodyVerdict { Next => "next", Replace => "replace", Respond => "respond" });

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum Returned {
    #[component(name = "next")]
    Next,
    #[component(name = "replace")]
    Replace(Vec<u8>),
    #[component(name = "respond")]
    Respond(abi::Answer),
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct Body<'a> {
    bytes: &'a [u8],
    complete: bool,
}

variant!(Returned { Next, Replace(Vec<u8>), Respond(abi::Answer) });

/// What a component is given.
type Params<'a> = (Resource<abi::Request>, Resource<abi::Response>, Body<'a>);

/// The function that a rule exports.
pub(crate) type Typed<'a> = super::Typed<Params<'a>, Returned, (u32, u32, u32, u32, u32)>;

fn validated(verdict: Returned, attachment: &Attachment) -> Validated<ResponseBodyVerdict> {
    Ok(match verdict {
        Returned::Next => ResponseBodyVerdict::Next,
        Returned::Replace(bytes) => ResponseBodyVerdict::Replace(bytes.into()),
        Returned::Respond(with) => ResponseBodyVerdict::Respond(answer(with, attachment)?),
    })
}

impl Runner {
    /// `exchange.response` must be set. `complete` is false when more of the body follows than was asked for.
    ///
    /// # Errors
    /// A fault of this call.
    pub fn on_response_body(
        &mut self,
        exchange: &mut Box<Exchange>,
        body: &[u8],
        complete: bool,
    ) -> Result<ResponseBodyVerdict, Fault> {
        if !self.attachment.hooks().contains(Hook::OnResponseBody) {
            return Ok(ResponseBodyVerdict::Next);
        }
        let body = Body { bytes: body, complete };
        self.call(Hook::OnResponseBody, |instance| instance.on_response_body(exchange, body), validated)
    }
}

impl Instance {
    fn on_response_body(
        &mut self,
        exchange: &mut Box<Exchange>,
        body: Body<'_>,
    ) -> wasmtime::Result<Returned> {
        let (function, store) = self.on_response_body_function()?;
        with(store, exchange, |store| {
            function.call(
                store,
                || (request(), Resource::new_borrow(RESPONSE), body),
                Lent::BOTH,
                |store| {
                    let (at, len) = give_list(store, body.bytes)?;
                    Ok((guest::REQUEST, guest::RESPONSE, at, len, body.complete.into()))
                },
            )
        })
    }
}

impl Play<'_> {
    pub(crate) fn on_response_body(&mut self, body: &[u8], complete: bool) -> Result<(), Stop> {
        let verdict = self.runner.on_response_body(&mut self.played.exchange, body, complete)?;
        self.played.verdict = verdict.name();
        match verdict {
            ResponseBodyVerdict::Respond(answer) => self.played.answer = Some(answer),
            // So that `body` in `expect` can look at it.
            ResponseBodyVerdict::Replace(bytes) => {
                let response = self.played.exchange.response.as_ref();
                let status = response.map_or(StatusCode::OK, |response| response.status);
                let headers = response.map_or_else(HeaderMap::new, |response| response.headers.clone());
                self.played.answer = Some(Answer { status, headers, body: bytes });
            }
            ResponseBodyVerdict::Next => {}
        }
        Ok(())
    }
}
