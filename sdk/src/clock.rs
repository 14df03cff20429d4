//! Time.

use std::time::Duration;

use crate::bindings::clock as wire;

/// The time since 1970-01-01 00:00 UTC, in milliseconds. Jumps when the system clock is set.
pub fn unix() -> Duration {
    Duration::from_millis(wire::unix_ms())
}

/// The time since some moment before the rule was loaded, in microseconds. Never decreases.
pub fn monotonic() -> Duration {
    Duration::from_micros(wire::monotonic_us())
}
