//! What this worker keeps beside the snapshot for each virtual, pool and member: counters, limits and
//! whose turn it is. FlowState over from snapshot to snapshot by identity.

use std::collections::HashMap;
use std::sync::Arc;

use shunt_wire::Endpoint;

use super::counters::FlowCounters;
use super::id::Seat;
use crate::balance::Selector;
use crate::datapath::model::index::{PoolIndex, VirtualIndex};
use crate::datapath::model::pool::{Member, Pool};
use crate::datapath::model::virtual_;
use crate::datapath::model::virtual_::Virtual;
use crate::datapath::snapshot::Snapshot;
use crate::flow::Direction;
use crate::hash::Keyed;
use crate::limit::{SynLimit, TokenBucket, share};

/// All seats of a worker. One is kept as long as the snapshot or a flow needs it.
#[derive(Clone)]
pub(in crate::datapath) struct Seats {
    worker: usize,
    workers: usize,
    virtuals: Vec<VirtualSeat>,
    members: Vec<MemberSeat>,
    /// In the order of the snapshot.
    of_virtual: Vec<Seat>,
    pools: Vec<PoolSeat>,
}

#[derive(Clone)]
pub(in crate::datapath) struct VirtualSeat {
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
pub(in crate::datapath) struct MemberSeat {
    pub(in crate::datapath) pool: Arc<str>,
    pub(in crate::datapath) member: Member,
    pub(in crate::datapath) is_current: bool,
    pub(in crate::datapath) traffic: FlowCounters,
    /// Flows of probes, which count for nothing else.
    pub(in crate::datapath) probes: u32,
}

#[derive(Clone)]
pub(in crate::datapath) struct PoolSeat {
    name: Arc<str>,
    pub(in crate::datapath) selector: Selector,
    /// In the order of the pool.
    members: Vec<Seat>,
    endpoints: Vec<Endpoint>,
}

impl Seats {
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

    /// Takes over a snapshot. True if a virtual is gone that has flows.
    pub(in crate::datapath) fn replace(&mut self, now: u64, snapshot: &Snapshot) -> bool {
        self.virtuals.iter_mut().for_each(|seat| seat.index = None);
        self.members.iter_mut().for_each(|seat| seat.is_current = false);
        // Whoever has a seat keeps it, before those who are new take the free ones.
        for (place, virtual_) in snapshot.virtuals().iter().enumerate() {
            self.keep_virtual(now, VirtualIndex(place), virtual_);
        }
        self.of_virtual = (0..)
            .zip(snapshot.virtuals())
            .map(|(place, virtual_)| self.seat_virtual(now, VirtualIndex(place), virtual_))
            .collect();
        for pool in snapshot.pools() {
            pool.members.iter().for_each(|member| self.keep_member(&pool.name, member));
        }
        let mut before = std::mem::take(&mut self.pools);
        self.pools = snapshot.pools().iter().map(|pool| self.seat_pool(pool, &mut before)).collect();
        self.virtuals.iter().any(|seat| seat.index.is_none() && seat.has_flows())
    }

    pub(in crate::datapath) fn of_virtual(&self, index: VirtualIndex) -> Option<Seat> {
        self.of_virtual.get(index.0).copied()
    }

    pub(in crate::datapath) fn of_member(&self, pool: PoolIndex, place: usize) -> Option<Seat> {
        self.pools.get(pool.0)?.members.get(place).copied()
    }

    pub(in crate::datapath) fn virtual_(&self, seat: Seat) -> Option<&VirtualSeat> {
        self.virtuals.get(seat.0 as usize)
    }

    pub(in crate::datapath) fn virtual_mut(&mut self, seat: Seat) -> Option<&mut VirtualSeat> {
        self.virtuals.get_mut(seat.0 as usize)
    }

    pub(in crate::datapath) fn member(&self, seat: Seat) -> Option<&MemberSeat> {
        self.members.get(seat.0 as usize)
    }

