//! Which member a key is bound to.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use dashmap::{DashMap, Entry};
use siphasher::sip128::SipHasher24;

use super::largest::{Largest, Share};
use crate::hash::Keyed;

/// The longest key in bytes: 256 of a rule, as the contract has it, after the 8 with which each
/// virtual keeps its keys apart from those of others.
pub const MAX_KEY: usize = 8 + 256;

/// How many keys a new one looks at for expired ones. More than one, so that the table is swept
/// faster than it grows.
const SWEEP: usize = 2;

/// Among how many keys the one that gives way to a new one is found.
const SAMPLE: usize = 8;

/// Entries of a table [apart](PersistenceTable::apart): what a request or two bind.
const APART: usize = 64;

/// Keys bound to members, shared by all workers; an entry lives until its timeout after its last use.
///
/// `now` is a monotonic clock in milliseconds that only the caller reads. A full table never refuses
/// a request and never forgets wholesale: a new key takes the place of the one that was used longest
/// ago among a few. There is no timer: each new key sweeps a little.
///
/// No lock of the map is held while another is taken or when a call returns, and no caller's code
/// runs under one except `keep` of [`bind`](Self::bind) and `want` of [`list`](Self::list).
pub struct PersistenceTable<V> {
    entries: DashMap<Arc<[u8]>, Record<V>, Keyed>,
    /// Every key of `entries` stands here (one that was forgotten may too, until it is looked at), and
    /// what is looked at goes to the end: so each is seen once per round.
    ring: Mutex<VecDeque<Arc<[u8]>>>,
    capacity: usize,
    /// Entries, and those about to be inserted; never above `capacity`.
    len: AtomicUsize,
    counters: Counters,
    largest: Largest,
    hash_key: [u64; 2],
    /// Where keys are looked up that are not here.
    beneath: Option<Arc<Self>>,
}

/// What a key is bound to after [`PersistenceTable::bind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound<V> {
    /// It was bound before, and stays so.
    Before(V),
    /// It is bound to the choice that was offered.
    Now(V),
    /// It is not bound: the key is too long, or the table is full of entries that others use right
    /// now. The choice that was offered serves this once.
    Not(V),
}

/// An entry at one moment; times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<V> {
    pub key: Arc<[u8]>,
    pub value: V,
    /// Since its last use.
    pub idle: u64,
    /// Until it is forgotten if it is not used.
    pub expires_in: u64,
}

/// Counts over the life of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lookups that found a member.
    pub hits: u64,
    pub misses: u64,
    /// Entries that were dropped because their time was up.
    pub expired: u64,
    /// Entries that gave way to a new key because the table was full. Not zero: it is too small.
    pub evicted: u64,
    /// Keys that could not be bound.
    pub refused: u64,
}

impl<V: Clone> PersistenceTable<V> {
    /// `capacity`: entries at most, at least 1. `hash_key` comes from a random source, for untrusted clients
    /// choose the keys.
    #[must_use]
    pub fn new(capacity: usize, hash_key: [u64; 2]) -> Self {
        Self {
            entries: DashMap::with_hasher(Keyed::new(hash_key)),
            ring: Mutex::default(),
            capacity: capacity.max(1),
            len: AtomicUsize::new(0),
            counters: Counters::default(),
            largest: Largest::default(),
            hash_key,
            beneath: None,
        }
    }

    /// A table that finds what this one has, and binds apart: nothing of this one changes, not the time of an entry.
    #[must_use]
    pub fn apart(self: &Arc<Self>) -> Self {
        Self { beneath: Some(Arc::clone(self)), ..Self::new(APART, self.hash_key) }
    }

    /// Stands for a text of any length that clients send, and does not tell it: SipHash-2-4 with 128 bits under the
    /// key of the table.
    #[must_use]
    pub fn digest(&self, text: &[u8]) -> [u8; 16] {
        SipHasher24::new_with_keys(self.hash_key[0], self.hash_key[1]).hash(text).as_bytes()
    }

    /// The member that the key is bound to. That is a use: its time begins again.
    pub fn find(&self, key: &[u8], now: u64) -> Option<V> {
        let found = self.entries.get(key).filter(|record| !record.is_expired(now)).map(|record| {
            record.used.fetch_max(now, Relaxed);
            record.value.clone()
        });
        let found = found.or_else(|| self.beneath.as_ref()?.look(key, now));
        let counter = if found.is_some() { &self.counters.hits } else { &self.counters.misses };
        let before = counter.fetch_add(1, Relaxed);
        self.largest.observe(key, before, self.entries.hasher());
        found
    }

