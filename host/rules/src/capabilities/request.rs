//! `http`, resource `request`

use http::uri::{Authority, PathAndQuery, Uri};
use http::{HeaderName, HeaderValue, header, request::Parts};
use shunt_wire::authority::is_host;
use wasmtime::component::{Resource, WasmList, WasmStr};

use super::fields::{self, Head, Read};
use super::{Context, Interface};
use crate::abi::{FieldError, Flow, Request, Scheme, Version};
use crate::exchange;
use crate::grants::Key;
use crate::state::State;

type This = Resource<Request>;

pub(super) fn define(http: &mut Interface<'_>) -> wasmtime::Result<()> {
    read(http)?;
    change(http)?;
    change_answer(http)
}

fn read(http: &mut Interface<'_>) -> wasmtime::Result<()> {
    http.function("[method]request.flow", |context, (_,): (This,)| {
        Ok((Flow::from(&context.data().exchange.flow),))
    })?;
    http.function("[method]request.version", |context, (_,): (This,)| {
        Ok((match parts(&context).version {
            http::Version::HTTP_09 | http::Version::HTTP_10 => Version::Http10,
            http::Version::HTTP_2 => Version::Http2,
            http::Version::HTTP_3 => Version::Http3,
            _ => Version::Http11,
        },))
    })?;
    http.function("[method]request.scheme", |context, (_,): (This,)| {
        Ok((match context.data().exchange.scheme {
            exchange::Scheme::Http => Scheme::Http,
            exchange::Scheme::Https => Scheme::Https,
        },))
    })?;
    http.function("[method]request.method", |context, (_,): (This,)| {
        Ok((parts(&context).method.as_str().to_owned(),))
    })?;
    http.function("[method]request.path", |context, (_,): (This,)| {
        Ok((parts(&context).uri.path().to_owned(),))
    })?;
    http.function("[method]request.query", |context, (_,): (This,)| {
        Ok((parts(&context).uri.query().map(str::to_owned),))
    })?;
    http.function("[method]request.authority", |context, (_,): (This,)| Ok((authority(parts(&context)),)))?;
    http.function("[method]request.header", |mut context, (_, name): (This, WasmStr)| {
        Ok((read_field(&mut context, &name, fields::first_value)?,))
    })?;
    http.function("[method]request.headers", |mut context, (_, name): (This, WasmStr)| {
        Ok((read_field(&mut context, &name, fields::all_values)?,))
    })?;
    http.function("[method]request.header-names", |context, (_,): (This,)| {
        Ok((fields::names(&parts(&context).headers, &context.data().attachment.grants.request.read),))
    })
}

fn change(http: &mut Interface<'_>) -> wasmtime::Result<()> {
    http.function("[method]request.set-path", |mut context, (_, path): (This, WasmStr)| {
        let path = path.to_str(&context)?.into_owned();
        Ok((set_path(context.data_mut(), &path),))
    })?;
    http.function("[method]request.set-query", |mut context, (_, query): (This, Option<WasmStr>)| {
        let query = match query {
            Some(query) => Some(query.to_str(&context)?.into_owned()),
            None => None,
        };
        Ok((set_query(context.data_mut(), query.as_deref()),))
    })?;
    http.function("[method]request.set-authority", |mut context, (_, authority): (This, WasmStr)| {
        let authority = authority.to_str(&context)?.into_owned();
        Ok((set_authority(context.data_mut(), &authority),))
    })?;
    http.function(
        "[method]request.set-header",
        |mut context, (_, name, value): (This, WasmStr, WasmList<u8>)| {
            let field = field(&context, &name, &value)?;
            let state = context.data_mut();
            Ok((field.and_then(|(name, value)| writable(state, &name)?.set(name, value)),))
        },
    )?;
    http.function(
        "[method]request.add-header",
        |mut context, (_, name, value): (This, WasmStr, WasmList<u8>)| {
            let field = field(&context, &name, &value)?;
            let state = context.data_mut();
            Ok((field.and_then(|(name, value)| writable(state, &name)?.add(name, value)),))
        },
    )?;
    http.function("[method]request.remove-header", |mut context, (_, name): (This, WasmStr)| {
        let name = fields::name(&name.to_str(&context)?);
        let state = context.data_mut();
        Ok((name.and_then(|name| writable(state, &name).map(|mut head| head.remove(&name))),))
    })
}

/// What a rule reads of a field.
#[inline]
pub(super) fn read_field<T>(
    context: &mut Context<'_>,
    name: &WasmStr,
    read: Read<T>,
) -> wasmtime::Result<Result<T, FieldError>> {
    let name = name.to_str(&*context)?;
    let state = context.data();
    if state.attachment.grants.request.read.contains(&name) {
        return Ok(Ok(read(&state.exchange.request.headers, &name)));
    }
    let name = name.into_owned();
    Ok(Err(context.data_mut().deny(Key::RequestRead, &name)))
}

/// The head, if the rule may change this field of it.
fn writable<'a>(state: &'a mut State, name: &HeaderName) -> Result<Head<'a>, FieldError> {
    state.check_field(Key::RequestWrite, name.as_str())?;
    Ok(head(state))
}

