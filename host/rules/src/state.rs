//! What a rule's store holds: the exchange of the current call, and what the call may still use.

use std::sync::Arc;

use wasmtime::ResourceLimiter;

use crate::abi::FieldError;
use crate::budget::CallTime;
use crate::direct::guest::Guest;
use crate::epoch::Mark;
use crate::grants::{Access, Grant, Key};
use crate::host::MAX_TABLE;
use crate::trace::Calls;
use crate::{Attachment, Exchange};

/// Host calls that one hook call may make. The time budget ends a flood of expensive ones; this
/// ends one of cheap ones, which would stretch it.
const HOST_CALLS: u32 = 100_000;
/// Random bytes that one hook call may draw.
const RANDOM_BYTES: u32 = 64 << 10;
/// Different things that were not granted, of which the names are kept.
pub(crate) const MOST_DENIED: usize = 16;
/// Bytes that are kept of a field's name.
const MAX_NAME: usize = 64;

pub(crate) struct State {
    pub attachment: Arc<Attachment>,
    /// That of the caller, for as long as a call runs; an empty one between calls.
    pub exchange: Box<Exchange>,
    /// Whether variables of the request are those of the flow: in hooks of the flow.
    pub flow_only: bool,
    pub usage: Usage,
    pub time: CallTime,
    pub memory: Memory,
    /// Says to the clock whether a call runs.
    pub mark: Arc<Mark>,
    /// Where the instance is a core module that is called directly.
    pub guest: Option<Guest>,
    /// What the call asks of the host, where that is recorded.
    pub calls: Option<Box<Calls>>,
}

/// What the current call has used of the host.
#[derive(Default)]
pub(crate) struct Usage {
    host_calls: u32,
    log_lines: u32,
    random_bytes: u32,
    /// The clock, read where a call needs it first.
    now_ms: Option<u64>,
    /// Bytes of the heads, where a change made it worth counting.
    pub request_head: Option<usize>,
    pub response_head: Option<usize>,
    /// What the rule reported before it traps.
    pub report: Option<String>,
    /// Calls that asked for what the pack was not granted.
    pub not_granted: u32,
    /// What they asked for, each once.
    pub denied: Vec<Grant>,
}

/// The host refuses to continue with a call. Becomes a trap, and then a fault.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("{0}")]
    HostCalls(String),
    #[error("needs {} KiB of memory, and its budget is {} KiB", desired.div_ceil(1024), budget / 1024)]
    Memory { desired: usize, budget: usize },
    #[error("needs a table of {0} elements; at most {MAX_TABLE} are allowed")]
    Table(usize),
}

impl Refusal {
    pub(crate) fn host_call(why: impl Into<String>) -> wasmtime::Error {
        Refusal::HostCalls(why.into()).into()
    }
}

impl Usage {
    #[inline]
    pub(crate) fn host_call(&mut self) -> wasmtime::Result<()> {
        self.host_calls += 1;
        if self.host_calls > HOST_CALLS {
            return Err(Refusal::host_call(format!("made more than {HOST_CALLS} host calls")));
        }
        Ok(())
    }

    /// `most`: lines that the pack was granted.
    pub(crate) fn log_line(&mut self, most: u8) -> wasmtime::Result<()> {
        self.log_lines += 1;
        if self.log_lines > most.into() {
            return Err(Refusal::host_call(format!(
                "logged more than {most} lines, which is what it was granted"
            )));
        }
        Ok(())
    }

    #[cold]
    fn deny(&mut self, key: Key, name: &str) -> FieldError {
        self.not_granted = self.not_granted.saturating_add(1);
        let name = name[..name.floor_char_boundary(MAX_NAME)].to_ascii_lowercase();
        let grant = Grant::new(key, name);
        if self.denied.len() < MOST_DENIED && !self.denied.contains(&grant) {
            self.denied.push(grant);
        }
        FieldError::NotGranted
    }

