//! Keys and what is kept for them, shared by all workers.
//!
//! The keys are spread over shards, each under a lock of its own, which is held for one operation: none of them takes
//! longer than the growth of one shard. A full table forgets the entry that was used longest ago among a few that are
//! drawn. Entries whose time is over are not seen any more; each new one sweeps a few, and the rest is swept from outside.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::key::Key;
use super::shard::{Entry, Shard};

/// Shards of a large table.
const MOST_SHARDS: usize = 64;
/// Entries of a table for each shard.
const PER_SHARD: usize = 64;
/// Entries that a new one sweeps: more than one, so that a table is swept faster than it grows.
const SWEPT: usize = 2;
/// Entries that are looked at under one hold of a lock.
const HELD: usize = 256;
/// Entries that give way to one before it is refused.
const MOST_EVICTED: usize = 64;

/// How much is kept and how long, as the rule that asks was declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub entries: usize,
    pub memory: usize,
    /// Milliseconds after the last use; `u64::MAX`: for good.
    pub idle: u64,
    /// Milliseconds after it was put there; `u64::MAX`: for good.
    pub lifetime: u64,
}

/// What has become of entries since the table was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub entries: u64,
    pub bytes: u64,
    /// Those whose time was over.
    pub expired: u64,
    /// Those that gave way to new ones, because the table was full.
    pub evicted: u64,
    /// Those for which there was no room.
    pub refused: u64,
}

/// What an entry keeps.
pub(crate) trait Content {
    /// Bytes beside the entry.
    fn heap(&self) -> usize {
        0
    }

    /// When it says nothing any more.
    fn ends(&self) -> u64 {
        u64::MAX
    }
}

pub(crate) struct Map<V> {
    shards: Box<[Apart<V>]>,
    hasher: RandomState,
    /// Entries, and those about to be inserted.
    entries: AtomicUsize,
    bytes: AtomicUsize,
    expired: AtomicU64,
    evicted: AtomicU64,
    refused: AtomicU64,
}

/// A shard in cache lines of its own: two workers at two shards do not slow each other.
#[repr(align(128))]
struct Apart<V>(Mutex<Shard<V>>);

/// A place in the list of a table: of a shard, and how many of its entries were not listed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(super) shard: usize,
    pub(super) left: usize,
}

