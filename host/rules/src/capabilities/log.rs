//! `log`

use wasmtime::component::WasmStr;

use super::Interface;
use crate::abi;
use crate::environment::Level;

/// Bytes of a line, as the contract says.
const MAX_LINE: usize = 4096;
/// How the SDK's panic hook begins its line.
const PANICKED: &str = "panicked at";

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
        if level == Level::Error && line.starts_with(PANICKED) {
            let panic = Some(line.to_owned());
            drop(message);
            context.data_mut().usage.panic = panic;
        }
        Ok(())
    })
}
