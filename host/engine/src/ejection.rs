//! Passive health: a member is ejected by what requests at it come to, for a time that grows while it happens again.
//!
//! Who counts gives the time; who chooses reads one flag. The flag is taken back by whoever looks each second
//! ([`Ejection::is_over`]), so that no choice reads a clock.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

/// What a pool says of ejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Failures in a row that eject a member.
    pub failures: u32,
    /// How long the first time lasts, and the longest, in milliseconds: each in a row lasts twice as long as the one before.
    pub time: u64,
    pub most_time: u64,
    /// At most so many members in a hundred are ejected at once: where most fail, the members are not what is broken.
    pub most_share: u32,
}

/// What is known of one member, for all workers.
#[derive(Debug, Default)]
pub struct Ejection {
    ejected: AtomicBool,
    /// Failures since the last success.
    failures: AtomicU32,
    /// Ejections without a time of peace between them that is as long as the longest.
    times: AtomicU32,
    /// When the last ends, or ended.
    until: AtomicU64,
}

impl Ejection {
    #[must_use]
    pub fn is_ejected(&self) -> bool {
        self.ejected.load(Relaxed)
    }

    /// Takes in what a request came to. Gives for how long the member is ejected, if it is by this one: `others` says how many
    /// members of the pool are ejected, and how many there are.
    pub fn observe(
        &self,
        good: bool,
        policy: &Policy,
        now: u64,
        others: impl FnOnce() -> (usize, usize),
    ) -> Option<u64> {
        if good {
            // Most write nothing.
            if self.failures.load(Relaxed) != 0 {
                self.failures.store(0, Relaxed);
            }
            return None;
        }
        let failures = self.failures.fetch_add(1, Relaxed).saturating_add(1);
        if failures < policy.failures || self.is_ejected() {
            return None;
        }
        let (ejected, all) = others();
        if (ejected + 1) * 100 > all * policy.most_share as usize || self.ejected.swap(true, Relaxed) {
            return None;
        }
        self.failures.store(0, Relaxed);
        let peace = now.saturating_sub(self.until.load(Relaxed)) >= policy.most_time;
        let before = if peace { 0 } else { self.times.load(Relaxed) };
        self.times.store(before.saturating_add(1), Relaxed);
        let time = policy.time.saturating_mul(1 << before.min(32)).min(policy.most_time);
        self.until.store(now.saturating_add(time), Relaxed);
        Some(time)
    }

    /// A copy, which goes its own way.
    pub(crate) fn apart(&self) -> Self {
        let number = |of: &AtomicU32| AtomicU32::new(of.load(Relaxed));
        Self {
            ejected: AtomicBool::new(self.is_ejected()),
            failures: number(&self.failures),
            times: number(&self.times),
            until: AtomicU64::new(self.until.load(Relaxed)),
        }
    }

    /// Takes the ejection back where its time is over; gives whether it did.
    pub fn is_over(&self, now: u64) -> bool {
        self.is_ejected() && now >= self.until.load(Relaxed) && self.ejected.swap(false, Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: Policy = Policy { failures: 3, time: 100, most_time: 350, most_share: 50 };

    fn fail(ejection: &Ejection, now: u64) -> Option<u64> {
        ejection.observe(false, &POLICY, now, || (0, 2))
    }

    #[test]
    fn times_grow_until_there_is_peace() {
        let member = Ejection::default();
        let mut now = 1_000;
        for expected in [100, 200, 350, 350] {
            assert_eq!([fail(&member, now), fail(&member, now)], [None; 2]);
            assert_eq!(fail(&member, now), Some(expected));
            assert_eq!(fail(&member, now), None, "what is under way ejects nobody twice");
            assert!(!member.is_over(now + expected - 1) && member.is_ejected());
            now += expected;
            assert!(member.is_over(now) && !member.is_over(now) && !member.is_ejected());
            member.observe(true, &POLICY, now, || (0, 2));
        }
        now += 350;
        assert_eq!([fail(&member, now), fail(&member, now), fail(&member, now)], [None, None, Some(100)]);
    }

    #[test]
    fn a_success_breaks_the_row() {
        let member = Ejection::default();
        for _ in 0..5 {
            assert_eq!([fail(&member, 1), fail(&member, 1)], [None; 2]);
            member.observe(true, &POLICY, 1, || (0, 2));
        }
    }

    proptest! {
        /// Whatever requests come to, no more than the share is out at once.
        #[test]
        fn never_more_than_a_share(
            most_share in 0u32..=100,
            steps in proptest::collection::vec((0usize..6, any::<bool>(), 0u64..80), 1..200),
        ) {
            let members: Vec<Ejection> = (0..6).map(|_| Ejection::default()).collect();
            let policy = Policy { failures: 2, most_share, ..POLICY };
            let ejected = || members.iter().filter(|it| it.is_ejected()).count();
            let mut now = 0;
            for (at, good, pause) in steps {
                now += pause;
                for member in &members {
                    member.is_over(now);
                }
                members[at].observe(good, &policy, now, || (ejected(), members.len()));
                prop_assert!(ejected() * 100 <= members.len() * most_share as usize);
            }
        }
    }
}
