//! What each rule was called for, how it ended and how long it took.
//!
//! Every runner counts for itself: one writer, relaxed atomics, no locked instruction. A
//! reader sums them up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::grants::Grant;
use crate::state::MOST_DENIED;
use crate::{FaultKind, Hook};

/// One call of so many is timed, each runner and hook counting for itself, the first among them:
/// two readings of the clock cost a quarter of a short call.
pub const SAMPLE: u64 = 16;

/// Upper bounds of the time histogram: 250 ns, doubled each time. The last bucket takes what
/// is above 2^16 times that (16 ms).
pub const BUCKETS: usize = 18;
const FIRST_BOUND_NS: u64 = 250;

/// The upper bound of a bucket; `None` for the last, which has none.
pub fn bucket_bound(bucket: usize) -> Option<Duration> {
    (bucket + 1 < BUCKETS).then(|| Duration::from_nanos(FIRST_BOUND_NS << bucket))
}

/// The counters of a rule where it is attached. Kept over a reload by identity: give the
/// same `Arc` to the next version.
#[derive(Debug, Default)]
pub struct RuleStats {
    shards: Mutex<Shards>,
}

#[derive(Debug, Default)]
struct Shards {
    all: Vec<Arc<Shard>>,
    /// Those without a writer: what they counted stays, and the next runner counts on.
    free: Vec<Arc<Shard>>,
    /// What the rule asked for and was not granted; a few of them, each once.
    denied: Vec<Grant>,
}

/// What one runner at a time counts.
#[derive(Debug, Default)]
struct Shard {
    hooks: [Cell; Hook::COUNT],
}

#[derive(Debug, Default)]
struct Cell {
    calls: AtomicU64,
    faults: [AtomicU64; FaultKind::COUNT],
    not_granted: AtomicU64,
    timed_ns: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

/// Counters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    hooks: [HookReading; Hook::COUNT],
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookReading {
    /// Calls that were made, faults among them; not those that an open breaker refused.
    pub calls: u64,
    faults: [u64; FaultKind::COUNT],
    /// Host calls that asked for what the pack was not granted.
    pub not_granted: u64,
    /// Calls that were timed, see [`SAMPLE`].
    pub timed: u64,
    /// Their time in all.
    pub time: Duration,
    /// Their number by time, see [`bucket_bound`].
    pub buckets: [u64; BUCKETS],
}

impl RuleStats {
    pub fn new() -> Arc<RuleStats> {
        Arc::default()
    }

    /// The sum over all runners, of all versions.
    pub fn read(&self) -> Reading {
        let mut reading = Reading::default();
        for shard in &self.lock().all {
            for (sum, cell) in reading.hooks.iter_mut().zip(&shard.hooks) {
                sum.add(cell);
            }
        }
        reading
    }

