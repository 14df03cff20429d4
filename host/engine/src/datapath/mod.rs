//! The packet datapath: one worker's flows, and what becomes of each frame.
//!
//! A frame of a known flow is rewritten as was decided when the flow began (`hit`). A frame of no flow
//! passes the list of [`Stage`]s, and leaves a flow behind for those that follow. Everything else is
//! an answer, or a [`DropReason`].

mod counters;
mod list;
mod mode;
mod reason;
mod snapshot;
mod stage;
mod verdict;
mod world;

pub use counters::{Counters, FlowCounters, MemberCounters, SnatCounters, VirtualCounters};
pub use list::{Filter, FlowDetails, FlowSummary};
pub use mode::{Dscp, Lacks, Mode, ModeName, Modes};
pub use reason::DropReason;
pub use snapshot::{
    Conflict, Hooks, Limits, Member, Owned, Pool, PoolIndex, Snapshot, SnatPool, SnatPoolIndex,
    SourcePersistence, Transport, Virtual, VirtualIndex,
};
pub use stage::Stage;
pub use verdict::Verdict;
pub use world::{Done, FlowId, FlowProtocol, NewFlow, Outcome, PersistKey, Ruling, Target, Traffic, World};

use std::sync::Arc;

use shunt_wire::Frame;

use crate::hash::Keyed;
use crate::network::Network;

/// How long an open TCP connection may be silent, in milliseconds. Longer than the 2 hours of a TCP keep-alive
/// (RFC 9293 section 3.8.4) would hold dead flows for too long; this is what F5 and IPVS's neighbours take.
pub const DEFAULT_TCP_IDLE: u64 = 300_000;
/// How long a flow of any other kind may be silent, in milliseconds.
pub const DEFAULT_IDLE: u64 = 60_000;

/// One packet worker's share of the work.
pub struct Datapath {
    options: Options,
    snapshot: Arc<Snapshot>,
    network: Arc<Network>,
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
        let _ = now;
        Self { options, snapshot, network }
    }

    /// One frame in, and what becomes of it. May change the frame in place.
    ///
    /// `now` in milliseconds on a clock that does not go back; `ingress` is the interface that the frame
    /// came in by, as the kernel numbers them. Who gets [`Verdict::HandOver`] for a frame that was already
    /// handed over (workers take a new snapshot one after the other) counts it as
    /// [`lost`](Self::lost) instead of passing it on for ever.
    pub fn receive(
        &mut self,
        now: u64,
        ingress: u32,
        frame: &mut Frame<'_>,
        world: &mut impl World,
    ) -> Verdict {
        todo!()
    }

    /// Does what time asks for: ends flows that were silent for too long, and gives up packets whose next
    /// hop does not answer. Cheap when nothing is due; call it after every batch, and at least every 100 ms.
    pub fn tick(&mut self, now: u64, world: &mut impl World) {
        todo!()
    }

    /// Takes over a snapshot. Flows keep what was decided for them, unless their virtual or their SNAT
    /// address is gone.
    pub fn replace(&mut self, now: u64, snapshot: Arc<Snapshot>) {
        todo!()
    }

    /// Takes over what is now known of the network: sends what waited for a neighbour that has appeared, in
    /// order. Flows find their next hop anew with their next packet.
    pub fn network_changed(&mut self, now: u64, network: Arc<Network>, world: &mut impl World) {
        todo!()
    }

    /// Tells the neighbours on every link that Shunt's addresses are here (gratuitous ARP, unsolicited
    /// advertisements). One worker does it when it starts.
    pub fn announce(&self, world: &mut impl World) {
        todo!()
    }

    /// Counts a frame that the driver lost: [`DropReason::HandOverFull`] or [`DropReason::SendFull`].
    pub fn lost(&mut self, reason: DropReason) {
        todo!()
    }

    /// The flows that match.
    pub fn flows(&self, now: u64, filter: &Filter) -> impl Iterator<Item = FlowSummary> {
        let _ = (now, filter);
        std::iter::empty()
    }

    /// All about one flow.
    #[must_use]
    pub fn flow(&self, now: u64, id: FlowId) -> Option<FlowDetails> {
        todo!()
    }

    /// Ends a flow; both sides of a TCP connection through Shunt get a reset. False if there is none.
    pub fn delete(&mut self, now: u64, id: FlowId, world: &mut impl World) -> bool {
        todo!()
    }

    /// What this worker counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        todo!()
    }
}
