//! `lb`

use super::{Interface, function};
use crate::abi::{Member, Pool};
use crate::state::{Refusal, State};

pub(super) fn define(lb: &mut Interface<'_>) -> wasmtime::Result<()> {
    function!(lb, "get-pool", (slot: text) -> memory, get_pool)?;
    function!(lb, "members", (slot: text) -> memory, members)
}

fn get_pool(state: &mut State, slot: &str) -> wasmtime::Result<Pool> {
    let pool = pool_of(state, slot)?;
    match state.attachment.environment.pool(pool) {
        Some(state) => Ok(Pool::from(state)),
        None => Err(Refusal::host_call(format!("asked for the pool {pool:?}, which no longer exists"))),
    }
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
