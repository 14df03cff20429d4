//! Counters that every worker writes for itself and the control thread sums when someone asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

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

/// One `T` per worker.
#[derive(Debug)]
pub struct Sharded<T>(Box<[Arc<T>]>);

impl<T: Default> Sharded<T> {
    pub fn new(workers: usize) -> Arc<Self> {
        Arc::new(Sharded((0..workers).map(|_| Arc::default()).collect()))
    }

    /// The shard of a worker, which alone may write to it.
    pub fn shard(&self, worker: usize) -> Arc<T> {
        // Workers are numbered from 0 and their number is fixed for the life of the process.
        Arc::clone(&self.0[worker % self.0.len()])
    }

    pub fn sum(&self, of: impl Fn(&T) -> &Count) -> u64 {
        self.0.iter().map(|shard| of(shard).get()).sum()
    }
}

/// What is counted of a virtual. Aligned so that two workers' shards never share a cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct VirtualCounters {
    /// Connections accepted.
    pub connections: Count,
    /// Connections open now.
    pub open: Count,
    /// Connections refused because the limit was reached, or by a rule.
    pub refused: Count,
    /// TLS handshakes that failed.
    pub handshakes_failed: Count,
    /// Requests whose head was read.
    pub requests: Count,
    /// Answers by the first digit of the status; the others are counted at index 0.
    pub answers: [Count; 6],
    /// Answers that Shunt made in a member's place because of an error.
    pub errors: Count,
}

impl VirtualCounters {
    /// Counts an answer by its status.
    pub fn answered(&self, status: u16) {
        let class = usize::from(status / 100);
        self.answers[if class < self.answers.len() { class } else { 0 }].add(1);
    }
}

/// What is counted of a member.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct MemberCounters {
    pub requests: Count,
    /// Connections opened to it.
    pub connects: Count,
    /// Connects that failed.
    pub connects_failed: Count,
    /// Responses that did not come, came late or broke off.
    pub failures: Count,
    /// Bytes of response bodies.
    pub bytes_to_client: Count,
    /// Bytes of request bodies.
    pub bytes_to_server: Count,
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
        assert_eq!(counters.sum(|shard| &shard.requests), 5);
        assert_eq!(counters.sum(|shard| &shard.open), 0);
    }

    #[test]
    fn answers_are_counted_by_class() {
        let counters = VirtualCounters::default();
        for status in [200, 204, 404, 503, 799] {
            counters.answered(status);
        }
        let classes: Vec<_> = counters.answers.iter().map(Count::get).collect();
        assert_eq!(classes, [1, 0, 2, 0, 1, 1]);
    }
}
