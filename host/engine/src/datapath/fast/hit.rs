//! A packet of a known flow: what was decided is replayed.

use shunt_wire::RewriteError;
use shunt_wire::tcp::SYN;

use super::replay;
use crate::datapath::Datapath;
use crate::datapath::context::Context;
use crate::datapath::driver::Driver;
use crate::datapath::end::Cause;
use crate::datapath::local::answer::{refuse, refuse_too_big};
use crate::datapath::model::reason::DropReason;
use crate::datapath::model::verdict::Verdict;
use crate::datapath::state::accounting::Accounting;
use crate::datapath::state::flows::Flows;
use crate::datapath::state::path::Blocked;
use crate::flow::tcp::{State, Step};
use crate::flow::{Direction, FlowId};
use crate::packet::FlowPacket;

/// What a packet means to its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::datapath) enum PacketClass {
    /// One more of the same connection or exchange.
    Existing,
    /// The flow is over; the packet is the first of another one.
    NewConnection,
    /// The member may not be used any more.
    MemberDown,
    /// It is a probe's, which means other things.
    Probe,
}

impl Datapath {
    /// Forwards a packet of a known flow; `None` if it belongs to none, or is the first of a new one.
    pub(in crate::datapath) fn hit(
        &mut self,
        cx: &mut Context<'_, '_, impl Driver>,
        packet: &FlowPacket,
    ) -> Option<Verdict> {
        let (id, direction) = self.flows.table.find(&packet.key)?;
        let ready = self.ready(cx, id, direction);
        if let Err(Blocked::Refused(reason)) = ready {
            return Some(refuse(&self.config, &mut self.accounting, cx, reason));
        }
        if !cx.arrival.again {
            match observe(&mut self.flows, &mut self.accounting, cx, (id, direction), packet)? {
                PacketClass::Existing => {}
                PacketClass::NewConnection => {
                    self.end(cx.now, id, Cause::Over, None, cx.driver);
                    return None;
                }
                PacketClass::Probe => match self.observe_probe(cx, (id, direction), packet) {
                    Ok(()) => {}
                    Err(Some(verdict)) => return Some(verdict),
                    Err(None) => {
                        self.end(cx.now, id, Cause::Over, None, cx.driver);
                        return None;
                    }
                },
                PacketClass::MemberDown => return self.fail_over(cx, id, packet),
            }
        }
        Some(match ready {
            Err(Blocked::Unresolved(via)) => self.defer(cx, &via),
            _ => self.replay(cx, id, direction),
        })
    }

    /// Sends a packet of a flow, as its path of this moment says.
    pub(in crate::datapath) fn send(
        &mut self,
        cx: &mut Context<'_, '_, impl Driver>,
        (id, direction): (FlowId, Direction),
    ) -> Verdict {
        match self.ready(cx, id, direction) {
            Ok(()) => self.replay(cx, id, direction),
            Err(Blocked::Unresolved(via)) => self.defer(cx, &via),
            Err(Blocked::Refused(reason)) => refuse(&self.config, &mut self.accounting, cx, reason),
        }
    }

    /// Rewrites a packet as was decided.
    #[inline]
    pub(in crate::datapath) fn replay(
        &mut self,
        cx: &mut Context<'_, '_, impl Driver>,
        id: FlowId,
        direction: Direction,
    ) -> Verdict {
        let Some(flow) = self.flows.get(id) else { return Verdict::Drop(DropReason::NoFlow) };
        match replay::replay(flow.path(direction), cx) {
            Ok(verdict) => verdict,
            Err(RewriteError::TooBig { mtu }) => refuse_too_big(&self.config, &mut self.accounting, cx, mtu),
            Err(RewriteError::HopLimit) => {
                refuse(&self.config, &mut self.accounting, cx, DropReason::HopLimit)
            }
            Err(error) => Verdict::Drop(DropReason::of_rewrite_error(error)),
        }
    }

