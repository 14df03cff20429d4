//! One coarse deadline per stream, in place of a timer per phase. HTTP/1 has one stream per connection, whose deadline
//! is that of the connection between two requests.
//!
//! Moving it costs a cell; the timer itself is touched only when the deadline comes nearer than what
//! it is set to, or when it fires and finds that there was progress. Where progress counts, it fires
//! every [`Deadline::tick`]: that is how much longer than the idle time a wait without progress may last.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::turn;

/// What a stream waits for; it decides what happens when the time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// The TLS handshake, or the rest of a request head that has begun.
    Head,
    /// The next request on a connection that is kept alive.
    Request,
    /// The rest of a request body, of which the member has not answered yet.
    RequestBody,
    /// The response head of a member that has the whole request.
    FirstByte,
    /// Bytes of a body, either way, once the member has answered.
    Body,
}

/// How often progress is looked for, at least.
const MOST_TICK: Duration = Duration::from_secs(2);

/// The clock of timers is no finer.
const LEAST_TICK: Duration = Duration::from_millis(1);

impl Waiting {
    fn is_extended_by_progress(self) -> bool {
        matches!(self, Waiting::Request | Waiting::RequestBody | Waiting::Body)
    }
}

#[derive(Debug)]
pub(crate) struct Deadline {
    waiting: Cell<Waiting>,
    at: Cell<Instant>,
    /// Something moved since the timer was last looked at: a sign of life costs no clock.
    progressed: Cell<bool>,
    expired: Cell<bool>,
    /// The timer is set to look for progress, before the deadline.
    ticking: Cell<bool>,
    /// How long each wait without progress may last.
    idle: Duration,
    /// How often progress is looked for.
    tick: Duration,
    /// How long a member may think once it has the whole request.
    first_byte: Duration,
    timer: RefCell<Pin<Box<Sleep>>>,
    /// The timer knows whom to wake.
    registered: Cell<bool>,
}

impl Deadline {
    /// `idle` is how far the deadline moves when the timer fires after progress; `first_byte` how long a
    /// member may take to answer.
    pub(crate) fn new(waiting: Waiting, at: Instant, idle: Duration, first_byte: Duration) -> Self {
        Deadline {
            waiting: Cell::new(waiting),
            at: Cell::new(at),
            progressed: Cell::new(false),
            expired: Cell::new(false),
            ticking: Cell::new(false),
            idle,
            tick: MOST_TICK.min(idle / 4).max(LEAST_TICK),
            first_byte,
            timer: RefCell::new(Box::pin(sleep_until(at))),
            registered: Cell::new(false),
        }
    }

    pub(crate) fn waiting(&self) -> Waiting {
        self.waiting.get()
    }

    /// Waits for something else, until `at`.
    pub(crate) fn wait_for(&self, waiting: Waiting, at: Instant) {
        self.waiting.set(waiting);
        self.at.set(at);
        self.expired.set(false);
        self.progressed.set(false);
        let sooner = {
            let timer = self.timer.borrow();
            at < timer.deadline() || timer.is_elapsed()
        };
        if sooner {
            self.ticking.set(false);
            self.set_timer(at);
        }
    }

    /// Waits for something else, for the idle time from now on and from each progress.
    pub(crate) fn wait_idle(&self, waiting: Waiting) {
        self.waiting.set(waiting);
        self.expired.set(false);
        self.progressed.set(true);
        if !self.ticking.replace(true) {
            self.set_timer(Instant::now() + self.tick);
        }
    }

    /// Waits for the next request, for the idle time from now on. The timer stays where it is: setting it costs a
    /// system call where it is the next of the worker's.
    pub(crate) fn rest(&self) {
        self.wait_for(Waiting::Request, turn::now() + self.idle);
    }

    /// Waits no longer than `most` for the next request, from when the wait for it began.
    pub(crate) fn cut_silence(&self, most: Duration) {
        let now = Instant::now();
        let since = match self.progressed.take() {
            true => now,
            false => self.at.get().checked_sub(self.idle).unwrap_or(now),
        };
        let at = (since + most).min(since + self.idle);
        self.at.set(at);
        self.ticking.set(false);
        self.set_timer(at);
    }

    fn set_timer(&self, at: Instant) {
        self.timer.borrow_mut().as_mut().reset(at);
        self.registered.set(false);
    }

    /// The whole request is on its way: the member's time begins, unless it has answered already.
    pub(crate) fn request_sent(&self) {
        if self.waiting.get() == Waiting::RequestBody {
            self.wait_for_answer();
        }
    }

    /// Waits for the response head of a member that has the whole request.
    pub(crate) fn wait_for_answer(&self) {
        self.wait_for(Waiting::FirstByte, Instant::now() + self.first_byte);
    }

    /// Bytes went through.
    pub(crate) fn progress(&self) {
        self.progressed.set(true);
    }

    pub(crate) fn expired(&self) -> bool {
        self.expired.get()
    }

