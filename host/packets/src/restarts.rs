//! How often a thread may begin again after a panic.

/// How often, within [`WINDOW`]. More often, and something is wrong that does not pass.
const MOST: usize = 8;
/// In milliseconds. A bug that is met now and then over months is not the end of the process.
const WINDOW: u64 = 600_000;

/// When a thread began again, in milliseconds of the monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct Restarts(Vec<u64>);

impl Restarts {
    /// May it begin again now?
    pub(crate) fn allows(&mut self, now: u64) -> bool {
        self.0.retain(|at| now.saturating_sub(*at) < WINDOW);
        self.0.push(now);
        self.0.len() <= MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_now_and_then_ends_nothing() {
        let mut restarts = Restarts::default();
        assert!((0..1_000).all(|time| restarts.allows(time * WINDOW / 8)), "eight in each window, for ever");
        let mut restarts = Restarts::default();
        assert_eq!((0..100).take_while(|time| restarts.allows(*time)).count(), MOST);
        assert!(restarts.allows(100 + WINDOW), "the window is over");
    }
}
