//! A token bucket: so many tokens at most, refilled evenly.

use super::Allowance;

const NS_PER_MS: u64 = 1_000_000;

/// The generic cell rate algorithm (ITU-T I.371, virtual scheduling): one moment says it all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bucket {
    /// When it is full again, in nanoseconds of the clock.
    full_at: u64,
}

/// How a bucket is filled, and how much is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// Tokens that are refilled in `per_ms`; at least 1.
    pub tokens: u32,
    pub per_ms: u32,
    /// Tokens of a full bucket.
    pub burst: u32,
}

impl Bucket {
    /// Takes so many tokens, if they are there.
    pub(super) fn take(&mut self, rate: Rate, cost: u32, now_ms: u64) -> Allowance {
        let now = now_ms.saturating_mul(NS_PER_MS);
        let per_token = (u64::from(rate.per_ms) * NS_PER_MS).div_ceil(rate.tokens.max(1).into()).max(1);
        let whole = per_token.saturating_mul(rate.burst.into());
        // What was taken under a slower rate is not owed under this one.
        let full_at = self.full_at.max(now).min(now.saturating_add(whole));
        let then = full_at.saturating_add(per_token.saturating_mul(cost.into()));
        let left =
            |full_at: u64| u32::try_from(whole.saturating_sub(full_at - now) / per_token).unwrap_or(u32::MAX);
        let over = then.saturating_sub(now).saturating_sub(whole);
        if over == 0 {
            self.full_at = then;
            return Allowance { allowed: true, remaining: left(then), retry_after_ms: 0 };
        }
        let wait = u32::try_from(over.div_ceil(NS_PER_MS)).unwrap_or(u32::MAX);
        let retry_after_ms = if cost > rate.burst { u32::MAX } else { wait };
        Allowance { allowed: false, remaining: left(full_at), retry_after_ms }
    }

    /// Milliseconds until it is full.
    pub(super) fn until_full(self, now: u64) -> u64 {
        self.ends().saturating_sub(now)
    }

    /// When it is full.
    pub(super) fn ends(&self) -> u64 {
        self.full_at.div_ceil(NS_PER_MS)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let (mut bucket, rate) = (Bucket::default(), Rate { tokens: 10, per_ms: 1000, burst: 3 });
        for remaining in [2, 1, 0] {
            assert_eq!(bucket.take(rate, 1, 5000), Allowance { allowed: true, remaining, retry_after_ms: 0 });
        }
        let refused = Allowance { allowed: false, remaining: 0, retry_after_ms: 100 };
        assert_eq!(bucket.take(rate, 1, 5000), refused);
        assert!(!bucket.take(rate, 1, 5099).allowed);
        assert!(bucket.take(rate, 1, 5100).allowed);
        assert_eq!(bucket.until_full(5100), 300);
        assert_eq!(bucket.take(rate, 4, 9000).retry_after_ms, u32::MAX, "never");
        assert_eq!(bucket.take(rate, 0, 9000).remaining, 3);
    }

    #[test]
    fn a_thousand_tokens_a_second_are_one_a_millisecond() {
        let (mut bucket, rate) = (Bucket::default(), Rate { tokens: 5000, per_ms: 1000, burst: 5 });
        let passed = (0..1000_u64)
            .map(|now| (0..20).filter(|_| bucket.take(rate, 1, now).allowed).count())
            .sum::<usize>();
        assert_eq!(passed, 5000);
    }

    proptest! {
        /// Never more than the burst and what is refilled, in any stretch; who waits as long as it is told gets it.
        #[test]
        fn the_rate_holds_in_every_stretch(
            tokens in 1_u32..50, per_ms in 1_u32..2000, burst in 1_u32..20,
            steps in prop::collection::vec((0_u64..300, 1_u32..4), 1..100),
        ) {
            let (mut bucket, rate) = (Bucket::default(), Rate { tokens, per_ms, burst });
            let (mut now, mut taken) = (50_u64, Vec::<(u64, u32)>::new());
            for (step, cost) in steps {
                now += step;
                let cost = cost.min(burst);
                let mut later = bucket;
                let allowance = bucket.take(rate, cost, now);
                if allowance.allowed {
                    taken.push((now, cost));
                } else {
                    prop_assert!(later.take(rate, cost, now + u64::from(allowance.retry_after_ms)).allowed);
                }
            }
            for from in 0..taken.len() {
                let mut sum = 0_u64;
                for (at, cost) in &taken[from..] {
                    sum += u64::from(*cost);
                    let refilled = (at - taken[from].0) * u64::from(tokens) / u64::from(per_ms);
                    prop_assert!(sum <= u64::from(burst) + refilled + 1);
                }
            }
        }
    }
}
