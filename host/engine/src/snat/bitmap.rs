//! The ports of one SNAT address toward one member endpoint.

use std::collections::VecDeque;
use std::ops::Range;

use super::indices::Indices;

/// Which ports are leased, which are in quarantine, and which are free; of one worker, by index (see
/// [`Blocks`](super::Blocks)).
///
/// A port in quarantine stands in the set of the *slot* in which its time is up. When a slot has passed, its
/// set as a whole is taken out of `busy`: no port has a timer, and the cost per slot is that of a
/// bitmap at most. A port is quarantined up to one slot longer than it must be.
#[derive(Debug)]
pub(super) struct PortBitmap {
    /// Leased or quarantined.
    busy: Indices,
    leased: u32,
    quarantined: u32,
    /// The slots from `first` on; the first one is there.
    slots: VecDeque<Option<Slot>>,
    first: u64,
    /// Where slot 0 ends, and the length of a slot, in milliseconds.
    origin: u64,
    step: u64,
    /// The set of a slot that has passed, empty again.
    spare: Option<Indices>,
    /// The indices that the pool allows, as it last was, and how many of these are free.
    range: Range<u32>,
    free: u32,
}

/// Ports whose time is up together.
#[derive(Debug)]
struct Slot {
    ports: Indices,
    count: u32,
}

/// In how many slots the longest quarantine is divided. With the default of 66 s a slot is 2.2 s long: that
/// is how much longer a port may be quarantined. Up to 31 sets are in use, each of 8 KiB over all workers at most.
const SLOTS: u64 = 30;

impl PortBitmap {
    /// All free. `words`: of a bitmap over all indices. `longest`: quarantine, in milliseconds, of which a slot
    /// is a part.
    pub(super) fn new(words: usize, longest: u64, now: u64) -> Self {
        Self {
            busy: Indices::new(words),
            leased: 0,
            quarantined: 0,
            slots: VecDeque::new(),
            first: 0,
            origin: now,
            step: longest.div_ceil(SLOTS).max(1),
            spare: None,
            range: 0..0,
            free: 0,
        }
    }

    /// Leases a free port of the range; `random` is any 32-bit number.
    ///
    /// The first free one at a random place or behind it: RFC 6056 section 3.3.1.
    pub(super) fn lease(&mut self, range: &Range<u32>, random: u32) -> Option<u32> {
        if self.range != *range {
            self.range = range.clone();
            self.free = self.busy.count_clear(range);
        }
        if self.free == 0 {
            return None;
        }
        let start = range.start + ((u64::from(random) * range.len() as u64) >> 32) as u32;
        let index =
            self.busy.first_clear(start..range.end).or_else(|| self.busy.first_clear(range.start..start))?;
        self.busy.set(index);
        self.free -= 1;
        self.leased += 1;
        Some(index)
    }

    /// A leased port is free again.
    pub(super) fn release(&mut self, index: u32) {
        self.busy.clear(index);
        self.leased -= 1;
        self.free += u32::from(self.range.contains(&index));
    }

    /// A leased port is quarantined until `due`, which is in the future.
    pub(super) fn quarantine(&mut self, index: u32, due: u64) {
        self.leased -= 1;
        self.quarantined += 1;
        let number = due.saturating_sub(self.origin).div_ceil(self.step);
        if self.slots.is_empty() {
            self.first = number;
        }
        while number < self.first {
            self.slots.push_front(None);
            self.first -= 1;
        }
        let place = (number - self.first) as usize;
        if place >= self.slots.len() {
            self.slots.resize_with(place + 1, || None);
        }
        let Self { slots, spare, busy, .. } = self;
        let slot = slots[place].get_or_insert_with(|| {
            let ports = spare.take().unwrap_or_else(|| Indices::new(busy.words()));
            Slot { ports, count: 0 }
        });
        slot.ports.set(index);
        slot.count += 1;
    }

    /// Frees the ports of every slot that has passed.
    pub(super) fn pass(&mut self, now: u64) {
        while self.next_slot().is_some_and(|end| end <= now) {
            if let Some(Some(mut slot)) = self.slots.pop_front() {
                self.busy.take_out(&mut slot.ports);
                self.quarantined -= slot.count;
                self.spare = Some(slot.ports);
                self.free = self.busy.count_clear(&self.range);
            }
            self.first += 1;
            while let Some(None) = self.slots.front() {
                self.slots.pop_front();
                self.first += 1;
            }
        }
    }

    /// When the next quarantined ports are free.
    pub(super) fn next_slot(&self) -> Option<u64> {
        (!self.slots.is_empty()).then(|| self.first.saturating_mul(self.step).saturating_add(self.origin))
    }

    /// How many ports of a range are free.
    pub(super) fn free(&self, range: &Range<u32>) -> u32 {
        if self.range == *range { self.free } else { self.busy.count_clear(range) }
    }

    /// How many are free in the range that was last asked for.
    pub(super) const fn free_now(&self) -> u32 {
        self.free
    }

    pub(super) const fn leased(&self) -> u32 {
        self.leased
    }

    pub(super) const fn quarantined(&self) -> u32 {
        self.quarantined
    }

    pub(super) const fn is_unused(&self) -> bool {
        self.leased == 0 && self.quarantined == 0
    }

    /// Bytes that it holds.
    pub(super) fn memory(&self) -> usize {
        let sets = self.slots.iter().flatten().map(|slot| &slot.ports).chain([&self.busy]).chain(&self.spare);
        size_of::<Self>()
            + sets.map(Indices::memory).sum::<usize>()
            + self.slots.capacity() * size_of::<Option<Slot>>()
    }
}
