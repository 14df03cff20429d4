//! `fault`

use super::log::MAX_LINE;
use super::{Interface, function};
use crate::state::State;

pub(super) fn define(fault: &mut Interface<'_>) -> wasmtime::Result<()> {
    function!(fault, "report", (message: text) -> nothing, report)
}

fn report(state: &mut State, message: &str) -> wasmtime::Result<()> {
    state.usage.report = Some(message[..message.floor_char_boundary(MAX_LINE)].to_owned());
    Ok(())
}
