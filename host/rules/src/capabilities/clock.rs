//! `clock`

use super::{Interface, function};
use crate::state::State;

pub(super) fn define(clock: &mut Interface<'_>) -> wasmtime::Result<()> {
    function!(clock, "unix-ms", () -> flat, unix_ms)?;
    function!(clock, "monotonic-us", () -> flat, monotonic_us)
}

fn unix_ms(state: &mut State) -> wasmtime::Result<u64> {
    Ok(state.attachment.environment.unix_ms())
}

fn monotonic_us(state: &mut State) -> wasmtime::Result<u64> {
    Ok(state.attachment.environment.monotonic_us())
}
