//! All flows of one worker.

#[cfg(test)]
mod tests;

use std::hash::BuildHasher;
use std::hint::black_box;

use shunt_wire::FlowKey;

use super::directory::Directory;
use super::{Direction, FlowId};
use crate::hash::Keyed;

/// Flows, found by the key of either direction, and what is remembered of each.
///
/// A flow stands in a slot and stays there until it is removed. Each key is stored once, in the slot; the
/// `Directory` that finds it holds the number of the slot and the direction. It is made for the limit at
/// once (32 to 64 bytes of address space per flow, which cost memory as they are used), and slots are
/// added in chunks: no packet ever waits until something has been moved to where there is more room.
///
/// The hash is SipHash-1-3 under a secret key, because untrusted clients choose the keys: with a hash whose collisions
/// can be computed, one of them fills a single run of buckets and every lookup walks it. Over the 40 bytes of
/// a key it costs a fraction of one read of memory that is not in the cache, and a lookup in a large
/// table takes at least two of these; `benches/flows.rs` measures both.
pub struct Table<T> {
    hash: Keyed,
    worker: u16,
    limit: usize,
    /// [`Place`]s.
    directory: Directory,
    /// Slots in chunks that never move, so that growing copies nothing.
    chunks: Vec<Vec<Slot<T>>>,
    /// The slot that was freed last, which is still in the cache. The others follow in the slots.
    free: Option<u32>,
    len: usize,
    serial: u32,
}

/// What the table holds of one flow.
// In this order: what every packet reads stands together, and `value` should begin so too.
#[derive(Debug)]
#[repr(C)]
pub struct Flow<T> {
    /// By [`Direction`]. Of a one-way flow only the first counts.
    keys: [FlowKey; 2],
    one_way: bool,
    pub value: T,
}

/// A flow that a packet belongs to.
#[derive(Debug)]
pub struct Found<'a, T> {
    pub id: FlowId,
    /// Which way the packet travels.
    pub direction: Direction,
    pub flow: &'a mut Flow<T>,
}

/// Why a flow does not come into the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It holds as many flows as it may. Those that are there are not touched.
    Full,
    /// The packets of another flow have that key already: the two could not be distinguished.
    Taken { direction: Direction, by: FlowId },
    /// Both directions have the same key: a flow from an endpoint to itself.
    Mirrored,
}

/// A flow that did not come into the table, with what was to be remembered of it: that may hold a
/// port which ought to go back in its own way.
#[derive(Debug)]
pub struct Refused<T> {
    pub why: Refusal,
    pub value: T,
}

/// How far a walk over the table has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor(u32);

/// As many keys as [`Table::prefetch`] takes.
pub const BATCH: usize = 64;

/// Slots per chunk.
const CHUNK: usize = 1 << 12;

impl<T> Table<T> {
    /// A table that holds at most `limit` flows (and never more than 67 million). `worker` is part of the
    /// ids of its flows.
    #[must_use]
    pub fn new(worker: u16, limit: usize, hash: Keyed) -> Self {
        let limit = limit.min(FlowId::SLOTS);
        Self {
            hash,
            worker,
            limit,
            directory: Directory::new(limit * 2),
            chunks: Vec::new(),
            free: None,
            len: 0,
            serial: 0,
        }
    }

    /// The flow whose packets have this key, and the direction in which they travel.
    #[must_use]
    pub fn find(&self, key: &FlowKey) -> Option<(FlowId, Direction)> {
        let place = self.place(self.hash.hash_one(key), key)?;
        let slot = self.slot(place.slot())?;
        Some((self.id(place.slot(), slot.serial), place.direction()))
    }