    /// To be called at the end of every poll of the connection's task. Ready once the time is up; it stays so until
    /// the connection waits for something else.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.expired.get() {
            return Poll::Ready(());
        }
        let mut timer = self.timer.borrow_mut();
        if self.registered.get() && !timer.is_elapsed() {
            return Poll::Pending;
        }
        // Unconstrained: a peer that sends without end uses up the task's budget, by which the timer would never be due.
        while pin!(unconstrained(timer.as_mut())).poll(cx).is_ready() {
            let now = Instant::now();
            let waiting = self.waiting.get();
            if self.progressed.take() && waiting.is_extended_by_progress() {
                self.at.set(now + self.idle);
                self.ticking.set(true);
                timer.as_mut().reset(now + self.tick);
                continue;
            }
            self.registered.set(false);
            let at = self.at.get();
            if now >= at {
                self.ticking.set(false);
                self.expired.set(true);
                return Poll::Ready(());
            }
            if matches!(waiting, Waiting::RequestBody | Waiting::Body) {
                // Progress may come at any time before the deadline.
                self.ticking.set(true);
                timer.as_mut().reset(at.min(now + self.tick));
                continue;
            }
            timer.as_mut().reset(at);
            self.ticking.set(false);
        }
        self.registered.set(true);
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    async fn runs_out(deadline: &Deadline) -> Duration {
        let start = Instant::now();
        poll_fn(|cx| deadline.poll(cx)).await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn silence_that_is_cut_short_counts_from_its_beginning() {
        let start = Instant::now();
        let deadline = || Deadline::new(Waiting::Request, start + 60 * SECOND, 60 * SECOND, SECOND);
        let fresh = deadline();
        fresh.cut_silence(2 * SECOND);
        assert_eq!(runs_out(&fresh).await, 2 * SECOND);

        let old = deadline();
        sleep_until(start + 5 * SECOND).await;
        old.cut_silence(2 * SECOND);
        assert_eq!(runs_out(&old).await, Duration::ZERO);

        let answered = deadline();
        answered.rest();
        sleep_until(start + 6 * SECOND).await;
        answered.cut_silence(2 * SECOND);
        assert_eq!(runs_out(&answered).await, SECOND);

        let moving = deadline();
        moving.wait_idle(Waiting::Request);
        moving.cut_silence(2 * SECOND);
        assert_eq!(runs_out(&moving).await, 2 * SECOND);

        let brief = Deadline::new(Waiting::Request, Instant::now() + SECOND, SECOND, SECOND);
        brief.cut_silence(2 * SECOND);
        assert_eq!(runs_out(&brief).await, SECOND, "it gives no more time than there was");
    }

    #[tokio::test(start_paused = true)]
    async fn expires_when_nothing_happens() {
        let deadline = Deadline::new(Waiting::Head, Instant::now() + 10 * SECOND, 60 * SECOND, SECOND);
        assert_eq!(runs_out(&deadline).await.as_secs(), 10);
        assert!(deadline.expired());
    }

    #[tokio::test(start_paused = true)]
    async fn expires_though_the_task_has_used_up_its_budget() {
        let deadline = Deadline::new(Waiting::Head, Instant::now() + SECOND, 60 * SECOND, SECOND);
        poll_fn(|cx| {
            assert!(deadline.poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        tokio::time::advance(2 * SECOND).await;
        poll_fn(|cx| {
            while pin!(tokio::task::consume_budget()).poll(cx).is_ready() {}
            assert!(deadline.poll(cx).is_ready());
            Poll::Ready(())
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn progress_moves_it_by_the_idle_time() {
        let deadline = Deadline::new(Waiting::Body, Instant::now() + 10 * SECOND, 60 * SECOND, SECOND);
        deadline.progress();
        assert_eq!(runs_out(&deadline).await.as_secs(), 70);
    }

    #[tokio::test(start_paused = true)]
    async fn a_nearer_wait_takes_effect_and_an_expired_one_can_be_left() {
        let deadline = Deadline::new(Waiting::Request, Instant::now() + 60 * SECOND, 60 * SECOND, SECOND);
        deadline.wait_for(Waiting::FirstByte, Instant::now() + 2 * SECOND);
        assert_eq!(runs_out(&deadline).await.as_secs(), 2);
        deadline.wait_for(Waiting::Head, Instant::now() + 3 * SECOND);
        assert!(!deadline.expired());
        assert_eq!(runs_out(&deadline).await.as_secs(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_farther_wait_is_kept_though_the_timer_fires_earlier() {
        let deadline = Deadline::new(Waiting::Request, Instant::now() + 5 * SECOND, 60 * SECOND, SECOND);
        deadline.wait_for(Waiting::FirstByte, Instant::now() + 50 * SECOND);
        assert_eq!(runs_out(&deadline).await.as_secs(), 50);
    }

    /// The two times do not depend on each other, whichever is the longer.
    #[tokio::test(start_paused = true)]
    async fn a_body_has_the_idle_time_and_an_answer_that_of_the_first_byte() {
        for (idle, first_byte) in [(20, 4), (4, 20)] {
            let start = Instant::now();
            let idle = idle * SECOND;
            let deadline = Deadline::new(Waiting::Request, start + idle, idle, first_byte * SECOND);
            let lasts = |waited: Duration, time: Duration| waited >= time && waited <= time + idle / 4;

            deadline.wait_for_answer();
            assert!(lasts(runs_out(&deadline).await, first_byte * SECOND));

            // A body that stops at once, and one that stops after a while.
            deadline.wait_idle(Waiting::RequestBody);
            assert!(lasts(runs_out(&deadline).await, idle));
            deadline.wait_idle(Waiting::RequestBody);
            let mut last = Instant::now();
            for part in [3, 9, 5, 8] {
                let pause = idle * part / 10;
                let silent = tokio::time::timeout(pause, poll_fn(|cx| deadline.poll(cx))).await;
                assert!(silent.is_err(), "{idle:?}: ended in a pause of {pause:?}");
                deadline.progress();
                last = Instant::now();
            }
            runs_out(&deadline).await;
            assert!(lasts(last.elapsed(), idle), "{idle:?}: {:?}", last.elapsed());

            // The last of it: the member's time begins.
            deadline.wait_idle(Waiting::RequestBody);
            deadline.progress();
            deadline.request_sent();
            assert_eq!(runs_out(&deadline).await, first_byte * SECOND);

            // An answer that came before the rest of the request: what is left is the body's time.
            deadline.wait_idle(Waiting::Body);
            deadline.request_sent();
            assert!(lasts(runs_out(&deadline).await, idle));
        }
    }
}