    pub(crate) fn random_bytes(&mut self, len: u32) -> wasmtime::Result<()> {
        self.random_bytes = self.random_bytes.saturating_add(len);
        if self.random_bytes > RANDOM_BYTES {
            return Err(Refusal::host_call(format!("drew more than {RANDOM_BYTES} random bytes")));
        }
        Ok(())
    }
}

impl State {
    /// Milliseconds of the monotonic clock, the same for all of a call.
    #[inline]
    pub(crate) fn now_ms(&mut self) -> u64 {
        let environment = &self.attachment.environment;
        *self.usage.now_ms.get_or_insert_with(|| environment.monotonic_us() / 1000)
    }

    /// Bytes that the host copies at most for one host call, or of what one call returned: a list of strings that all
    /// name the same bytes would else multiply its memory.
    #[inline]
    pub(crate) fn copied_at_most(&self) -> usize {
        usize::try_from(self.attachment.budget.memory).unwrap_or(usize::MAX)
    }

    /// Whether the pack was granted this field of a head. `key` is one of those that list fields.
    #[inline]
    pub(crate) fn check_field(&mut self, key: Key, name: &str) -> Result<(), FieldError> {
        let grants = &self.attachment.grants;
        let (fields, access) = match key {
            Key::RequestRead => (&grants.request.read, Access::Read),
            Key::RequestWrite => (&grants.request.write, Access::Write),
            Key::ResponseRead => (&grants.response.read, Access::Read),
            _ => (&grants.response.write, Access::Write),
        };
        if fields.allows(access, name) { Ok(()) } else { Err(self.usage.deny(key, name)) }
    }

    /// Refuses what the pack was not granted.
    #[inline]
    pub(crate) fn check(&mut self, key: Key, granted: bool) -> Result<(), FieldError> {
        if granted { Ok(()) } else { Err(self.usage.deny(key, "")) }
    }
}

/// The memory budget of one instance.
pub(crate) struct Memory {
    budget: usize,
    /// Bytes of linear memory now.
    used: usize,
    /// Bytes when it was ready for its first call.
    ready: usize,
}

impl Memory {
    pub(crate) fn new(budget: u64) -> Memory {
        Memory { budget: usize::try_from(budget).unwrap_or(usize::MAX), used: 0, ready: 0 }
    }

    /// The instance is ready: what it uses now is what a fresh one would.
    pub(crate) fn settle(&mut self) {
        self.ready = self.used;
    }

    /// Whether a fresh instance should take this one's place before it hits its budget: linear
    /// memory never shrinks, and a rule that leaks would else fault at some request.
    pub(crate) fn wants_fresh(&self) -> bool {
        self.used > self.ready && self.used > self.budget / 4 * 3
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let used = self.used.saturating_sub(current).saturating_add(desired);
        if used > self.budget {
            // An error and not `false`, which a guest could take for anything: the fault says what happened.
            return Err(Refusal::Memory { desired: used, budget: self.budget }.into());
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired > MAX_TABLE { Err(Refusal::Table(desired).into()) } else { Ok(true) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_refused_past_the_budget_and_renewed_before_it() {
        let mut memory = Memory::new(1 << 20);
        assert!(memory.memory_growing(0, 512 << 10, None).unwrap());
        memory.settle();
        assert!(!memory.wants_fresh());
        assert!(memory.memory_growing(512 << 10, 832 << 10, None).unwrap());
        assert!(memory.wants_fresh());
        let error = memory.memory_growing(832 << 10, 2 << 20, None).unwrap_err();
        assert_eq!(error.to_string(), "needs 2048 KiB of memory, and its budget is 1024 KiB");
    }

    #[test]
    fn an_instance_that_starts_large_is_not_renewed_for_that() {
        let mut memory = Memory::new(1 << 20);
        assert!(memory.memory_growing(0, 1 << 20, None).unwrap());
        memory.settle();
        assert!(!memory.wants_fresh());
    }
}
