//! `on-selected`: a member has been chosen, for a request or for a connection that is relayed.

use wasmtime::Store;
use wasmtime::component::{ComponentType, Lift, Lower, Resource};

use super::validate::{Validated, reason, target};
use super::{Hook, verdict_names};
use crate::abi::Endpoint;
use crate::cases::file::{ReasonCase, SelectedCase};
use crate::cases::play::{Play, Stop};
use crate::direct::canon::{enumeration, record, variant};
use crate::direct::function::give;
use crate::direct::guest::{self, Lent};
use crate::instance::{Instance, first, request, with, with_flow};
use crate::state::State;
use crate::{Attachment, Exchange, Fault, Flow, Runner, Selection, SelectionReason, Target, Vars, abi};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelectedVerdict {
    Next,
    To(Target),
    /// For this reason.
    Veto(String),
}

verdict_names!(SelectedVerdict { Next => "next", To => "to", Veto => "veto" });

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum Returned {
    #[component(name = "next")]
    Next,
    #[component(name = "to")]
    To(abi::Target),
    #[component(name = "veto")]
    Veto(String),
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum ReasonSent {
    #[component(name = "rule")]
    Rule,
    #[component(name = "persistence")]
    Persistence,
    #[component(name = "balance")]
    Balance,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct Sent {
    flow: abi::Flow,
    member: Endpoint,
    slot: Option<String>,
    reason: ReasonSent,
    weight: u32,
    active: u32,
    vetoes: u32,
}

impl Sent {
    fn new(selection: &Selection<'_>, flow: &Flow, attachment: &Attachment) -> Sent {
        let slot = attachment.slots().iter().find(|binding| binding.pool == selection.pool);
        Sent {
            flow: flow.into(),
            member: selection.member.into(),
            slot: slot.map(|binding| binding.slot.clone()),
            reason: match selection.reason {
                SelectionReason::Rule => ReasonSent::Rule,
                SelectionReason::Persistence => ReasonSent::Persistence,
                SelectionReason::Balance => ReasonSent::Balance,
            },
            weight: selection.weight,
            active: selection.active,
            vetoes: selection.vetoes,
        }
    }
}

/// What does not fit into registers: a core module gets the address of it.
struct Given {
    request: Option<u32>,
    selection: Sent,
}

variant!(Returned { Next, To(abi::Target), Veto(String) });
enumeration!(ReasonSent { Rule, Persistence, Balance } save);
record!(Sent {
    flow: abi::Flow,
    member: Endpoint,
    slot: Option<String>,
    reason: ReasonSent,
    weight: u32,
    active: u32,
    vetoes: u32,
} save);
record!(Given { request: Option<u32>, selection: Sent } save);

/// The function that a rule exports.
pub(crate) type Typed = super::Typed<(Option<Resource<abi::Request>>, Sent), Returned, u32>;

fn validated(verdict: Returned, attachment: &Attachment) -> Validated<SelectedVerdict> {
    Ok(match verdict {
        Returned::Next => SelectedVerdict::Next,
        Returned::To(to) => SelectedVerdict::To(target(to, attachment)?),
        Returned::Veto(why) => SelectedVerdict::Veto(reason(why)?),
    })
}

impl Runner {
    /// For a request.
    ///
    /// # Errors
    /// A fault of this call.
    pub fn on_selected(
        &mut self,
        exchange: &mut Box<Exchange>,
        selection: &Selection<'_>,
    ) -> Result<SelectedVerdict, Fault> {
        if !self.attachment.hooks().contains(Hook::OnSelected) {
            return Ok(SelectedVerdict::Next);
        }
        let call = |instance: &mut Instance| instance.on_selected(exchange, selection);
        self.call(Hook::OnSelected, call, validated)
    }

    /// For a connection that is relayed, with the variables of the flow.
    ///
    /// # Errors
    /// A fault of this call.
    pub fn on_selected_of_flow(
        &mut self,
        flow: &Flow,
        vars: &mut Vars,
        selection: &Selection<'_>,
    ) -> Result<SelectedVerdict, Fault> {
        if !self.attachment.hooks().contains(Hook::OnSelected) {
            return Ok(SelectedVerdict::Next);
        }
        let call = |instance: &mut Instance| instance.on_selected_of_flow(flow, vars, selection);
        self.call(Hook::OnSelected, call, validated)
    }
}

impl Instance {
    fn on_selected(
        &mut self,
        exchange: &mut Box<Exchange>,
        selection: &Selection<'_>,
    ) -> wasmtime::Result<Returned> {
        let (function, store) = self.on_selected_function()?;
        let sent = Sent::new(selection, &exchange.flow, &store.data().attachment);
        with(store, exchange, |store| call(function, store, true, sent))
    }

    fn on_selected_of_flow(
        &mut self,
        flow: &Flow,
        vars: &mut Vars,
        selection: &Selection<'_>,
    ) -> wasmtime::Result<Returned> {
        let (function, store) = self.on_selected_function()?;
        let sent = Sent::new(selection, flow, &store.data().attachment);
        with_flow(store, flow, vars, |store| call(function, store, false, sent))
    }
}

fn call(
    function: &Typed,
    store: &mut Store<State>,
    has_request: bool,
    selection: Sent,
) -> wasmtime::Result<Returned> {
    match function {
        Typed::Component(function) => function.call(store, (has_request.then(request), selection)).map(first),
        Typed::Direct(function) => {
            let request = has_request.then_some(guest::REQUEST);
            let at = give(store, &Given { request, selection })?;
            function.call(store, if has_request { Lent::REQUEST } else { Lent::NOTHING }, at)
        }
    }
}

impl Play<'_> {
    pub(crate) fn on_selected(&mut self, case: &SelectedCase) -> Result<(), Stop> {
        let slot = case.slot.as_deref().or(self.slot()).unwrap_or_default().to_owned();
        let selection = Selection {
            member: case.member.unwrap_or_else(|| self.member_of(case.slot.as_deref())),
            // In cases pools have the names of their slots.
            pool: &slot,
            reason: match case.reason {
                ReasonCase::Rule => SelectionReason::Rule,
                ReasonCase::Persistence => SelectionReason::Persistence,
                ReasonCase::Balance => SelectionReason::Balance,
            },
            weight: case.weight,
            active: case.active,
            vetoes: case.vetoes,
        };
        let exchange = &mut self.played.exchange;
        let verdict = if self.case.request.is_some() {
            self.runner.on_selected(exchange, &selection)?
        } else {
            let flow = exchange.flow;
            self.runner.on_selected_of_flow(&flow, &mut exchange.flow_vars, &selection)?
        };
        self.played.verdict = verdict.name();
        match verdict {
            SelectedVerdict::To(target) => self.played.target = Some(target),
            SelectedVerdict::Veto(reason) => self.played.veto = Some(reason),
            SelectedVerdict::Next => {}
        }
        Ok(())
    }
}
