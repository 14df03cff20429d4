//! Real rules on the real host: `tests/guests`, built by this crate's own `build`.

mod cases;
mod faults;
mod isolation;
mod lifecycle;
mod surface;
mod world;
