//! Real rules on the real host: `tests/guests`, built by this crate's own `build`.

// A test that cannot continue fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod breaches;
mod cache;
mod cases;
mod data;
mod faults;
mod grants;
mod isolation;
mod lifecycle;
mod older;
mod probes;
mod surface;
mod ways;
mod world;
