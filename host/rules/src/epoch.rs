//! The clock of the time budgets: one thread that advances the engine's epoch each
//! millisecond while rules are being called, and sleeps while none is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wasmtime::Engine;

/// One epoch.
pub(crate) const TICK: Duration = Duration::from_millis(1);
/// Ticks without a call after which the thread parks, beyond the longest budget in use.
const IDLE_TICKS: u64 = 100;

/// A call was made since the thread last looked. The state in which calls only read.
const CALLED: u8 = 0;
/// The thread looked; no call since.
const QUIET: u8 = 1;
/// The thread sleeps; the next call wakes it.
const PARKED: u8 = 2;
const STOPPED: u8 = 3;

pub(crate) struct EpochClock {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: AtomicU8,
    /// Ticks of the longest budget that was ever announced.
    longest: AtomicU64,
}

impl EpochClock {
    /// # Errors
    /// If no thread can be started.
    pub(crate) fn start(engine: &Engine) -> std::io::Result<EpochClock> {
        let shared = Arc::new(Shared { state: AtomicU8::new(QUIET), longest: AtomicU64::new(0) });
        let thread = thread::Builder::new().name("rule-clock".into()).spawn({
            let (shared, engine) = (shared.clone(), engine.clone());
            move || shared.run(&engine)
        })?;
        Ok(EpochClock { shared, thread: Some(thread) })
    }

    /// Says that a call may run for so many ticks before it touches the clock again.
    pub(crate) fn announce(&self, ticks: u64) {
        self.shared.longest.fetch_max(ticks, Ordering::Relaxed);
    }

    /// To be called before each call into a rule: from here on the epoch advances for at
    /// least the longest announced budget.
    ///
    /// The usual path is one load of a line that no thread writes while calls run. Such a load may
    /// miss a `QUIET` that was stored nanoseconds ago; that is why the thread, which counts from
    /// that very store, continues for [`IDLE_TICKS`] more than any budget before it parks.
    #[inline]
    pub(crate) fn touch(&self) {
        if self.shared.state.load(Ordering::Acquire) != CALLED {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        // The swap and the thread's compare-exchange from QUIET to PARKED are ordered: either the
        // thread sees CALLED and continues, or PARKED is seen here and it is woken.
        let before = self.shared.state.swap(CALLED, Ordering::AcqRel);
        if let (PARKED, Some(thread)) = (before, &self.thread) {
            thread.thread().unpark();
        }
    }
}

impl Drop for EpochClock {
    fn drop(&mut self) {
        self.shared.state.store(STOPPED, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It holds nothing that could make it panic, and there is nobody to tell.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self, engine: &Engine) {
        let mut quiet_ticks = 0;
        loop {
            // One tick per waking, however late: a machine that stood still for a
            // second must not cost a rule its budget.
            thread::park_timeout(TICK);
            engine.increment_epoch();
            match self.state.compare_exchange(CALLED, QUIET, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => quiet_ticks = 0,
                Err(STOPPED) => return,
                Err(_) => quiet_ticks += 1,
            }
            if quiet_ticks > IDLE_TICKS + self.longest.load(Ordering::Relaxed) {
                quiet_ticks = 0;
                if self.state.compare_exchange(QUIET, PARKED, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                    while self.state.load(Ordering::Acquire) == PARKED {
                        thread::park();
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_for(clock: &EpochClock, state: u8) {
        while clock.shared.state.load(Ordering::Acquire) != state {
            thread::yield_now();
        }
    }

    #[test]
    fn sleeps_when_nobody_calls_and_wakes_with_the_next_call() {
        let clock = EpochClock::start(&Engine::default()).unwrap();
        for _ in 0..3 {
            clock.touch();
            wait_for(&clock, QUIET);
            wait_for(&clock, PARKED);
        }
        clock.touch();
        wait_for(&clock, QUIET);
    }

    #[test]
    fn stops_awake_and_asleep() {
        drop(EpochClock::start(&Engine::default()).unwrap());
        let clock = EpochClock::start(&Engine::default()).unwrap();
        wait_for(&clock, PARKED);
        drop(clock);
    }
}
