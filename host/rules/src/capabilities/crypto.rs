//! `crypto`

use aws_lc_rs::aead::NONCE_LEN;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;

use super::{Interface, function};
use crate::abi::{Claims, Hash, TokenError};
use crate::keys::Keys;
use crate::state::{Refusal, State};
use crate::tokens;

/// Bytes of one call, as the contract says: a call of the host is not interrupted.
const MOST: usize = 1 << 20;

pub(super) fn define(crypto: &mut Interface<'_>) -> wasmtime::Result<()> {
    function!(crypto, "digest", (hash: hash, data: octets) -> memory, digest)?;
    function!(crypto, "sign", (key: text, data: octets) -> memory, sign)?;
    function!(crypto, "verify", (key: text, data: octets, tag: octets) -> flat, verify)?;
    function!(crypto, "equal", (left: octets, right: octets) -> flat, equal)?;
    function!(crypto, "seal", (key: text, plain: octets, context: text) -> memory, seal)?;
    function!(crypto, "open", (key: text, sealed: text, context: text) -> memory, open)?;
    function!(crypto, "verify-token", (key: text, token: text, leeway: u32) -> memory, verify_token)
}

fn digest(_: &mut State, hash: Hash, data: &[u8]) -> wasmtime::Result<Vec<u8>> {
    check(data)?;
    let algorithm = match hash {
        Hash::Sha256 => &digest::SHA256,
        Hash::Sha512 => &digest::SHA512,
    };
    Ok(digest::digest(algorithm, data).as_ref().to_vec())
}

fn sign(state: &mut State, key: &str, data: &[u8]) -> wasmtime::Result<Vec<u8>> {
    check(data)?;
    keys(state, key)?.sign(data).ok_or_else(|| public(key))
}

fn verify(state: &mut State, key: &str, data: &[u8], tag: &[u8]) -> wasmtime::Result<bool> {
    check(data)?;
    keys(state, key)?.verify(data, tag).ok_or_else(|| public(key))
}

fn equal(_: &mut State, left: &[u8], right: &[u8]) -> wasmtime::Result<bool> {
    check(left)?;
    Ok(verify_slices_are_equal(left, right).is_ok())
}

fn seal(state: &mut State, key: &str, plain: &[u8], context: &str) -> wasmtime::Result<String> {
    check(plain)?;
    check(context.as_bytes())?;
    let mut nonce = [0; NONCE_LEN];
    state.attachment.environment.fill_random(&mut nonce);
    keys(state, key)?.seal(nonce, plain, context.as_bytes()).ok_or_else(|| public(key))
}

fn open(state: &mut State, key: &str, sealed: &str, context: &str) -> wasmtime::Result<Option<Vec<u8>>> {
    check(sealed.as_bytes())?;
    check(context.as_bytes())?;
    keys(state, key)?.open(sealed, context.as_bytes()).ok_or_else(|| public(key))
}

fn verify_token(
    state: &mut State,
    key: &str,
    token: &str,
    leeway: u32,
) -> wasmtime::Result<Result<Claims, TokenError>> {
    let now = state.attachment.environment.unix_ms() / 1000;
    let verified = tokens::verify(token, keys(state, key)?, now, leeway);
    Ok(verified.map(Claims::from).map_err(TokenError::from))
}

fn keys<'a>(state: &'a State, key: &str) -> wasmtime::Result<&'a Keys> {
    let unknown = || Refusal::host_call(format!("used the key {key:?}, which the pack does not declare"));
    state.attachment.key(key).ok_or_else(unknown)
}

fn public(key: &str) -> wasmtime::Error {
    Refusal::host_call(format!("needs a secret, and the operator bound the key {key:?} to public keys"))
}

fn check(data: &[u8]) -> wasmtime::Result<()> {
    if data.len() > MOST {
        return Err(Refusal::host_call(format!("gave {} bytes; at most {MOST} are allowed", data.len())));
    }
    Ok(())
}
