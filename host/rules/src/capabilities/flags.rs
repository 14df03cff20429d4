//! `flag`

use super::{Interface, function};
use crate::flags::FlagValue;
use crate::state::{Refusal, State};

pub(super) fn define(flags: &mut Interface<'_>) -> wasmtime::Result<()> {
    function!(flags, "get-boolean", (name: text) -> flat, boolean)?;
    function!(flags, "get-integer", (name: text) -> flat, integer)?;
    function!(flags, "get-text", (name: text) -> memory, text)
}

fn boolean(state: &mut State, name: &str) -> wasmtime::Result<bool> {
    read(state, name, "boolean", |value| match value {
        FlagValue::Boolean(value) => Some(*value),
        _ => None,
    })
}

fn integer(state: &mut State, name: &str) -> wasmtime::Result<i64> {
    read(state, name, "integer", |value| match value {
        FlagValue::Integer(value) => Some(*value),
        _ => None,
    })
}

fn text(state: &mut State, name: &str) -> wasmtime::Result<String> {
    read(state, name, "text", |value| match value {
        FlagValue::Text(value) => Some(value.clone()),
        _ => None,
    })
}

fn read<T>(
    state: &State,
    name: &str,
    kind: &str,
    read: impl FnOnce(&FlagValue) -> Option<T>,
) -> wasmtime::Result<T> {
    let Some(flag) = state.attachment.flag(name) else {
        return Err(Refusal::host_call(format!("read the flag {name:?}, which the pack does not declare")));
    };
    let of_kind = || Refusal::host_call(format!("read the flag {name:?}, which is no {kind}"));
    flag.read(read).ok_or_else(of_kind)
}
