//! How fast new things may come.

/// Lets `rate` things per second pass, and after a pause `burst` of them at once.
///
/// Whole numbers only: what has come in is counted in thousandths of a thing, so that a millisecond is worth
/// exactly `rate` of them, nothing is rounded, and no share of a second is lost however often it is asked.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    rate: u32,
    burst: u32,
    /// What may pass now, in thousandths of a thing; at most `burst` of them.
    level: u64,
    /// Up to when `level` has been filled (ms).
    filled: u64,
}

/// Thousandths: milliseconds in a second.
const PER_SECOND: u64 = 1_000;

impl TokenBucket {
    /// Full. A burst of 0 lets nothing pass, a rate of 0 only the burst.
    #[must_use]
    pub const fn new(rate: u32, burst: u32, now: u64) -> Self {
        Self { rate, burst, level: burst as u64 * PER_SECOND, filled: now }
    }

    /// Takes one; false, and nothing taken, where there is none.
    ///
    /// `now` in milliseconds. A clock that goes back fills nothing until it is again where it was.
    pub const fn take(&mut self, now: u64) -> bool {
        self.fill(now);
        let enough = self.level >= PER_SECOND;
        if enough {
            self.level -= PER_SECOND;
        }
        enough
    }

    /// How many may pass now.
    pub const fn available(&mut self, now: u64) -> u32 {
        self.fill(now);
        (self.level / PER_SECOND) as u32
    }

    /// Continues with another rate and burst, as a reload wants; what has come in stays, up to the new burst.
    pub const fn change(&mut self, rate: u32, burst: u32, now: u64) {
        self.fill(now);
        (self.rate, self.burst) = (rate, burst);
        self.level = min(self.level, burst as u64 * PER_SECOND);
    }

    const fn fill(&mut self, now: u64) {
        let elapsed = now.saturating_sub(self.filled);
        self.filled += elapsed;
        let more = (self.rate as u64).saturating_mul(elapsed);
        self.level = min(self.level.saturating_add(more), self.burst as u64 * PER_SECOND);
    }
}

/// Keeps a flood of SYNs from becoming a flood of rule calls and flows.
///
/// It stands before the rule and sees only SYNs that no flow is known for: what is established, and a SYN
/// that is sent again, are never counted. A second's worth may come at once, for clients come in crowds.
#[derive(Clone, Copy, Debug)]
pub struct SynLimit {
    bucket: TokenBucket,
    refused: u64,
}

impl SynLimit {
    /// `rate`: SYNs per second that may pass here. Of a virtual's rate, a worker has its [`share`].
    #[must_use]
    pub const fn new(rate: u32, now: u64) -> Self {
        Self { bucket: TokenBucket::new(rate, rate, now), refused: 0 }
    }

    /// May this SYN pass?
    pub const fn admit(&mut self, now: u64) -> bool {
        let admitted = self.bucket.take(now);
        self.refused += !admitted as u64;
        admitted
    }

    /// Continues with another rate.
    pub const fn change(&mut self, rate: u32, now: u64) {
        self.bucket.change(rate, rate, now);
    }

    /// SYNs that did not pass, ever.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }
}

/// The share of `worker` (from 0) in a limit over all `workers`: the shares differ by one at most, and
/// add up to the limit.
#[must_use]
pub const fn share(limit: u32, worker: u32, workers: u32) -> u32 {
    match (limit.checked_div(workers), limit.checked_rem(workers)) {
        (Some(each), Some(rest)) => each + (worker < rest) as u32,
        _ => limit,
    }
}

/// `Ord::min` is not const.
const fn min(a: u64, b: u64) -> u64 {
    if a < b { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_then_the_rate() {
        let mut bucket = TokenBucket::new(2, 3, 1_000);
        let story = [
            (1_000, true),
            (1_000, true),
            (1_000, true),
            (1_000, false),
            (1_499, false),
            (1_500, true),
            (1_500, false),
            (2_000, true),
            // A long pause fills it, and no more.
            (90_000, true),
            (90_000, true),
            (90_000, true),
            (90_000, false),
            // A clock that goes back gives nothing, and takes nothing away.
            (10, false),
            (90_499, false),
            (90_500, true),
        ];
        for (at, (now, passes)) in story.into_iter().enumerate() {
            assert_eq!(bucket.take(now), passes, "step {at}");
        }
    }

    /// 7 does not divide 1,000, and it is asked every millisecond.
    #[test]
    fn nothing_is_lost_by_asking_often() {
        let mut bucket = TokenBucket::new(7, 2, 0);
        let passed = (0..1_000_000).filter(|&now| bucket.take(now)).count();
        assert_eq!(passed, 2 + 6_999, "the burst, and 7 a second up to 999.999 s");
    }

    #[test]
    fn a_reload_keeps_what_has_come_in() {
        let mut bucket = TokenBucket::new(10, 100, 0);
        assert!((0..95).all(|_| bucket.take(0)));
        bucket.change(1_000, 2_000, 100); // one more at the old rate
        assert_eq!(bucket.available(100), 6);
        assert_eq!(bucket.available(200), 106);
        bucket.change(1_000, 50, 200);
        assert_eq!(bucket.available(9_000), 50);
    }

    #[test]
    fn zero_lets_nothing_pass() {
        let mut limit = SynLimit::new(0, 0);
        assert!(!limit.admit(0) && !limit.admit(u64::MAX));
        assert_eq!(limit.refused(), 2);
        limit.change(1, u64::MAX);
        assert!(!limit.admit(u64::MAX), "a new rate begins with what was there");
    }

    #[test]
    fn shares_add_up() {
        for (limit, workers) in [(0, 3), (2, 3), (1_000, 1), (1_000, 7), (u32::MAX, 64)] {
            let shares: Vec<_> = (0..workers).map(|worker| share(limit, worker, workers)).collect();
            assert_eq!(shares.iter().sum::<u32>(), limit);
            assert!(shares[0] - shares[shares.len() - 1] <= 1);
        }
    }

    proptest! {
        /// In no stretch of time does more pass than its length gives and a burst.
        #[test]
        fn never_more_than_promised(
            rate in 0u32..5_000,
            burst in 0u32..100,
            steps in proptest::collection::vec((0u64..50, 0usize..20), 1..100),
        ) {
            let mut bucket = TokenBucket::new(rate, burst, 0);
            let (mut now, mut passed) = (0, Vec::new());
            for (pause, asked) in steps {
                now += pause;
                passed.extend((0..asked).filter(|_| bucket.take(now)).map(|_| now));
            }
            for (from, &start) in passed.iter().enumerate() {
                for (to, &end) in passed.iter().enumerate().skip(from) {
                    let most = u64::from(burst) * 1_000 + u64::from(rate) * (end - start);
                    prop_assert!((to - from + 1) as u64 * 1_000 <= most, "{} in {} ms", to - from + 1, end - start);
                }
            }
        }
    }
}
