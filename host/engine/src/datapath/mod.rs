//! The packet datapath: one worker's flows, and what becomes of each frame.
//!
//! A frame of a known flow is rewritten as was decided when the flow began (`hit`). A frame of no flow
//! passes the list of [`Stage`]s, and leaves a flow behind for those that follow. Everything else is
//! an answer, or a [`DropReason`].
//!
//! Each folder imports only from those above it; what calls another way is a method of [`Datapath`].
//!
//! | folder | |
//! |---|---|
//! | `model` | values: what is configured, what comes in, what becomes of it |
//! | [`Snapshot`], `lookup`, [`World`] | what is configured as a whole; which virtual takes a packet; the thread around it |
//! | `compile` | the plan of a flow, and the rewrites that follow from it and the network |
//! | `state` | what a worker keeps: flows, counters and limits by virtual and member, packets that wait |
//! | `end` | how flows end, and how what they hold is given back |
//! | `local` | what Shunt says and hears itself: answers, errors, announcements, probes, waiting for neighbours |
//! | `fast` | packets of known flows and their fragments; translation without flows; prefetching |
//! | `slow` | the stages that a first packet passes, one file each |
//! | `operate` | operators: flows, counters, why a packet goes where it goes |

mod compile;
mod driver;
mod end;
mod fast;
mod local;
mod lookup;
mod model;
mod operate;
mod slow;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;

pub use driver::World;
pub use model::conflict::Conflict;
pub use model::flow::{FlowProtocol, Traffic};
pub use model::index::{PoolIndex, SnatPoolIndex, TranslatorIndex, VirtualIndex};
pub use model::mode::{Dscp, Lacks, Mode, ModeName, Modes};
pub use model::pool::{Member, Pool, SnatPool};
pub use model::probe::{Notice, Probed};
pub use model::reason::DropReason;
pub use model::ruling::{Done, NewFlow, Outcome, PersistKey, Ruling, Target};
pub use model::stage::Stage;
pub use model::translation::{Translation, Translator};
pub use model::tunnel_sources::TunnelSources;
pub use model::verdict::Verdict;
pub use model::virtual_::{Hooks, Limits, OnPath, SourcePersistence, Transport, Virtual};
pub use operate::explain::{Asked, Explanation, Leaving, Question, Unasked};
pub use operate::list::{Filter, FlowDetails, FlowSummary};
pub use snapshot::{Owned, Snapshot};
pub use state::counters::{Counters, FlowCounters, TranslatorCounters, VirtualCounters};
pub use state::trace::{Considered, Note, Point, Standing};

use std::collections::HashSet;
use std::sync::Arc;

use shunt_wire::{Endpoint, Frame};

use crate::flow::{Cursor, Table};
use crate::fragment::{Fragments, PartOf};
use crate::hash::Keyed;
use crate::limit::TokenBucket;
use crate::member::MemberState;
use crate::network::Network;
use crate::packet::{FlowPacket, Kind, dissect};
use crate::snat::{Blocks, Ports};
use crate::timer::Wheel;
use compile::plan::NEVER;
use local::{answer, tunnels};
use model::arrival::Arrival;
use model::unreadable;
use state::counters::Tally;
use state::flow::Carried;
use state::pending::Hold;
use state::per_worker::Seats;
use state::trace::Trace;

/// How long an open TCP connection may be silent, in milliseconds.
pub const DEFAULT_TCP_IDLE: u64 = 300_000;
/// How long a flow of any other kind may be silent, in milliseconds.
pub const DEFAULT_IDLE: u64 = 60_000;

/// One packet worker's share of the work.
pub struct Datapath {
    options: Options,
    snapshot: Arc<Snapshot>,
    network: Arc<Network>,
    /// Counts snapshots and networks: a rewrite that bears another number is checked before it is replayed.
    epoch: u32,
    flows: Table<Carried>,
    timers: Wheel,
    seats: Seats,
    leases: Ports,
    /// Endpoints of members that left: flows may still have answers of them, and each worker must know whose.
    former: HashSet<Endpoint, Keyed>,
    /// What flows that go to no member are counted on: it is always up.
    nobody: Arc<MemberState>,
    hold: Hold,
    fragments: Fragments,
    /// ICMP errors that may be sent.
    errors: TokenBucket,
    /// Stands in for the members of probes: never down, and what it has to do counts for nobody.
    probed: Arc<MemberState>,
    tally: Tally,
    tunnels: tunnels::Watch,
    /// How far the search for flows of virtuals that are gone has come.
    sweep: Option<Cursor>,
    /// Listens while one packet is explained, and never while packets are carried.
    trace: Trace,
}

