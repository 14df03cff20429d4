//! The packet datapath: one worker's flows, and what becomes of each frame.
//!
//! A frame of a known flow is rewritten as was decided when the flow began (`hit`). A frame of no flow
//! passes the list of [`Stage`]s, and leaves a flow behind for those that follow. Everything else is
//! a reply, or a [`DropReason`].
//!
//! Each folder imports only from those above it; what calls another way is a method of [`Datapath`].
//!
//! | folder | |
//! |---|---|
//! | `model` | values: what is configured, what comes in, what becomes of it |
//! | [`Snapshot`], `lookup`, [`Driver`] | what is configured as a whole; which virtual takes a packet; the thread around it |
//! | `compile` | the plan of a flow, and the rewrites that follow from it and the network |
//! | `state` | what a worker keeps: flows, counters and limits by virtual and member, pending packets |
//! | `end` | how flows end, and how what they hold is given back |
//! | `local` | packets from and to Shunt itself: replies, ICMP errors, announcements, probes, packets pending for neighbours |
//! | `fast` | packets of known flows and their fragments; translation without flows; prefetching |
//! | `slow` | the stages that a first packet passes, one file each |
//! | `operate` | operators: flows, counters, why a packet goes where it goes |

mod compile;
mod context;
mod dispatch;
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

pub use driver::Driver;
pub use model::conflict::Conflict;
pub use model::flow::{FlowProtocol, Traffic};
pub use model::index::{PoolIndex, SnatPoolIndex, TranslatorIndex, VirtualIndex};
pub use model::mode::{Dscp, Lacks, Mode, ModeName, Modes};
pub use model::pool::{Member, OnEmpty, Pool, SnatPool};
pub use model::probe::{Notice, Probed};
pub use model::reason::DropReason;
pub use model::ruling::{Done, NewFlow, Outcome, PersistKey, Ruling, Target};
pub use model::stage::Stage;
pub use model::translation::{Translation, Translator};
pub use model::tunnel_sources::TunnelSources;
pub use model::verdict::Verdict;
pub use model::virtual_::{Hooks, Limits, OnPath, PathHealth, SourcePersistence, Transport, Virtual};
pub use operate::explain::{Asked, Explanation, Leaving, Question, Unasked};
pub use operate::list::{Filter, FlowDetails, FlowSummary};
pub use snapshot::{Left, Owned, Snapshot};
pub use state::config::Options;
pub use state::counters::{Counters, FlowCounters, FrameCounters, TranslatorCounters, VirtualCounters};
pub use state::trace::{Considered, Note, Point, Standing};

use std::sync::Arc;

use crate::flow::Cursor;
use crate::network::Network;
use local::tunnels;
use model::id::EntryId;
use state::accounting::Accounting;
use state::config::Config;
use state::flows::Flows;
use state::pending::Pending;
use state::trace::Trace;

/// How long an open TCP connection may be silent, in milliseconds.
pub const DEFAULT_TCP_IDLE: u64 = 300_000;
/// How long a flow of any other kind may be silent, in milliseconds.
pub const DEFAULT_IDLE: u64 = 60_000;

/// One packet worker's share of the work.
pub struct Datapath {
    /// What decisions are made by.
    config: Config,
    flows: Flows,
    /// What is counted and limited.
    accounting: Accounting,
    /// Pending packets.
    pending: Pending,
    /// What errors about tunnels said.
    tunnels: tunnels::Watch,
    /// Listens while one packet is explained, and never while packets are forwarded.
    trace: Trace,
}

impl Datapath {
    #[must_use]
    pub fn new(now: u64, options: Options, snapshot: Arc<Snapshot>, network: Arc<Network>) -> Self {
        Self {
            flows: Flows::new(now, &options),
            accounting: Accounting::new(now, &options, &snapshot),
            pending: Pending::new(&options),
            tunnels: tunnels::Watch::default(),
            trace: Trace::default(),
            config: Config::new(options, snapshot, network),
        }
    }

    /// Starts over in the place of one whose worker has panicked, of which nothing is believed but which SNAT
    /// ports are in use or quarantined: the other workers go by them. Its flows are lost.
    #[must_use]
    pub fn after_panic(mut self, now: u64, lost: Self) -> Self {
        let Self { flows: Flows { leases, table, .. }, .. } = lost;
        self.flows.leases = leases.after_panic(now);
        // Their leases give themselves back.
        drop(table);
        self
    }

    /// Does what time asks for: ends flows that were silent for too long, and gives up packets whose next
    /// hop does not answer. Cheap when nothing is due; call it after every batch, and at least every 100 ms.
    pub fn tick(&mut self, now: u64, driver: &mut impl Driver) {
        self.watch_tunnels(now);
        self.end_silent(now, driver);
        self.end_orphaned(now, driver);
        self.expire_pending(now, driver);
        self.expire_fragments(now);
        self.flows.leases.advance(now);
    }

    /// Applies the snapshot that was made to [follow](Snapshot::after) the one it has, and gives that back: it is
    /// not for the worker to free it. Flows keep what was decided for them, unless their virtual or their SNAT
    /// address is gone. What this takes does not grow with the configuration.
    pub fn apply_snapshot(&mut self, snapshot: Arc<Snapshot>) -> Arc<Snapshot> {
        self.accounting.apply(&snapshot);
        if snapshot.takes_away() {
            self.flows.sweep = Some(Cursor::default());
        }
        self.config.apply(snapshot)
    }

    /// The snapshot that it has.
    #[must_use]
    pub const fn snapshot(&self) -> &Arc<Snapshot> {
        &self.config.snapshot
    }

    /// Of what left the configuration, that which no flow of this worker refers to any more. Once all workers have
    /// released something, the next snapshot may [forget](Snapshot::after) it.
    #[must_use]
    pub fn released(&self, mut left: Left) -> Left {
        let entries = &self.accounting.entries;
        let is_free = |number: &u32| entries.virtual_(EntryId(*number)).is_none_or(|it| !it.has_flows());
        left.virtuals.retain(is_free);
        let is_free = |number: &u32| entries.member(EntryId(*number)).is_none_or(|it| !it.has_flows());
        left.members.retain(is_free);
        left
    }

    /// Applies what is known of the network now, which is to differ from what was: neighbours are confirmed all the
    /// time. Sends what waited for a neighbour that has appeared, in order; flows find their next hop again with
    /// their next packet. What was known is given back: it is not for the worker to free it.
    pub fn apply_network(
        &mut self,
        now: u64,
        network: Arc<Network>,
        driver: &mut impl Driver,
    ) -> Arc<Network> {
        let before = std::mem::replace(&mut self.config.network, network);
        self.config.next_epoch();
        self.release_pending(now, driver);
        before
    }

    /// Counts a frame that the driver lost: [`DropReason::SendFull`].
    pub fn lost(&mut self, reason: DropReason) {
        self.accounting.tally.dropped(reason);
    }
}
