//! The time budget of a call: wall clock to notice, processor time to decide.
//!
//! The epoch advances with the wall clock, and a machine may leave a thread waiting for longer than
//! any budget in the middle of a call that needs a microsecond. Such a call is not to blame, so it
//! is stopped only for processor time. Reading that clock is a system call, too expensive for each
//! call; therefore the budget is armed in two halves. Almost every call ends in the first. One
//! that does not has its processor time read there (the first half is taken as used), and has
//! to use up the second half by that clock before it is stopped.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::epoch::TICK;

/// What is left in a call that is as good as used: the clock of the epochs is no finer.
const SLACK: Duration = Duration::from_micros(100);

/// The time that one call may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeBudget {
    second_half: Duration,
    first_ticks: u64,
}

/// How far the current call has come.
#[derive(Debug, Default)]
pub(crate) struct CallTime {
    /// The thread's processor time when the first half was over.
    half: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    Stop,
    /// Look again after so many epochs.
    GoOn(u64),
}

impl TimeBudget {
    pub(crate) fn new(budget: Duration) -> TimeBudget {
        let first = budget / 2;
        TimeBudget { second_half: budget - first, first_ticks: ticks(first) }
    }

    /// Epochs after which a call is first looked at.
    pub(crate) fn first_ticks(&self) -> u64 {
        self.first_ticks
    }

    /// Decides at an expired deadline; `used` is the thread's processor time. Where that cannot
    /// be known the wall clock's word stands.
    pub(crate) fn expired(&self, call: &mut CallTime, used: Option<Duration>) -> Expiry {
        let Some(used) = used else { return Expiry::Stop };
        let Some(half) = call.half else {
            call.half = Some(used);
            return Expiry::GoOn(ticks(self.second_half));
        };
        let left = self.second_half.saturating_sub(used.saturating_sub(half));
        if left <= SLACK { Expiry::Stop } else { Expiry::GoOn(ticks(left)) }
    }
}

/// Processor time of the calling thread.
pub(crate) fn thread_time() -> Option<Duration> {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).ok().map(Duration::from)
}

/// Epochs that are at least so long: the one in progress counts as one.
fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(TICK.as_nanos())).unwrap_or(u64::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn expired(budget: &TimeBudget, call: &mut CallTime, used_ms: u64) -> Expiry {
        budget.expired(call, Some(ms(used_ms)))
    }

    #[test]
    fn a_call_that_computes_all_the_time_is_stopped_at_its_budget() {
        let (budget, mut call) = (TimeBudget::new(ms(10)), CallTime::default());
        assert_eq!(budget.first_ticks(), 6);
        assert_eq!(expired(&budget, &mut call, 100), Expiry::GoOn(6));
        assert_eq!(expired(&budget, &mut call, 105), Expiry::Stop);
    }

    #[test]
    fn a_call_that_waited_for_a_processor_is_not() {
        let (budget, mut call) = (TimeBudget::new(ms(10)), CallTime::default());
        assert_eq!(expired(&budget, &mut call, 100), Expiry::GoOn(6));
        assert_eq!(expired(&budget, &mut call, 101), Expiry::GoOn(5));
        assert_eq!(expired(&budget, &mut call, 101), Expiry::GoOn(5));
        assert_eq!(expired(&budget, &mut call, 103), Expiry::GoOn(3));
        assert_eq!(expired(&budget, &mut call, 105), Expiry::Stop);
    }

    #[test]
    fn the_least_budget_is_one_look_and_another() {
        let (budget, mut call) = (TimeBudget::new(ms(1)), CallTime::default());
        assert_eq!(budget.first_ticks(), 2);
        assert_eq!(expired(&budget, &mut call, 1), Expiry::GoOn(2));
        assert_eq!(expired(&budget, &mut call, 2), Expiry::Stop);
    }

    #[test]
    fn without_that_clock_the_wall_clock_decides() {
        assert_eq!(TimeBudget::new(ms(10)).expired(&mut CallTime::default(), None), Expiry::Stop);
    }

    #[test]
    fn the_threads_time_passes_while_it_computes() {
        let before = thread_time();
        assert!(before.is_some());
        while thread_time() == before {}
    }
}
