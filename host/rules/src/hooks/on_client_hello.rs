//! `on-client-hello`: the first message of a TLS client.

use std::sync::Arc;

use wasmtime::component::{ComponentType, Lift, Resource};

use super::validate::{Validated, target};
use super::{Hook, verdict_names};
use crate::cases::file::HelloCase;
use crate::cases::play::{Play, Stop};
use crate::direct::canon::{enumeration, record, variant};
use crate::direct::guest::{self, Lent};
use crate::hello::Hello;
use crate::instance::{HELLO, Instance, with_hello};
use crate::{Alert, Attachment, Demand, Fault, Flow, Runner, Target, Terms, Vars, abi};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HelloVerdict {
    Next,
    To(Target),
    Terminate(Terms),
    PassThrough(Target),
    Reject(Alert),
}

verdict_names!(HelloVerdict { Next => "next", To => "to", Terminate => "terminate", PassThrough => "pass-through", Reject => "reject" });

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum Returned {
    #[component(name = "next")]
    Next,
    #[component(name = "to")]
    To(abi::Target),
    #[component(name = "terminate")]
    Terminate(ReturnedTerms),
    #[component(name = "pass-through")]
    PassThrough(abi::Target),
    #[component(name = "reject")]
    Reject(ReturnedAlert),
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct ReturnedTerms {
    target: abi::Target,
    certificate: Option<String>,
    protocols: Option<Vec<String>>,
    #[component(name = "client-certificate")]
    client_certificate: Option<ReturnedDemand>,
}

#[derive(ComponentType, Lift, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum ReturnedDemand {
    #[component(name = "none")]
    None,
    #[component(name = "optional")]
    Optional,
    #[component(name = "required")]
    Required,
}

#[derive(ComponentType, Lift, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum ReturnedAlert {
    #[component(name = "handshake-failure")]
    HandshakeFailure,
    #[component(name = "access-denied")]
    AccessDenied,
    #[component(name = "protocol-version")]
    ProtocolVersion,
    #[component(name = "unrecognized-name")]
    UnrecognizedName,
    #[component(name = "no-application-protocol")]
    NoApplicationProtocol,
}

enumeration!(ReturnedDemand { None, Optional, Required } load);
enumeration!(ReturnedAlert { HandshakeFailure, AccessDenied, ProtocolVersion, UnrecognizedName, NoApplicationProtocol } load);
record!(ReturnedTerms {
    target: abi::Target,
    certificate: Option<String>,
    protocols: Option<Vec<String>>,
    client_certificate: Option<ReturnedDemand>,
} load);
variant!(Returned { Next, To(abi::Target), Terminate(ReturnedTerms), PassThrough(abi::Target), Reject(ReturnedAlert) });

/// The function that a rule exports.
pub(crate) type Typed = super::Typed<(Resource<abi::ClientHello>,), Returned, u32>;

fn validated(verdict: Returned, attachment: &Attachment) -> Validated<HelloVerdict> {
    Ok(match verdict {
        Returned::Next => HelloVerdict::Next,
        Returned::To(to) => HelloVerdict::To(target(to, attachment)?),
        Returned::PassThrough(to) => HelloVerdict::PassThrough(target(to, attachment)?),
        Returned::Terminate(terms) => HelloVerdict::Terminate(Terms {
            target: target(terms.target, attachment)?,
            certificate: terms.certificate,
            protocols: terms.protocols,
            client_certificate: terms.client_certificate.map(|demand| match demand {
                ReturnedDemand::None => Demand::None,
                ReturnedDemand::Optional => Demand::Optional,
                ReturnedDemand::Required => Demand::Required,
            }),
        }),
        Returned::Reject(alert) => HelloVerdict::Reject(match alert {
            ReturnedAlert::HandshakeFailure => Alert::HandshakeFailure,
            ReturnedAlert::AccessDenied => Alert::AccessDenied,
            ReturnedAlert::ProtocolVersion => Alert::ProtocolVersion,
            ReturnedAlert::UnrecognizedName => Alert::UnrecognizedName,
            ReturnedAlert::NoApplicationProtocol => Alert::NoApplicationProtocol,
        }),
    })
}

impl Runner {
    /// `vars` are those of the flow.
    ///
    /// # Errors
    /// A fault of this call.
    pub fn on_client_hello(
        &mut self,
        flow: &Flow,
        hello: &Arc<Hello>,
        vars: &mut Vars,
    ) -> Result<HelloVerdict, Fault> {
        if !self.attachment.hooks().contains(Hook::OnClientHello) {
            return Ok(HelloVerdict::Next);
        }
        let call = |instance: &mut Instance| instance.on_client_hello(flow, hello, vars);
        self.call(Hook::OnClientHello, call, validated)
    }
}

impl Instance {
    fn on_client_hello(
        &mut self,
        flow: &Flow,
        hello: &Arc<Hello>,
        vars: &mut Vars,
    ) -> wasmtime::Result<Returned> {
        let (function, store) = self.on_client_hello_function()?;
        with_hello(store, flow, hello, vars, |store| {
            let lent = || (Resource::new_borrow(HELLO),);
            function.call(store, lent, Lent::HELLO, |_| Ok(guest::HELLO))
        })
    }
}

impl Play<'_> {
    pub(crate) fn on_client_hello(&mut self, case: &HelloCase) -> Result<(), Stop> {
        let hello = case.hello().map_err(Stop::Case)?;
        let exchange = &mut self.played.exchange;
        let flow = exchange.flow;
        let verdict = self.runner.on_client_hello(&flow, &Arc::new(hello), &mut exchange.flow_vars)?;
        self.played.verdict = verdict.name();
        match verdict {
            HelloVerdict::To(target) | HelloVerdict::PassThrough(target) => self.played.target = Some(target),
            HelloVerdict::Terminate(terms) => {
                self.played.target = Some(terms.target.clone());
                self.played.terms = Some(terms);
            }
            HelloVerdict::Reject(alert) => self.played.alert = Some(alert),
            HelloVerdict::Next => {}
        }
        Ok(())
    }
}
