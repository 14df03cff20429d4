//! `sets`

use std::net::IpAddr;

use super::{Interface, function};
use crate::abi::SetEntry;
use crate::sets::{LiveSet, SetKind};
use crate::state::{Refusal, State};

pub(super) fn define(sets: &mut Interface<'_>) -> wasmtime::Result<()> {
    function!(sets, "lookup-address", (set: text, address: address) -> memory, lookup_address)?;
    function!(sets, "lookup", (set: text, text: text) -> memory, lookup)
}

fn lookup_address(state: &mut State, set: &str, address: IpAddr) -> wasmtime::Result<Option<String>> {
    let current = named(state, set)?.current();
    if current.kind() != SetKind::Addresses {
        let kind = current.kind().name();
        return Err(Refusal::host_call(format!(
            "looked an address up in the set {set:?}, which is of the kind {kind}"
        )));
    }
    Ok(current.value_of(address).map(str::to_owned))
}

fn lookup(state: &mut State, set: &str, text: &str) -> wasmtime::Result<Option<SetEntry>> {
    let current = named(state, set)?.current();
    let most = current.longest();
    if text.len() > most {
        let len = text.len();
        return Err(Refusal::host_call(format!(
            "looked up {len} bytes in the set {set:?}; at most {most} are allowed"
        )));
    }
    Ok(current.find(text).map(SetEntry::from))
}

fn named<'a>(state: &'a State, set: &str) -> wasmtime::Result<&'a LiveSet> {
    state.attachment.set(set).map(|set| &**set).ok_or_else(|| {
        Refusal::host_call(format!("looked in the set {set:?}, which the pack does not declare"))
    })
}
