//! What an older version of the contract has in another shape, see [`crate::abi`].

use wasmtime::component::{Linker, Resource, WasmStr};

use super::{Interface, fields, request};
use crate::abi::{Request, v0_0_9::CONTRACT};
use crate::state::State;

pub(crate) fn define(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut http = Interface(linker.instance(&CONTRACT.interface("http"))?);
    http.function("[method]request.header", |mut context, (_, name): (Resource<Request>, WasmStr)| {
        Ok((request::read_field(&mut context, &name, fields::first_value)?.unwrap_or_default(),))
    })
}
