//! What is fuzzed: functions that take any bytes, and panic if something does not hold.

mod carry;
mod datapath;
mod dissect;
mod rewrite;

pub use carry::carry;
pub use datapath::datapath;
pub use dissect::dissect;
pub use rewrite::rewrite;

/// A target: its name, which is that of its folder in `corpus`, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 4] =
    [("dissect", dissect), ("rewrite", rewrite), ("carry", carry), ("datapath", datapath)];
