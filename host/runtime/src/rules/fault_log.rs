//! Faults of rules in the log: each rule's at most once in a while, for a rule that fails does so with every
//! request. All are counted elsewhere.

use std::cell::Cell;

use shunt_rules::{Attachment, Fault, FaultKind};

use crate::clock;

/// Faults of one rule are written to the log at most so often by each worker, in milliseconds.
const EVERY: u64 = 1_000;

/// When a worker last wrote of one rule.
#[derive(Debug, Default)]
pub struct FaultLog(Cell<Option<u64>>);

impl FaultLog {
    /// Logs what a fault was, unless one was logged a moment ago.
    pub fn tell(&self, attachment: &Attachment, fault: &Fault) {
        let now = clock::monotonic_ms();
        let due = self.0.get().is_none_or(|last| now - last >= EVERY);
        if due && fault.kind != FaultKind::BreakerOpen {
            self.0.set(Some(now));
            tracing::warn!(rule = %attachment.name(), fault = %fault.to_string().escape_debug(), "fault");
        }
    }
}
