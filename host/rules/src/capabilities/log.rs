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
    Ok(state.attachment.environment.log_enabled(level.into()))
}

fn write(state: &mut State, level: abi::Level, message: &str) -> wasmtime::Result<()> {
    state.usage.log_line(state.attachment.grants.log.get())?;
    let level = Level::from(level);
    let line = &message[..message.floor_char_boundary(MAX_LINE)];
    let attachment = &state.attachment;
    if attachment.environment.log_enabled(level) {
        attachment.environment.log(attachment.name(), level, line);
    }
    Ok(())
}
