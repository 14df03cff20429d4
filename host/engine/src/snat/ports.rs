//! All SNAT ports of one worker.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::ops::{AddAssign, Range};

use shunt_wire::{Address, Endpoint};

use super::bitmap::PortBitmap;
use super::lease::{Held, ReturnQueue};
use super::{Blocks, Lease, Pool, longest, quarantine};
use crate::flow::Ending;
use crate::hash::Keyed;
use crate::timer::Wheel;

/// Which port of which SNAT address each flow of a worker has.
///
/// It knows no pools: they come with each lease, from the configuration of that moment, and what is leased or
/// quarantined is kept by address, protocol and member endpoint. So a reload touches nothing here. Ports of an
/// address that left its pool end with their flows; a time-wait that changed is that of leases from then on.
///
/// For each of these there is a `PortBitmap`, made when its first port is leased and gone when all are
/// free again.
#[derive(Debug)]
pub struct Ports {
    blocks: Blocks,
    /// By protocol and member endpoint: its bitmaps, in the order of their addresses.
    toward: HashMap<(u8, Endpoint), Vec<(Address, u32)>, Keyed>,
    bitmaps: Vec<Option<Owned>>,
    unused: Vec<u32>,
    /// When the next ports of a bitmap are free.
    wheel: Wheel,
    dropped: ReturnQueue,
    counts: Counts,
    /// The longest quarantine that any lease so far may end with, in milliseconds.
    longest: u64,
    /// Until then nothing is leased: which ports are quarantined has been forgotten.
    silent_until: u64,
    /// Something is half done.
    pub(super) changing: bool,
}

/// Why there is no lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Every port of this worker is leased or quarantined, on every address of the pool, toward this member; or
    /// any may, for it has been [forgotten](Ports::after_panic) which do.
    Exhausted,
    /// The pool has no address of the member's family.
    NoAddress,
}

/// Counts over the life of the worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub leases: u64,
    /// [`Refusal::Exhausted`]. Not zero: the pool needs more addresses.
    pub exhausted: u64,
    /// Leases that were dropped without an ending.
    pub dropped: u64,
}

/// How far the ports of one address toward one member endpoint are used, in the share of the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupancy {
    pub address: Address,
    pub protocol: u8,
    pub member: Endpoint,
    pub free: u32,
    pub leased: u32,
    pub quarantined: u32,
}

/// How far the ports of one address are used, in the shares of one worker or of several. An address toward
/// which nothing is leased or quarantined is in no list: all its ports are free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressOccupancy {
    /// In one worker's share, toward the member endpoint that has the fewest left.
    pub free: u32,
    /// Over all member endpoints.
    pub leased: u32,
    /// Over all member endpoints.
    pub quarantined: u32,
}

impl AddressOccupancy {
    /// Takes in what is used toward another member endpoint, or in the share of another worker.
    pub(crate) fn join(&mut self, more: AddressOccupancy) {
        self.free = self.free.min(more.free);
        self.leased += more.leased;
        self.quarantined += more.quarantined;
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Counts) {
        self.leases += more.leases;
        self.exhausted += more.exhausted;
        self.dropped += more.dropped;
    }
}

#[derive(Debug)]
struct Owned {
    bitmap: PortBitmap,
    address: Address,
    protocol: u8,
    member: Endpoint,
}

impl Ports {
    /// Those in `blocks`. `now` in milliseconds.
    #[must_use]
    pub fn new(blocks: Blocks, hash: Keyed, now: u64) -> Self {
        Self {
            blocks,
            toward: HashMap::with_hasher(hash),
            bitmaps: Vec::new(),
            unused: Vec::new(),
            wheel: Wheel::new(now),
            dropped: ReturnQueue::default(),
            counts: Counts::default(),
            longest: 0,
            silent_until: 0,
            changing: false,
        }
    }

    /// What is still known after its worker has panicked. The ports of flows that are lost are quarantined, as of flows of
    /// whose end nothing is known, once their leases are dropped. If the panic came in the midst of a change
    /// here, nothing can be believed: then no port is offered until the last one that may have been
    /// in use has left quarantine.
    #[must_use]
    pub fn after_panic(self, now: u64) -> Self {
        if !self.changing {
            return self;
        }
        Self {
            counts: self.counts,
            longest: self.longest,
            silent_until: now.saturating_add(self.longest).max(self.silent_until),
            ..Self::new(self.blocks, *self.toward.hasher(), now)
        }
    }

