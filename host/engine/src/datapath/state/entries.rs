//! What this worker keeps beside the snapshot for each virtual, pool and member: counters, limits and
//! whose turn it is. FlowState over from snapshot to snapshot by identity.

use std::collections::HashMap;
use std::sync::Arc;

use shunt_wire::Endpoint;

use super::counters::FlowCounters;
use super::id::EntryId;
use crate::balance::Selector;
use crate::datapath::model::index::{PoolIndex, VirtualIndex};
use crate::datapath::model::pool::{Member, Pool};
use crate::datapath::model::virtual_;
use crate::datapath::model::virtual_::Virtual;
use crate::datapath::snapshot::Snapshot;
use crate::flow::Direction;
use crate::hash::Keyed;
use crate::limit::{SynLimit, TokenBucket, share};

/// All entries of a worker. One is kept as long as the snapshot or a flow needs it.
#[derive(Clone)]
pub(in crate::datapath) struct Entries {
    worker: usize,
    workers: usize,
    virtuals: Vec<VirtualEntry>,
    members: Vec<MemberEntry>,
    /// In the order of the snapshot.
    of_virtual: Vec<EntryId>,
    pools: Vec<PoolEntry>,
}

#[derive(Clone)]
pub(in crate::datapath) struct VirtualEntry {
    /// As the last snapshot had it.
    pub(in crate::datapath) virtual_: Virtual,
    /// `None`: a reload took it away.
    pub(in crate::datapath) index: Option<VirtualIndex>,
    pub(in crate::datapath) traffic: FlowCounters,
    /// Flows of probes, which count for nothing else.
    pub(in crate::datapath) probes: u32,
    pub(in crate::datapath) refused: u64,
    pub(in crate::datapath) limits: Limits,
}

/// This worker's share in the limits of a virtual.
#[derive(Clone, Default)]
pub(in crate::datapath) struct Limits {
    pub(in crate::datapath) flows: Option<u32>,
    pub(in crate::datapath) flow_rate: Option<TokenBucket>,
    pub(in crate::datapath) syn_rate: Option<SynLimit>,
}

#[derive(Clone)]
pub(in crate::datapath) struct MemberEntry {
    pub(in crate::datapath) pool: Arc<str>,
    pub(in crate::datapath) member: Member,
    pub(in crate::datapath) is_current: bool,
    pub(in crate::datapath) traffic: FlowCounters,
    /// Flows of probes, which count for nothing else.
    pub(in crate::datapath) probes: u32,
}

#[derive(Clone)]
pub(in crate::datapath) struct PoolEntry {
    name: Arc<str>,
    pub(in crate::datapath) selector: Selector,
    /// In the order of the pool.
    members: Vec<EntryId>,
    endpoints: Vec<Endpoint>,
}

impl Entries {
    pub(in crate::datapath) const fn new(worker: usize, workers: usize) -> Self {
        Self {
            worker,
            workers,
            virtuals: Vec::new(),
            members: Vec::new(),
            of_virtual: Vec::new(),
            pools: Vec::new(),
        }
    }

    /// Applies a snapshot. True if a virtual is gone that has flows.
    pub(in crate::datapath) fn apply(&mut self, now: u64, snapshot: &Snapshot) -> bool {
        self.virtuals.iter_mut().for_each(|entry| entry.index = None);
        self.members.iter_mut().for_each(|entry| entry.is_current = false);
        // What has an entry keeps it, before new virtuals and members take the free ones.
        for (place, virtual_) in snapshot.virtuals().iter().enumerate() {
            self.keep_virtual(now, VirtualIndex(place), virtual_);
        }
        self.of_virtual = (0..)
            .zip(snapshot.virtuals())
            .map(|(place, virtual_)| self.enter_virtual(now, VirtualIndex(place), virtual_))
            .collect();
        for pool in snapshot.pools() {
            pool.members.iter().for_each(|member| self.keep_member(&pool.name, member));
        }
        let mut before = std::mem::take(&mut self.pools);
        self.pools = snapshot.pools().iter().map(|pool| self.enter_pool(pool, &mut before)).collect();
        self.virtuals.iter().any(|entry| entry.index.is_none() && entry.has_flows())
    }

    pub(in crate::datapath) fn of_virtual(&self, index: VirtualIndex) -> Option<EntryId> {
        self.of_virtual.get(index.0).copied()
    }

