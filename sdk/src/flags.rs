//! Switches that the operator sets while the rule runs, by `shunt flag set`.
//!
//! `pack.toml` declares them with their defaults, which give each its type, and
//! `[capabilities]` asks for `flags`:
//!
//! ```toml
//! [flags]
//! green = { default = false, purpose = "requests go to the green pool" }
//! share = { default = 5, purpose = "how many of a hundred clients see the new page" }
//! ```
//!
//! Naming a flag that the pack does not declare, or that is of another type, is a fault.
//!
//! ```
//! # use shunt_sdk::prelude::*;
//! # fn show() -> request::Verdict {
//! if flags::is_on("green") { to_pool("green") } else { to_pool("blue") }
//! # }
//! ```

use crate::bindings::flag as wire;

/// The value of a flag that is true or false.
pub fn is_on(name: &str) -> bool {
    wire::get_boolean(name)
}

/// The value of a flag that is a whole number.
pub fn integer(name: &str) -> i64 {
    wire::get_integer(name)
}

/// The value of a flag that is a text.
pub fn text(name: &str) -> String {
    wire::get_text(name)
}