    /// Leases a port toward a member, on the address of the pool that has most left. A refusal changes
    /// nothing for those who have a lease.
    ///
    /// `protocol` is an IP protocol number; a member of ICMP echo has port 0. `random` must be unpredictable
    /// (RFC 6056).
    pub fn lease(
        &mut self,
        pool: &Pool,
        protocol: u8,
        member: Endpoint,
        random: u64,
        now: u64,
    ) -> Result<Lease, Refusal> {
        self.changing = true;
        let outcome = self.lease_one(pool, (protocol, member), random, now);
        self.counts.leases += u64::from(outcome.is_ok());
        self.counts.exhausted += u64::from(matches!(outcome, Err(Refusal::Exhausted)));
        self.changing = false;
        outcome
    }

    /// Takes a lease back. Its port is offered again when the [`quarantine`] of this ending is over, counted
    /// from the flow's last segment at `last` (ms): also one that Shunt itself sent to end it.
    pub fn end(&mut self, lease: Lease, ending: Ending, last: u64, now: u64) {
        self.changing = true;
        if let Some(held) = lease.redeem(&self.dropped) {
            self.put_back(held, last.saturating_add(quarantine(ending, held.time_wait)), now);
        }
        self.changing = false;
    }

    /// Takes a lease back under which nothing was sent: its port is free at once.
    pub fn cancel(&mut self, lease: Lease, now: u64) {
        self.changing = true;
        if let Some(held) = lease.redeem(&self.dropped) {
            self.put_back(held, now, now);
        }
        self.changing = false;
    }

    /// Frees what has rested long enough, and takes in leases that were dropped. Cheap where there is nothing.
    pub fn advance(&mut self, now: u64) {
        self.changing = true;
        self.free_due(now);
        self.changing = false;
    }

    /// Each address and member endpoint with a port that is leased or quarantined.
    pub fn occupancy(&self) -> impl Iterator<Item = Occupancy> {
        self.bitmaps.iter().flatten().map(|Owned { bitmap, address, protocol, member }| Occupancy {
            address: *address,
            protocol: *protocol,
            member: *member,
            free: bitmap.free_now(),
            leased: bitmap.leased(),
            quarantined: bitmap.quarantined(),
        })
    }

    /// The same, summed up for each address.
    #[must_use]
    pub fn occupancy_by_address(&self) -> BTreeMap<Address, AddressOccupancy> {
        let mut addresses: BTreeMap<Address, AddressOccupancy> = BTreeMap::new();
        for Occupancy { address, free, leased, quarantined, .. } in self.occupancy() {
            let more = AddressOccupancy { free, leased, quarantined };
            addresses.entry(address).and_modify(|it| it.join(more)).or_insert(more);
        }
        addresses
    }

    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes back what was counted since: it was asked for, and never meant.
    pub(crate) const fn recount(&mut self, counts: Counts) {
        self.counts = counts;
    }

    /// The worker's share, which says who owns a port.
    #[must_use]
    pub const fn blocks(&self) -> Blocks {
        self.blocks
    }

    /// Bytes that it holds.
    #[must_use]
    pub fn memory(&self) -> usize {
        let lists: usize =
            self.toward.values().map(|list| list.capacity() * size_of::<(Address, u32)>()).sum();
        size_of::<Self>()
            + self.toward.capacity() * (size_of::<((u8, Endpoint), Vec<(Address, u32)>)>() + 1)
            + lists
            + self.bitmaps.capacity() * size_of::<Option<Owned>>()
            + self.bitmaps.iter().flatten().map(|owned| owned.bitmap.memory()).sum::<usize>()
            + self.wheel.memory()
    }

    fn lease_one(
        &mut self,
        pool: &Pool,
        (protocol, member): (u8, Endpoint),
        random: u64,
        now: u64,
    ) -> Result<Lease, Refusal> {
        self.free_due(now);
        let range = self.blocks.indices(&pool.ports);
        let chosen = self.choose(pool, (protocol, member), &range, random as u32);
        let (address, free) = chosen.ok_or(Refusal::NoAddress)?;
        // Where there is no promise, none is broken.
        if free == 0 || now < self.silent_until && pool.time_wait > 0 {
            return Err(Refusal::Exhausted);
        }
        self.longest = self.longest.max(longest(pool.time_wait));
        let bitmap = self.bitmap(address, protocol, member, pool.time_wait, now);
        let leased = self.bitmaps[bitmap as usize].as_mut();
        let index = leased.and_then(|owned| owned.bitmap.lease(&range, (random >> 32) as u32));
        let index = index.ok_or(Refusal::Exhausted)?;
        let endpoint = Endpoint { address, port: self.blocks.port(index) };
        Ok(Lease::new(Held { endpoint, bitmap, index, time_wait: pool.time_wait }, &self.dropped))
    }