    pub(in crate::datapath) fn of_member(&self, pool: PoolIndex, place: usize) -> Option<EntryId> {
        self.pools.get(pool.0)?.members.get(place).copied()
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

    pub(in crate::datapath) fn pool_mut(&mut self, pool: PoolIndex) -> Option<&mut PoolEntry> {
        self.pools.get_mut(pool.0)
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

    fn keep_virtual(&mut self, now: u64, index: VirtualIndex, virtual_: &Virtual) {
        if let Some(entry) = self.virtuals.iter_mut().find(|entry| entry.virtual_.is_same(virtual_)) {
            entry.limits.change(now, virtual_.limits, self.worker, self.workers);
            (entry.index, entry.virtual_) = (Some(index), virtual_.clone());
        }
    }

    fn enter_virtual(&mut self, now: u64, index: VirtualIndex, virtual_: &Virtual) -> EntryId {
        if let Some(place) = self.virtuals.iter().position(|entry| entry.index == Some(index)) {
            return EntryId(place as u32);
        }
        let mut limits = Limits::default();
        limits.change(now, virtual_.limits, self.worker, self.workers);
        let entry = VirtualEntry {
            virtual_: virtual_.clone(),
            index: Some(index),
            traffic: FlowCounters::default(),
            probes: 0,
            refused: 0,
            limits,
        };
        EntryId(put(&mut self.virtuals, |entry| entry.index.is_none() && !entry.has_flows(), entry))
    }

    fn enter_pool(&mut self, pool: &Pool, before: &mut Vec<PoolEntry>) -> PoolEntry {
        let members = pool.members.iter().map(|member| self.enter_member(&pool.name, member)).collect();
        let endpoints = || pool.members.iter().map(|member| member.endpoint);
        let selector = match before.iter().position(|old| old.name == pool.name) {
            Some(place) => before.swap_remove(place).next(pool, self.worker),
            None => Selector::new(pool.balance, self.worker),
        };
        PoolEntry { name: Arc::clone(&pool.name), selector, members, endpoints: endpoints().collect() }
    }

    fn keep_member(&mut self, pool: &Arc<str>, member: &Member) {
        if let Some(place) = self.place_of_member(pool, member) {
            let entry = &mut self.members[place];
            (entry.is_current, entry.member) = (true, member.clone());
        }
    }

    fn enter_member(&mut self, pool: &Arc<str>, member: &Member) -> EntryId {
        if let Some(place) = self.place_of_member(pool, member) {
            return EntryId(place as u32);
        }
        let entry = MemberEntry {
            pool: Arc::clone(pool),
            member: member.clone(),
            is_current: true,
            traffic: FlowCounters::default(),
            probes: 0,
        };
        EntryId(put(&mut self.members, |entry| !entry.is_current && !entry.has_flows(), entry))
    }

    fn place_of_member(&self, pool: &Arc<str>, member: &Member) -> Option<usize> {
        self.members.iter().position(|entry| entry.pool == *pool && entry.member.endpoint == member.endpoint)
    }
}

impl PoolEntry {
    /// The selector of what the pool is now.
    fn next(self, pool: &Pool, worker: usize) -> Selector {
        let alike = self.endpoints.iter().eq(pool.members.iter().map(|member| &member.endpoint));
        if alike && self.selector.balance() == pool.balance {
            return self.selector;
        }
        let mut places = HashMap::with_hasher(Keyed::new([0, 0]));
        places.extend(self.endpoints.iter().zip(0..));
        let before = |place: usize| places.get(&pool.members.get(place)?.endpoint).copied();
        self.selector.next(pool.balance, worker, pool.members.len(), before)
    }
}

impl VirtualEntry {
    const fn has_flows(&self) -> bool {
        self.traffic.active > 0 || self.probes > 0
    }
}

impl MemberEntry {
    const fn has_flows(&self) -> bool {
        self.traffic.active > 0 || self.probes > 0
    }
}

impl Limits {
    /// Goes on with the limits that a virtual has now: what has been taken stays taken.
    fn change(&mut self, now: u64, limits: virtual_::Limits, worker: usize, workers: usize) {
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

/// Puts an entry where one is free, else at the end.
fn put<S>(entries: &mut Vec<S>, free: impl Fn(&S) -> bool, entry: S) -> u32 {
    match entries.iter().position(free) {
        Some(place) => {
            entries[place] = entry;
            place as u32
        }
        None => {
            entries.push(entry);
            entries.len() as u32 - 1
        }
    }
}
