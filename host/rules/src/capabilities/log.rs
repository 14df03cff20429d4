//! `log`

use super::{Interface, function};
use crate::abi;
use crate::environment::Level;
use crate::state::State;

/// Bytes of a line, as the contract says.
pub(super) const MAX_LINE: usize = 4096;

pub(super) fn define(log: &mut Interface<'_>) -> wasmtime::Result<()> {
    function!(log, "enabled", (level: level) -> flat, enabled)?;
    function!(log, "write", (level: level, message: text) -> nothing, write)
}

fn enabled(state: &mut State, level: abi::Level) -> wasmtime::Result<bool> {
    Ok(is_written(state, level.into()))
}

fn write(state: &mut State, level: abi::Level, message: &str) -> wasmtime::Result<()> {
    state.usage.log_line(state.attachment.grants.log.get())?;
    let level = Level::from(level);
    let line = &message[..message.floor_char_boundary(MAX_LINE)];
    if is_written(state, level) {
        state.attachment.environment.log(state.attachment.name(), level, line);
    }
    Ok(())
}

/// As the operator has set for the rule, else as for all lines.
fn is_written(state: &State, level: Level) -> bool {
    let attachment = &state.attachment;
    attachment.log.writes(level).unwrap_or_else(|| attachment.environment.log_enabled(level))
}
