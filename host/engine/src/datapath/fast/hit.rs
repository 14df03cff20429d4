//! A packet of a known flow: what was decided is replayed.

use shunt_wire::tcp::SYN;
use shunt_wire::{Frame, Rewrite, fragment};
use shunt_wire::{Misfit, vlan};

use super::renumber::Renumbered;
use crate::datapath::Datapath;
use crate::datapath::compile::outer::Outside;
use crate::datapath::driver::World;
use crate::datapath::end::Why;
use crate::datapath::model::arrival::Arrival;
use crate::datapath::model::reason::DropReason;
use crate::datapath::model::verdict::Verdict;
use crate::datapath::snapshot::Owned;
use crate::datapath::state::counters::Tally;
use crate::datapath::state::flow::{Carried, ends};
use crate::datapath::state::path::Blocked;
use crate::datapath::state::per_worker::Seats;
use crate::flow::tcp::{State, Step};
use crate::flow::{Direction, FlowId};
use crate::network::Via;
use crate::packet::FlowPacket;

/// What a packet means to its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::datapath) enum Meaning {
    /// It goes on.
    GoesOn,
    /// It is over; the packet is the first of another one.
    Over,
    /// The member may not be used any more.
    MemberDown,
    /// It is a probe's, which means other things.
    Probe,
}

impl Datapath {
    /// Carries a packet of a known flow; `None` if it belongs to none, or is the first of a new one.
    pub(in crate::datapath) fn hit(
        &mut self,
        now: u64,
        arrival: &Arrival<'_>,
        packet: &FlowPacket,
        frame: &mut Frame<'_>,
        world: &mut impl World,
    ) -> Option<Verdict> {
        let (id, direction) = self.flows.find(&packet.key)?;
        let ready = self.ready(now, id, direction, world);
        if let Err(Blocked::Refused(reason)) = ready {
            return Some(self.refuse(now, arrival, frame, reason));
        }
        if !arrival.again {
            match self.observe(now, id, direction, (arrival, packet))? {
                Meaning::GoesOn => {}
                Meaning::Over => {
                    self.end(now, id, Why::Over, None, world);
                    return None;
                }
                Meaning::Probe => match self.observe_probe(now, id, direction, (arrival, packet), world) {
                    Ok(()) => {}
                    Err(Some(verdict)) => return Some(verdict),
                    Err(None) => {
                        self.end(now, id, Why::Over, None, world);
                        return None;
                    }
                },
                Meaning::MemberDown => return self.leave_member(now, id, arrival, packet, frame, world),
            }
        }
        Some(match ready {
            Err(Blocked::Unresolved(via)) => self.wait(now, &via, arrival, frame, world),
            _ => self.replay(now, id, direction, arrival, frame, world),
        })
    }

    /// What a packet means to its flow, which is left as it is; `None` if there is no such flow.
    pub(in crate::datapath) fn meaning(
        &self,
        id: FlowId,
        direction: Direction,
        packet: &FlowPacket,
    ) -> Option<Meaning> {
        let carried = &self.flows.get(id)?.value;
        if !carried.is_probe && carried.has_lost_member(direction) {
            return Some(Meaning::MemberDown);
        }
        let is_over = carried.conversation.zip(packet.tcp).is_some_and(|(mut conversation, segment)| {
            conversation.observe(direction, &segment) == Step::NewConversation
        });
        Some(match carried.is_probe {
            _ if is_over => Meaning::Over,
            true => Meaning::Probe,
            false => Meaning::GoesOn,
        })
    }

    /// Whether a packet whose flow has lost its member is taken as new: what has no connection yet, or never
    /// will.
    pub(in crate::datapath) fn moves_on(&self, id: FlowId, packet: &FlowPacket) -> bool {
        let conversation = self.flows.get(id).and_then(|flow| flow.value.conversation);
        let opens = packet.tcp.is_none_or(|segment| segment.flags & SYN != 0);
        opens && matches!(conversation.map(|it| it.state()), None | Some(State::SynSent))
    }

