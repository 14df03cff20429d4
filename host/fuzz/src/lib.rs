//! What is fuzzed: functions that take any bytes, and panic if something does not hold.

mod carry;
mod datapath;
mod dissect;
mod rewrite;
mod translate;

pub use carry::carry;
pub use datapath::datapath;
pub use dissect::dissect;
pub use rewrite::rewrite;
pub use translate::translate;

/// A target: its name, which is that of its folder in `corpus`, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 5] = [
    ("dissect", dissect),
    ("rewrite", rewrite),
    ("carry", carry),
    ("translate", translate),
    ("datapath", datapath),
];
