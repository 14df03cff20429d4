//! The time of a worker's turn: what is due after one wait for events is done within a moment, and a clock read for each
//! step of it costs more than the step.

use std::cell::Cell;

use tokio::time::Instant;

/// So often one reading is used, so that it is of this moment, however much there is to do.
const MOST_USED: u8 = 16;

thread_local! {
    /// `None`: the thread is no worker.
    static READING: Cell<Option<Reading>> = const { Cell::new(None) };
}

#[derive(Clone, Copy)]
struct Reading {
    at: Option<Instant>,
    left: u8,
}

/// To be called when a worker has waited for events.
pub(crate) fn begin() {
    READING.set(Some(Reading { at: None, left: 0 }));
}

/// The time as it was read in this turn, a moment ago at most. It may lie before an [`Instant`] that was read since.
pub(crate) fn now() -> Instant {
    match READING.get() {
        Some(Reading { at: Some(at), left: left @ 1.. }) => {
            READING.set(Some(Reading { at: Some(at), left: left - 1 }));
            at
        }
        Some(_) => {
            let at = Instant::now();
            READING.set(Some(Reading { at: Some(at), left: MOST_USED }));
            at
        }
        None => Instant::now(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_clock_is_read_again_after_a_wait_and_after_some_uses() {
        let step = Duration::from_millis(1);
        let read = now();
        tokio::time::advance(step).await;
        assert_eq!(now(), read + step, "this thread is no worker");

        begin();
        let read = now();
        tokio::time::advance(step).await;
        for _ in 0..MOST_USED {
            assert_eq!(now(), read);
        }
        assert_eq!(now(), read + step);
        tokio::time::advance(step).await;
        begin();
        assert_eq!(now(), read + 2 * step);
    }
}
