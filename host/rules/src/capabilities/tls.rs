//! `tls`

use shunt_wire::client_hello::ClientHello;

use super::{Interface, function};
use crate::abi::{Flow, MemberFailure};
use crate::hello::fingerprint;
use crate::state::State;

pub(super) fn define(tls: &mut Interface<'_>) -> wasmtime::Result<()> {
    function!(tls, "[method]client-hello.flow", (this: hello) -> memory, flow)?;
    function!(tls, "[method]client-hello.server-name", (this: hello) -> memory, server_name)?;
    function!(tls, "[method]client-hello.protocols", (this: hello) -> memory, protocols)?;
    function!(tls, "[method]client-hello.versions", (this: hello) -> memory, versions)?;
    function!(tls, "[method]client-hello.ciphers", (this: hello) -> memory, ciphers)?;
    function!(tls, "[method]client-hello.groups", (this: hello) -> memory, groups)?;
    function!(tls, "[method]client-hello.signature-schemes", (this: hello) -> memory, signature_schemes)?;
    function!(tls, "[method]client-hello.extensions", (this: hello) -> memory, extensions)?;
    function!(tls, "[method]client-hello.fingerprint", (this: hello) -> memory, print)?;
    function!(tls, "[method]client-hello.offers-early-data", (this: hello) -> flat, offers_early_data)?;
    function!(tls, "get-member-failure", () -> memory, member_failure)
}

fn flow(state: &mut State) -> wasmtime::Result<Flow> {
    Ok(Flow::from(&state.exchange.flow))
}

fn server_name(state: &mut State) -> wasmtime::Result<Option<String>> {
    Ok(said(state)?.server_name().map(str::to_ascii_lowercase))
}

fn protocols(state: &mut State) -> wasmtime::Result<Vec<Vec<u8>>> {
    Ok(said(state)?.protocols().map(<[u8]>::to_vec).collect())
}

fn versions(state: &mut State) -> wasmtime::Result<Vec<u16>> {
    Ok(said(state)?.versions().collect())
}

fn ciphers(state: &mut State) -> wasmtime::Result<Vec<u16>> {
    Ok(said(state)?.ciphers().collect())
}

fn groups(state: &mut State) -> wasmtime::Result<Vec<u16>> {
    Ok(said(state)?.groups().collect())
}

fn signature_schemes(state: &mut State) -> wasmtime::Result<Vec<u16>> {
    Ok(said(state)?.signature_schemes().collect())
}

fn extensions(state: &mut State) -> wasmtime::Result<Vec<u16>> {
    Ok(said(state)?.extensions().collect())
}

fn print(state: &mut State) -> wasmtime::Result<String> {
    Ok(fingerprint(&said(state)?))
}

fn offers_early_data(state: &mut State) -> wasmtime::Result<bool> {
    Ok(said(state)?.offers_early_data())
}

fn member_failure(state: &mut State) -> wasmtime::Result<Option<MemberFailure>> {
    Ok(state.exchange.member_failure.map(MemberFailure::from))
}

/// A handle to a hello exists only in `on-client-hello`, whose caller sets it.
fn said(state: &State) -> wasmtime::Result<ClientHello<'_>> {
    let hello = state.exchange.hello.as_ref();
    let said = hello.and_then(|hello| hello.said().ok());
    said.ok_or_else(|| wasmtime::Error::msg("there is no ClientHello in this call"))
}
