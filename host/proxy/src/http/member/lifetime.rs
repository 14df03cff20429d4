//! How long a member keeps an idle connection, as far as it has shown.

use std::cell::Cell;
use std::time::Duration;

/// What was said ends so much earlier here: the member's clock began when it sent the answer.
const MARGIN: Duration = Duration::from_secs(1);
/// The least of what was said that is of any use.
const LEAST: Duration = Duration::from_millis(500);

#[derive(Clone, Debug)]
pub(super) struct Lifetime {
    /// Where the member neither says nor shows anything else.
    configured: Cell<Duration>,
    /// It closed connections that had been idle for little more than this.
    shown: Cell<Duration>,
}

impl Default for Lifetime {
    /// Without a bound of its own.
    fn default() -> Self {
        Lifetime { configured: Cell::new(Duration::MAX), shown: Cell::new(Duration::MAX) }
    }
}

impl Lifetime {
    pub(super) fn configure(&self, configured: Duration) {
        self.configured.set(configured);
    }

    /// How long a connection may be idle of which the member `said` for how many seconds it keeps it.
    pub(super) fn of(&self, said: Option<u64>) -> Duration {
        match said {
            Some(seconds) => Duration::from_secs(seconds).saturating_sub(MARGIN).max(LEAST),
            None => self.configured.get().min(self.shown.get()),
        }
    }

    /// The member closed a connection that had been `idle` for so long, or for less.
    pub(super) fn closed_after(&self, idle: Duration) {
        self.shown.set(self.shown.get().min(idle * 3 / 4));
    }

    /// Lets what was shown pass with time: the member may have closed all connections for another reason.
    pub(super) fn relax(&self) {
        let shown = self.shown.get();
        self.shown.set(shown.saturating_add(shown / 8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_precedes_what_is_shown_and_configured() {
        let second = Duration::from_secs(1);
        let lifetime = Lifetime::default();
        lifetime.configure(4 * second);
        assert_eq!(lifetime.of(None), 4 * second);
        assert_eq!((lifetime.of(Some(5)), lifetime.of(Some(72))), (4 * second, 71 * second));
        assert_eq!((lifetime.of(Some(1)), lifetime.of(Some(0))), (LEAST, LEAST));
        lifetime.closed_after(20 * second);
        assert_eq!(lifetime.of(None), 4 * second, "that is longer than it is kept");
        lifetime.closed_after(2 * second);
        lifetime.closed_after(3 * second);
        assert_eq!(lifetime.of(None), Duration::from_millis(1500));
        assert_eq!(lifetime.of(Some(5)), 4 * second);
        for _ in 0..20 {
            lifetime.relax();
        }
        assert_eq!(lifetime.of(None), 4 * second);
        Lifetime::default().relax();
    }
}