    /// What the rule asked for and was not granted, in all its versions: the first few, each once.
    pub fn denied(&self) -> Vec<Grant> {
        self.lock().denied.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Shards> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reading {
    pub fn hook(&self, hook: Hook) -> &HookReading {
        &self.hooks[hook as usize]
    }

    /// Calls of all hooks.
    pub fn calls(&self) -> u64 {
        self.hooks.iter().map(|hook| hook.calls).sum()
    }

    /// Faults of all hooks and kinds; not the calls that an open breaker refused.
    pub fn faults(&self) -> u64 {
        self.hooks.iter().map(HookReading::faults).sum()
    }
}

impl HookReading {
    pub fn fault(&self, kind: FaultKind) -> u64 {
        self.faults[kind as usize]
    }

    /// Faults of all kinds; not the calls that an open breaker refused.
    pub fn faults(&self) -> u64 {
        FaultKind::ALL
            .into_iter()
            .filter(|kind| *kind != FaultKind::BreakerOpen)
            .map(|kind| self.fault(kind))
            .sum()
    }

    fn add(&mut self, cell: &Cell) {
        self.calls += cell.calls.load(Ordering::Relaxed);
        for (sum, faults) in self.faults.iter_mut().zip(&cell.faults) {
            *sum += faults.load(Ordering::Relaxed);
        }
        self.not_granted += cell.not_granted.load(Ordering::Relaxed);
        self.time += Duration::from_nanos(cell.timed_ns.load(Ordering::Relaxed));
        for (sum, bucket) in self.buckets.iter_mut().zip(&cell.buckets) {
            let count = bucket.load(Ordering::Relaxed);
            *sum += count;
            self.timed += count;
        }
    }
}

/// A runner's leave to write one shard; gives it back when dropped.
#[derive(Debug)]
pub(crate) struct Meter {
    stats: Arc<RuleStats>,
    shard: Arc<Shard>,
}

impl Meter {
    pub(crate) fn new(stats: &Arc<RuleStats>) -> Meter {
        let mut shards = stats.lock();
        let shard = shards.free.pop().unwrap_or_else(|| {
            let shard = Arc::<Shard>::default();
            shards.all.push(shard.clone());
            shard
        });
        drop(shards);
        Meter { stats: stats.clone(), shard }
    }

    /// Counts a call that is about to be made; the time if it is to be timed.
    #[inline]
    pub(crate) fn begin(&mut self, hook: Hook) -> Option<Instant> {
        let calls = &self.shard.hooks[hook as usize].calls;
        let before = calls.load(Ordering::Relaxed);
        calls.store(before + 1, Ordering::Relaxed);
        before.is_multiple_of(SAMPLE).then(Instant::now)
    }

    #[inline]
    pub(crate) fn end(&mut self, hook: Hook, started: Option<Instant>) {
        let Some(started) = started else { return };
        let ns = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let cell = &self.shard.hooks[hook as usize];
        add(&cell.timed_ns, ns);
        add(&cell.buckets[bucket_of(ns)], 1);
    }

    pub(crate) fn fault(&mut self, hook: Hook, kind: FaultKind) {
        add(&self.shard.hooks[hook as usize].faults[kind as usize], 1);
    }

    pub(crate) fn not_granted(&mut self, hook: Hook, times: u32) {
        add(&self.shard.hooks[hook as usize].not_granted, times.into());
    }

    /// Keeps the name of what was not granted.
    pub(crate) fn denied(&mut self, grant: &Grant) {
        let mut shards = self.stats.lock();
        if shards.denied.len() < MOST_DENIED && !shards.denied.contains(grant) {
            shards.denied.push(grant.clone());
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.stats.lock().free.push(self.shard.clone());
    }
}

/// `&mut` on the meter makes this thread the only writer; the lock of the free list orders it
/// after the writer before it.
#[inline]
fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
}

fn bucket_of(ns: u64) -> usize {
    // The first bucket whose bound is not below it.
    let doublings = ns.saturating_sub(1) / FIRST_BOUND_NS;
    ((u64::BITS - doublings.leading_zeros()) as usize).min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runners_count_apart_and_are_summed() {
        let stats = RuleStats::new();
        let (mut a, mut b) = (Meter::new(&stats), Meter::new(&stats));
        for _ in 0..SAMPLE + 1 {
            let started = a.begin(Hook::OnRequest);
            a.end(Hook::OnRequest, started);
        }
        let started = b.begin(Hook::OnRequest);
        b.end(Hook::OnRequest, started);
        b.fault(Hook::OnRequest, FaultKind::Timeout);
        b.fault(Hook::OnFlow, FaultKind::BreakerOpen);
        let reading = stats.read();
        let on_request = reading.hook(Hook::OnRequest);
        assert_eq!((on_request.calls, on_request.timed), (SAMPLE + 2, 3));
        assert_eq!(on_request.fault(FaultKind::Timeout), 1);
        assert_eq!(on_request.buckets.iter().sum::<u64>(), 3);
        assert_eq!((reading.calls(), reading.faults()), (SAMPLE + 2, 1));
    }

    #[test]
    fn a_shard_outlives_its_runner_and_is_used_again() {
        let stats = RuleStats::new();
        for _ in 0..1000 {
            Meter::new(&stats).begin(Hook::OnFlow);
        }
        assert_eq!(stats.read().hook(Hook::OnFlow).calls, 1000);
        assert_eq!(stats.lock().all.len(), 1);
    }

    #[test]
    fn buckets_double() {
        assert_eq!(bucket_bound(0), Some(Duration::from_nanos(250)));
        assert_eq!(bucket_bound(2), Some(Duration::from_micros(1)));
        assert_eq!(bucket_bound(BUCKETS - 1), None);
        for ns in [0, 1, 250, 251, 500, 501, 1000, 1_000_000, u64::MAX] {
            let bucket = bucket_of(ns);
            assert!(bucket_bound(bucket).is_none_or(|bound| u128::from(ns) <= bound.as_nanos()), "{ns}");
            assert!(
                bucket == 0
                    || bucket_bound(bucket - 1).is_some_and(|bound| u128::from(ns) > bound.as_nanos()),
                "{ns}"
            );
        }
    }
}
