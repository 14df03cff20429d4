//! `persist`

use std::net::SocketAddr;
use std::time::Duration;

use super::lb::pool_of;
use super::{Interface, function};
use crate::abi::Endpoint;
use crate::hooks::MAX_PERSIST_KEY;
use crate::state::{Refusal, State};

pub(super) fn define(persist: &mut Interface<'_>) -> wasmtime::Result<()> {
    function!(persist, "lookup", (slot: text, key: octets) -> memory, lookup)?;
    function!(persist, "bind", (slot: text, key: octets, member: endpoint, timeout_ms: u32) -> flat, bind)?;
    function!(persist, "delete", (slot: text, key: octets) -> flat, delete)?;
    function!(persist, "count", (slot: text) -> flat, count)
}

fn check_key(key: &[u8]) -> wasmtime::Result<()> {
    if key.len() <= MAX_PERSIST_KEY {
        return Ok(());
    }
    Err(Refusal::host_call(format!(
        "used a persistence key of {} bytes; at most {MAX_PERSIST_KEY} are allowed",
        key.len()
    )))
}

fn lookup(state: &mut State, slot: &str, key: &[u8]) -> wasmtime::Result<Option<Endpoint>> {
    check_key(key)?;
    let pool = pool_of(state, slot)?;
    Ok(state.attachment.environment.bound(state.attachment.name(), pool, key).map(Endpoint::from))
}

fn bind(
    state: &mut State,
    slot: &str,
    key: &[u8],
    member: SocketAddr,
    timeout_ms: u32,
) -> wasmtime::Result<bool> {
    check_key(key)?;
    let pool = pool_of(state, slot)?;
    let timeout = (timeout_ms > 0).then(|| Duration::from_millis(timeout_ms.into()));
    Ok(state.attachment.environment.bind(state.attachment.name(), pool, key, member, timeout))
}

fn delete(state: &mut State, slot: &str, key: &[u8]) -> wasmtime::Result<bool> {
    check_key(key)?;
    let pool = pool_of(state, slot)?;
    Ok(state.attachment.environment.unbind(state.attachment.name(), pool, key))
}

fn count(state: &mut State, slot: &str) -> wasmtime::Result<u64> {
    let pool = pool_of(state, slot)?;
    Ok(state.attachment.environment.bindings(pool))
}
