//! `http`, resource `request`

use http::uri::{Authority, PathAndQuery, Uri};
use http::{HeaderName, HeaderValue, header};
use shunt_wire::authority::is_host;

use super::fields::{self, Head, Read};
use super::{Interface, function};
use crate::abi::{FieldError, Flow, Scheme, Version};
use crate::exchange::{self, HeaderEdit};
use crate::grants::Key;
use crate::state::State;

/// What a host function returns that changes or reads what must be granted.
type Granted<T> = wasmtime::Result<Result<T, FieldError>>;

pub(super) fn define(http: &mut Interface<'_>) -> wasmtime::Result<()> {
    function!(http, "[method]request.flow", (this: request) -> memory, flow)?;
    function!(http, "[method]request.version", (this: request) -> flat, version)?;
    function!(http, "[method]request.scheme", (this: request) -> flat, scheme)?;
    function!(http, "[method]request.method", (this: request) -> memory, method)?;
    function!(http, "[method]request.path", (this: request) -> memory, path)?;
    function!(http, "[method]request.query", (this: request) -> memory, query)?;
    function!(http, "[method]request.authority", (this: request) -> memory, authority)?;
    function!(http, "[method]request.header", (this: request, name: text) -> memory, header)?;
    function!(http, "[method]request.headers", (this: request, name: text) -> memory, headers)?;
    function!(http, "[method]request.header-names", (this: request) -> memory, header_names)?;
    function!(http, "[method]request.set-path", (this: request, path: text) -> memory, set_path)?;
    function!(http, "[method]request.set-query", (this: request, query: maybe_text) -> memory, set_query)?;
    function!(http, "[method]request.set-authority", (this: request, authority: text) -> memory, set_authority)?;
    function!(http, "[method]request.set-header", (this: request, name: text, value: octets) -> memory, set_header)?;
    function!(http, "[method]request.add-header", (this: request, name: text, value: octets) -> memory, add_header)?;
    function!(http, "[method]request.remove-header", (this: request, name: text) -> memory, remove_header)?;
    function!(
        http,
        "[method]request.set-response-header",
        (this: request, name: text, value: octets) -> memory,
        set_response_header
    )?;
    function!(
        http,
        "[method]request.remove-response-header",
        (this: request, name: text) -> memory,
        remove_response_header
    )
}

fn flow(state: &mut State) -> wasmtime::Result<Flow> {
    Ok(Flow::from(&state.exchange.flow))
}

fn version(state: &mut State) -> wasmtime::Result<Version> {
    Ok(match state.exchange.request.version {
        http::Version::HTTP_09 | http::Version::HTTP_10 => Version::Http10,
        http::Version::HTTP_2 => Version::Http2,
        http::Version::HTTP_3 => Version::Http3,
        _ => Version::Http11,
    })
}

fn scheme(state: &mut State) -> wasmtime::Result<Scheme> {
    Ok(match state.exchange.scheme {
        exchange::Scheme::Http => Scheme::Http,
        exchange::Scheme::Https => Scheme::Https,
    })
}

fn method(state: &mut State) -> wasmtime::Result<String> {
    Ok(state.exchange.request.method.as_str().to_owned())
}

fn path(state: &mut State) -> wasmtime::Result<String> {
    Ok(state.exchange.request.uri.path().to_owned())
}

fn query(state: &mut State) -> wasmtime::Result<Option<String>> {
    Ok(state.exchange.request.uri.query().map(str::to_owned))
}

fn authority(state: &mut State) -> wasmtime::Result<String> {
    let parts = &state.exchange.request;
    Ok(match parts.uri.authority() {
        Some(authority) => authority.as_str().to_owned(),
        None => match parts.headers.get(header::HOST) {
            Some(host) => String::from_utf8_lossy(host.as_bytes()).into_owned(),
            None => String::new(),
        },
    })
}

pub(super) fn header(state: &mut State, name: &str) -> Granted<Option<Vec<u8>>> {
    Ok(read_field(state, name, fields::first_value))
}

fn headers(state: &mut State, name: &str) -> Granted<Vec<Vec<u8>>> {
    Ok(read_field(state, name, fields::all_values))
}

fn header_names(state: &mut State) -> wasmtime::Result<Vec<String>> {
    Ok(fields::names(&state.exchange.request.headers, &state.attachment.grants.request.read))
}

/// What a rule reads of a field.
#[inline]
fn read_field<T>(state: &mut State, name: &str, read: Read<T>) -> Result<T, FieldError> {
    state.check_field(Key::RequestRead, name)?;
    Ok(read(&state.exchange.request.headers, name))
}

fn set_header(state: &mut State, name: &str, value: &[u8]) -> Granted<()> {
    let field = fields::field(name, value);
    Ok(field.and_then(|(name, value)| writable(state, &name)?.set(name, value)))
}

fn add_header(state: &mut State, name: &str, value: &[u8]) -> Granted<()> {
    let field = fields::field(name, value);
    Ok(field.and_then(|(name, value)| writable(state, &name)?.add(name, value)))
}

fn remove_header(state: &mut State, name: &str) -> Granted<()> {
    Ok(fields::name(name).and_then(|name| writable(state, &name).map(|mut head| head.remove(&name))))
}

fn set_response_header(state: &mut State, name: &str, value: &[u8]) -> Granted<()> {
    let field = fields::field(name, value);
    Ok(field.and_then(|(name, value)| edit(state, HeaderEdit::Set(name, value))))
}

fn remove_response_header(state: &mut State, name: &str) -> Granted<()> {
    Ok(fields::name(name).and_then(|name| edit(state, HeaderEdit::Remove(name))))
}

/// The head, if the rule may change this field of it.
fn writable<'a>(state: &'a mut State, name: &HeaderName) -> Result<Head<'a>, FieldError> {
    state.check_field(Key::RequestWrite, name.as_str())?;
    Ok(head(state))
}

fn head(state: &mut State) -> Head<'_> {
    Head {
        headers: &mut state.exchange.request.headers,
        size: &mut state.usage.request_head,
        limit: state.attachment.header_limit,
    }
}

fn edit(state: &mut State, edit: HeaderEdit) -> Result<(), FieldError> {
    state.check_field(Key::ResponseWrite, edit.name().as_str())?;
    fields::note_edit(&mut state.exchange.response_edits, edit, state.attachment.header_limit)
}

/// Whether the rule may change path, query and authority.
fn check_target(state: &mut State) -> Result<(), FieldError> {
    state.check(Key::RequestTarget, state.attachment.grants.request.target)
}

fn set_path(state: &mut State, path: &str) -> Granted<()> {
    Ok(change_path(state, path))
}

fn change_path(state: &mut State, path: &str) -> Result<(), FieldError> {
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

fn set_query(state: &mut State, query: Option<&str>) -> Granted<()> {
    Ok(change_query(state, query))
}

fn change_query(state: &mut State, query: Option<&str>) -> Result<(), FieldError> {
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

fn set_authority(state: &mut State, text: &str) -> Granted<()> {
    Ok(change_authority(state, text))
}

fn change_authority(state: &mut State, text: &str) -> Result<(), FieldError> {
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
