//! `clock`

use super::Interface;

pub(super) fn define(clock: &mut Interface<'_>) -> wasmtime::Result<()> {
    clock.function("unix-ms", |context, (): ()| Ok((context.data().attachment.environment.unix_ms(),)))?;
    clock.function("monotonic-us", |context, (): ()| {
        Ok((context.data().attachment.environment.monotonic_us(),))
    })
}
