//! `random`

use super::{Interface, function};
use crate::state::{Refusal, State};

/// Bytes of one request, as the contract says.
const MAX_BYTES: u32 = 4096;

pub(super) fn define(random: &mut Interface<'_>) -> wasmtime::Result<()> {
    function!(random, "number", () -> flat, number)?;
    function!(random, "bytes", (len: u32) -> memory, bytes)
}

fn number(state: &mut State) -> wasmtime::Result<u64> {
    let mut bytes = [0; 8];
    state.attachment.environment.fill_random(&mut bytes);
    Ok(u64::from_ne_bytes(bytes))
}

fn bytes(state: &mut State, len: u32) -> wasmtime::Result<Vec<u8>> {
    if len > MAX_BYTES {
        return Err(Refusal::host_call(format!(
            "asked for {len} random bytes; at most {MAX_BYTES} are allowed"
        )));
    }
    state.usage.random_bytes(len)?;
    let mut bytes = vec![0; len as usize];
    state.attachment.environment.fill_random(&mut bytes);
    Ok(bytes)
}
