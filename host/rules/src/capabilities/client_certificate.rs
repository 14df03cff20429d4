//! `client-certificate`

use super::{Interface, function};
use crate::abi::Certificate;
use crate::state::State;

pub(super) fn define(certificate: &mut Interface<'_>) -> wasmtime::Result<()> {
    function!(certificate, "get", () -> memory, get)?;
    function!(certificate, "pem", () -> memory, pem)
}

fn get(state: &mut State) -> wasmtime::Result<Option<Certificate>> {
    let shown = shown(state);
    Ok(shown.map(|shown| Certificate::from(shown.facts())))
}

fn pem(state: &mut State) -> wasmtime::Result<Option<String>> {
    Ok(shown(state).map(|shown| shown.pem()))
}

/// What hooks of a flow leave in the store is none of theirs.
fn shown(state: &State) -> Option<&dyn crate::ClientCertificate> {
    state.exchange.client_certificate.as_deref().filter(|_| !state.flow_only)
}
