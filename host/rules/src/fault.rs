//! What went wrong in one hook call.

use std::fmt;

use crate::Hook;

/// A hook call that gave no verdict. It costs that one call; the attachment's
/// [`OnFault`](crate::OnFault) decides in the rule's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    pub hook: Hook,
    /// What to tell the rule author. Empty for [`FaultKind::BreakerOpen`].
    pub message: String,
}

/// Why a call gave no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FaultKind {
    /// It ran past its time budget.
    Timeout,
    /// It asked for more memory than its budget.
    Memory,
    /// It recursed too deeply.
    Stack,
    /// The rule panicked, or reached code that it holds to be unreachable.
    Panic,
    /// Any other trap: out of bounds, division by zero, a value that breaks the calling convention.
    Trap,
    /// It made the host do more than a call may, or something that it may not.
    HostCalls,
    /// Its verdict means nothing here: an unknown slot, an answer that HTTP does not allow.
    Verdict,
    /// No instance could be made: the pool of instances is used up, or `on-load` refused.
    Instance,
    /// It was not called, because it faulted too often lately.
    BreakerOpen,
}

impl FaultKind {
    /// How many there are; `kind as usize` is below it.
    pub const COUNT: usize = 9;

    pub const ALL: [FaultKind; FaultKind::COUNT] = [
        FaultKind::Timeout,
        FaultKind::Memory,
        FaultKind::Stack,
        FaultKind::Panic,
        FaultKind::Trap,
        FaultKind::HostCalls,
        FaultKind::Verdict,
        FaultKind::Instance,
        FaultKind::BreakerOpen,
    ];

    /// The name in metrics and in the admin interface.
    pub const fn name(self) -> &'static str {
        match self {
            FaultKind::Timeout => "timeout",
            FaultKind::Memory => "memory",
            FaultKind::Stack => "stack",
            FaultKind::Panic => "panic",
            FaultKind::Trap => "trap",
            FaultKind::HostCalls => "host-calls",
            FaultKind::Verdict => "verdict",
            FaultKind::Instance => "instance",
            FaultKind::BreakerOpen => "breaker-open",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `on-request: timeout: ran for longer than 10 ms`
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.hook, self.kind)?;
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}

impl std::error::Error for Fault {}
