//! Retries of requests: a share of those that came.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Retries that are free where none were made for a while, so that a few failures of a small pool get theirs.
const RESERVE: u32 = 10;

/// What one retry costs.
const COST: u32 = 100;

/// A budget that each request adds to and each retry takes from, for all workers.
#[derive(Debug, Default)]
pub struct Budget {
    /// What was taken and not added since, in hundredths of a retry.
    spent: AtomicU32,
}

impl Budget {
    /// A request came, of a hundred of which so many may be retried.
    pub fn add(&self, percent: u32) {
        // Without retries nothing is written.
        if self.spent.load(Relaxed) > 0 {
            let less = |spent: u32| Some(spent.saturating_sub(percent));
            let _ = self.spent.fetch_update(Relaxed, Relaxed, less);
        }
    }

    /// Whether there is enough for one more retry, which is taken then.
    #[must_use]
    pub fn take(&self) -> bool {
        let more = |spent: u32| Some(spent + COST).filter(|spent| *spent <= RESERVE * COST);
        self.spent.fetch_update(Relaxed, Relaxed, more).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_reserve_and_then_a_share() {
        let budget = Budget::default();
        assert_eq!((0..20).filter(|_| budget.take()).count(), 10);
        for _ in 0..100 {
            (0..5).for_each(|_| budget.add(20));
            assert!(budget.take() && !budget.take());
        }
    }

    proptest! {
        /// Whatever comes when, retries are no more than the share and the reserve.
        #[test]
        fn never_more_than_the_share(percent in 1u32..=100, steps in proptest::collection::vec(any::<bool>(), 1..500)) {
            let budget = Budget::default();
            let (mut requests, mut retries) = (0, 0);
            for is_request in steps {
                if is_request {
                    budget.add(percent);
                    requests += 1;
                } else if budget.take() {
                    retries += 1;
                }
                prop_assert!(retries * 100 <= requests * percent + 1_000);
            }
        }
    }
}
