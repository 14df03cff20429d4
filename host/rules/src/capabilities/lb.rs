//! `lb`

use super::{Interface, function};
use crate::abi::{Member, Pool, Queue};
use crate::state::{Refusal, State};

pub(super) fn define(lb: &mut Interface<'_>) -> wasmtime::Result<()> {
    function!(lb, "get-pool", (slot: text) -> memory, get_pool)?;
    function!(lb, "get-queue", (slot: text) -> memory, get_queue)?;
    function!(lb, "members", (slot: text) -> memory, members)
}

fn get_pool(state: &mut State, slot: &str) -> wasmtime::Result<Pool> {
    let pool = pool_of(state, slot)?;
    state.attachment.environment.pool(pool).map(Pool::from).ok_or_else(|| gone(pool))
}

fn get_queue(state: &mut State, slot: &str) -> wasmtime::Result<Queue> {
    let pool = pool_of(state, slot)?;
    state.attachment.environment.queue(pool).map(Queue::from).ok_or_else(|| gone(pool))
}

fn gone(pool: &str) -> wasmtime::Error {
    Refusal::host_call(format!("asked for the pool {pool:?}, which no longer exists"))
}

fn members(state: &mut State, slot: &str) -> wasmtime::Result<Vec<Member>> {
    let members = state.attachment.environment.members(pool_of(state, slot)?);
    Ok(members.into_iter().map(Member::from).collect())
}

/// The pool that a slot is bound to.
pub(super) fn pool_of<'a>(state: &'a State, slot: &str) -> wasmtime::Result<&'a str> {
    let attachment = &state.attachment;
    match attachment.slot_index(slot) {
        Some(index) if attachment.slots()[index].snat => {
            Err(Refusal::host_call(format!("asked for the slot {slot:?}, which stands for a SNAT pool")))
        }
        Some(index) => Ok(&attachment.slots()[index].pool),
        None => {
            Err(Refusal::host_call(format!("asked for the slot {slot:?}, which the pack does not declare")))
        }
    }
}
