//! `fault`

use wasmtime::component::WasmStr;

use super::Interface;
use super::log::MAX_LINE;

pub(super) fn define(fault: &mut Interface<'_>) -> wasmtime::Result<()> {
    fault.function("report", |mut context, (message,): (WasmStr,)| {
        let message = message.to_str(&context)?;
        let message = message[..message.floor_char_boundary(MAX_LINE)].to_owned();
        context.data_mut().usage.report = Some(message);
        Ok(())
    })
}