fn change_answer(http: &mut Interface<'_>) -> wasmtime::Result<()> {
    http.function(
        "[method]request.set-response-header",
        |mut context, (_, name, value): (This, WasmStr, WasmList<u8>)| {
            let field = field(&context, &name, &value)?;
            Ok((field
                .and_then(|(name, value)| edit(context.data_mut(), exchange::HeaderEdit::Set(name, value))),))
        },
    )?;
    http.function("[method]request.remove-response-header", |mut context, (_, name): (This, WasmStr)| {
        let name = fields::name(&name.to_str(&context)?);
        Ok((name.and_then(|name| edit(context.data_mut(), exchange::HeaderEdit::Remove(name))),))
    })
}

fn parts<'a>(context: &'a Context<'_>) -> &'a Parts {
    &context.data().exchange.request
}

fn head(state: &mut State) -> Head<'_> {
    Head {
        headers: &mut state.exchange.request.headers,
        size: &mut state.usage.request_head,
        limit: state.attachment.header_limit,
    }
}

fn edit(state: &mut State, edit: exchange::HeaderEdit) -> Result<(), FieldError> {
    state.check_field(Key::ResponseWrite, edit.name().as_str())?;
    fields::note_edit(&mut state.exchange.response_edits, edit, state.attachment.header_limit)
}

/// A name and a value out of the guest's memory; the outer error is the guest's breach of the
/// calling convention, the inner one its answer.
pub(super) fn field(
    context: &Context<'_>,
    name: &WasmStr,
    value: &WasmList<u8>,
) -> wasmtime::Result<Result<(HeaderName, HeaderValue), FieldError>> {
    let name = fields::name(&name.to_str(context)?);
    Ok(name.and_then(|name| Ok((name, fields::value(value.as_le_slice(context))?))))
}

fn authority(parts: &Parts) -> String {
    match parts.uri.authority() {
        Some(authority) => authority.as_str().to_owned(),
        None => match parts.headers.get(header::HOST) {
            Some(host) => String::from_utf8_lossy(host.as_bytes()).into_owned(),
            None => String::new(),
        },
    }
}

/// Whether the rule may change path, query and authority.
fn check_target(state: &mut State) -> Result<(), FieldError> {
    state.check(Key::RequestTarget, state.attachment.grants.request.target)
}

fn set_path(state: &mut State, path: &str) -> Result<(), FieldError> {
    check_target(state)?;
    if !path.starts_with('/') || path.contains('?') {
        return Err(FieldError::Invalid);
    }
    let text = match state.exchange.request.uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    set_path_and_query(state, text)
}

fn set_query(state: &mut State, query: Option<&str>) -> Result<(), FieldError> {
    check_target(state)?;
    let path = state.exchange.request.uri.path();
    let text = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    set_path_and_query(state, text)
}

fn set_path_and_query(state: &mut State, text: String) -> Result<(), FieldError> {
    // The parser takes `#` for the end and octets beyond ASCII as they come; neither may be sent
    // (RFC 9112 section 3.2).
    if text.bytes().any(|byte| byte == b'#' || !byte.is_ascii_graphic()) {
        return Err(FieldError::Invalid);
    }
    let less = state.exchange.request.uri.path_and_query().map_or(0, |before| before.as_str().len());
    // The target is no field, but it is in the head: what it grows by counts.
    head(state).make_room(text.len(), less)?;
    let mut uri = std::mem::take(&mut state.exchange.request.uri).into_parts();
    let before = uri.path_and_query.clone();
    let set = PathAndQuery::try_from(text)
        .map_err(|_| FieldError::Invalid)
        .map(|after| uri.path_and_query = Some(after));
    replace_uri(state, uri, |uri| uri.path_and_query = before)?;
    set
}

fn set_authority(state: &mut State, text: &str) -> Result<(), FieldError> {
    check_target(state)?;
    let authority = Authority::try_from(text).map_err(|_| FieldError::Invalid)?;
    // RFC 9110 section 4.2.4: user information has no place in a request.
    if !is_host(text.as_bytes()) {
        return Err(FieldError::Invalid);
    }
    let host = HeaderValue::from_str(text).map_err(|_| FieldError::Invalid)?;
    head(state).set(header::HOST, host)?;
    if state.exchange.request.uri.authority().is_some() {
        let mut uri = std::mem::take(&mut state.exchange.request.uri).into_parts();
        let before = uri.authority.replace(authority);
        replace_uri(state, uri, |uri| uri.authority = before)?;
    }
    Ok(())
}

/// Puts a changed target back; if its parts do not go together, the one from before.
fn replace_uri(
    state: &mut State,
    parts: http::uri::Parts,
    undo: impl FnOnce(&mut http::uri::Parts),
) -> Result<(), FieldError> {
    let uri = &mut state.exchange.request.uri;
    let mut old = http::uri::Parts::default();
    (old.scheme, old.authority, old.path_and_query) =
        (parts.scheme.clone(), parts.authority.clone(), parts.path_and_query.clone());
    match Uri::from_parts(parts) {
        Ok(changed) => {
            *uri = changed;
            Ok(())
        }
        Err(_) => {
            undo(&mut old);
            if let Ok(before) = Uri::from_parts(old) {
                *uri = before;
            }
            Err(FieldError::Invalid)
        }
    }
}
