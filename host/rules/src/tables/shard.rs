//! A part of a table: entries in one row, and an index to them.
//!
//! In a row an entry is drawn at random in one step, which eviction needs, and a list finds its way by a number.

use hashbrown::HashTable;

use super::key::Key;

/// An entry; times are milliseconds of the clock.
pub(crate) struct Entry<V> {
    key: Key,
    pub value: V,
    /// When it was used last.
    pub used: u64,
    /// When it ends, however it is used.
    pub ends: u64,
}

impl<V> Entry<V> {
    pub(super) fn new(key: &[u8], value: V, now: u64) -> Entry<V> {
        Entry { key: Key::new(key), value, used: now, ends: u64::MAX }
    }

    pub(super) fn key(&self) -> &[u8] {
        self.key.bytes()
    }

    pub(super) fn is_over(&self, idle: u64, now: u64) -> bool {
        now >= self.ends || now.saturating_sub(self.used) >= idle
    }
}

pub(super) struct Shard<V> {
    index: HashTable<u32>,
    entries: Vec<Entry<V>>,
    /// The place that is swept next.
    swept: usize,
    /// Of the generator that draws what is evicted; never 0.
    random: u64,
}

/// Places of the row that are looked at for the one that was used longest ago.
const SAMPLE: usize = 8;

impl<V> Shard<V> {
    pub(super) fn new(seed: u64) -> Shard<V> {
        Shard { index: HashTable::new(), entries: Vec::new(), swept: 0, random: seed | 1 }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<usize> {
        self.index.find(hash, |at| self.entries[*at as usize].key() == key).map(|at| *at as usize)
    }

    pub(super) fn at(&self, place: usize) -> &Entry<V> {
        &self.entries[place]
    }

    pub(super) fn at_mut(&mut self, place: usize) -> &mut Entry<V> {
        &mut self.entries[place]
    }

    /// Adds an entry whose key is not there; its place.
    pub(super) fn insert(&mut self, hash: u64, entry: Entry<V>, hasher: impl Fn(&[u8]) -> u64) -> usize {
        let place = self.entries.len();
        if place == self.entries.capacity() {
            // A quarter more, where a vector by itself would take as much again.
            self.entries.reserve_exact((place / 4).max(4));
        }
        self.entries.push(entry);
        // A table has 2^24 entries at most.
        let of = |at: &u32| hasher(self.entries[*at as usize].key());
        self.index.insert_unique(hash, place as u32, of);
        place
    }

    /// Takes an entry out; the last one gets its place.
    pub(super) fn remove(&mut self, place: usize, hasher: impl Fn(&[u8]) -> u64) -> Entry<V> {
        let last = self.entries.len() - 1;
        let hash = hasher(self.entries[place].key());
        if let Ok(found) = self.index.find_entry(hash, |at| *at as usize == place) {
            found.remove();
        }
        if place != last {
            let hash = hasher(self.entries[last].key());
            if let Some(at) = self.index.find_mut(hash, |at| *at as usize == last) {
                *at = place as u32;
            }
        }
        self.entries.swap_remove(place)
    }

    /// The next place to sweep; `None`: there is nothing.
    pub(super) fn next_swept(&mut self) -> Option<usize> {
        if self.swept >= self.entries.len() {
            self.swept = 0;
        }
        let place = self.swept;
        self.swept += 1;
        (place < self.entries.len()).then_some(place)
    }

    /// Among a few that are drawn, one whose time is over, or else the one that was used longest ago.
    pub(super) fn least(&mut self, idle: u64, now: u64) -> Option<usize> {
        let mut least: Option<usize> = None;
        for draw in 0..SAMPLE.min(self.entries.len()) {
            let place =
                if self.entries.len() <= SAMPLE { draw } else { self.draw() as usize % self.entries.len() };
            let entry = &self.entries[place];
            if entry.is_over(idle, now) {
                return Some(place);
            }
            if least.is_none_or(|least| entry.used < self.entries[least].used) {
                least = Some(place);
            }
        }
        least
    }

    /// xorshift64 (Marsaglia 2003).
    fn draw(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random >> 16
    }
}
