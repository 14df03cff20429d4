//! What this worker keeps beside the snapshot for each virtual, pool and member: counters, limits and
//! whose turn it is, by the numbers that snapshots give them.

use std::collections::HashMap;
use std::sync::Arc;

use super::counters::FlowCounters;
use crate::balance::{Selector, SlowStart};
use crate::datapath::model::id::EntryId;
use crate::datapath::model::index::PoolIndex;
use crate::datapath::model::pool::Pool;
use crate::datapath::model::virtual_;
use crate::datapath::snapshot::Snapshot;
use crate::flow::Direction;
use crate::hash::Keyed;
use crate::limit::{SynLimit, TokenBucket, share};

/// Members for whom there is room without moving the counters of others: of address space, which costs
/// memory as it is used.
const ROOM: usize = 1 << 14;

/// All entries of a worker. One is kept as long as the snapshot or a flow needs it.
#[derive(Clone)]
pub(in crate::datapath) struct Entries {
    worker: usize,
    workers: usize,
    virtuals: Vec<VirtualEntry>,
    members: Vec<MemberEntry>,
    turns: Vec<Option<Turns>>,
}

/// Whose turn it is in a pool.
#[derive(Clone)]
struct Turns {
    selector: Selector,
    slow_start: Option<SlowStart>,
    /// The members that it knows, in the order of the pool as it was.
    members: Arc<[EntryId]>,
}

#[derive(Clone, Default)]
pub(in crate::datapath) struct VirtualEntry {
    pub(in crate::datapath) traffic: FlowCounters,
    /// Flows of probes, which count for nothing else.
    pub(in crate::datapath) probes: u32,
    pub(in crate::datapath) refused: u64,
    pub(in crate::datapath) persistence_down: [u64; 2],
    limits: Limits,
}

/// This worker's share in the limits of a virtual.
#[derive(Clone, Default)]
pub(in crate::datapath) struct Limits {
    /// What they are made of.
    configured: virtual_::Limits,
    pub(in crate::datapath) flows: Option<u32>,
    pub(in crate::datapath) flow_rate: Option<TokenBucket>,
    pub(in crate::datapath) syn_rate: Option<SynLimit>,
}

#[derive(Clone, Default)]
pub(in crate::datapath) struct MemberEntry {
    pub(in crate::datapath) traffic: FlowCounters,
    /// Flows of probes, which count for nothing else.
    pub(in crate::datapath) probes: u32,
}

impl Entries {
    pub(in crate::datapath) fn new(worker: usize, workers: usize, snapshot: &Snapshot) -> Self {
        let members = Vec::with_capacity(ROOM);
        let mut entries = Self { worker, workers, virtuals: Vec::new(), members, turns: Vec::new() };
        entries.apply(snapshot);
        entries
    }

    /// Takes over the snapshot that follows the one it has.
    pub(in crate::datapath) fn apply(&mut self, snapshot: &Snapshot) {
        let numbers = snapshot.numbers();
        numbers.virtuals.settle(&mut self.virtuals, |_| VirtualEntry::default());
        numbers.members.settle(&mut self.members, |_| MemberEntry::default());
        numbers.pools.settle(&mut self.turns, |_| None);
    }

    pub(in crate::datapath) fn virtual_(&self, entry: EntryId) -> Option<&VirtualEntry> {
        self.virtuals.get(entry.0 as usize)
    }

    pub(in crate::datapath) fn virtual_mut(&mut self, entry: EntryId) -> Option<&mut VirtualEntry> {
        self.virtuals.get_mut(entry.0 as usize)
    }

    pub(in crate::datapath) fn member(&self, entry: EntryId) -> Option<&MemberEntry> {
        self.members.get(entry.0 as usize)
    }

    pub(in crate::datapath) fn member_mut(&mut self, entry: EntryId) -> Option<&mut MemberEntry> {
        self.members.get_mut(entry.0 as usize)
    }

    /// Whose turn it is in a pool. Turns continue over reloads by the members' identities; where these are others now, that
    /// is found out when the first is chosen.
    pub(in crate::datapath) fn selector(
        &mut self,
        snapshot: &Snapshot,
        pool: PoolIndex,
    ) -> Option<&mut Selector> {
        let (worker, workers) = (self.worker, self.workers);
        let Pool { balance, slow_start, .. } = *snapshot.pool(pool)?;
        let members = snapshot.member_entries(pool)?;
        let turns = self.turns.get_mut(snapshot.pool_number(pool)? as usize)?;
        let turns = turns.get_or_insert_with(|| Turns {
            selector: Selector::new(balance, worker),
            slow_start: None,
            members: Arc::clone(members),
        });
        if !Arc::ptr_eq(&turns.members, members) || turns.selector.balance() != balance {
            let mut places = HashMap::with_hasher(Keyed::new([0, 0]));
            places.extend(turns.members.iter().zip(0..));
            let before = |place: usize| places.get(members.get(place)?).copied();
            turns.selector = turns.selector.next(balance, worker, members.len(), before);
            turns.members = Arc::clone(members);
        }
        if turns.slow_start != slow_start {
            turns.selector = turns.selector.clone().starting(slow_start.map(|it| it.share(worker, workers)));
            turns.slow_start = slow_start;
        }
        Some(&mut turns.selector)
    }

    /// This worker's share in the limits that a virtual has now, with what flows took of them; and how many flows
    /// it has.
    pub(in crate::datapath) fn limits(
        &mut self,
        now: u64,
        entry: EntryId,
        configured: virtual_::Limits,
    ) -> Option<(&mut Limits, u64)> {
        let (worker, workers) = (self.worker, self.workers);
        let VirtualEntry { limits, traffic, .. } = self.virtual_mut(entry)?;
        if limits.configured != configured {
            limits.change(now, configured, worker, workers);
        }
        Some((limits, traffic.active))
    }

    /// Counts a packet of a flow.
    pub(in crate::datapath) fn count(
        &mut self,
        (virtual_, member): (EntryId, EntryId),
        direction: Direction,
        bytes: u16,
    ) {
        if let Some(entry) = self.virtual_mut(virtual_) {
            entry.traffic.count(direction, bytes);
        }
        if let Some(entry) = self.member_mut(member) {
            entry.traffic.count(direction, bytes);
        }
    }
}

impl VirtualEntry {
    pub(in crate::datapath) const fn has_flows(&self) -> bool {
        self.traffic.active > 0 || self.probes > 0
    }
}

impl MemberEntry {
    pub(in crate::datapath) const fn has_flows(&self) -> bool {
        self.traffic.active > 0 || self.probes > 0
    }
}

impl Limits {
    /// Continues with the limits that a virtual has now: what has been taken stays taken.
    fn change(&mut self, now: u64, limits: virtual_::Limits, worker: usize, workers: usize) {
        self.configured = limits;
        let of_worker = |limit: u32| share(limit, worker as u32, workers as u32);
        self.flows = limits.flows.map(of_worker);
        let rate = limits.flow_rate.map(of_worker);
        self.flow_rate = match (self.flow_rate.take(), rate) {
            (Some(mut bucket), Some(rate)) => {
                bucket.change(rate, rate, now);
                Some(bucket)
            }
            (None, Some(rate)) => Some(TokenBucket::new(rate, rate, now)),
            (_, None) => None,
        };
        let rate = limits.syn_rate.map(of_worker);
        self.syn_rate = match (self.syn_rate.take(), rate) {
            (Some(mut limit), Some(rate)) => {
                limit.change(rate, now);
                Some(limit)
            }
            (None, Some(rate)) => Some(SynLimit::new(rate, now)),
            (_, None) => None,
        };
    }
}
