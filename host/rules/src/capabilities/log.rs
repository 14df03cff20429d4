//! `log`

use wasmtime::component::WasmStr;

use super::Interface;
use crate::abi;
use crate::environment::Level;

/// Bytes of a line, as the contract says.
const MAX_LINE: usize = 4096;

pub(super) fn define(log: &mut Interface<'_>) -> wasmtime::Result<()> {
    log.function("enabled", |context, (level,): (abi::Level,)| {
        Ok((context.data().attachment.environment.log_enabled(level.into()),))
    })?;
    log.function("write", |mut context, (level, message): (abi::Level, WasmStr)| {
        context.data_mut().usage.log_line()?;
        let level = Level::from(level);
        let message = message.to_str(&context)?;
        let line = &message[..message.floor_char_boundary(MAX_LINE)];
        let attachment = &context.data().attachment;
        if attachment.environment.log_enabled(level) {
            attachment.environment.log(attachment.name(), level, line);
        }
        if level == Level::Error {
            // The SDK's panic hook comes this way; so does the reason of a call that it ends itself.
            let line = line.to_owned();
            context.data_mut().usage.last_error = Some(line);
        }
        Ok(())
    })
}
