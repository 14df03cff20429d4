//! Flows as an operator sees them.

use std::sync::Arc;

use shunt_wire::{Address, Endpoint};

use crate::datapath::Datapath;
use crate::datapath::compile::render;
use crate::datapath::driver::Driver;
use crate::datapath::end::Cause;
use crate::datapath::model::flow::{FlowProtocol, Traffic};
use crate::datapath::model::mode::ModeName;
use crate::datapath::state::flow::FlowState;
use crate::flow::{Cursor, Direction, Flow, FlowId};
use crate::snat::Lease;

/// Which flows to show; `None` is any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub virtual_: Option<Arc<str>>,
    pub client: Option<Address>,
    pub member: Option<Endpoint>,
    /// As in [`FlowSummary::state`].
    pub state: Option<String>,
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowSummary {
    pub id: FlowId,
    pub virtual_: Arc<str>,
    pub protocol: FlowProtocol,
    pub client: Endpoint,
    pub vip: Endpoint,
    pub pool: Arc<str>,
    pub member: Endpoint,
    pub mode: ModeName,
    /// It is a monitor's probe, forwarded as clients' packets are.
    pub is_probe: bool,
    /// The leased SNAT endpoint, in mode `snat`.
    pub snat: Option<Endpoint>,
    /// Of TCP: as its handshake and end were seen. `active` for all else.
    pub state: &'static str,
    /// Since its first packet, in milliseconds.
    pub age: u64,
    /// Since its last packet, in milliseconds.
    pub idle: u64,
    /// Until it ends if nothing more comes, in milliseconds.
    pub expires_in: u64,
    pub to_server: Traffic,
    pub to_client: Traffic,
}

/// Everything about one flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowDetails {
    pub summary: FlowSummary,
    /// What is done to packets of the client, as text.
    pub to_server: Vec<String>,
    /// What is done to packets of the member, as text; empty where they do not come through Shunt.
    pub to_client: Vec<String>,
}

impl Filter {
    fn matches(&self, summary: &FlowSummary) -> bool {
        self.virtual_.as_ref().is_none_or(|name| *name == summary.virtual_)
            && self.client.is_none_or(|client| client == summary.client.address)
            && self.member.is_none_or(|member| member == summary.member)
            && self.state.as_ref().is_none_or(|state| state == summary.state)
    }
}

impl Datapath {
    /// Shows the flows of the next `steps` slots of the table that match, and says where to continue; none if
    /// that was the last. A few thousand at a time keep the worker free for packets.
    pub fn flows(
        &self,
        now: u64,
        filter: &Filter,
        from: Cursor,
        steps: usize,
        mut show: impl FnMut(FlowSummary),
    ) -> Option<Cursor> {
        self.flows.table.walk(from, steps, |id, flow| {
            let summary = self.summary(now, id, flow);
            if filter.matches(&summary) {
                show(summary);
            }
        })
    }

    /// All about one flow.
    #[must_use]
    pub fn flow(&self, now: u64, id: FlowId) -> Option<FlowDetails> {
        let flow = self.flows.table.get(id)?;
        let paths = &flow.value.paths;
        let to_client = flow
            .reverse()
            .map(|key| render::of(key, &paths[Direction::ToClient as usize], &self.config.network));
        Some(FlowDetails {
            summary: self.summary(now, id, flow),
            to_server: render::of(flow.forward(), &paths[Direction::ToServer as usize], &self.config.network),
            to_client: to_client.unwrap_or_default(),
        })
    }

    /// Ends a flow; both ends of a TCP connection through Shunt get a reset. False if there is none.
    pub fn delete(&mut self, now: u64, id: FlowId, driver: &mut impl Driver) -> bool {
        let is_there = self.flows.get(id).is_some();
        self.end(now, id, Cause::Deleted, None, driver);
        is_there
    }

    fn summary(&self, now: u64, id: FlowId, flow: &Flow<FlowState>) -> FlowSummary {
        let state = &flow.value;
        let snapshot = &self.config.snapshot;
        let virtual_ = snapshot.entered(state.virtual_).map(|(virtual_, _)| Arc::clone(&virtual_.name));
        let member = snapshot.entered_member(state.member);
        FlowSummary {
            id,
            virtual_: virtual_.unwrap_or_default(),
            protocol: FlowProtocol::of(flow.forward().protocol()),
            client: flow.forward().source(),
            vip: flow.forward().destination(),
            pool: member.map(|(pool, _)| Arc::clone(pool)).unwrap_or_default(),
            member: member.map_or(state.plan.member, |(_, member)| member.endpoint),
            mode: state.mode,
            is_probe: state.is_probe,
            snat: state.lease.as_ref().map(Lease::endpoint),
            state: state.state(),
            age: now.saturating_sub(state.begun),
            idle: now.saturating_sub(state.last),
            expires_in: state.deadline().saturating_sub(now),
            to_server: state.traffic[Direction::ToServer as usize],
            to_client: state.traffic[Direction::ToClient as usize],
        }
    }
}
