//! Requests that wait for a member of a pool, in the order of their arrival, whichever worker they are at.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// The requests of a pool that wait. Each is called when there may be room for it; those behind it wait on until it is
/// out, so that none is overtaken.
#[derive(Debug, Default)]
pub struct Queue {
    /// How many wait; read by whoever ends a request.
    waiting: AtomicU32,
    line: Mutex<Line>,
    pub counts: Counts,
}

/// What became of those that had to wait.
#[derive(Debug, Default)]
pub struct Counts {
    /// They waited and got a member.
    pub served: AtomicU64,
    /// How long they waited together, in milliseconds.
    pub waited_ms: AtomicU64,
    /// Nobody could wait any more.
    pub full: AtomicU64,
    /// They waited as long as they may.
    pub timed_out: AtomicU64,
}

#[derive(Debug, Default)]
struct Line {
    last: u64,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    /// In milliseconds of the caller's clock.
    since: u64,
    called: bool,
    waker: Option<Waker>,
}

/// A place in the queue, which is given up when this is dropped.
#[derive(Debug)]
pub struct Place {
    queue: Arc<Queue>,
    number: u64,
}

impl Queue {
    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.waiting.load(Relaxed)
    }

    /// As many that wait, none of which is ever called.
    #[must_use]
    pub fn apart(&self) -> Arc<Self> {
        Arc::new(Self { waiting: AtomicU32::new(self.waiting()), ..Self::default() })
    }

    /// Since when the first waits, in milliseconds of the clock of [`Queue::enter`]; `None`: none waits.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        // Most queues are empty, and rules ask at each request.
        if self.waiting() == 0 {
            return None;
        }
        self.line().waiting.front().map(|it| it.since)
    }

    /// A place behind all others; `None`, and counted, where `most` wait already. `now` is in milliseconds.
    #[must_use]
    pub fn enter(self: &Arc<Self>, most: u32, now: u64) -> Option<Place> {
        let mut line = self.line();
        if line.waiting.len() >= most as usize {
            self.counts.full.fetch_add(1, Relaxed);
            return None;
        }
        line.last += 1;
        let number = line.last;
        // Whoever is first looks for itself.
        let called = line.waiting.is_empty();
        line.waiting.push_back(Waiting { number, since: now, called, waker: None });
        // Before it looks for room: whoever makes room after that sees it.
        self.waiting.fetch_add(1, SeqCst);
        drop(line);
        Some(Place { queue: Arc::clone(self), number })
    }

    /// There may be room for one more.
    pub fn call_next(&self) {
        if self.waiting.load(SeqCst) == 0 {
            return;
        }
        let mut line = self.line();
        let next = line.waiting.iter_mut().find(|it| !it.called);
        let waker = next.and_then(|next| {
            next.called = true;
            next.waker.take()
        });
        drop(line);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// There may be room for many.
    pub fn call_all(&self) {
        for _ in 0..self.waiting.load(SeqCst) {
            self.call_next();
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Whether it was called since this was last asked; if not, `waker` is woken when it is.
    #[must_use]
    pub fn take_call(&self, waker: &Waker) -> bool {
        let mut line = self.queue.line();
        let Some(own) = line.waiting.iter_mut().find(|it| it.number == self.number) else { return true };
        if !std::mem::take(&mut own.called) {
            own.waker = Some(waker.clone());
            return false;
        }
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut line = self.queue.line();
        line.waiting.retain(|it| it.number != self.number);
        self.queue.waiting.fetch_sub(1, SeqCst);
        drop(line);
        // It may leave without what it was called for, or there is room for more than it took.
        self.queue.call_next();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    fn waker() -> (Arc<Woken>, Waker) {
        let woken = Arc::<Woken>::default();
        (Arc::clone(&woken), woken.into())
    }

    #[test]
    fn who_comes_first_is_called_first() {
        let queue = Arc::<Queue>::default();
        let places = [5, 6, 7].map(|now| queue.enter(3, now).unwrap());
        assert!(queue.enter(3, 8).is_none());
        assert_eq!(queue.oldest(), Some(5));
        assert_eq!((queue.waiting(), queue.counts.full.load(Relaxed)), (3, 1));
        let wakers = [(); 3].map(|()| waker());
        let calls = || [0, 1, 2].map(|at: usize| places[at].take_call(&wakers[at].1));
        assert_eq!(calls(), [true, false, false], "the first looks for itself");
        assert_eq!(calls(), [false; 3]);
        queue.call_next();
        queue.call_next();
        assert_eq!(wakers.each_ref().map(|(woken, _)| woken.0.load(Relaxed)), [1, 1, 0]);
        assert_eq!(calls(), [true, true, false]);
        queue.call_all();
        assert_eq!(calls(), [true; 3]);
    }

    #[test]
    fn who_leaves_calls_the_next() {
        let queue = Arc::<Queue>::default();
        let (first, second) = (queue.enter(9, 1).unwrap(), queue.enter(9, 2).unwrap());
        let (woken, waker) = waker();
        assert!(!second.take_call(&waker));
        drop(first);
        assert_eq!(woken.0.load(Relaxed), 1);
        assert!(second.take_call(&waker));
        drop(second);
        assert_eq!(queue.waiting(), 0);
        queue.call_all();
    }
}
