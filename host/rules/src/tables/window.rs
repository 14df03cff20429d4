//! A limit over a sliding window: how much was let through in the time before now.

use super::Allowance;

/// Into so many slots a window is divided.
const SLOTS: usize = 8;

/// What was let through, by slots of time. The slot in which the window begins counts whole: so never more than the limit is
/// let through in any window of that length, and what was let through counts for an eighth of a window longer at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    /// The number of the newest slot since the clock began.
    newest: u64,
    /// Milliseconds of a slot.
    slot_ms: u32,
    /// The newest first.
    counts: [u32; SLOTS + 1],
}

impl Window {
    /// Lets so much through, if it is within the limit.
    pub(super) fn allow(&mut self, limit: u32, window_ms: u32, cost: u32, now: u64) -> Allowance {
        self.advance(window_ms, now);
        let used = self.sum();
        let allowed = used.saturating_add(cost) <= limit;
        if allowed {
            self.counts[0] = self.counts[0].saturating_add(cost);
            return Allowance { allowed, remaining: limit - used - cost, retry_after_ms: 0 };
        }
        Allowance {
            allowed,
            remaining: limit.saturating_sub(used),
            retry_after_ms: self.retry_after(limit, cost, used, now),
        }
    }

    /// What was let through in the window before now.
    pub(super) fn used(mut self, now: u64) -> u32 {
        if self.slot_ms > 0 {
            self.to(now / u64::from(self.slot_ms));
        }
        self.sum()
    }

    /// When nothing of it counts any more.
    pub(super) fn ends(&self) -> u64 {
        (self.newest + SLOTS as u64 + 1).saturating_mul(self.slot_ms.into())
    }

    fn sum(&self) -> u32 {
        self.counts.iter().fold(0, |sum: u32, count| sum.saturating_add(*count))
    }

    /// Moves to the slot of this moment. A window of another length begins empty.
    fn advance(&mut self, window_ms: u32, now: u64) {
        let slot_ms = window_ms.div_ceil(SLOTS as u32).max(1);
        if self.slot_ms != slot_ms {
            *self = Window { slot_ms, newest: now / u64::from(slot_ms), ..Window::default() };
        }
        self.to(now / u64::from(slot_ms));
    }

    fn to(&mut self, slot: u64) {
        // Workers read the clock apart: one may be a little behind.
        let passed = usize::try_from(slot.saturating_sub(self.newest)).unwrap_or(usize::MAX).min(SLOTS + 1);
        if passed > 0 {
            self.counts.copy_within(..SLOTS + 1 - passed, passed);
            self.counts[..passed].fill(0);
            self.newest = slot;
        }
    }

    /// Milliseconds until enough of what was let through does not count any more.
    fn retry_after(&self, limit: u32, cost: u32, used: u32, now: u64) -> u32 {
        if cost > limit {
            return u32::MAX;
        }
        let mut over = used.saturating_add(cost) - limit;
        for (age, count) in self.counts.iter().enumerate().rev() {
            over = over.saturating_sub(*count);
            if over == 0 {
                let ends = (self.newest + (SLOTS + 1 - age) as u64) * u64::from(self.slot_ms);
                return u32::try_from(ends.saturating_sub(now)).unwrap_or(u32::MAX);
            }
        }
        u32::MAX
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_limit_is_let_through_and_then_refused_until_the_window_has_passed() {
        let mut window = Window::default();
        for remaining in [2, 1, 0] {
            let allowance = window.allow(3, 800, 1, 1000);
            assert_eq!(allowance, Allowance { allowed: true, remaining, retry_after_ms: 0 });
        }
        let refused = window.allow(3, 800, 1, 1050);
        assert_eq!(refused, Allowance { allowed: false, remaining: 0, retry_after_ms: 850 });
        assert_eq!(window.used(1050), 3);
        assert!(!window.allow(3, 800, 1, 1050 + 849).allowed);
        assert!(window.allow(3, 800, 1, 1050 + 850).allowed);
        assert_eq!(window.allow(3, 800, 4, 5000).retry_after_ms, u32::MAX, "never");
        assert_eq!(
            window.allow(3, 800, 0, 9000),
            Allowance { allowed: true, remaining: 3, retry_after_ms: 0 }
        );
    }

    #[test]
    fn a_window_of_another_length_begins_empty() {
        let mut window = Window::default();
        assert!(window.allow(1, 1000, 1, 10).allowed);
        assert!(!window.allow(1, 1000, 1, 11).allowed);
        assert!(window.allow(1, 500, 1, 12).allowed);
    }

    #[test]
    fn the_shortest_window_is_a_millisecond() {
        let mut window = Window::default();
        assert!(window.allow(1, 0, 1, 5).allowed);
        assert!(!window.allow(1, 1, 1, 6).allowed);
    }

    proptest! {
        /// No window of that length has more than the limit, and what is refused would exceed it in a window that is an
        /// eighth longer; who waits as long as it is told is let through.
        #[test]
        fn the_limit_holds_in_every_window(
            limit in 1_u32..20, window_ms in 1_u32..2000, steps in prop::collection::vec((0_u64..400, 1_u32..4), 1..200),
        ) {
            let (mut window, mut now, mut passed) = (Window::default(), 77_u64, Vec::<(u64, u32)>::new());
            for (step, cost) in steps {
                now += step;
                let cost = cost.min(limit);
                let sum = |of: u64| -> u32 {
                    passed.iter().filter(|(at, _)| at + of > now).map(|(_, cost)| cost).sum()
                };
                let longer = u64::from(window_ms.div_ceil(8).max(1)) * 9;
                let (within, around) = (sum(window_ms.into()), sum(longer));
                let mut later = window;
                let allowance = window.allow(limit, window_ms, cost, now);
                if allowance.allowed {
                    prop_assert!(within + cost <= limit);
                    passed.push((now, cost));
                } else {
                    prop_assert!(around + cost > limit);
                    let wait = u64::from(allowance.retry_after_ms);
                    prop_assert!(later.allow(limit, window_ms, cost, now + wait).allowed);
                }
            }
        }
    }
}
