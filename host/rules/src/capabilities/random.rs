//! `random`

use super::Interface;
use crate::state::Refusal;

/// Bytes of one request, as the contract says.
const MAX_BYTES: u32 = 4096;

pub(super) fn define(random: &mut Interface<'_>) -> wasmtime::Result<()> {
    random.function("number", |context, (): ()| {
        let mut bytes = [0; 8];
        context.data().attachment.environment.fill_random(&mut bytes);
        Ok((u64::from_ne_bytes(bytes),))
    })?;
    random.function("bytes", |mut context, (len,): (u32,)| {
        if len > MAX_BYTES {
            return Err(Refusal::host_call(format!(
                "asked for {len} random bytes; at most {MAX_BYTES} are allowed"
            )));
        }
        context.data_mut().usage.random_bytes(len)?;
        let mut bytes = vec![0; len as usize];
        context.data().attachment.environment.fill_random(&mut bytes);
        Ok((bytes,))
    })
}