/// What stays the same over the life of a worker.
#[derive(Clone, Copy)]
pub struct Options {
    /// Which worker this is, from 0.
    pub worker: usize,
    pub workers: usize,
    /// The same for all workers, from a random source: they must agree on who owns a flow.
    pub key: Keyed,
    /// Flows in this worker's table at most.
    pub flows: usize,
}

impl Datapath {
    #[must_use]
    pub fn new(now: u64, options: Options, snapshot: Arc<Snapshot>, network: Arc<Network>) -> Self {
        let mut seats = Seats::new(options.worker, options.workers);
        seats.replace(now, &snapshot);
        let mut tally = Tally::default();
        tally.seat_translators(&snapshot);
        Self {
            flows: Table::new(options.worker as u16, options.flows, options.key),
            timers: Wheel::new(now),
            errors: TokenBucket::new(answer::ERRORS_PER_SECOND, answer::ERRORS_PER_SECOND, now),
            epoch: NEVER + 1,
            leases: Ports::new(Blocks::new(options.worker as u16, options.workers as u16), options.key, now),
            seats,
            former: HashSet::with_hasher(options.key),
            nobody: MemberState::new(),
            hold: Hold::default(),
            fragments: Fragments::new(options.key),
            probed: MemberState::new(),
            tally,
            tunnels: tunnels::Watch::default(),
            sweep: None,
            trace: Trace::default(),
            options,
            snapshot,
            network,
        }
    }

    /// Begins anew in the place of one whose worker has panicked, of which nothing is believed but which SNAT
    /// ports are in use or rest, and which members there were: the other workers go by them. Its flows are lost.
    #[must_use]
    pub fn after_panic(mut self, now: u64, lost: Self) -> Self {
        let Self { leases, flows, former, .. } = lost;
        self.former = former;
        self.leases = leases.after_panic(now);
        // Their leases give themselves back.
        drop(flows);
        self
    }

    /// One frame in, and what becomes of it. May change the frame in place.
    ///
    /// `now` in milliseconds on a clock that does not go back; `ingress` is the interface that the frame
    /// came in by, as the kernel numbers them.
    pub fn receive(
        &mut self,
        now: u64,
        ingress: u32,
        frame: &mut Frame<'_>,
        world: &mut impl World,
    ) -> Verdict {
        self.take_in(now, ingress, frame, (false, None), world)
    }

    /// The same for a frame that another worker had [handed over](World::hand_over), with what it said.
    pub fn receive_handed_over(
        &mut self,
        now: u64,
        ingress: u32,
        frame: &mut Frame<'_>,
        part: Option<PartOf>,
        world: &mut impl World,
    ) -> Verdict {
        self.take_in(now, ingress, frame, (true, part), world)
    }

    /// Does what time asks for: ends flows that were silent for too long, and gives up packets whose next
    /// hop does not answer. Cheap when nothing is due; call it after every batch, and at least every 100 ms.
    pub fn tick(&mut self, now: u64, world: &mut impl World) {
        self.watch_tunnels(now);
        self.end_silent(now, world);
        self.end_homeless(now, world);
        self.give_up_waiting(now, world);
        self.give_up_fragments(now);
        self.leases.advance(now);
    }

    /// Takes over a snapshot. Flows keep what was decided for them, unless their virtual or their SNAT
    /// address is gone.
    pub fn replace(&mut self, now: u64, snapshot: Arc<Snapshot>) {
        self.seats.replace(now, &snapshot);
        self.former.extend(self.snapshot.members());
        // Whoever came back is known by the snapshot again.
        self.former.retain(|member| !snapshot.has_member(*member));
        self.tally.seat_translators(&snapshot);
        self.snapshot = snapshot;
        self.next_epoch();
        self.sweep = Some(Cursor::default());
    }

    /// Takes over what is now known of the network: sends what waited for a neighbour that has appeared, in
    /// order. Flows find their next hop anew with their next packet.
    pub fn network_changed(&mut self, now: u64, network: Arc<Network>, world: &mut impl World) {
        // Neighbours are confirmed all the time; only what is different makes flows look again.
        if *self.network != *network {
            self.network = network;
            self.next_epoch();
        }
        self.release_waiting(now, world);
    }

