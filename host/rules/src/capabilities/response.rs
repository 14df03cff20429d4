//! `http`, resource `response`

use http::response::Parts;
use http::{HeaderName, StatusCode};
use wasmtime::component::{Resource, WasmList, WasmStr};

use super::fields::{self, Head, Read};
use super::request::field;
use super::{Context, Interface};
use crate::abi::{Endpoint, FieldError, Response};
use crate::grants::Key;
use crate::state::State;

type This = Resource<Response>;

pub(super) fn define(http: &mut Interface<'_>) -> wasmtime::Result<()> {
    read(http)?;
    change(http)
}

fn read(http: &mut Interface<'_>) -> wasmtime::Result<()> {
    http.function("[method]response.status", |context, (_,): (This,)| {
        Ok((parts(&context)?.status.as_u16(),))
    })?;
    http.function("[method]response.header", |mut context, (_, name): (This, WasmStr)| {
        Ok((read_field(&mut context, &name, fields::first_value)?,))
    })?;
    http.function("[method]response.headers", |mut context, (_, name): (This, WasmStr)| {
        Ok((read_field(&mut context, &name, fields::all_values)?,))
    })?;
    http.function("[method]response.header-names", |context, (_,): (This,)| {
        Ok((fields::names(&parts(&context)?.headers, &context.data().attachment.grants.response.read),))
    })?;
    http.function("[method]response.slot", |context, (_,): (This,)| {
        let state = context.data();
        let slot = state
            .exchange
            .pool
            .as_deref()
            .and_then(|pool| state.attachment.slots().iter().find(|binding| binding.pool == pool));
        Ok((slot.map(|binding| binding.slot.clone()),))
    })?;
    http.function("[method]response.member", |context, (_,): (This,)| {
        let member = context.data().exchange.member.ok_or_else(missing)?;
        Ok((Endpoint::from(member),))
    })
}

fn change(http: &mut Interface<'_>) -> wasmtime::Result<()> {
    http.function("[method]response.set-status", |mut context, (_, status): (This, u16)| {
        let state = context.data_mut();
        if let Err(error) = state.check(Key::ResponseStatus, state.attachment.grants.response.status) {
            return Ok((Err(error),));
        }
        let parts = state.exchange.response.as_mut().ok_or_else(missing)?;
        let set = match StatusCode::from_u16(status) {
            Ok(code) if (200..=599).contains(&status) => {
                parts.status = code;
                Ok(())
            }
            _ => Err(FieldError::Invalid),
        };
        Ok((set,))
    })?;
    http.function(
        "[method]response.set-header",
        |mut context, (_, name, value): (This, WasmStr, WasmList<u8>)| {
            let field = field(&context, &name, &value)?;
            let field = field.and_then(|(name, value)| Ok((writable(context.data_mut(), name)?, value)));
            let mut head = head(context.data_mut())?;
            Ok((field.and_then(|(name, value)| head.set(name, value)),))
        },
    )?;
    http.function(
        "[method]response.add-header",
        |mut context, (_, name, value): (This, WasmStr, WasmList<u8>)| {
            let field = field(&context, &name, &value)?;
            let field = field.and_then(|(name, value)| Ok((writable(context.data_mut(), name)?, value)));
            let mut head = head(context.data_mut())?;
            Ok((field.and_then(|(name, value)| head.add(name, value)),))
        },
    )?;
    http.function("[method]response.remove-header", |mut context, (_, name): (This, WasmStr)| {
        let name = fields::name(&name.to_str(&context)?);
        let name = name.and_then(|name| writable(context.data_mut(), name));
        let mut head = head(context.data_mut())?;
        Ok((name.map(|name| head.remove(&name)),))
    })
}

/// What a rule reads of a field.
fn read_field<T>(
    context: &mut Context<'_>,
    name: &WasmStr,
    read: Read<T>,
) -> wasmtime::Result<Result<T, FieldError>> {
    let name = name.to_str(&*context)?;
    if context.data().attachment.grants.response.read.contains(&name) {
        return Ok(Ok(read(&parts(context)?.headers, &name)));
    }
    let name = name.into_owned();
    Ok(Err(context.data_mut().deny(Key::ResponseRead, &name)))
}

/// The name, if the rule may change this field.
fn writable(state: &mut State, name: HeaderName) -> Result<HeaderName, FieldError> {
    state.check_field(Key::ResponseWrite, name.as_str())?;
    Ok(name)
}

fn parts<'a>(context: &'a Context<'_>) -> wasmtime::Result<&'a Parts> {
    context.data().exchange.response.as_ref().ok_or_else(missing)
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
