//! The signals of the daemon.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

pub(super) struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
    quit: Signal,
}

/// What a signal asks for.
pub(super) enum Asked {
    Reload,
    End,
}

/// Signals that mean nothing to Shunt and would end it without a word if they were left alone (signal(7)).
/// SIGPIPE is ignored since the process began.
fn meaningless() -> impl Iterator<Item = (&'static str, SignalKind)> {
    // The numbers of Linux, on every architecture that Shunt is built for.
    let named = [
        ("SIGUSR1", SignalKind::user_defined1()),
        ("SIGUSR2", SignalKind::user_defined2()),
        ("SIGALRM", SignalKind::alarm()),
        ("SIGIO", SignalKind::io()),
        ("SIGSTKFLT", SignalKind::from_raw(16)),
        ("SIGVTALRM", SignalKind::from_raw(26)),
        ("SIGPROF", SignalKind::from_raw(27)),
        ("SIGPWR", SignalKind::from_raw(30)),
    ];
    // The C library takes 32 and 33 for itself.
    named.into_iter().chain((34..=64).map(|number| ("a real-time signal", SignalKind::from_raw(number))))
}

impl Signals {
    /// Takes signals over from the kernel's defaults. In a runtime.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn catch() -> io::Result<Self> {
        for (name, kind) in meaningless() {
            let mut caught = signal(kind)?;
            tokio::spawn(async move {
                while caught.recv().await.is_some() {
                    tracing::warn!(
                        "Shunt ignores {name}: SIGHUP reloads, SIGTERM ends, `shunt status` shows what runs"
                    );
                }
            });
        }
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    pub(super) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.hangup.recv() => Asked::Reload,
            _ = self.interrupt.recv() => Asked::End,
            _ = self.terminate.recv() => Asked::End,
            _ = self.quit.recv() => Asked::End,
        }
    }

    /// Waits for one of those that end the process.
    pub(super) async fn end(&mut self) {
        while !matches!(self.next().await, Asked::End) {
            tracing::warn!("Shunt ignores SIGHUP while it starts or ends");
        }
    }
}
