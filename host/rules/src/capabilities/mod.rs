//! What rules can do: the host's side of every import of the contract.
//!
//! One module per interface. Each function takes its strings and lists as views of the guest's
//! memory and copies what it keeps; each counts as a host call of the current hook call.

mod client_certificate;
mod clock;
mod crypto;
mod fault;
mod fields;
mod flags;
mod interface;
mod lb;
mod log;
mod persist;
mod random;
mod request;
mod response;
mod sets;
mod table;
mod tls;
#[cfg(test)]
pub(crate) mod v0_0_9;
mod vars;

use wasmtime::Linker;
use wasmtime::component::Linker as ComponentLinker;

use self::interface::{Interface, function};
use crate::abi::{self, CONTRACTS, Contract};
use crate::direct::guest;
use crate::state::State;

pub(crate) use fields::is_forbidden;

/// The interfaces that a rule may import. `types` has no functions.
pub(crate) const OFFERED: [&str; 15] = [
    "types",
    "fault",
    "log",
    "clock",
    "random",
    "vars",
    "table",
    "persist",
    "lb",
    "sets",
    "flag",
    "crypto",
    "http",
    "tls",
    "client-certificate",
];

/// Defines every function of every interface, in every version of the contract; those of the newest for core modules too.
pub(crate) fn link(
    components: &mut ComponentLinker<State>,
    cores: &mut Linker<State>,
) -> wasmtime::Result<()> {
    for (contract, newest) in CONTRACTS.iter().zip([true].into_iter().chain(std::iter::repeat(false))) {
        link_as(contract, components, newest.then_some(&mut *cores))?;
        components.allow_shadowing(true);
        (contract.adapt)(components)?;
        components.allow_shadowing(false);
    }
    Ok(())
}

/// Defines the newest functions under the names of a version.
fn link_as(
    contract: &Contract,
    components: &mut ComponentLinker<State>,
    mut cores: Option<&mut Linker<State>>,
) -> wasmtime::Result<()> {
    let mut interface = |short: &'static str, define: fn(&mut Interface<'_>) -> wasmtime::Result<()>| {
        let name = contract.interface(short);
        let component = components.instance(&name)?;
        let core = cores.as_deref_mut().map(|core| (core, name.as_str()));
        define(&mut Interface { name: short, component, core })
    };
    interface("types", |_| Ok(()))?;
    interface("fault", fault::define)?;
    interface("log", log::define)?;
    interface("clock", clock::define)?;
    interface("random", random::define)?;
    interface("vars", vars::define)?;
    interface("table", table::define)?;
    interface("persist", persist::define)?;
    interface("lb", lb::define)?;
    interface("sets", sets::define)?;
    interface("flag", flags::define)?;
    interface("crypto", crypto::define)?;
    interface("http", |http| {
        http.resource::<abi::Request>("request", guest::REQUEST)?;
        http.resource::<abi::Response>("response", guest::RESPONSE)?;
        request::define(http)?;
        response::define(http)
    })?;
    interface("tls", |tls| {
        tls.resource::<abi::ClientHello>("client-hello", guest::HELLO)?;
        tls::define(tls)
    })?;
    interface("client-certificate", client_certificate::define)
}