impl<V: Content> Map<V> {
    /// For so many entries, about.
    pub(super) fn new(entries: usize) -> Map<V> {
        let hasher = RandomState::new();
        let shards = (entries / PER_SHARD).clamp(1, MOST_SHARDS).next_power_of_two();
        Map {
            shards: (0..shards).map(|at| Apart(Mutex::new(Shard::new(hasher.hash_one(at))))).collect(),
            hasher,
            entries: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            expired: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// An empty one that hashes the same.
    pub(super) fn apart(&self) -> Map<V> {
        Map { hasher: self.hasher.clone(), ..Map::new(1) }
    }

    /// Copies the entry of a key from another that hashes the same.
    pub(super) fn copy(&self, from: &Map<V>, key: &[u8])
    where
        V: Clone,
    {
        let hash = self.hash(key);
        let copied = {
            let shard = from.shard(hash);
            let entry = shard.find(hash, key).map(|place| shard.at(place));
            entry.map(|it| (it.value.clone(), it.used, it.ends))
        };
        let mut shard = self.shard(hash);
        if let Some((value, used, ends)) = copied
            && shard.find(hash, key).is_none()
        {
            let mut entry = Entry::new(key, value, used);
            entry.ends = ends;
            self.entries.fetch_add(1, Relaxed);
            self.bytes.fetch_add(size(key, &entry.value), Relaxed);
            shard.insert(hash, entry, |key| self.hash(key));
        }
    }

    /// A hash of something that is kept, under the key of this table: clients choose what is kept.
    pub(super) fn hash(&self, bytes: &[u8]) -> u64 {
        self.hasher.hash_one(bytes)
    }

    /// Finds the entry of a key, if it is there. That is a use.
    pub(super) fn with<R>(
        &self,
        key: &[u8],
        bounds: &Bounds,
        now: u64,
        act: impl FnOnce(&mut Entry<V>) -> R,
    ) -> Option<R> {
        let hash = self.hash(key);
        let mut shard = self.shard(hash);
        let place = shard.find(hash, key)?;
        let entry = shard.at_mut(place);
        if entry.is_over(bounds.idle, now) {
            return None;
        }
        let before = entry.value.heap();
        entry.used = entry.used.max(now);
        let result = act(entry);
        let after = entry.value.heap();
        self.resized(before, after);
        Some(result)
    }

    /// As [`with`](Self::with), and puts `fresh` there if there is none. `act` is given `fresh` where there was one.
    pub(super) fn upsert<R>(
        &self,
        key: &[u8],
        fresh: V,
        bounds: &Bounds,
        now: u64,
        act: impl FnOnce(&mut Entry<V>, Option<V>) -> R,
    ) -> R {
        let hash = self.hash(key);
        let mut shard = self.shard(hash);
        let found = shard.find(hash, key);
        let (place, fresh) = match found {
            Some(place) if !shard.at(place).is_over(bounds.idle, now) => (place, Some(fresh)),
            Some(place) => {
                self.expired.fetch_add(1, Relaxed);
                let entry = shard.at_mut(place);
                self.resized(entry.value.heap(), fresh.heap());
                (entry.value, entry.ends) = (fresh, now.saturating_add(bounds.lifetime));
                (place, None)
            }
            None => {
                for _ in 0..SWEPT {
                    self.sweep_one(&mut shard, bounds.idle, now);
                }
                let mut entry = Entry::new(key, fresh, now);
                entry.ends = now.saturating_add(bounds.lifetime);
                if !self.make_room(&mut shard, size(key, &entry.value), bounds, now) {
                    self.refused.fetch_add(1, Relaxed);
                    return act(&mut entry, None);
                }
                (shard.insert(hash, entry, |key| self.hash(key)), None)
            }
        };
        let entry = shard.at_mut(place);
        let before = entry.value.heap();
        entry.used = entry.used.max(now);
        let result = act(entry, fresh);
        entry.ends = entry.ends.min(entry.value.ends());
        let after = entry.value.heap();
        self.resized(before, after);
        if after > before {
            for _ in 0..MOST_EVICTED {
                if self.bytes.load(Relaxed) <= bounds.memory || !self.evict(&mut shard, bounds, now) {
                    break;
                }
            }
        }
        result
    }

    /// Takes an entry out; whether it was there.
    pub(super) fn remove(&self, key: &[u8], bounds: &Bounds, now: u64) -> bool {
        let hash = self.hash(key);
        let mut shard = self.shard(hash);
        let Some(place) = shard.find(hash, key) else { return false };
        let was = !shard.at(place).is_over(bounds.idle, now);
        self.take(&mut shard, place);
        was
    }

    /// Entries, with those whose time is over and that were not swept yet.
    pub(super) fn len(&self) -> usize {
        self.entries.load(Relaxed)
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            entries: self.entries.load(Relaxed) as u64,
            bytes: self.bytes.load(Relaxed) as u64,
            expired: self.expired.load(Relaxed),
            evicted: self.evicted.load(Relaxed),
            refused: self.refused.load(Relaxed),
        }
    }

    /// What `show` says of one entry. That is no use.
    pub(super) fn look<R>(
        &self,
        key: &[u8],
        bounds: &Bounds,
        now: u64,
        show: impl FnOnce(&Entry<V>) -> R,
    ) -> Option<R> {
        let hash = self.hash(key);
        let shard = self.shard(hash);
        let entry = shard.at(shard.find(hash, key)?);
        (!entry.is_over(bounds.idle, now)).then(|| show(entry))
    }

    /// What `show` says of the next `most` entries, and where the list continues. An entry that is there all the time is
    /// listed; one that is put there or moved meanwhile may be left out or listed twice.
    pub(super) fn list<R>(
        &self,
        from: Option<Cursor>,
        most: usize,
        bounds: &Bounds,
        now: u64,
        show: impl Fn(&Entry<V>) -> R,
    ) -> (Vec<R>, Option<Cursor>) {
        let mut listed = Vec::new();
        let mut cursor = from.unwrap_or(Cursor { shard: 0, left: usize::MAX });
        while let Some(Apart(shard)) = self.shards.get(cursor.shard) {
            let shard = lock(shard);
            // From the end: where an entry is taken out, one that was listed gets its place.
            cursor.left = cursor.left.min(shard.len());
            for _ in 0..HELD.min(cursor.left) {
                if listed.len() == most {
                    return (listed, Some(cursor));
                }
                cursor.left -= 1;
                let entry = shard.at(cursor.left);
                if !entry.is_over(bounds.idle, now) {
                    listed.push(show(entry));
                }
            }
            if cursor.left == 0 {
                cursor = Cursor { shard: cursor.shard + 1, left: usize::MAX };
            }
        }
        (listed, None)
    }

    /// Forgets all; how many there were.
    pub(super) fn clear(&self) -> usize {
        let mut cleared = 0;
        for Apart(shard) in &self.shards {
            loop {
                let mut shard = lock(shard);
                for _ in 0..HELD.min(shard.len()) {
                    let last = shard.len() - 1;
                    self.take(&mut shard, last);
                    cleared += 1;
                }
                if shard.len() == 0 {
                    break;
                }
            }
        }
        cleared
    }

    /// Forgets the entries whose time is over.
    pub(super) fn sweep(&self, bounds: &Bounds, now: u64) {
        for Apart(shard) in &self.shards {
            let mut left = usize::MAX;
            while left > 0 {
                let mut shard = lock(shard);
                left = left.min(shard.len());
                for _ in 0..HELD.min(left) {
                    left -= 1;
                    if shard.at(left).is_over(bounds.idle, now) {
                        self.expired.fetch_add(1, Relaxed);
                        self.take(&mut shard, left);
                    }
                }
            }
        }
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard<V>> {
        // Other bits than those that the index of a shard looks at.
        lock(&self.shards[(hash >> 40) as usize & (self.shards.len() - 1)].0)
    }

    /// Reserves the room of an entry, which other entries may have to give.
    fn make_room(&self, shard: &mut Shard<V>, bytes: usize, bounds: &Bounds, now: u64) -> bool {
        for _ in 0..MOST_EVICTED {
            let entries = self.entries.fetch_add(1, Relaxed) + 1;
            let all = self.bytes.fetch_add(bytes, Relaxed) + bytes;
            if entries <= bounds.entries && all <= bounds.memory {
                return true;
            }
            self.entries.fetch_sub(1, Relaxed);
            self.bytes.fetch_sub(bytes, Relaxed);
            if !self.evict(shard, bounds, now) {
                return false;
            }
        }
        false
    }

    /// Forgets one entry, of this shard or of another that nobody holds.
    fn evict(&self, shard: &mut Shard<V>, bounds: &Bounds, now: u64) -> bool {
        if self.evict_of(shard, bounds, now) {
            return true;
        }
        // This one's own lock is held and cannot be tried.
        self.shards.iter().any(|Apart(other)| match other.try_lock() {
            Ok(mut other) => self.evict_of(&mut other, bounds, now),
            Err(_) => false,
        })
    }

    fn evict_of(&self, shard: &mut Shard<V>, bounds: &Bounds, now: u64) -> bool {
        let Some(place) = shard.least(bounds.idle, now) else { return false };
        let counter = if shard.at(place).is_over(bounds.idle, now) { &self.expired } else { &self.evicted };
        counter.fetch_add(1, Relaxed);
        self.take(shard, place);
        true
    }

    fn sweep_one(&self, shard: &mut Shard<V>, idle: u64, now: u64) {
        if let Some(place) = shard.next_swept()
            && shard.at(place).is_over(idle, now)
        {
            self.expired.fetch_add(1, Relaxed);
            self.take(shard, place);
        }
    }

    fn take(&self, shard: &mut Shard<V>, place: usize) {
        let entry = shard.remove(place, |key| self.hash(key));
        self.entries.fetch_sub(1, Relaxed);
        self.bytes.fetch_sub(size(entry.key(), &entry.value), Relaxed);
    }

    fn resized(&self, before: usize, after: usize) {
        if after > before {
            self.bytes.fetch_add(after - before, Relaxed);
        } else if before > after {
            self.bytes.fetch_sub(before - after, Relaxed);
        }
    }
}

/// What an entry takes in memory: its place in the row, of which a fifth may be empty, its place in the index (a number and
/// an octet, of which more than half may be empty), and what lies beside it.
fn size<V: Content>(key: &[u8], value: &V) -> usize {
    size_of::<Entry<V>>() * 5 / 4 + 12 + Key::heap(key) + value.heap()
}

/// A panic under the lock would leave a valid shard: there is none between two changes that belong together.
fn lock<V>(shard: &Mutex<Shard<V>>) -> MutexGuard<'_, Shard<V>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    impl Content for u32 {}

    const FOR_GOOD: Bounds = Bounds { entries: 1000, memory: usize::MAX, idle: u64::MAX, lifetime: u64::MAX };

    fn put(map: &Map<u32>, key: u32, value: u32, bounds: &Bounds, now: u64) {
        map.upsert(&key.to_be_bytes(), value, bounds, now, |entry, fresh| {
            if let Some(value) = fresh {
                entry.value = value;
            }
        });
    }

    fn get(map: &Map<u32>, key: u32, bounds: &Bounds, now: u64) -> Option<u32> {
        map.with(&key.to_be_bytes(), bounds, now, |entry| entry.value)
    }

    #[test]
    fn a_full_table_forgets_what_was_used_long_ago() {
        let bounds = Bounds { entries: 1000, ..FOR_GOOD };
        let map = Map::new(bounds.entries);
        (0..1000).for_each(|key| put(&map, key, key, &bounds, u64::from(key)));
        assert_eq!(map.counts().evicted, 0);
        (1000..1100).for_each(|key| put(&map, key, key, &bounds, u64::from(key)));
        let Counts { entries, evicted, refused, expired, .. } = map.counts();
        assert_eq!((entries, evicted, refused, expired), (1000, 100, 0, 0));
        let newer = (500..1100).filter(|key| get(&map, *key, &bounds, 2000).is_some()).count();
        assert!(newer >= 590, "{newer} of 600: the older half gives way");
    }

    #[test]
    fn memory_is_a_bound_too() {
        let map = Map::new(1000);
        let bounds = Bounds { memory: 10 * size(&[0; 4], &0_u32), ..FOR_GOOD };
        (0..100).for_each(|key| put(&map, key, key, &bounds, 0));
        assert_eq!((map.len(), map.counts().evicted), (10, 90));
        assert_eq!(map.counts().bytes, bounds.memory as u64);
        let none = Bounds { memory: 0, ..FOR_GOOD };
        put(&map, 200, 1, &none, 0);
        assert_eq!((map.len(), map.counts().refused, get(&map, 200, &bounds, 0)), (0, 1, None));
        assert_eq!(map.counts().bytes, 0);
    }

    #[test]
    fn a_table_of_one_keeps_the_last() {
        let map = Map::new(1);
        let bounds = Bounds { entries: 1, ..FOR_GOOD };
        (0..10).for_each(|key| put(&map, key, key, &bounds, 0));
        assert_eq!((map.len(), get(&map, 9, &bounds, 0)), (1, Some(9)));
    }

    #[test]
    fn what_is_over_is_swept() {
        let bounds = Bounds { idle: 10, ..FOR_GOOD };
        let map = Map::new(1000);
        (0..500).for_each(|key| put(&map, key, key, &bounds, 0));
        assert_eq!(get(&map, 3, &bounds, 9), Some(3));
        assert_eq!((get(&map, 4, &bounds, 10), get(&map, 3, &bounds, 18)), (None, Some(3)));
        map.sweep(&bounds, 18);
        assert_eq!((map.len(), map.counts().expired), (1, 499));
        (0..500).for_each(|key| put(&map, key + 1000, key, &bounds, 100));
        (0..500).for_each(|key| put(&map, key + 2000, key, &bounds, 200));
        assert_eq!(map.counts().evicted, 0, "those whose time is over make room");
    }

    #[test]
    fn a_list_by_pages_has_all_that_stays() {
        let map = Map::new(5000);
        let bounds = Bounds { entries: 5000, ..FOR_GOOD };
        (0..5000).for_each(|key| put(&map, key, key, &bounds, 0));
        let (mut cursor, mut listed, mut pages) = (None, BTreeSet::new(), 0);
        loop {
            let (page, next) = map.list(cursor, 99, &bounds, 0, |entry| entry.value);
            assert!(page.len() <= 99);
            listed.extend(page);
            // Every third is taken out while the list goes on.
            for key in (0..3_u32).map(|it| (pages * 3 + it) * 3) {
                map.remove(&key.to_be_bytes(), &bounds, 0);
            }
            pages += 1;
            match next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        assert!((0..5000).filter(|key| key % 3 != 0).all(|key| listed.contains(&key)));
        let left = map.len();
        assert_eq!((map.clear(), map.len(), map.counts().bytes), (left, 0, 0));
    }

    #[test]
    fn workers_count_together() {
        let (map, threads, rounds) = (Map::new(100), 4_u32, 10_000_u32);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for round in 0..rounds {
                        map.upsert(&(round % 7).to_be_bytes(), 0, &FOR_GOOD, 0, |entry, _| entry.value += 1);
                    }
                });
            }
        });
        let sum: u32 = (0..7).map(|key| get(&map, key, &FOR_GOOD, 0).unwrap()).sum();
        assert_eq!(sum, threads * rounds);
    }

    proptest! {
        /// Without eviction it is a map with times.
        #[test]
        fn as_a_plain_map(steps in prop::collection::vec((0_u8..5, 0_u32..40, 0_u64..8), 0..300)) {
            let bounds = Bounds { idle: 20, lifetime: 50, ..FOR_GOOD };
            let map = Map::new(bounds.entries);
            let (mut model, mut now) = (BTreeMap::<u32, (u32, u64, u64)>::new(), 0);
            for (index, (what, key, step)) in steps.into_iter().enumerate() {
                now += step;
                let value = index as u32;
                let live = |(value, used, put): &(u32, u64, u64)| {
                    (now - used < 20 && now - put < 50).then_some(*value)
                };
                let expected = model.get(&key).and_then(live);
                match what {
                    0 | 1 => {
                        put(&map, key, value, &bounds, now);
                        let begun = if expected.is_some() { model[&key].2 } else { now };
                        model.insert(key, (value, now, begun));
                    }
                    2 => {
                        prop_assert_eq!(map.remove(&key.to_be_bytes(), &bounds, now), expected.is_some());
                        model.remove(&key);
                    }
                    3 => {
                        prop_assert_eq!(get(&map, key, &bounds, now), expected);
                        if let (Some(_), Some(entry)) = (expected, model.get_mut(&key)) {
                            entry.1 = now;
                        }
                    }
                    _ => map.sweep(&bounds, now),
                }
            }
            map.sweep(&bounds, now);
            let left = model.values().filter(|(_, used, put)| now - used < 20 && now - put < 50).count();
            prop_assert_eq!(map.len(), left);
            let bytes = left * size(&[0; 4], &0_u32);
            prop_assert_eq!(map.counts().bytes, bytes as u64);
        }
    }
}