    /// Sends a packet of a flow, as its path of this moment says.
    pub(in crate::datapath) fn send(
        &mut self,
        now: u64,
        (id, direction): (FlowId, Direction),
        arrival: &Arrival<'_>,
        frame: &mut Frame<'_>,
        world: &mut impl World,
    ) -> Verdict {
        match self.ready(now, id, direction, world) {
            Ok(()) => self.replay(now, id, direction, arrival, frame, world),
            Err(Blocked::Unresolved(via)) => self.wait(now, &via, arrival, frame, world),
            Err(Blocked::Refused(reason)) => self.refuse(now, arrival, frame, reason),
        }
    }

    /// Rewrites a packet as was decided.
    pub(in crate::datapath) fn replay(
        &mut self,
        now: u64,
        id: FlowId,
        direction: Direction,
        arrival: &Arrival<'_>,
        frame: &mut Frame<'_>,
        world: &mut impl World,
    ) -> Verdict {
        let Some(flow) = self.flows.get(id) else { return Verdict::Drop(DropReason::NoFlow) };
        let path = flow.value.path(direction);
        // Read where it lies: a copy would cost more than all of it.
        let (rewrite, vlan, interface) = (&path.rewrite, path.vlan, path.rewrite.interface);
        let layout = &arrival.packet.layout;
        let done = match &arrival.part {
            None => rewrite.apply(frame, layout).map(|()| None),
            Some(_) => Self::rewrite_part(rewrite, arrival, frame),
        };
        let done = match done {
            Err(Misfit::MustFragment) => Self::rewrite_to_cut(rewrite, arrival, frame).map(Some),
            done => done,
        };
        let longest = match done {
            Ok(longest) => longest,
            Err(Misfit::TooBig { mtu }) => return self.refuse_too_big(now, arrival, frame, mtu),
            Err(Misfit::HopLimit) => return self.refuse(now, arrival, frame, DropReason::HopLimit),
            Err(misfit) => return Verdict::Drop(DropReason::of_misfit(misfit)),
        };
        if arrival.packet.vlan != vlan && vlan::change(frame, arrival.packet.vlan, vlan).is_none() {
            return Verdict::Drop(DropReason::NoRoom);
        }
        // What is too long for the other family's links goes in parts, the last of which is left in the frame.
        if let Some(longest) = longest
            && fragment::cut(frame, longest, |part| world.send(interface, part)).is_none()
        {
            return Verdict::Drop(DropReason::Untranslatable);
        }
        Verdict::Send { interface }
    }

    /// Rewrites a fragment.
    #[cold]
    fn rewrite_part(
        rewrite: &Rewrite,
        arrival: &Arrival<'_>,
        frame: &mut Frame<'_>,
    ) -> Result<Option<u16>, Misfit> {
        let layout = &arrival.packet.layout;
        let renumbered = Renumbered::of(arrival).filter(|_| rewrite.renames());
        Renumbered::around(renumbered, frame, layout, |frame| rewrite.apply(frame, layout)).map(|()| None)
    }

    /// Rewrites what has to be cut. Returns how long the parts may be.
    #[cold]
    fn rewrite_to_cut(
        rewrite: &Rewrite,
        arrival: &Arrival<'_>,
        frame: &mut Frame<'_>,
    ) -> Result<u16, Misfit> {
        let layout = &arrival.packet.layout;
        let renumbered = Renumbered::of(arrival).filter(|_| rewrite.renames());
        Renumbered::around(renumbered, frame, layout, |frame| rewrite.apply_to_cut(frame, layout))
    }

    /// Sees to it that a path fits the snapshot and the network of this moment.
    pub(in crate::datapath) fn ready(
        &mut self,
        now: u64,
        id: FlowId,
        direction: Direction,
        world: &mut impl World,
    ) -> Result<(), Blocked> {
        let Some(flow) = self.flows.get_mut(id) else { return Err(Blocked::Refused(DropReason::NoFlow)) };
        let carried = &mut flow.value;
        if carried.path(direction).rewrite.epoch == self.epoch {
            return Ok(());
        }
        if let Some(reason) = self.homeless(id) {
            self.end(now, id, Why::Homeless, Some(direction), world);
            return Err(Blocked::Refused(reason));
        }
        let unresolved = self.renew(now, id, direction).map_err(Blocked::Refused)?;
        unresolved.map_or(Ok(()), |via| Err(Blocked::Unresolved(via)))
    }

