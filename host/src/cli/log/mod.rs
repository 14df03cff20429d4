//! The daemon's log: standard error, with what `SHUNT_LOG` lets through.

mod filter;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal};
use std::panic;

use super::failure::{Exit, Failure};
use filter::FilterError;
use shunt_runtime::log::{self, Line, Queue};

/// Starts it.
///
/// # Errors
/// `SHUNT_LOG` is no filter, or the system refuses a thread.
pub(super) fn start(colours: bool) -> Result<(), Failure> {
    let filter = filter::from_environment()
        .map_err(|error| Failure::new(Exit::Usage, "usage", error.to_string()).help(FilterError::HELP))?;
    let system = |error: &dyn std::fmt::Display| {
        Failure::failed("system", format!("the log cannot be started: {error}"))
    };
    let queue = log::start(io::stderr()).map_err(|error| system(&error))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || Line(queue))
        .with_ansi(colours)
        // The subscriber would print its own errors to standard error, and panic where that fails.
        .log_internal_errors(false);
    // Where the log is read later the times in it matter; on a terminal they only take room.
    let started = if io::stderr().is_terminal() { log.without_time().try_init() } else { log.try_init() };
    started.map_err(|error| system(&error))?;
    log_panics(queue);
    Ok(())
}

/// Lets panics be lines of the log like all others.
fn log_panics(queue: &'static Queue) {
    panic::set_hook(Box::new(|info| {
        let backtrace = Backtrace::capture();
        let mut text = format!("{info}\n");
        if backtrace.status() == BacktraceStatus::Captured {
            text.push_str(&format!("{backtrace}\n"));
        }
        queue.push(text.as_bytes());
    }));
}
