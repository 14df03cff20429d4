//! Stops calling a hook of a rule that does nothing but fault.
//!
//! One per hook of an attachment, shared by all workers. A call on the closed path reads one relaxed
//! atomic before and one after; nothing is written unless something went wrong.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Faults in a row, over all workers, that open it.
const FAULTS: u32 = 5;
/// Microseconds for which it opens the first time; doubled by each probe that faults.
const FIRST_WAIT_US: u64 = 1_000_000;
const LONGEST_WAIT_US: u64 = 60_000_000;

#[derive(Debug)]
pub(crate) struct Breaker {
    /// False: closed, and no fault since the last good call. Then nobody needs the lock.
    noted: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Closed { faults: u32 },
    Open { until_us: u64, wait_us: u64 },
}

/// Permission to make one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permit {
    Normal,
    /// The breaker is open; this call decides whether it closes.
    Probe,
}

impl Breaker {
    pub(crate) fn new() -> Breaker {
        Breaker { noted: AtomicBool::new(false), state: Mutex::new(State::Closed { faults: 0 }) }
    }

    /// Permits a call; `None` while the breaker is open. `now_us` is read only where it is needed.
    pub(crate) fn try_acquire(&self, now_us: impl FnOnce() -> u64) -> Option<Permit> {
        // Relaxed: which of two workers sees a fault first does not matter.
        if !self.noted.load(Ordering::Relaxed) {
            return Some(Permit::Normal);
        }
        let mut state = self.lock();
        let State::Open { until_us, wait_us } = &mut *state else { return Some(Permit::Normal) };
        let now_us = now_us();
        if now_us < *until_us {
            return None;
        }
        // Others wait for the probe; if it never comes back, the next one goes after as long again.
        *until_us = now_us.saturating_add(*wait_us);
        Some(Permit::Probe)
    }

    /// The call gave a verdict.
    pub(crate) fn record_success(&self, permit: Permit) {
        if !self.noted.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.lock();
        // A call that began before the breaker opened proves nothing about the rule since.
        if permit == Permit::Probe || matches!(*state, State::Closed { .. }) {
            *state = State::Closed { faults: 0 };
            self.noted.store(false, Ordering::Relaxed);
        }
    }

    /// The call faulted. True if that opened the breaker, which was closed.
    pub(crate) fn record_failure(&self, permit: Permit, now_us: u64) -> bool {
        let mut state = self.lock();
        self.noted.store(true, Ordering::Relaxed);
        match &mut *state {
            State::Closed { faults } => {
                *faults += 1;
                if *faults < FAULTS {
                    return false;
                }
                *state =
                    State::Open { until_us: now_us.saturating_add(FIRST_WAIT_US), wait_us: FIRST_WAIT_US };
                true
            }
            State::Open { until_us, wait_us } => {
                if permit == Permit::Probe {
                    *wait_us = (*wait_us * 2).min(LONGEST_WAIT_US);
                    *until_us = now_us.saturating_add(*wait_us);
                }
                false
            }
        }
    }

    /// One that is open as long as this one is, and that goes its own way.
    pub(crate) fn apart(&self) -> Breaker {
        let state = match &*self.lock() {
            State::Closed { faults } => State::Closed { faults: *faults },
            State::Open { until_us, wait_us } => State::Open { until_us: *until_us, wait_us: *wait_us },
        };
        Breaker { noted: AtomicBool::new(self.noted.load(Ordering::Relaxed)), state: Mutex::new(state) }
    }

    /// Whether calls are being refused.
    pub(crate) fn is_open(&self) -> bool {
        self.noted.load(Ordering::Relaxed) && matches!(*self.lock(), State::Open { .. })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is one assignment: what a panicking thread left is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000;

    fn opened_at(now_us: u64) -> Breaker {
        let breaker = Breaker::new();
        for fault in 1..=FAULTS {
            let leave = breaker.try_acquire(|| now_us).unwrap();
            assert_eq!(breaker.record_failure(leave, now_us), fault == FAULTS);
        }
        breaker
    }

    #[test]
    fn five_in_a_row_open_it_and_a_good_call_between_does_not_count() {
        let breaker = Breaker::new();
        for _ in 0..3 {
            for _ in 0..FAULTS - 1 {
                assert!(!breaker.record_failure(Permit::Normal, 0));
            }
            breaker.record_success(Permit::Normal);
        }
        assert!(!breaker.is_open());
        assert!(opened_at(0).is_open());
    }

    #[test]
    fn one_probe_after_the_time_closes_it() {
        let breaker = opened_at(0);
        assert_eq!(breaker.try_acquire(|| S - 1), None);
        assert_eq!(breaker.try_acquire(|| S), Some(Permit::Probe));
        assert_eq!(breaker.try_acquire(|| S), None, "one probe at a time");
        breaker.record_success(Permit::Probe);
        assert!(!breaker.is_open());
        assert_eq!(breaker.try_acquire(|| panic!("the closed path reads no clock")), Some(Permit::Normal));
    }

    #[test]
    fn failed_probes_double_the_wait_up_to_a_minute() {
        let breaker = opened_at(0);
        let mut now = S;
        for wait in [2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(breaker.try_acquire(|| now), Some(Permit::Probe));
            assert!(!breaker.record_failure(Permit::Probe, now), "it was open already");
            assert_eq!(breaker.try_acquire(|| now + wait * S - 1), None);
            now += wait * S;
        }
    }

    #[test]
    fn calls_from_before_it_opened_change_nothing() {
        let breaker = opened_at(0);
        breaker.record_success(Permit::Normal);
        assert!(breaker.is_open());
        assert!(!breaker.record_failure(Permit::Normal, S / 2));
        assert_eq!(breaker.try_acquire(|| S), Some(Permit::Probe));
    }

    #[test]
    fn a_probe_that_never_comes_back_is_followed_by_another() {
        let breaker = opened_at(0);
        assert_eq!(breaker.try_acquire(|| S), Some(Permit::Probe));
        assert_eq!(breaker.try_acquire(|| 2 * S), Some(Permit::Probe));
    }
}
