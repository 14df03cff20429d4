//! `lb`

use wasmtime::component::WasmStr;

use super::{Context, Interface};
use crate::abi::{Member, Pool};
use crate::state::Refusal;

pub(super) fn define(lb: &mut Interface<'_>) -> wasmtime::Result<()> {
    lb.function("get-pool", |context, (slot,): (WasmStr,)| {
        let pool = pool_of(&context, &slot)?;
        match context.data().attachment.environment.pool(pool) {
            Some(state) => Ok((Pool::from(state),)),
            None => Err(Refusal::host_call(format!("asked for the pool {pool:?}, which no longer exists"))),
        }
    })?;
    lb.function("members", |context, (slot,): (WasmStr,)| {
        let pool = pool_of(&context, &slot)?;
        let members = context.data().attachment.environment.members(pool);
        Ok((members.into_iter().map(Member::from).collect::<Vec<_>>(),))
    })
}

/// The pool that a slot is bound to.
fn pool_of<'a>(context: &'a Context<'_>, slot: &WasmStr) -> wasmtime::Result<&'a str> {
    let slot = slot.to_str(context)?;
    let attachment = &context.data().attachment;
    match attachment.slot_index(&slot) {
        Some(index) if attachment.slots()[index].snat => {
            Err(Refusal::host_call(format!("asked for the slot {slot:?}, which stands for a SNAT pool")))
        }
        Some(index) => Ok(&attachment.slots()[index].pool),
        None => {
            Err(Refusal::host_call(format!("asked for the slot {slot:?}, which the pack does not declare")))
        }
    }
}