    fn free_due(&mut self, now: u64) {
        for held in self.dropped.take() {
            self.counts.dropped += 1;
            let time = quarantine(Ending::Unknown, held.time_wait);
            self.put_back(held, now.saturating_add(time), now);
        }
        while let Some(bitmap) = self.wheel.take_due(now) {
            if let Some(owned) = &mut self.bitmaps[bitmap as usize] {
                owned.bitmap.pass(now);
            }
            self.settle(bitmap);
        }
    }

    /// The address with most free ports, of those in the family of the member, and how many it has.
    /// Among equals, `random` chooses.
    fn choose(
        &self,
        pool: &Pool,
        toward: (u8, Endpoint),
        range: &Range<u32>,
        mut random: u32,
    ) -> Option<(Address, u32)> {
        // Both lists are in the order of addresses.
        let mut bitmaps = self.toward.get(&toward).map_or(&[][..], Vec::as_slice).iter().peekable();
        let (mut best, mut equals) = (None, 0);
        let family = toward.1.address.family();
        for &address in pool.addresses.iter().filter(|address| address.family() == family) {
            while bitmaps.next_if(|(other, _)| *other < address).is_some() {}
            let bitmap = bitmaps.next_if(|(other, _)| *other == address);
            let owned = bitmap.and_then(|&(_, bitmap)| self.bitmaps[bitmap as usize].as_ref());
            let free = owned.map_or(range.len() as u32, |owned| owned.bitmap.free(range));
            equals = match best {
                Some((_, most)) if free < most => continue,
                Some((_, most)) if free == most => equals + 1,
                _ => 1,
            };
            // The nth of equals takes the place of the one before with a probability of 1 in n, so that all have
            // the same. The constant is 2^32 divided by the golden ratio (Knuth, section 6.4).
            random = random.wrapping_mul(0x9e37_79b9).rotate_left(15);
            if (u64::from(random) * equals) >> 32 == 0 {
                best = Some((address, free));
            }
        }
        best
    }

    /// The bitmap of an address toward a member; a new one if there is none.
    fn bitmap(&mut self, address: Address, protocol: u8, member: Endpoint, time_wait: u64, now: u64) -> u32 {
        let list = self.toward.entry((protocol, member)).or_default();
        let place = match list.binary_search_by_key(&address, |(address, _)| *address) {
            Ok(place) => return list[place].1,
            Err(place) => place,
        };
        let bitmap = PortBitmap::new(self.blocks.words(), longest(time_wait), now);
        let owned = Some(Owned { bitmap, address, protocol, member });
        let index = if let Some(index) = self.unused.pop() {
            self.bitmaps[index as usize] = owned;
            index
        } else {
            self.bitmaps.push(owned);
            self.bitmaps.len() as u32 - 1
        };
        list.insert(place, (address, index));
        index
    }

    /// A port is free again at `due`.
    fn put_back(&mut self, held: Held, due: u64, now: u64) {
        if let Some(owned) = &mut self.bitmaps[held.bitmap as usize] {
            if due <= now {
                owned.bitmap.release(held.index);
            } else {
                owned.bitmap.quarantine(held.index, due);
            }
        }
        self.settle(held.bitmap);
    }

    /// Sets the timer of a bitmap, or does away with it if it is not used any more.
    fn settle(&mut self, index: u32) {
        let Some(owned) = &self.bitmaps[index as usize] else {
            return;
        };
        if let Some(next) = owned.bitmap.next_slot() {
            self.wheel.schedule_by(index, next);
        }
        if !owned.bitmap.is_unused() {
            return;
        }
        if let Entry::Occupied(mut list) = self.toward.entry((owned.protocol, owned.member)) {
            list.get_mut().retain(|(_, bitmap)| *bitmap != index);
            if list.get().is_empty() {
                list.remove();
            }
        }
        self.bitmaps[index as usize] = None;
        self.wheel.cancel(index);
        self.unused.push(index);
    }
}
