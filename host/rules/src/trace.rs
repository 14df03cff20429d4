//! What a hook call read, changed and decided, for who asks why. While nobody does, a host call costs a branch for it.

mod told;
mod verdicts;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::state::State;
use crate::{Attachment, Fault, Hook, Runner};

pub(crate) use told::{Arguments, Told};
pub(crate) use verdicts::Verdict;

/// Host calls that are kept of a hook call.
const MOST_CALLS: usize = 256;

/// Fields whose values are shown to nobody (RFC 9110 section 17.16.3, RFC 6265 section 8.3).
const SECRET: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "set-cookie"];

/// Whether the values of a field are left out wherever they would be shown.
pub fn is_secret(field: &str) -> bool {
    SECRET.iter().any(|secret| secret.eq_ignore_ascii_case(field))
}

/// A value that is left out.
pub fn left_out(length: usize) -> String {
    format!("({length} bytes, not shown)")
}

/// A call of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    /// `virtual/rule`
    pub rule: Arc<str>,
    pub hook: Hook,
    /// What it asked of the host, in order.
    pub calls: Vec<HostCall>,
    /// Host calls beyond those that are kept.
    pub more_calls: u32,
    /// The name of the verdict in the contract, or `fault`.
    pub verdict: &'static str,
    /// The verdict in words.
    pub said: String,
    /// Zero: it is no call of its own, and says that the verdict of the one before means nothing.
    pub took: Duration,
}

/// A call of a host function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostCall {
    /// As `request.header`, by its interface or resource.
    pub function: String,
    pub arguments: Vec<String>,
    /// `None`: it returns nothing.
    pub result: Option<String>,
    /// It changes something, or would.
    pub changes: bool,
}

/// What a runner records while it is listened to.
#[derive(Default)]
pub(crate) struct Recording {
    called: Vec<Called>,
    calls: Calls,
}

/// The host calls of a hook call.
#[derive(Default)]
pub(crate) struct Calls {
    kept: Vec<HostCall>,
    more: u32,
}

impl Runner {
    /// Has its calls recorded until they are [heard](Runner::heard).
    pub fn listen(&mut self) {
        self.recording.get_or_insert_default();
    }

    /// The calls that were recorded. No more are.
    pub fn heard(&mut self) -> Vec<Called> {
        self.recording.take().map_or_else(Vec::new, |recording| recording.called)
    }

    /// Lends a store the list of host calls.
    #[inline]
    pub(crate) fn lend_calls(recording: &mut Option<Box<Recording>>, state: &mut State) {
        if let Some(recording) = recording {
            state.calls = Some(Box::new(std::mem::take(&mut recording.calls)));
        }
    }

    /// Takes it back.
    #[inline]
    pub(crate) fn take_calls(recording: &mut Option<Box<Recording>>, state: &mut State) {
        if let Some(recording) = recording {
            recording.calls = state.calls.take().map(|calls| *calls).unwrap_or_default();
        }
    }

    /// When a call begins that is recorded.
    #[inline]
    pub(crate) fn recorded_from(&self) -> Option<Instant> {
        self.recording.is_some().then(Instant::now)
    }

    /// Takes a call in that has ended.
    #[cold]
    pub(crate) fn record(&mut self, hook: Hook, began: Instant, result: Result<&dyn Verdict, &Fault>) {
        let took = began.elapsed();
        let (verdict, said) = match result {
            Ok(verdict) => (verdict.case(), verdict.told(&self.attachment)),
            Err(fault) => ("fault", fault.to_string()),
        };
        let rule = Arc::clone(self.attachment.name());
        if let Some(recording) = &mut self.recording {
            let Calls { kept, more } = std::mem::take(&mut recording.calls);
            recording.called.push(Called { rule, hook, calls: kept, more_calls: more, verdict, said, took });
        }
    }

    /// The verdict of the last call means nothing.
    #[cold]
    pub(crate) fn record_refusal(&mut self, fault: &Fault) {
        let rule = Arc::clone(self.attachment.name());
        let Some(recording) = &mut self.recording else { return };
        let (verdict, said) = ("fault", fault.to_string());
        match recording.called.last_mut() {
            Some(last) => (last.verdict, last.said) = (verdict, said),
            None => recording.called.push(Called {
                rule,
                hook: fault.hook,
                calls: Vec::new(),
                more_calls: 0,
                verdict,
                said,
                took: Duration::ZERO,
            }),
        }
    }
}

/// Calls a host function: the one place through which all of them are called.
#[inline]
pub(crate) fn host_call<A: Arguments, T: Told>(
    state: &mut State,
    (interface, name): (&'static str, &'static str),
    arguments: A,
    call: impl FnOnce(&mut State) -> wasmtime::Result<T>,
) -> wasmtime::Result<T> {
    let result = call(state);
    if state.calls.is_some() {
        record_call(state, interface, name, &arguments, &result);
    }
    result
}

#[cold]
fn record_call(
    state: &mut State,
    interface: &'static str,
    name: &'static str,
    arguments: &dyn Arguments,
    result: &wasmtime::Result<impl Told>,
) {
    let Some(calls) = &mut state.calls else { return };
    if calls.kept.len() >= MOST_CALLS {
        calls.more = calls.more.saturating_add(1);
        return;
    }
    let (function, verb) = match name.strip_prefix("[method]") {
        Some(method) => (method.to_owned(), method.rsplit('.').next().unwrap_or(method)),
        None => (format!("{interface}.{name}"), name),
    };
    let mut arguments = arguments.told();
    let names_secret = arguments.first().is_some_and(|first| is_secret(first.trim_matches('"')));
    // What keys seal, open and verify is as secret as they are; the name of the key is not.
    let by_keys = interface == "crypto";
    let hides = by_keys || verb.contains("header") && names_secret;
    if hides {
        let shown = usize::from(!(by_keys && verb == "equal"));
        arguments.iter_mut().skip(shown).for_each(|it| *it = left_out_of(it));
    }
    let result = match result {
        Ok(result) => result.told().map(|it| {
            let has_text = it.contains('"') || by_keys && it.starts_with("0x");
            if hides && has_text { left_out_of(&it) } else { it }
        }),
        Err(error) => Some(format!("refused: {error}")),
    };
    calls.kept.push(HostCall { function, arguments, result, changes: changes(verb) });
}

/// Of a value as it would be shown.
fn left_out_of(shown: &str) -> String {
    left_out(shown.trim_matches('"').len())
}

/// Whether what a function does is seen by others than its caller.
fn changes(verb: &str) -> bool {
    const VERBS: [&str; 11] =
        ["add", "allow", "bind", "compare", "delete", "keep", "put", "remove", "set", "take", "write"];
    VERBS.contains(&verb.split('-').next().unwrap_or(verb))
}

impl Attachment {
    /// A slot in words.
    fn slot_told(&self, place: usize) -> String {
        match self.slots().get(place) {
            Some(binding) => format!("{} (pool {})", binding.slot, binding.pool),
            None => format!("slot {place}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_in_any_case() {
        assert!(is_secret("Cookie") && is_secret("authorization") && !is_secret("cookies"));
        assert_eq!(left_out_of("\"abc\""), "(3 bytes, not shown)");
    }

    #[test]
    fn what_changes_is_told_from_what_reads() {
        for verb in ["set-header", "add-header", "remove", "write", "set"] {
            assert!(changes(verb), "{verb}");
        }
        for verb in
            ["header", "headers", "get", "get-pool", "members", "unix-ms", "enabled", "bytes", "count"]
        {
            assert!(!changes(verb), "{verb}");
        }
    }
}