    /// As [`find`](Self::find), with what is remembered of the flow.
    pub fn find_mut(&mut self, key: &FlowKey) -> Option<Found<'_, T>> {
        let place = self.place(self.hash.hash_one(key), key)?;
        let worker = self.worker;
        let slot = self.slot_mut(place.slot())?;
        let id = FlowId::new(worker, slot.serial, place.slot());
        Some(Found { id, direction: place.direction(), flow: slot.flow.as_mut()? })
    }

    /// Brings into the cache what finding these keys reads, up to [`BATCH`] of them.
    ///
    /// In a large table a lookup waits for memory two or three times, each time longer than everything
    /// else takes. The processor waits for many of these reads at once if nothing stands between them. So
    /// a worker that takes a batch of packets names their keys here before it looks at the first.
    pub fn prefetch(&self, keys: &[FlowKey]) {
        let mut hashes = [0; BATCH];
        let len = hashes.iter_mut().zip(keys).map(|(hash, key)| *hash = self.hash.hash_one(key)).count();
        let hashes = &hashes[..len];
        black_box(hashes.iter().fold(0, |all, hash| all ^ self.directory.touch(*hash)));

        let mut places = [Place(0); BATCH];
        for (place, hash) in places.iter_mut().zip(hashes) {
            // Of equal hashes the first is as good as the others.
            *place = Place(self.directory.find(*hash, |_| true).unwrap_or(0));
        }
        black_box(places[..len].iter().fold(0, |all, place| {
            let slot = self.slot(place.slot());
            let port = slot.and_then(|slot| slot.flow.as_ref()).map_or(0, |flow| flow.keys[1].source().port);
            all ^ slot.map_or(0, |slot| slot.serial) ^ u32::from(port)
        }));
    }

    /// Takes in a flow: the key of its packets to the server, and that of the packets to the client if
    /// they pass here too (direct server return sends them elsewhere).
    ///
    /// It finds no flow by one direction and not by the other: the reverse key, which only a
    /// choice of our own can make ambiguous, comes first, and if one is refused nothing has changed.
    pub fn insert(
        &mut self,
        forward: FlowKey,
        reverse: Option<FlowKey>,
        value: T,
    ) -> Result<FlowId, Refused<T>> {
        // Hashing is most of what a key costs here: each is hashed once.
        let hashed = |key: FlowKey| Hashed { hash: self.hash.hash_one(key), key };
        let (forward, reverse) = (hashed(forward), reverse.map(hashed));
        if let Some(why) = self.refusal(&forward, reverse.as_ref()) {
            return Err(Refused { why, value });
        }
        self.serial = (self.serial + 1) % FlowId::SERIALS;
        let keys = [forward.key, reverse.as_ref().unwrap_or(&forward).key];
        let slot = self.take_slot(Flow { keys, one_way: reverse.is_none(), value });
        self.len += 1;
        // There is room for two keys of as many flows as the limit allows.
        if let Some(reverse) = reverse {
            self.directory.insert(reverse.hash, Place::new(slot, Direction::ToClient).0);
        }
        self.directory.insert(forward.hash, Place::new(slot, Direction::ToServer).0);
        Ok(self.id(slot, self.serial))
    }

    /// The id of the flow that is inserted next, for who must name it before.
    #[must_use]
    pub fn next_id(&self) -> FlowId {
        let slot = self.free.unwrap_or(self.slots() as u32);
        self.id(slot, (self.serial + 1) % FlowId::SERIALS)
    }

    /// Skips the next id: it named a flow that was not inserted.
    pub const fn skip_id(&mut self) {
        self.serial = (self.serial + 1) % FlowId::SERIALS;
    }

    /// Removes a flow: neither of its keys finds it any more.
    pub fn remove(&mut self, id: FlowId) -> Option<Flow<T>> {
        self.get(id)?;
        let free = self.free;
        let slot = self.slot_mut(id.slot())?;
        let flow = slot.flow.take()?;
        slot.next_free = free;
        self.free = Some(id.slot());
        self.len -= 1;
        self.leave(flow.forward(), Place::new(id.slot(), Direction::ToServer));
        if let Some(reverse) = flow.reverse() {
            self.leave(reverse, Place::new(id.slot(), Direction::ToClient));
        }
        Some(flow)
    }

    /// None if the flow is gone.
    #[must_use]
    pub fn get(&self, id: FlowId) -> Option<&Flow<T>> {
        let slot = self.slot(id.slot())?;
        if self.id(id.slot(), slot.serial) == id { slot.flow.as_ref() } else { None }
    }

    /// None if the flow is gone.
    pub fn get_mut(&mut self, id: FlowId) -> Option<&mut Flow<T>> {
        self.get(id)?;
        self.slot_mut(id.slot())?.flow.as_mut()
    }

    /// The flow that has this slot now: a timer says no more of its flow.
    #[must_use]
    pub fn in_slot(&self, slot: u32) -> Option<FlowId> {
        let held = self.slot(slot)?;
        held.flow.is_some().then(|| self.id(slot, held.serial))
    }

    /// Visits the flows in the next `steps` slots, and says where to continue; none if it was the last step.
    ///
    /// Flows do not move: one that is there from the first step to the last is visited once.
    pub fn walk(
        &self,
        from: Cursor,
        steps: usize,
        mut visit: impl FnMut(FlowId, &Flow<T>),
    ) -> Option<Cursor> {
        let end = self.slots();
        let next = (from.0 as usize).saturating_add(steps).min(end);
        for index in from.0..next as u32 {
            if let Some(slot) = self.slot(index)
                && let Some(flow) = &slot.flow
            {
                visit(self.id(index, slot.serial), flow);
            }
        }
        (next < end).then_some(Cursor(next as u32))
    }

    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Bytes that it holds, without what the values point to. It does not shrink: slots are kept for
    /// the flows to come.
    #[must_use]
    pub fn memory(&self) -> usize {
        size_of::<Self>()
            + self.directory.memory()
            + self.chunks.capacity() * size_of::<Vec<Slot<T>>>()
            + self.chunks.len() * CHUNK * size_of::<Slot<T>>()
    }

    fn refusal(&self, forward: &Hashed, reverse: Option<&Hashed>) -> Option<Refusal> {
        if self.len >= self.limit {
            return Some(Refusal::Full);
        }
        if reverse.is_some_and(|reverse| reverse.key == forward.key) {
            return Some(Refusal::Mirrored);
        }
        let taken = |it: &Hashed, direction| {
            let slot = self.place(it.hash, &it.key)?.slot();
            Some(Refusal::Taken { direction, by: self.id(slot, self.slot(slot)?.serial) })
        };
        reverse
            .and_then(|reverse| taken(reverse, Direction::ToClient))
            .or_else(|| taken(forward, Direction::ToServer))
    }

    /// Where a key with this hash stands.
    fn place(&self, hash: u64, key: &FlowKey) -> Option<Place> {
        let is_here = |place| {
            let flow = self.slot(Place(place).slot()).and_then(|slot| slot.flow.as_ref());
            flow.is_some_and(|flow| flow.keys[Place(place).direction() as usize] == *key)
        };
        self.directory.find(hash, is_here).map(Place)
    }

    fn leave(&mut self, key: &FlowKey, place: Place) {
        self.directory.remove(self.hash.hash_one(key), place.0);
    }

    /// Puts a flow into a slot: the one that was freed last, or a new one.
    fn take_slot(&mut self, flow: Flow<T>) -> u32 {
        let serial = self.serial;
        if let Some(index) = self.free
            && let Some(slot) = self.slot_mut(index)
        {
            let next = slot.next_free.take();
            (slot.flow, slot.serial) = (Some(flow), serial);
            self.free = next;
            return index;
        }
        let index = self.slots() as u32;
        if (index as usize).is_multiple_of(CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(Slot { flow: Some(flow), serial, next_free: None });
        }
        index
    }

    /// How many slots there are, used and free.
    fn slots(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    fn slot(&self, index: u32) -> Option<&Slot<T>> {
        self.chunks.get(index as usize / CHUNK)?.get(index as usize % CHUNK)
    }

    fn slot_mut(&mut self, index: u32) -> Option<&mut Slot<T>> {
        self.chunks.get_mut(index as usize / CHUNK)?.get_mut(index as usize % CHUNK)
    }

    const fn id(&self, slot: u32, serial: u32) -> FlowId {
        FlowId::new(self.worker, serial, slot)
    }
}

impl<T> Flow<T> {
    /// The key of the packets to the server.
    #[must_use]
    pub const fn forward(&self) -> &FlowKey {
        &self.keys[0]
    }

    /// The key of the packets to the client, if they pass here.
    #[must_use]
    pub const fn reverse(&self) -> Option<&FlowKey> {
        if self.one_way { None } else { Some(&self.keys[1]) }
    }
}

/// Begins with a cache line of its own, so that the keys and the beginning of the value fill two.
#[repr(C, align(64))]
struct Slot<T> {
    /// That of the flow, or of the last one that was here.
    serial: u32,
    next_free: Option<u32>,
    flow: Option<Flow<T>>,
}

/// A key with its hash.
struct Hashed {
    hash: u64,
    key: FlowKey,
}

/// Where a key stands: slot and direction.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place(u32);

impl Place {
    const fn new(slot: u32, direction: Direction) -> Self {
        Self(slot << 1 | direction as u32)
    }

    const fn slot(self) -> u32 {
        self.0 >> 1
    }

    const fn direction(self) -> Direction {
        if self.0 & 1 == 0 { Direction::ToServer } else { Direction::ToClient }
    }
}
