//! How flows end: their keys, timers, ports and counts are given back, both ends are reset, and rules are notified.

use std::sync::Arc;

use shunt_wire::{FlowKey, Frame, frame, tcp};

use super::Datapath;
use super::driver::Driver;
use super::model::flow::FlowProtocol;
use super::model::mode::ModeName;
use super::model::ruling::{Done, NewFlow, Outcome};
use super::state::flow::FlowState;
use crate::flow::tcp::State;
use crate::flow::{Cursor, Direction, Ending, FlowId};

/// What ends a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Its time is up, or both sides had ended it before.
    Over,
    /// Its member went down or was disabled.
    MemberDown,
    /// A reload took its virtual or its SNAT address.
    ConfigRemoved,
    /// An operator deleted it.
    Deleted,
}

/// Flows that end by time in one call at most, so that a call stays short; the rest ends in the next.
const AT_ONCE: usize = 1024;
/// Slots that are looked through for flows of virtuals that are gone, in one call.
const SWEEP: usize = 512;

impl Datapath {
    /// Ends flows whose time is up.
    pub(super) fn end_silent(&mut self, now: u64, driver: &mut impl Driver) {
        for _ in 0..AT_ONCE {
            let Some(slot) = self.flows.timers.take_due(now) else { return };
            let Some(id) = self.flows.table.in_slot(slot) else { continue };
            // Packets do not move the timer: it is moved when it comes.
            let deadline = self.flows.get(id).map_or(now, FlowState::deadline);
            if deadline > now {
                self.flows.timers.schedule(slot, deadline);
            } else {
                self.end(now, id, Cause::Over, None, driver);
            }
        }
    }

    /// Ends flows that a reload left without virtual or SNAT address, a part of the table in each call.
    pub(super) fn end_orphaned(&mut self, now: u64, driver: &mut impl Driver) {
        let Some(cursor) = self.flows.sweep else { return };
        let mut all: Vec<FlowId> = Vec::new();
        let next: Option<Cursor> = self.flows.table.walk(cursor, SWEEP, |id, _| all.push(id));
        for id in all {
            if self.flows.orphaned(&self.config, id).is_some() {
                self.end(now, id, Cause::ConfigRemoved, None, driver);
            }
        }
        self.flows.sweep = next;
    }

    /// Ends a flow: both ends of an open connection through Shunt are reset, then everything that the flow
    /// held is given back. The sender of the packet that led to this, in the direction `told`, gets its reset in
    /// reply to it.
    pub(super) fn end(
        &mut self,
        now: u64,
        id: FlowId,
        cause: Cause,
        told: Option<Direction>,
        driver: &mut impl Driver,
    ) {
        let Some(state) = self.flows.get(id) else { return };
        let ending = match cause {
            Cause::Over => state.ending(),
            Cause::MemberDown | Cause::ConfigRemoved | Cause::Deleted => Ending::Unknown,
        };
        // What was only routed can continue by the same way, and needs no flow for it.
        let breaks_off = cause != Cause::Over || ending == Ending::Idle && state.mode != ModeName::Route;
        let resets = breaks_off && self.reset_ends(now, id, told, driver);
        let Some(mut flow) = self.flows.table.remove(id) else { return };
        if let Some(lease) = flow.value.lease.take() {
            let last = if resets { now } else { flow.value.last };
            self.flows.leases.end(lease, ending, last, now);
        }
        self.flows.timers.cancel(id.slot());
        let key = *flow.forward();
        self.settle(id, &key, &flow.value, (cause, ending), driver);
    }

    /// Resets the ends of an open connection through Shunt, but for the one that gets a reply instead. False if
    /// the flow is none.
    pub(super) fn reset_ends(
        &mut self,
        now: u64,
        id: FlowId,
        told: Option<Direction>,
        driver: &mut impl Driver,
    ) -> bool {
        let Some(state) = self.flows.get(id) else { return false };
        if !state.mode.is_two_way() || !is_open(state) {
            return false;
        }
        // As an endpoint does whose user gives up (RFC 9293 section 3.10.5).
        let untold = |direction: &Direction| told != Some(direction.reversed());
        for direction in Direction::BOTH.into_iter().filter(untold) {
            self.reset(now, id, direction, driver);
        }
        true
    }

