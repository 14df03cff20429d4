//! How a call ends that went wrong: its author learns why from the log, and the host
//! sees a trap.

use std::panic::PanicHookInfo;

use crate::log::{self, Level};
use crate::text::{digits, join};

/// Has panics of this instance written to the log: `panicked at src/lib.rs:7:5: …`.
pub(crate) fn report_panics() {
    std::panic::set_hook(Box::new(|panic| log::write(Level::Error, &describe(panic))));
}

/// Ends the call as a fault.
pub(crate) fn end_call(message: &str) -> ! {
    log::write(Level::Error, message);
    std::process::abort()
}

/// What `PanicHookInfo` says of itself, in one line. Made by hand, because every rule
/// carries this: `format!` would add a tenth to the smallest rule.
fn describe(panic: &PanicHookInfo<'_>) -> String {
    let message = panic.payload_as_str().unwrap_or("(no message)");
    match panic.location() {
        Some(place) => {
            let (line, column) = (digits(place.line().into()), digits(place.column().into()));
            join(&["panicked at ", place.file(), ":", &line, ":", &column, ": ", message])
        }
        None => join(&["panicked: ", message]),
    }
}