    /// Sees to it that a path fits the snapshot and the network of this moment.
    #[inline]
    pub(in crate::datapath) fn ready(
        &mut self,
        cx: &mut Context<'_, '_, impl Driver>,
        id: FlowId,
        direction: Direction,
    ) -> Result<(), Blocked> {
        let Some(flow) = self.flows.get(id) else { return Err(Blocked::Refused(DropReason::NoFlow)) };
        if flow.path(direction).rewrite.epoch == self.config.epoch {
            return Ok(());
        }
        self.make_ready(cx, id, direction)
    }

    fn make_ready(
        &mut self,
        cx: &mut Context<'_, '_, impl Driver>,
        id: FlowId,
        direction: Direction,
    ) -> Result<(), Blocked> {
        if let Some(reason) = self.flows.orphaned(&self.config, id) {
            self.end(cx.now, id, Cause::ConfigRemoved, Some(direction), cx.driver);
            return Err(Blocked::Refused(reason));
        }
        let renewed = self.flows.renew(&self.config, cx.now, id, direction);
        renewed.map_err(Blocked::Refused)?.map_or(Ok(()), |via| Err(Blocked::Unresolved(via)))
    }

    /// The member of a flow is down or disabled. A connection cannot be moved: both ends are reset, so that
    /// the client connects again, and is not left to wait. What has no connection yet, or never will, is
    /// taken as new, and goes to another member.
    fn fail_over(
        &mut self,
        cx: &mut Context<'_, '_, impl Driver>,
        id: FlowId,
        packet: &FlowPacket,
    ) -> Option<Verdict> {
        let can_reselect = can_reselect(&self.flows, id, packet);
        self.end(cx.now, id, Cause::MemberDown, Some(Direction::ToServer), cx.driver);
        if can_reselect {
            return None;
        }
        Some(refuse(&self.config, &mut self.accounting, cx, DropReason::MemberDown))
    }
}

/// What a packet means to its flow, which is left as it is; `None` if there is no such flow.
pub(in crate::datapath) fn classify(
    flows: &Flows,
    (id, direction): (FlowId, Direction),
    packet: &FlowPacket,
) -> Option<PacketClass> {
    let state = flows.get(id)?;
    if !state.is_probe && state.has_lost_member(direction) {
        return Some(PacketClass::MemberDown);
    }
    let is_over = state
        .tracker
        .zip(packet.tcp)
        .is_some_and(|(mut tracker, segment)| tracker.observe(direction, &segment) == Step::NewConnection);
    Some(match state.is_probe {
        _ if is_over => PacketClass::NewConnection,
        true => PacketClass::Probe,
        false => PacketClass::Existing,
    })
}

/// Whether a packet whose flow has lost its member is taken as new: what has no connection yet, or never
/// will.
pub(in crate::datapath) fn can_reselect(flows: &Flows, id: FlowId, packet: &FlowPacket) -> bool {
    let tracker = flows.get(id).and_then(|state| state.tracker);
    let opens = packet.tcp.is_none_or(|segment| segment.flags & SYN != 0);
    opens && matches!(tracker.map(|it| it.state()), None | Some(State::SynSent))
}

/// Takes a packet into what is known of its flow.
#[inline]
fn observe<W>(
    flows: &mut Flows,
    accounting: &mut Accounting,
    cx: &Context<'_, '_, W>,
    (id, direction): (FlowId, Direction),
    packet: &FlowPacket,
) -> Option<PacketClass> {
    let state = &mut flows.table.get_mut(id)?.value;
    if state.is_probe {
        state.follow(direction, &cx.arrival);
        return Some(PacketClass::Probe);
    }
    if state.has_lost_member(direction) {
        return Some(PacketClass::MemberDown);
    }
    if let (Some(tracker), Some(segment)) = (&mut state.tracker, &packet.tcp) {
        match tracker.observe(direction, segment) {
            Step::Unchanged => {}
            Step::NewConnection => return Some(PacketClass::NewConnection),
            Step::Changed => {
                flows.timers.schedule_by(id.slot(), cx.now.saturating_add(state.lifetime()));
            }
        }
    }
    if direction == Direction::ToClient {
        state.answered(cx.now);
    }
    state.follow(direction, &cx.arrival);
    accounting.count(state, cx.now, direction, packet.length);
    Some(PacketClass::Existing)
}
