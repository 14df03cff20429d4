//! Time.

use std::time::Duration;

use crate::bindings::clock as wire;

/// Since 1970-01-01 00:00 UTC, to the millisecond. May jump when the clock is set.
pub fn unix() -> Duration {
    Duration::from_millis(wire::unix_ms())
}

/// Since some moment before the rule was loaded, to the microsecond. Never runs back.
pub fn monotonic() -> Duration {
    Duration::from_micros(wire::monotonic_us())
}
