//! `log`

use wasmtime::component::WasmStr;

use super::Interface;
use crate::abi;
use crate::environment::Level;

/// Bytes of a line, as the contract says.
pub(super) const MAX_LINE: usize = 4096;

pub(super) fn define(log: &mut Interface<'_>) -> wasmtime::Result<()> {
    log.function("enabled", |context, (level,): (abi::Level,)| {
        Ok((context.data().attachment.environment.log_enabled(level.into()),))
    })?;
    log.function("write", |mut context, (level, message): (abi::Level, WasmStr)| {
        let state = context.data_mut();
        state.usage.log_line(state.attachment.grants.log.get())?;
        let level = Level::from(level);
        let message = message.to_str(&context)?;
        let line = &message[..message.floor_char_boundary(MAX_LINE)];
        let attachment = &context.data().attachment;
        if attachment.environment.log_enabled(level) {
            attachment.environment.log(attachment.name(), level, line);
        }
        Ok(())
    })
}
