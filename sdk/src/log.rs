//! Lines in Shunt's log. Each line names the virtual and the rule.
//!
//! `log::error!`, `log::warn!`, `log::info!` and `log::debug!` take the arguments of
//! `format!`, and format them only if Shunt writes lines of that level. The host cuts a
//! message after 4,096 bytes. Writing more lines in one call of a hook than `log` of
//! `[capabilities]` in `pack.toml` says is a fault.
//!
//! ```
//! # use shunt_sdk::prelude::*;
//! # fn show(request: &Request) {
//! log::debug!("{} {} goes to canary", request.method(), request.path());
//! # }
//! ```

use crate::bindings::log as wire;

pub use crate::{__log_debug as debug, __log_error as error, __log_info as info, __log_warn as warn};
pub use wire::Level;

/// Whether Shunt writes lines of that level.
pub fn enabled(level: Level) -> bool {
    wire::enabled(level)
}

/// Writes a line, if Shunt writes lines of that level.
pub fn write(level: Level, message: &str) {
    wire::write(level, message);
}

/// Writes a line at level error.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_error {
    ($($text:tt)+) => { $crate::__log_at!(Error, $($text)+) };
}

/// Writes a line at level warn.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_warn {
    ($($text:tt)+) => { $crate::__log_at!(Warn, $($text)+) };
}

/// Writes a line at level info.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_info {
    ($($text:tt)+) => { $crate::__log_at!(Info, $($text)+) };
}

/// Writes a line at level debug.
#[doc(hidden)]
#[macro_export]
macro_rules! __log_debug {
    ($($text:tt)+) => { $crate::__log_at!(Debug, $($text)+) };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __log_at {
    ($level:ident, $($text:tt)+) => {
        if $crate::log::enabled($crate::log::Level::$level) {
            $crate::log::write($crate::log::Level::$level, &::std::format!($($text)+));
        }
    };
}