    /// Counts a flow that ended, and notifies its rules.
    pub(super) fn settle(
        &mut self,
        id: FlowId,
        key: &FlowKey,
        state: &FlowState,
        (cause, ending): (Cause, Ending),
        driver: &mut impl Driver,
    ) {
        if state.is_probe {
            return self.accounting.end_probe(state);
        }
        self.accounting.tally.modes[state.mode as usize].end();
        if let Some(entry) = self.accounting.entries.member_mut(state.member) {
            entry.traffic.end();
        }
        if let Some(entry) = self.accounting.entries.virtual_mut(state.virtual_) {
            entry.traffic.end();
        }
        let snapshot = &self.config.snapshot;
        match snapshot.entered(state.virtual_) {
            Some((virtual_, index)) if virtual_.hooks.on_done => {
                let member = snapshot.entered_member(state.member);
                driver.on_done(&Done {
                    flow: NewFlow {
                        id,
                        client: key.source(),
                        vip: key.destination(),
                        protocol: FlowProtocol::of(key.protocol()),
                        ingress: state.ingress,
                    },
                    virtual_: Arc::clone(&virtual_.name),
                    index,
                    pool: member.map(|(pool, _)| Arc::clone(pool)),
                    member: member.map(|(_, member)| member.endpoint),
                    mode: Some(state.mode),
                    outcome: outcome(cause, ending, state.tracker.is_some()),
                    to_server: state.traffic[Direction::ToServer as usize],
                    to_client: state.traffic[Direction::ToClient as usize],
                    duration: state.last.saturating_sub(state.begun),
                    first_answer: state.first_answer(),
                });
            }
            _ => driver.ended(id),
        }
    }

    /// Sends a reset in one direction, as the other side would: with the number that is expected next.
    fn reset(&mut self, now: u64, id: FlowId, direction: Direction, driver: &mut impl Driver) {
        let Some(flow) = self.flows.table.get(id) else { return };
        let Some(tracker) = flow.value.tracker else { return };
        let (Some(seq), ack) = (tracker.expected(direction), tracker.expected(direction.reversed())) else {
            return;
        };
        let key = match direction {
            Direction::ToServer => *flow.forward(),
            Direction::ToClient => match flow.reverse() {
                Some(reverse) => *reverse,
                None => return,
            },
        };
        // A reset is not kept for a next hop that is not known.
        if flow.value.path(direction).rewrite.epoch != self.config.epoch
            && self.flows.renew(&self.config, now, id, direction) != Ok(None)
        {
            return;
        }
        let Some(flow) = self.flows.table.get(id) else { return };
        let path = *flow.value.path(direction);
        let mut buffer = [0; frame::HEADROOM + RESET_LEN];
        let mut frame = Frame::new(&mut buffer, frame::HEADROOM, frame::HEADROOM);
        let Some(layout) = tcp::reset(&mut frame, &key, path.vlan, seq, ack) else { return };
        if path.rewrite.apply(&mut frame, &layout).is_ok() {
            driver.send(path.rewrite.interface, frame.bytes());
        }
    }
}

/// An Ethernet header, the larger IP header and a TCP header without options, rounded up to a cache line.
const RESET_LEN: usize = 128;

/// Is it a connection that an end may still believe in?
fn is_open(state: &FlowState) -> bool {
    state
        .tracker
        .is_some_and(|tracker| !matches!(tracker.state(), State::SynSent | State::Closed | State::Reset(_)))
}

/// The outcome as rules see it.
const fn outcome(cause: Cause, ending: Ending, connection: bool) -> Outcome {
    match (cause, ending) {
        (Cause::MemberDown, _) => Outcome::MemberFailed,
        (Cause::ConfigRemoved | Cause::Deleted, _) => Outcome::Refused,
        (Cause::Over, Ending::ServerReset | Ending::SynUnanswered) => Outcome::MemberFailed,
        (Cause::Over, Ending::ClientReset) => Outcome::ClientGone,
        (Cause::Over, Ending::Idle) if connection => Outcome::ClientGone,
        (Cause::Over, Ending::ServerClosed | Ending::ClientClosed | Ending::Idle | Ending::Unknown) => {
            Outcome::Complete
        }
    }
}
