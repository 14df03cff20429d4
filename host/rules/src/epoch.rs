//! The clock of the time budgets: one thread that advances the engine's epoch each millisecond while a call lasts.
//!
//! Nearly every call ends within microseconds, and a thread that wakes a thousand times a second for them takes time from the
//! workers. So each instance has a [`Mark`], which says whether a call runs in it. While calls are made the thread looks at
//! the marks every [`LOOK`]; where it finds one in a call it looks again a [`TICK`] later, and only a call that is found by
//! two looks, and so has lasted a tick, makes the epoch advance. While none is called it sleeps.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wasmtime::Engine;

/// One epoch.
pub(crate) const TICK: Duration = Duration::from_millis(1);
/// How often the thread looks whether a call lasts. A call may take so long more than its budget, and a tick.
const LOOK: Duration = Duration::from_millis(5);
/// Looks that found no call to have been made, after which the thread sleeps.
const IDLE_LOOKS: u32 = 20;

/// A call was made since the thread last looked. The state in which calls only read.
const CALLED: u8 = 0;
/// The thread looked; no call since.
const QUIET: u8 = 1;
/// The thread sleeps; the next call wakes it.
const PARKED: u8 = 2;
const STOPPED: u8 = 3;

/// Says whether a call runs in an instance: the number is odd while one does, and each call has another.
#[derive(Debug, Default)]
pub(crate) struct Mark(AtomicU64);

impl Mark {
    /// A call begins. The thread that calls is the only one that writes.
    #[inline]
    pub(crate) fn begin(&self) {
        self.0.store((self.0.load(Ordering::Relaxed) + 1) | 1, Ordering::Relaxed);
    }

    /// It ended.
    #[inline]
    pub(crate) fn end(&self) {
        self.0.store((self.0.load(Ordering::Relaxed) | 1) + 1, Ordering::Relaxed);
    }
}

pub(crate) struct EpochClock {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: AtomicU8,
    /// Those that the thread has not seen yet.
    marks: Mutex<Vec<Weak<Mark>>>,
}

impl EpochClock {
    /// # Errors
    /// If no thread can be started.
    pub(crate) fn start(engine: &Engine) -> std::io::Result<EpochClock> {
        let shared = Arc::new(Shared { state: AtomicU8::new(QUIET), marks: Mutex::default() });
        let thread = thread::Builder::new().name("rule-clock".into()).spawn({
            let (shared, engine) = (shared.clone(), engine.clone());
            move || shared.run(&engine)
        })?;
        Ok(EpochClock { shared, thread: Some(thread) })
    }

    /// The mark of a new instance.
    pub(crate) fn mark(&self) -> Arc<Mark> {
        let mark = Arc::<Mark>::default();
        self.shared.marks.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&mark));
        mark
    }

    /// To be called before each call into a rule, after its mark says that it runs: from here on the thread looks at it
    /// until it ends.
    ///
    /// The usual path is one load of a line that no thread writes while calls run. Such a load may miss a `QUIET` that was
    /// stored nanoseconds ago; that is why the thread looks [`IDLE_LOOKS`] times more before it sleeps, and does not sleep
    /// while a call runs.
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

/// The marks, as the thread last saw them.
#[derive(Default)]
struct Marks(Vec<(Weak<Mark>, u64)>);

/// What a look found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Look {
    /// A call runs.
    running: bool,
    /// It ran at the look before already.
    lasting: bool,
}

impl Marks {
    /// Takes marks that are new, forgets those whose instances are gone, and looks at all.
    fn look(&mut self, new: &mut Vec<Weak<Mark>>) -> Look {
        self.0.extend(new.drain(..).map(|mark| (mark, 0)));
        let mut look = Look::default();
        self.0.retain_mut(|(mark, before)| {
            let Some(mark) = mark.upgrade() else { return false };
            let now = mark.0.load(Ordering::Relaxed);
            look.running |= now % 2 == 1;
            look.lasting |= now % 2 == 1 && now == *before;
            *before = now;
            true
        });
        look
    }
}

impl Shared {
    fn run(&self, engine: &Engine) {
        let (mut marks, mut look, mut quiet_looks) = (Marks::default(), Look::default(), 0);
        loop {
            // One tick per waking, however late: a machine that stood still for a
            // second must not cost a rule its budget.
            thread::park_timeout(if look.running { TICK } else { LOOK });
            look = marks.look(&mut self.marks.lock().unwrap_or_else(PoisonError::into_inner));
            if look.lasting {
                engine.increment_epoch();
            }
            match self.state.compare_exchange(CALLED, QUIET, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => quiet_looks = 0,
                Err(STOPPED) => return,
                Err(_) if look.running => quiet_looks = 0,
                Err(_) => quiet_looks += 1,
            }
            if quiet_looks > IDLE_LOOKS {
                quiet_looks = 0;
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

    #[test]
    fn only_a_call_that_two_looks_found_lasts() {
        let (mark, mut marks, mut new) = (Arc::<Mark>::default(), Marks::default(), Vec::new());
        new.push(Arc::downgrade(&mark));
        let mut look = |marks: &mut Marks| marks.look(&mut new);
        let (none, running) = (Look::default(), Look { running: true, lasting: false });
        assert_eq!(look(&mut marks), none);
        mark.begin();
        assert_eq!(look(&mut marks), running);
        mark.end();
        mark.begin();
        assert_eq!(look(&mut marks), running, "it is another call");
        assert_eq!(look(&mut marks), Look { running: true, lasting: true });
        assert_eq!(look(&mut marks), Look { running: true, lasting: true });
        mark.end();
        assert_eq!(look(&mut marks), none);
        drop(mark);
        assert_eq!(look(&mut marks), none);
        assert!(marks.0.is_empty(), "its instance is gone");
    }

    #[test]
    fn a_call_that_failed_to_say_its_end_counts_as_the_next() {
        let mark = Mark::default();
        mark.begin();
        let first = mark.0.load(Ordering::Relaxed);
        mark.begin();
        let second = mark.0.load(Ordering::Relaxed);
        assert!(first % 2 == 1 && second % 2 == 1 && first != second);
        mark.end();
        mark.end();
        assert_eq!(mark.0.load(Ordering::Relaxed) % 2, 0);
    }
}
