//! Faults: the host is told the message of a panic or an error, and the call ends with a
//! trap.

use std::panic::PanicHookInfo;

use crate::bindings::fault as wire;
use crate::text::{digits, join};

/// Reports panics of this instance: `panicked at src/lib.rs:7:5: …`.
pub(crate) fn report_panics() {
    std::panic::set_hook(Box::new(|panic| wire::report(&describe(panic))));
}

/// Ends the call as a fault.
pub(crate) fn end_call(message: &str) -> ! {
    wire::report(message);
    std::process::abort()
}

/// What `PanicHookInfo` displays, in one line. Made without `format!`, which would add a
/// tenth to the size of the smallest rule.
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
