//! `on-done`: a request or a flow has ended.

use std::mem;
use std::time::Duration;

use wasmtime::Store;
use wasmtime::component::{ComponentType, Lower, TypedFunc};

use super::{Export, Hook, component_function};
use crate::abi::{self, Endpoint};
use crate::cases::file::{DoneCase, OutcomeCase};
use crate::cases::play::{Play, Stop};
use crate::direct::canon::{enumeration, record};
use crate::direct::function::{Procedure, give};
use crate::instance::{Instance, Made, with_flow, with_flow_vars};
use crate::state::State;
use crate::{Exchange, Fault, Outcome, Runner, Summary, Vars};

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum OutcomeSent {
    #[component(name = "complete")]
    Complete,
    #[component(name = "client-gone")]
    ClientGone,
    #[component(name = "member-failed")]
    MemberFailed,
    #[component(name = "answered")]
    Answered,
    #[component(name = "refused")]
    Refused,
}

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(record)]
pub(crate) struct Sent {
    flow: abi::Flow,
    outcome: OutcomeSent,
    status: u16,
    member: Option<Endpoint>,
    #[component(name = "bytes-to-server")]
    bytes_to_server: u64,
    #[component(name = "bytes-to-client")]
    bytes_to_client: u64,
    #[component(name = "packets-to-server")]
    packets_to_server: u64,
    #[component(name = "packets-to-client")]
    packets_to_client: u64,
    #[component(name = "duration-us")]
    duration_us: u64,
    #[component(name = "first-byte-us")]
    first_byte_us: u64,
}

impl From<&Summary> for Sent {
    fn from(summary: &Summary) -> Sent {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Sent {
            flow: (&summary.flow).into(),
            outcome: match summary.outcome {
                Outcome::Complete => OutcomeSent::Complete,
                Outcome::ClientGone => OutcomeSent::ClientGone,
                Outcome::MemberFailed => OutcomeSent::MemberFailed,
                Outcome::Answered => OutcomeSent::Answered,
                Outcome::Refused => OutcomeSent::Refused,
            },
            status: summary.status,
            member: summary.member.map(Endpoint::from),
            bytes_to_server: summary.bytes_to_server,
            bytes_to_client: summary.bytes_to_client,
            packets_to_server: summary.packets_to_server,
            packets_to_client: summary.packets_to_client,
            duration_us: micros(summary.duration),
            first_byte_us: summary.first_byte.map_or(0, micros),
        }
    }
}

enumeration!(OutcomeSent { Complete, ClientGone, MemberFailed, Answered, Refused } save);
record!(Sent {
    flow: abi::Flow,
    outcome: OutcomeSent,
    status: u16,
    member: Option<Endpoint>,
    bytes_to_server: u64,
    bytes_to_client: u64,
    packets_to_server: u64,
    packets_to_client: u64,
    duration_us: u64,
    first_byte_us: u64,
} save);

/// The function that a rule exports. What it is given does not fit into registers: a core module gets the address of it.
pub(crate) enum Typed {
    Component(TypedFunc<(Sent,), ()>),
    Direct(Procedure),
}

impl Export for Typed {
    fn find(store: &mut Store<State>, made: Made, hook: Hook) -> wasmtime::Result<Typed> {
        match made {
            Made::Component(instance) => component_function(store, instance, hook).map(Typed::Component),
            Made::Direct(instance) => {
                let attachment = store.data().attachment.clone();
                attachment.direct()?.procedure(instance, store, hook).map(Typed::Direct)
            }
        }
    }
}

impl Typed {
    fn call(&self, store: &mut Store<State>, sent: Sent) -> wasmtime::Result<()> {
        match self {
            Typed::Component(function) => function.call(store, (sent,)),
            Typed::Direct(procedure) => {
                let at = give(store, &sent)?;
                procedure.call(store, at)
            }
        }
    }
}

impl Runner {
    /// `vars` are those of the request; `None` when a flow is done.
    ///
    /// # Errors
    /// A fault of this call. There is nothing left to decide, so it is counted and no more.
    pub fn on_done(
        &mut self,
        summary: &Summary,
        vars: Option<&mut Vars>,
        flow_vars: &mut Vars,
    ) -> Result<(), Fault> {
        if !self.attachment.hooks().contains(Hook::OnDone) {
            return Ok(());
        }
        self.call(Hook::OnDone, |instance| instance.on_done(summary, vars, flow_vars), |(), _| Ok(()))
    }
}

impl Instance {
    fn on_done(
        &mut self,
        summary: &Summary,
        vars: Option<&mut Vars>,
        flow_vars: &mut Vars,
    ) -> wasmtime::Result<()> {
        let (function, store) = self.on_done_function()?;
        let Some(vars) = vars else {
            return with_flow(store, &summary.flow, flow_vars, |store| function.call(store, summary.into()));
        };
        store.data_mut().flow_only = false;
        mem::swap(&mut store.data_mut().exchange.vars, vars);
        let done = with_flow_vars(store, flow_vars, |store| function.call(store, summary.into()));
        mem::swap(&mut store.data_mut().exchange.vars, vars);
        done
    }
}

impl Play<'_> {
    pub(crate) fn on_done(&mut self, done: &DoneCase) -> Result<(), Stop> {
        let summary = Summary {
            flow: self.played.exchange.flow,
            outcome: match done.outcome {
                OutcomeCase::Complete => Outcome::Complete,
                OutcomeCase::ClientGone => Outcome::ClientGone,
                OutcomeCase::MemberFailed => Outcome::MemberFailed,
                OutcomeCase::Answered => Outcome::Answered,
                OutcomeCase::Refused => Outcome::Refused,
            },
            status: done.status,
            member: self.case.response.is_some().then(|| self.member()),
            bytes_to_server: 0,
            bytes_to_client: 0,
            packets_to_server: 0,
            packets_to_client: 0,
            duration: Duration::from_millis(1),
            first_byte: None,
        };
        let Exchange { vars, flow_vars, .. } = &mut *self.played.exchange;
        self.runner.on_done(&summary, self.case.request.is_some().then_some(vars), flow_vars)?;
        Ok(())
    }
}