    /// Compiles a direction of a flow for the snapshot and the network of this moment; if the MAC of its next hop
    /// is not known, whom to ask.
    pub(in crate::datapath) fn renew(
        &mut self,
        now: u64,
        id: FlowId,
        direction: Direction,
    ) -> Result<Option<Via>, DropReason> {
        let flow = self.flows.get_mut(id).ok_or(DropReason::NoFlow)?;
        let (plan, ends) = (flow.value.plan, ends(flow));
        let virtual_ = self.seats.virtual_(flow.value.virtual_).map(|seat| &seat.virtual_);
        let member = self.seats.member(flow.value.member).map(|seat| &*seat.member.state);
        let outside = Outside::new(virtual_, (plan.member.address, member), plan.entropy, now);
        let compiled = plan.compile(&ends, direction, &outside, &self.network, self.epoch)?;
        flow.value.paths[direction as usize] = compiled.path;
        Ok(compiled.unresolved)
    }

    /// Why a flow has no place in the current snapshot, if so.
    pub(in crate::datapath) fn homeless(&self, id: FlowId) -> Option<DropReason> {
        let carried = &self.flows.get(id)?.value;
        if self.seats.virtual_(carried.virtual_).is_none_or(|seat| seat.index.is_none()) {
            return Some(DropReason::VirtualGone);
        }
        let snat = carried.lease.as_ref()?.address();
        let still = matches!(self.snapshot.owned(snat), Some(Owned::Snat(_)));
        if still { None } else { Some(DropReason::SnatGone) }
    }

    /// Takes a packet into what is known of its flow.
    fn observe(
        &mut self,
        now: u64,
        id: FlowId,
        direction: Direction,
        (arrival, packet): (&Arrival<'_>, &FlowPacket),
    ) -> Option<Meaning> {
        let carried = &mut self.flows.get_mut(id)?.value;
        if carried.is_probe {
            carried.follow(direction, arrival);
            return Some(Meaning::Probe);
        }
        if carried.has_lost_member(direction) {
            return Some(Meaning::MemberDown);
        }
        if let (Some(conversation), Some(segment)) = (&mut carried.conversation, &packet.tcp) {
            match conversation.observe(direction, segment) {
                Step::Same => {}
                Step::NewConversation => return Some(Meaning::Over),
                Step::Changed => {
                    self.timers.schedule_by(id.slot(), now.saturating_add(carried.lifetime()));
                }
            }
        }
        if direction == Direction::ToClient {
            carried.answered(now);
        }
        carried.follow(direction, arrival);
        Self::count_on(carried, (&mut self.seats, &mut self.tally), now, direction, packet.length);
        Some(Meaning::GoesOn)
    }

    /// Counts a packet of a flow, or a part of one.
    pub(in crate::datapath) fn count(&mut self, now: u64, id: FlowId, direction: Direction, length: u16) {
        let Some(flow) = self.flows.get_mut(id) else { return };
        let to = (&mut self.seats, &mut self.tally);
        Self::count_on(&mut flow.value, to, now, direction, length);
    }

    #[inline]
    fn count_on(
        carried: &mut Carried,
        (seats, tally): (&mut Seats, &mut Tally),
        now: u64,
        direction: Direction,
        length: u16,
    ) {
        carried.last = now;
        carried.traffic[direction as usize].add(length);
        seats.count(carried, direction, length);
        tally.modes[carried.mode as usize].count(direction, length);
    }

    /// The member of a flow is down or disabled. A connection cannot be moved: both ends are reset, so that
    /// the client connects anew, and is not left to wait. What has no connection yet, or never will, is
    /// taken as new, and goes to another member.
    fn leave_member(
        &mut self,
        now: u64,
        id: FlowId,
        arrival: &Arrival<'_>,
        packet: &FlowPacket,
        frame: &mut Frame<'_>,
        world: &mut impl World,
    ) -> Option<Verdict> {
        let moves_on = self.moves_on(id, packet);
        self.end(now, id, Why::MemberDown, Some(Direction::ToServer), world);
        if moves_on {
            return None;
        }
        Some(self.refuse(now, arrival, frame, DropReason::MemberDown))
    }
}
