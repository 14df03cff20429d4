//! What an older version of the contract has in another shape, see [`crate::abi`].

use wasmtime::component::Linker;

use super::{Interface, function, request};
use crate::abi::v0_0_9::CONTRACT;
use crate::state::State;

pub(crate) fn define(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let component = linker.instance(&CONTRACT.interface("http"))?;
    let mut http = Interface { name: "http", component, core: None };
    function!(&mut http, "[method]request.header", (this: request, name: text) -> memory, header)
}

fn header(state: &mut State, name: &str) -> wasmtime::Result<Option<Vec<u8>>> {
    Ok(request::header(state, name)?.unwrap_or_default())
}