    pub(in crate::datapath) fn member_mut(&mut self, seat: Seat) -> Option<&mut MemberSeat> {
        self.members.get_mut(seat.0 as usize)
    }

    pub(in crate::datapath) fn pool_mut(&mut self, pool: PoolIndex) -> Option<&mut PoolSeat> {
        self.pools.get_mut(pool.0)
    }

    /// Counts a packet of a flow.
    pub(in crate::datapath) fn count(
        &mut self,
        (virtual_, member): (Seat, Seat),
        direction: Direction,
        bytes: u16,
    ) {
        if let Some(seat) = self.virtual_mut(virtual_) {
            seat.traffic.count(direction, bytes);
        }
        if let Some(seat) = self.member_mut(member) {
            seat.traffic.count(direction, bytes);
        }
    }

    fn keep_virtual(&mut self, now: u64, index: VirtualIndex, virtual_: &Virtual) {
        if let Some(seat) = self.virtuals.iter_mut().find(|seat| seat.virtual_.is_same(virtual_)) {
            seat.limits.change(now, virtual_.limits, self.worker, self.workers);
            (seat.index, seat.virtual_) = (Some(index), virtual_.clone());
        }
    }

    fn seat_virtual(&mut self, now: u64, index: VirtualIndex, virtual_: &Virtual) -> Seat {
        if let Some(place) = self.virtuals.iter().position(|seat| seat.index == Some(index)) {
            return Seat(place as u32);
        }
        let mut limits = Limits::default();
        limits.change(now, virtual_.limits, self.worker, self.workers);
        let seat = VirtualSeat {
            virtual_: virtual_.clone(),
            index: Some(index),
            traffic: FlowCounters::default(),
            probes: 0,
            refused: 0,
            limits,
        };
        Seat(put(&mut self.virtuals, |seat| seat.index.is_none() && !seat.has_flows(), seat))
    }

    fn seat_pool(&mut self, pool: &Pool, before: &mut Vec<PoolSeat>) -> PoolSeat {
        let members = pool.members.iter().map(|member| self.seat_member(&pool.name, member)).collect();
        let endpoints = || pool.members.iter().map(|member| member.endpoint);
        let selector = match before.iter().position(|old| old.name == pool.name) {
            Some(place) => before.swap_remove(place).next(pool, self.worker),
            None => Selector::new(pool.balance, self.worker),
        };
        PoolSeat { name: Arc::clone(&pool.name), selector, members, endpoints: endpoints().collect() }
    }

    fn keep_member(&mut self, pool: &Arc<str>, member: &Member) {
        if let Some(place) = self.place_of_member(pool, member) {
            let seat = &mut self.members[place];
            (seat.is_current, seat.member) = (true, member.clone());
        }
    }

    fn seat_member(&mut self, pool: &Arc<str>, member: &Member) -> Seat {
        if let Some(place) = self.place_of_member(pool, member) {
            return Seat(place as u32);
        }
        let seat = MemberSeat {
            pool: Arc::clone(pool),
            member: member.clone(),
            is_current: true,
            traffic: FlowCounters::default(),
            probes: 0,
        };
        Seat(put(&mut self.members, |seat| !seat.is_current && !seat.has_flows(), seat))
    }

    fn place_of_member(&self, pool: &Arc<str>, member: &Member) -> Option<usize> {
        self.members.iter().position(|seat| seat.pool == *pool && seat.member.endpoint == member.endpoint)
    }
}

impl PoolSeat {
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

impl VirtualSeat {
    const fn has_flows(&self) -> bool {
        self.traffic.active > 0 || self.probes > 0
    }
}

impl MemberSeat {
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

/// Puts a seat where one is free, else at the end.
fn put<S>(seats: &mut Vec<S>, free: impl Fn(&S) -> bool, seat: S) -> u32 {
    match seats.iter().position(free) {
        Some(place) => {
            seats[place] = seat;
            place as u32
        }
        None => {
            seats.push(seat);
            seats.len() as u32 - 1
        }
    }
}