    /// The keys that are looked up most often, and their shares of the look-ups, the largest first; `most` at most. None until
    /// there were some thousand look-ups.
    #[must_use]
    pub fn largest(&self, most: usize) -> Vec<Share> {
        self.largest.shares(most)
    }

    /// As [`find`](Self::find), but no use: nothing is counted, and the time of the entry continues.
    #[must_use]
    pub fn look(&self, key: &[u8], now: u64) -> Option<V> {
        let record = self.entries.get(key)?;
        (!record.is_expired(now)).then(|| record.value.clone())
    }

    /// Binds the key to `choice`, unless it is bound already and `keep` says of that member that it
    /// may stay so. In one step, so that requests of one client that come at the same time to several
    /// workers all go to one member.
    ///
    /// `timeout` in milliseconds after the last use; it replaces the one that an entry had. `keep`
    /// must not call this table.
    pub fn bind(&self, key: &[u8], choice: V, timeout: u64, now: u64, keep: impl Fn(&V) -> bool) -> Bound<V> {
        if key.len() > MAX_KEY {
            self.counters.refused.fetch_add(1, Relaxed);
            return Bound::Not(choice);
        }
        if let Some(mut record) = self.entries.get_mut(key) {
            return record.rebind(choice, timeout, now, keep);
        }
        if !self.make_room(now) {
            self.counters.refused.fetch_add(1, Relaxed);
            return Bound::Not(choice);
        }
        let key: Arc<[u8]> = key.into();
        match self.entries.entry(Arc::clone(&key)) {
            Entry::Occupied(mut record) => {
                // Another worker was quicker.
                self.len.fetch_sub(1, Relaxed);
                return record.get_mut().rebind(choice, timeout, now, keep);
            }
            Entry::Vacant(place) => {
                drop(place.insert(Record { value: choice.clone(), used: AtomicU64::new(now), timeout }));
            }
        }
        self.with_ring(|ring| ring.push_back(key));
        Bound::Now(choice)
    }

    /// The entry of a key, as [`look`](Self::look).
    #[must_use]
    pub fn entry(&self, key: &[u8], now: u64) -> Option<Listed<V>> {
        let entry = self.entries.get(key)?;
        entry.value().listed(entry.key(), now)
    }

    /// Some of the entries that have not expired and that `want` takes, `most` at most, and whether there are more. In no
    /// order. A walk through the whole table, which keeps one part of it at a time from changes. `want` must not call this
    /// table.
    #[must_use]
    pub fn list(&self, now: u64, most: usize, want: impl Fn(&[u8], &V) -> bool) -> (Vec<Listed<V>>, bool) {
        let mut listed = Vec::new();
        for entry in &self.entries {
            if !want(entry.key(), &entry.value().value) {
                continue;
            }
            let Some(found) = entry.value().listed(entry.key(), now) else { continue };
            if listed.len() == most {
                return (listed, true);
            }
            listed.push(found);
        }
        (listed, false)
    }

    /// Forgets a key; true if it was there.
    pub fn forget(&self, key: &[u8]) -> bool {
        self.remove_if(key, |_| true)
    }

    /// Forgets every key whose member does not satisfy `keep` (it left the configuration).
    pub fn retain(&self, keep: impl Fn(&V) -> bool) {
        let mut gone = 0;
        self.entries.retain(|_, record| {
            let stays = keep(&record.value);
            gone += usize::from(!stays);
            stays
        });
        self.len.fetch_sub(gone, Relaxed);
    }

    /// Entries, including expired ones that no sweep has met yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    #[must_use]
    pub fn counts(&self) -> Counts {
        let Counters { hits, misses, expired, evicted, refused } = &self.counters;
        Counts {
            hits: hits.load(Relaxed),
            misses: misses.load(Relaxed),
            expired: expired.load(Relaxed),
            evicted: evicted.load(Relaxed),
            refused: refused.load(Relaxed),
        }
    }

    /// Reserves the place of one entry.
    fn make_room(&self, now: u64) -> bool {
        self.sweep(now);
        // Every round but the last frees a place; another worker may take it first.
        for _ in 0..SAMPLE {
            let reserve = |len: usize| (len < self.capacity).then_some(len + 1);
            if self.len.fetch_update(Relaxed, Relaxed, reserve).is_ok() {
                return true;
            }
            self.evict(now);
        }
        false
    }

