//! Counters that every worker writes for itself and the control thread sums when someone asks.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use shunt_api::counts::{MemberCounts, VirtualCounts};

/// A count with one writer: adding is a plain load and store, no locked instruction.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// To be called by the one worker that owns the shard.
    #[inline]
    pub fn add(&self, more: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(more), Relaxed);
    }

    /// Takes back what was added: for counts of what is open now.
    #[inline]
    pub fn subtract(&self, less: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(less), Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// What one worker counts. Aligned so that two workers' shards never share a cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Shard<T>(T);

impl<T> Deref for Shard<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

/// What is counted of a virtual while it serves.
pub type VirtualCounters = VirtualCounts<Count>;

/// What is counted of a member while it serves.
pub type MemberCounters = MemberCounts<Count>;

/// One shard per worker.
#[derive(Debug)]
pub struct Sharded<T>(Box<[Arc<Shard<T>>]>);

impl<T: Default> Sharded<T> {
    pub fn new(workers: usize) -> Arc<Self> {
        Arc::new(Sharded((0..workers).map(|_| Arc::default()).collect()))
    }

    /// The shard of a worker, which alone may write to it.
    pub fn shard(&self, worker: usize) -> Arc<Shard<T>> {
        // Workers are numbered from 0 and their number is fixed for the life of the process.
        Arc::clone(&self.0[worker % self.0.len()])
    }

    pub fn shards(&self) -> impl Iterator<Item = &T> + Clone {
        self.0.iter().map(|shard| &shard.0)
    }
}

impl Shard<VirtualCounters> {
    /// Counts an answer by its status.
    pub fn answered(&self, status: u16) {
        let class = usize::from(status / 100).checked_sub(1);
        if let Some(count) = class.and_then(|class| self.answers.get(class)) {
            count.add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_add_up() {
        let counters = Sharded::<VirtualCounters>::new(2);
        counters.shard(0).requests.add(2);
        counters.shard(1).requests.add(3);
        counters.shard(1).open.add(1);
        counters.shard(1).open.subtract(1);
        let sum = VirtualCounts::sum(counters.shards(), Count::get);
        assert_eq!(sum, VirtualCounts { requests: 5, ..VirtualCounts::default() });
    }

    #[test]
    fn shards_share_no_cache_line() {
        assert_eq!(align_of::<Shard<VirtualCounters>>(), 128);
        assert_eq!(align_of::<Shard<MemberCounters>>(), 128);
    }

    #[test]
    fn answers_are_counted_by_class() {
        let counters = Shard::<VirtualCounters>::default();
        for status in [99, 200, 204, 404, 503, 799] {
            counters.answered(status);
        }
        assert_eq!(counters.answers.each_ref().map(Count::get), [0, 2, 0, 1, 1]);
    }
}
