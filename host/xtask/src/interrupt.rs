//! The wish of the user to end what runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Between two looks.
const TICK: Duration = Duration::from_millis(20);

/// The user wants it to end: Ctrl-C, or SIGTERM.
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on such a signal does not kill, but is told here. Child processes keep what is usual.
    pub(crate) fn catch() -> Result<Self> {
        let seen = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&seen)).context("cannot catch signals")?;
        }
        Ok(Self(seen))
    }

    /// Waits; an error if the user does not want to.
    pub(crate) fn sleep(&self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while !self.0.load(SeqCst) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(TICK));
        }
        bail!("interrupted");
    }
}
