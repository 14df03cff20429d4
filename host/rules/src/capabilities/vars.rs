//! `vars`

use wasmtime::component::{WasmList, WasmStr};

use super::Interface;
use crate::Vars;
use crate::abi::Scope;
use crate::state::{Refusal, State};

pub(super) fn define(vars: &mut Interface<'_>) -> wasmtime::Result<()> {
    vars.function("get", |context, (scope, name): (Scope, WasmStr)| {
        let name = name.to_str(&context)?;
        let state = context.data();
        let vars = if is_flow(state, scope) { &state.exchange.flow_vars } else { &state.exchange.vars };
        Ok((vars.get(state.attachment.name(), &name).map(<[u8]>::to_vec),))
    })?;
    vars.function("set", |mut context, (scope, name, value): (Scope, WasmStr, WasmList<u8>)| {
        let name = name.to_str(&context)?.into_owned();
        let value = value.as_le_slice(&context).to_vec();
        let (vars, attachment) = of(context.data_mut(), scope);
        vars.set(attachment.name(), name, value).map_err(Refusal::host_call)?;
        Ok(())
    })?;
    vars.function("remove", |mut context, (scope, name): (Scope, WasmStr)| {
        let name = name.to_str(&context)?.into_owned();
        let (vars, attachment) = of(context.data_mut(), scope);
        vars.remove(attachment.name(), &name);
        Ok(())
    })
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
