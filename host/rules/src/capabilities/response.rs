//! `http`, resource `response`

use http::response::Parts;
use http::{HeaderName, StatusCode};

use super::fields::{self, Head, Read};
use super::{Interface, function};
use crate::Hook;
use crate::abi::{Endpoint, FieldError};
use crate::grants::Key;
use crate::state::{Refusal, State};

/// What a host function returns that changes or reads what must be granted.
type Granted<T> = wasmtime::Result<Result<T, FieldError>>;

pub(super) fn define(http: &mut Interface<'_>) -> wasmtime::Result<()> {
    function!(http, "[method]response.status", (this: response) -> flat, status)?;
    function!(http, "[method]response.header", (this: response, name: text) -> memory, header)?;
    function!(http, "[method]response.headers", (this: response, name: text) -> memory, headers)?;
    function!(http, "[method]response.header-names", (this: response) -> memory, header_names)?;
    function!(http, "[method]response.slot", (this: response) -> memory, slot)?;
    function!(http, "[method]response.member", (this: response) -> memory, member)?;
    function!(http, "[method]response.need-body", (this: response, max: u32) -> nothing, need_body)?;
    function!(http, "[method]response.set-status", (this: response, status: u16) -> memory, set_status)?;
    function!(http, "[method]response.set-header", (this: response, name: text, value: octets) -> memory, set_header)?;
    function!(http, "[method]response.add-header", (this: response, name: text, value: octets) -> memory, add_header)?;
    function!(http, "[method]response.remove-header", (this: response, name: text) -> memory, remove_header)
}

fn status(state: &mut State) -> wasmtime::Result<u16> {
    Ok(parts(state)?.status.as_u16())
}

fn header(state: &mut State, name: &str) -> Granted<Option<Vec<u8>>> {
    read_field(state, name, fields::first_value)
}

fn headers(state: &mut State, name: &str) -> Granted<Vec<Vec<u8>>> {
    read_field(state, name, fields::all_values)
}

fn header_names(state: &mut State) -> wasmtime::Result<Vec<String>> {
    Ok(fields::names(&parts(state)?.headers, &state.attachment.grants.response.read))
}

/// What a rule reads of a field.
fn read_field<T>(state: &mut State, name: &str, read: Read<T>) -> Granted<T> {
    if let Err(error) = state.check_field(Key::ResponseRead, name) {
        return Ok(Err(error));
    }
    Ok(Ok(read(&parts(state)?.headers, name)))
}

fn slot(state: &mut State) -> wasmtime::Result<Option<String>> {
    let pool = state.exchange.pool.as_deref();
    let slot = pool.and_then(|pool| state.attachment.slots().iter().find(|binding| binding.pool == pool));
    Ok(slot.map(|binding| binding.slot.clone()))
}

fn member(state: &mut State) -> wasmtime::Result<Endpoint> {
    state.exchange.member.map(Endpoint::from).ok_or_else(missing)
}

fn need_body(state: &mut State, max: u32) -> wasmtime::Result<()> {
    if !state.attachment.hooks().contains(Hook::OnResponseBody) {
        return Err(Refusal::host_call(
            "asked for the body, but the rule has no on-response-body".to_owned(),
        ));
    }
    state.exchange.body_wanted = Some(max);
    Ok(())
}

fn set_status(state: &mut State, status: u16) -> Granted<()> {
    if let Err(error) = state.check(Key::ResponseStatus, state.attachment.grants.response.status) {
        return Ok(Err(error));
    }
    let parts = state.exchange.response.as_mut().ok_or_else(missing)?;
    Ok(match StatusCode::from_u16(status) {
        Ok(code) if (200..=599).contains(&status) => {
            parts.status = code;
            Ok(())
        }
        _ => Err(FieldError::Invalid),
    })
}

fn set_header(state: &mut State, name: &str, value: &[u8]) -> Granted<()> {
    let field = fields::field(name, value).and_then(|(name, value)| Ok((writable(state, name)?, value)));
    let mut head = head(state)?;
    Ok(field.and_then(|(name, value)| head.set(name, value)))
}

fn add_header(state: &mut State, name: &str, value: &[u8]) -> Granted<()> {
    let field = fields::field(name, value).and_then(|(name, value)| Ok((writable(state, name)?, value)));
    let mut head = head(state)?;
    Ok(field.and_then(|(name, value)| head.add(name, value)))
}

fn remove_header(state: &mut State, name: &str) -> Granted<()> {
    let name = fields::name(name).and_then(|name| writable(state, name));
    let mut head = head(state)?;
    Ok(name.map(|name| head.remove(&name)))
}

/// The name, if the rule may change this field.
fn writable(state: &mut State, name: HeaderName) -> Result<HeaderName, FieldError> {
    state.check_field(Key::ResponseWrite, name.as_str())?;
    Ok(name)
}

fn parts(state: &State) -> wasmtime::Result<&Parts> {
    state.exchange.response.as_ref().ok_or_else(missing)
}

fn head(state: &mut State) -> wasmtime::Result<Head<'_>> {
    Ok(Head {
        headers: &mut state.exchange.response.as_mut().ok_or_else(missing)?.headers,
        size: &mut state.usage.response_head,
        limit: state.attachment.header_limit,
    })
}

/// A handle to a response exists only in `on-response`, whose caller sets it.
fn missing() -> wasmtime::Error {
    wasmtime::Error::msg("there is no response in this call")
}
