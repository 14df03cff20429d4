//! `vars`

use super::{Interface, function};
use crate::Vars;
use crate::abi::Scope;
use crate::state::{Refusal, State};

pub(super) fn define(vars: &mut Interface<'_>) -> wasmtime::Result<()> {
    function!(vars, "get", (scope: scope, name: text) -> memory, get)?;
    function!(vars, "set", (scope: scope, name: text, value: octets) -> nothing, set)?;
    function!(vars, "remove", (scope: scope, name: text) -> nothing, remove)
}

fn get(state: &mut State, scope: Scope, name: &str) -> wasmtime::Result<Option<Vec<u8>>> {
    let vars = if is_flow(state, scope) { &state.exchange.flow_vars } else { &state.exchange.vars };
    Ok(vars.get(state.attachment.name(), name).map(<[u8]>::to_vec))
}

fn set(state: &mut State, scope: Scope, name: &str, value: &[u8]) -> wasmtime::Result<()> {
    let (vars, attachment) = of(state, scope);
    vars.set(attachment.name(), name.to_owned(), value.to_vec()).map_err(Refusal::host_call)
}

fn remove(state: &mut State, scope: Scope, name: &str) -> wasmtime::Result<()> {
    let (vars, attachment) = of(state, scope);
    vars.remove(attachment.name(), name);
    Ok(())
}

/// The variables of a scope.
fn of(state: &mut State, scope: Scope) -> (&mut Vars, &crate::Attachment) {
    let flow = is_flow(state, scope);
    let State { exchange, attachment, .. } = state;
    (if flow { &mut exchange.flow_vars } else { &mut exchange.vars }, attachment)
}

/// In hooks of the flow there is no request, and both scopes are the flow's.
fn is_flow(state: &State, scope: Scope) -> bool {
    state.flow_only || matches!(scope, Scope::Flow)
}
