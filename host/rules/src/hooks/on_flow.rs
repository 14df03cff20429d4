//! `on-flow`: the first packet of a flow, or an accepted connection.

use wasmtime::component::{ComponentType, Lift};

use super::validate::{Validated, target};
use super::{Hook, verdict_names};
use crate::cases::play::{Play, Stop};
use crate::direct::canon::variant;
use crate::direct::guest::Lent;
use crate::instance::{Instance, with_flow};
use crate::{Attachment, Fault, Flow, Runner, Target, Vars, abi};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowVerdict {
    Next,
    To(Target),
    Reject,
    Drop,
}

verdict_names!(FlowVerdict { Next => "next", To => "to", Reject => "reject", Drop => "drop" });

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum Returned {
    #[component(name = "next")]
    Next,
    #[component(name = "to")]
    To(abi::Target),
    #[component(name = "reject")]
    Reject,
    #[component(name = "drop")]
    Drop,
}

variant!(Returned { Next, To(abi::Target), Reject, Drop });

/// The function that a rule exports.
pub(crate) type Typed = super::Typed<(abi::Flow,), Returned, (u64, u64, u64, u32, u64, u64, u32, u32, u32)>;

#[inline]
fn validated(verdict: Returned, attachment: &Attachment) -> Validated<FlowVerdict> {
    Ok(match verdict {
        Returned::Next => FlowVerdict::Next,
        Returned::To(to) => FlowVerdict::To(target(to, attachment)?),
        Returned::Reject => FlowVerdict::Reject,
        Returned::Drop => FlowVerdict::Drop,
    })
}

impl Runner {
    /// `vars` are those of the flow.
    ///
    /// # Errors
    /// A fault of this call.
    pub fn on_flow(&mut self, flow: &Flow, vars: &mut Vars) -> Result<FlowVerdict, Fault> {
        if !self.attachment.hooks().contains(Hook::OnFlow) {
            return Ok(FlowVerdict::Next);
        }
        self.call(Hook::OnFlow, |instance| instance.on_flow(flow, vars), validated)
    }
}

impl Instance {
    fn on_flow(&mut self, flow: &Flow, vars: &mut Vars) -> wasmtime::Result<Returned> {
        let (function, store) = self.on_flow_function()?;
        let given = abi::Flow::from(flow);
        with_flow(store, flow, vars, |store| {
            function.call(store, || (given,), Lent::NOTHING, |_| Ok(given.flat()))
        })
    }
}

impl Play<'_> {
    pub(crate) fn on_flow(&mut self) -> Result<(), Stop> {
        let flow = self.played.exchange.flow;
        let verdict = self.runner.on_flow(&flow, &mut self.played.exchange.flow_vars)?;
        self.played.verdict = verdict.name();
        match verdict {
            FlowVerdict::To(target) => self.played.target = Some(target),
            FlowVerdict::Next | FlowVerdict::Reject | FlowVerdict::Drop => {}
        }
        Ok(())
    }
}