    /// Counts a frame that the driver lost: [`DropReason::SendFull`].
    pub fn lost(&mut self, reason: DropReason) {
        self.tally.dropped(reason);
    }

    #[inline]
    fn take_in(
        &mut self,
        now: u64,
        ingress: u32,
        frame: &mut Frame<'_>,
        (handed_over, part): (bool, Option<PartOf>),
        world: &mut impl World,
    ) -> Verdict {
        self.tally.received += 1;
        // Most hosts translate nothing.
        let translated = if self.snapshot.translators().is_empty() {
            None
        } else {
            self.translate(now, ingress, frame, world)
        };
        let verdict = match translated {
            Some(verdict) => verdict,
            None => match dissect(frame.bytes()) {
                Ok(packet) => {
                    let arrival = Arrival { packet: &packet, ingress, again: false, handed_over, part };
                    self.carry(now, &arrival, frame, world)
                }
                Err(cause) => Verdict::Drop(unreadable::reason(cause)),
            },
        };
        self.tally.take(verdict);
        verdict
    }

    /// What becomes of a frame that could be read.
    #[inline]
    fn carry(
        &mut self,
        now: u64,
        arrival: &Arrival<'_>,
        frame: &mut Frame<'_>,
        world: &mut impl World,
    ) -> Verdict {
        match &arrival.packet.kind {
            Kind::Flow(flow) => self.carry_flow(now, arrival, flow, frame, world),
            Kind::IcmpError(error) => self.deliver_error(now, arrival, error, frame, world),
            Kind::Arp(request) => self.answer_arp(arrival, frame, request),
            Kind::NeighbourSolicitation(it) => self.answer_solicitation(arrival, frame, it),
            Kind::Fragment(fragment) => self.carry_fragment(now, arrival, fragment, frame, world),
            Kind::Other(other) => match other.flow().filter(|_| self.snapshot.carries_all()) {
                Some(flow) => self.carry_flow(now, arrival, &flow, frame, world),
                None => Verdict::Drop(match self.snapshot.owned(other.destination) {
                    Some(_) => DropReason::OtherProtocol,
                    None => DropReason::NotOurs,
                }),
            },
        }
    }

    /// What becomes of a packet of a flow, or of its first fragment.
    #[inline]
    fn carry_flow(
        &mut self,
        now: u64,
        arrival: &Arrival<'_>,
        flow: &FlowPacket,
        frame: &mut Frame<'_>,
        world: &mut impl World,
    ) -> Verdict {
        let verdict = self.hit_or_first(now, arrival, flow, frame, world);
        if let Some(reason) = verdict.reason() {
            self.tell_of_refusal(arrival, flow, reason, world);
        }
        verdict
    }

    #[inline]
    fn hit_or_first(
        &mut self,
        now: u64,
        arrival: &Arrival<'_>,
        flow: &FlowPacket,
        frame: &mut Frame<'_>,
        world: &mut impl World,
    ) -> Verdict {
        if let Some(verdict) = self.hit(now, arrival, flow, frame, world) {
            return verdict;
        }
        if arrival.again {
            // Its flow ended while it waited.
            return Verdict::Drop(DropReason::NextHopSilent);
        }
        if let Some(verdict) = self.stranger(arrival, frame, world) {
            return verdict;
        }
        if let Some(verdict) = self.about_probes(now, arrival, flow, frame, world) {
            return verdict;
        }
        self.first_packet(now, arrival, flow, frame, world)
    }

    /// What becomes of a packet of no flow of this worker, before anything is asked about it.
    fn stranger(&self, arrival: &Arrival<'_>, frame: &Frame<'_>, world: &mut impl World) -> Option<Verdict> {
        if arrival.packet.destination_mac.is_group() {
            return Some(Verdict::Drop(DropReason::GroupMac));
        }
        let worker = self.owner(arrival)?;
        self.trace.note(Point::Worker, || format!("worker {worker} of {} owns it", self.options.workers));
        (worker != self.options.worker).then(|| self.hand_over(worker, arrival, frame, world))
    }

    fn next_epoch(&mut self) {
        self.epoch = match self.epoch.wrapping_add(1) {
            NEVER => NEVER + 1,
            epoch => epoch,
        };
    }
}
