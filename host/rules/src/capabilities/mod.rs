//! What rules can do: the host's side of every import of the contract.
//!
//! One module per interface. Each function takes its strings and lists as views of the guest's
//! memory and copies what it keeps; each counts as a host call of the current hook call.

mod clock;
mod fault;
mod fields;
mod lb;
mod log;
mod random;
mod request;
mod response;
#[cfg(test)]
pub(crate) mod v0_0_9;
mod vars;

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentNamedList, Lift, Linker, LinkerInstance, Lower, ResourceType};

use crate::abi::{self, CONTRACTS, Contract};
use crate::state::State;

pub(crate) use fields::is_forbidden;

/// The interfaces that a rule may import. `types` has no functions.
pub(crate) const OFFERED: [&str; 8] = ["types", "fault", "log", "clock", "random", "vars", "lb", "http"];

/// The store as a host function sees it.
type Context<'a> = StoreContextMut<'a, State>;

/// Defines every function of every interface, in every version of the contract.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    for contract in CONTRACTS {
        link_as(contract, linker)?;
        linker.allow_shadowing(true);
        (contract.adapt)(linker)?;
        linker.allow_shadowing(false);
    }
    Ok(())
}

/// Defines the newest functions under the names of a version.
fn link_as(contract: &Contract, linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut interface = |name, define: fn(&mut Interface<'_>) -> wasmtime::Result<()>| {
        define(&mut Interface(linker.instance(&contract.interface(name))?))
    };
    interface("types", |_| Ok(()))?;
    interface("fault", fault::define)?;
    interface("log", log::define)?;
    interface("clock", clock::define)?;
    interface("random", random::define)?;
    interface("vars", vars::define)?;
    interface("lb", lb::define)?;
    interface("http", |http| {
        http.resource::<abi::Request>("request")?;
        http.resource::<abi::Response>("response")?;
        request::define(http)?;
        response::define(http)
    })
}

/// An interface under definition.
struct Interface<'a>(LinkerInstance<'a, State>);

impl Interface<'_> {
    fn function<P, R>(
        &mut self,
        name: &str,
        body: impl Fn(Context<'_>, P) -> wasmtime::Result<R> + Send + Sync + 'static,
    ) -> wasmtime::Result<()>
    where
        P: ComponentNamedList + Lift + 'static,
        R: ComponentNamedList + Lower + 'static,
    {
        self.0.func_wrap(name, move |mut context: Context<'_>, params: P| {
            context.data_mut().usage.host_call()?;
            body(context, params)
        })
    }

    fn resource<T: 'static>(&mut self, name: &str) -> wasmtime::Result<()> {
        // Rules only ever borrow them: there is nothing to drop.
        self.0.resource(name, ResourceType::host::<T>(), |_, _| Ok(()))
    }
}