    /// Drops expired entries among the next few keys of the ring.
    fn sweep(&self, now: u64) {
        let looked_at = self.take_from_ring::<SWEEP>();
        let staying = looked_at.into_iter().flatten().filter(|key| !self.drop_if_expired(key, now));
        self.put_back(staying.filter(|key| self.last_use(key).is_some()));
    }

    /// Drops the entry that was used longest ago among the next few keys of the ring.
    fn evict(&self, now: u64) {
        let mut sample: Vec<(u64, Arc<[u8]>)> = Vec::with_capacity(SAMPLE);
        for key in self.take_from_ring::<SAMPLE>().into_iter().flatten() {
            if let Some(used) = self.last_use(&key)
                && !self.drop_if_expired(&key, now)
            {
                sample.push((used, key));
            }
        }
        if let Some(oldest) = (0..sample.len()).min_by_key(|&at| sample[at].0) {
            let (_, key) = sample.swap_remove(oldest);
            self.counters.evicted.fetch_add(u64::from(self.forget(&key)), Relaxed);
        }
        self.put_back(sample.into_iter().map(|(_, key)| key));
    }

    /// `None` where this very key is not in the table any more; an equal one that came after it was
    /// forgotten has its own place in the ring.
    fn last_use(&self, key: &Arc<[u8]>) -> Option<u64> {
        let record = self.entries.get(&**key)?;
        Arc::ptr_eq(record.key(), key).then(|| record.used.load(Relaxed))
    }

    fn drop_if_expired(&self, key: &[u8], now: u64) -> bool {
        let dropped = self.remove_if(key, |record| record.is_expired(now));
        self.counters.expired.fetch_add(u64::from(dropped), Relaxed);
        dropped
    }

    fn remove_if(&self, key: &[u8], condition: impl FnOnce(&Record<V>) -> bool) -> bool {
        let removed = self.entries.remove_if(key, |_, record| condition(record)).is_some();
        if removed {
            self.len.fetch_sub(1, Relaxed);
        }
        removed
    }

    fn take_from_ring<const N: usize>(&self) -> [Option<Arc<[u8]>>; N] {
        self.with_ring(|ring| std::array::from_fn(|_| ring.pop_front()))
    }

    fn put_back(&self, keys: impl Iterator<Item = Arc<[u8]>>) {
        let mut keys = keys.peekable();
        if keys.peek().is_some() {
            let keys: Vec<_> = keys.collect();
            self.with_ring(|ring| ring.extend(keys));
        }
    }

    /// A panic while the ring is held would leave it a valid ring, so a poisoned lock is taken.
    fn with_ring<R>(&self, act: impl FnOnce(&mut VecDeque<Arc<[u8]>>) -> R) -> R {
        act(&mut self.ring.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<V> Bound<V> {
    /// The member to go to, however it came.
    pub fn into_inner(self) -> V {
        match self {
            Self::Before(value) | Self::Now(value) | Self::Not(value) => value,
        }
    }
}

struct Record<V> {
    value: V,
    /// The moment of the last use.
    used: AtomicU64,
    timeout: u64,
}

impl<V: Clone> Record<V> {
    fn is_expired(&self, now: u64) -> bool {
        now >= self.used.load(Relaxed).saturating_add(self.timeout)
    }

    /// `None`: it has expired.
    fn listed(&self, key: &Arc<[u8]>, now: u64) -> Option<Listed<V>> {
        let idle = now.saturating_sub(self.used.load(Relaxed));
        let expires_in = self.timeout.saturating_sub(idle);
        (!self.is_expired(now)).then(|| Listed {
            key: Arc::clone(key),
            value: self.value.clone(),
            idle,
            expires_in,
        })
    }

    fn rebind(&mut self, choice: V, timeout: u64, now: u64, keep: impl Fn(&V) -> bool) -> Bound<V> {
        let stays = !self.is_expired(now) && keep(&self.value);
        self.timeout = timeout;
        self.used.fetch_max(now, Relaxed);
        if stays {
            return Bound::Before(self.value.clone());
        }
        self.value = choice.clone();
        Bound::Now(choice)
    }
}

#[derive(Default)]
struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    expired: AtomicU64,
    evicted: AtomicU64,
    refused: AtomicU64,
}
