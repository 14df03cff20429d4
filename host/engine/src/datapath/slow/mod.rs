//! The slow path: the first packet of a flow passes these stages, in this order.

pub(super) mod compile;
mod insert;
mod lease;
mod limits;
mod persistence;
mod probe;
mod rule;
mod selection;
mod translation;
mod virtual_;

use std::sync::Arc;

use persistence::Key;
use shunt_wire::{Endpoint, Frame};

use crate::datapath::Datapath;
use crate::datapath::driver::World;
use crate::datapath::model::arrival::Arrival;
use crate::datapath::model::flow::{FlowProtocol, Traffic};
use crate::datapath::model::index::{PoolIndex, VirtualIndex};
use crate::datapath::model::mode::Mode;
use crate::datapath::model::reason::DropReason;
use crate::datapath::model::ruling::{Done, NewFlow, Outcome};
use crate::datapath::model::verdict::Verdict;
use crate::datapath::state::id::Seat;
use crate::flow::tcp::{Conversation, Sight};
use crate::flow::{Direction, FlowId};
use crate::packet::FlowPacket;

/// The first packet of a flow.
pub(super) struct First<'a> {
    now: u64,
    arrival: &'a Arrival<'a>,
    packet: &'a FlowPacket,
    protocol: FlowProtocol,
    index: VirtualIndex,
    seat: Seat,
    /// A monitor sent it.
    is_probe: bool,
}

/// What the stages decided so far.
struct Choice {
    /// `None`: to where the client's packets are addressed.
    pool: Option<PoolIndex>,
    /// The member that a rule named.
    named: Option<Endpoint>,
    mode: Mode,
    /// By what the client is bound to a member.
    key: Option<Key>,
}

impl Datapath {
    /// Decides about a flow by its first packet.
    pub(super) fn first_packet(
        &mut self,
        now: u64,
        arrival: &Arrival<'_>,
        packet: &FlowPacket,
        frame: &mut Frame<'_>,
        world: &mut impl World,
    ) -> Verdict {
        let index = match self.find_virtual(arrival, packet) {
            Ok(index) => index,
            Err(virtual_::NotFound::Ping) => return Self::answer_echo(arrival, frame),
            Err(virtual_::NotFound::Because(reason)) => return self.refuse(now, arrival, frame, reason),
        };
        let Some(seat) = self.seats.of_virtual(index) else { return Verdict::Drop(DropReason::NoVirtual) };
        let protocol = FlowProtocol::of(packet.key.protocol());
        let first = First { now, arrival, packet, protocol, index, seat, is_probe: false };
        let verdict = match self.admit(&first) {
            Ok(()) => match self.decide(&first, world) {
                Ok(id) => self.send(now, (id, Direction::ToServer), arrival, frame, world),
                Err(reason) => {
                    self.done_before_it_began(&first, world);
                    self.refuse(now, arrival, frame, reason)
                }
            },
            Err(reason) => self.refuse(now, arrival, frame, reason),
        };
        if verdict.reason().is_some()
            && let Some(seat) = self.seats.virtual_mut(seat)
        {
            seat.refused += 1;
        }
        verdict
    }

    /// What stands between a flood and the rules.
    fn admit(&mut self, first: &First<'_>) -> Result<(), DropReason> {
        // A segment that can begin nothing takes up nothing.
        first.conversation(Sight::BothWays)?;
        self.limits(first)
    }

    /// The stages from the rules to the table. [`Stage`](super::Stage) lists them for everyone.
    fn decide(&mut self, first: &First<'_>, world: &mut impl World) -> Result<FlowId, DropReason> {
        let choice = self.rule(first, world)?;
        let bound = self.persistence(first, &choice);
        let member = self.selection(first, &choice, bound)?;
        let lease = self.snat_lease(first, &choice, &member, world)?;
        let seen = self.translation(first, &choice, &member, lease.as_ref())?;
        let compiled = self.compile(first, &choice, &member, seen)?;
        self.insert(first, &member, compiled, lease)
    }

    /// Tells the rules of a flow that was refused after they had been asked.
    fn done_before_it_began(&mut self, first: &First<'_>, world: &mut impl World) {
        let flow = self.new_flow(first);
        let Some(virtual_) = self.snapshot.virtual_(first.index) else { return };
        if virtual_.hooks.on_done {
            world.on_done(&Done {
                flow,
                virtual_: Arc::clone(&virtual_.name),
                index: Some(first.index),
                pool: None,
                member: None,
                mode: None,
                outcome: Outcome::Refused,
                to_server: Traffic { packets: 1, bytes: u64::from(first.packet.length) },
                to_client: Traffic::default(),
                duration: 0,
                first_answer: None,
            });
        }
        self.flows.skip_id();
    }

    /// What rules are shown.
    fn new_flow(&self, first: &First<'_>) -> NewFlow {
        NewFlow {
            id: self.flows.next_id(),
            client: first.client(),
            vip: first.vip(),
            protocol: first.protocol,
            ingress: first.arrival.ingress,
        }
    }
}

impl First<'_> {
    /// The middle of a connection: its beginning was seen by nobody here.
    fn is_mid_stream(&self) -> bool {
        self.packet.tcp.is_some_and(|segment| segment.flags & shunt_wire::tcp::SYN == 0)
    }

    fn client(&self) -> Endpoint {
        self.packet.key.source()
    }

    fn vip(&self) -> Endpoint {
        self.packet.key.destination()
    }

    /// The conversation that it begins; an error if it is a segment that can begin none.
    fn conversation(&self, sight: Sight) -> Result<Option<Conversation>, DropReason> {
        match &self.packet.tcp {
            Some(segment) => Conversation::begin(segment, sight).map(Some).ok_or(DropReason::MidStream),
            None => Ok(None),
        }
    }
}
