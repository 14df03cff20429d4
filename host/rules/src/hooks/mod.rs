//! The hooks of the contract. Each is a file with all of it: the verdict, the values of the component model, the check
//! of what a rule returned, the call, and how a case plays it. A new hook is a file, a row in [`hooks`], and its
//! interface in `wit/hooks.wit`.

mod on_client_hello;
mod on_connect_failed;
mod on_data;
mod on_done;
mod on_flow;
mod on_load;
mod on_probe;
mod on_request;
mod on_request_body;
mod on_response;
mod on_response_body;
mod on_selected;
mod validate;

use std::fmt;

use wasmtime::component::{ComponentNamedList, ComponentType, Lift, Lower, TypedFunc};
use wasmtime::{Store, WasmParams};

use crate::direct::canon::Load;
use crate::direct::function::Function;
use crate::direct::guest::Lent;
use crate::instance::{Instance, Made, first};
use crate::state::State;

pub use on_client_hello::HelloVerdict;
pub use on_connect_failed::ConnectFailedVerdict;
pub use on_data::DataVerdict;
pub use on_flow::FlowVerdict;
pub(crate) use on_load::Node;
pub use on_probe::ProbeVerdict;
pub use on_request::RequestVerdict;
pub use on_request_body::BodyVerdict;
pub use on_response::ResponseVerdict;
pub use on_response_body::ResponseBodyVerdict;
pub use on_selected::SelectedVerdict;
pub(crate) use validate::MAX_PERSIST_KEY;

/// The rows: each hook with its name in the contract and, but for `on-load`, which runs when an instance is made,
/// the function that an instance looks up when it is first called.
macro_rules! hooks {
    (
        $load:ident $load_name:literal $load_ty:ty;
        $($hook:ident $name:literal $module:ident $function:ident $ty:ty;)*
    ) => {
        /// A place where the host calls a rule. One interface of `wit/hooks.wit` each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Hook {
            $load,
            $($hook),*
        }

        impl Hook {
            /// All of them, in the order in which a request meets them, and that of monitors.
            pub const ALL: [Hook; Hook::COUNT] = [Hook::$load, $(Hook::$hook),*];

            /// How many there are; `hook as usize` is below it.
            pub const COUNT: usize = [$load_name, $($name),*].len();

            /// The name in the contract: of the interface, and of the function in it.
            pub const fn name(self) -> &'static str {
                match self {
                    Hook::$load => $load_name,
                    $(Hook::$hook => $name),*
                }
            }
        }

        /// The functions of an instance, looked up when they are first called: one that lives for a call
        /// needs one of them.
        #[derive(Default)]
        pub(crate) struct Functions {
            $($module: Option<$ty>),*
        }

        impl Instance {
            $(
                /// The function, and the store to call it with.
                #[inline]
                pub(crate) fn $function(&mut self) -> wasmtime::Result<(&$ty, &mut Store<State>)> {
                    let Instance { store, made, functions } = self;
                    let function = match &mut functions.$module {
                        Some(function) => function,
                        none => none.insert(<$ty as Export>::find(store, *made, Hook::$hook)?),
                    };
                    Ok((function, store))
                }
            )*

            /// Whether the rule exports a hook with the type that the contract gives it.
            pub(crate) fn check_hook(&mut self, hook: Hook) -> wasmtime::Result<()> {
                match hook {
                    Hook::$load => <$load_ty as Export>::find(&mut self.store, self.made, hook).map(drop),
                    $(Hook::$hook => self.$function().map(drop)),*
                }
            }
        }
    };
}

/// The function of a hook, as it is looked up in an instance.
pub(crate) trait Export: Sized {
    fn find(store: &mut Store<State>, made: Made, hook: Hook) -> wasmtime::Result<Self>;
}

/// The function of a hook that has one type in all versions of the contract: `P` is what it is given and `R` what it
/// returns, and `D` what a core module is given.
pub(crate) enum Typed<P, R, D> {
    Component(TypedFunc<P, (R,)>),
    Direct(Function<D>),
}

impl<P, R, D> Export for Typed<P, R, D>
where
    P: ComponentNamedList + Lower,
    R: ComponentType + Lift,
    (R,): ComponentNamedList + Lift,
    D: WasmParams,
{
    fn find(store: &mut Store<State>, made: Made, hook: Hook) -> wasmtime::Result<Typed<P, R, D>> {
        match made {
            Made::Component(instance) => component_function(store, instance, hook).map(Typed::Component),
            Made::Direct(instance) => {
                let attachment = store.data().attachment.clone();
                attachment.direct()?.function(instance, store, hook).map(Typed::Direct)
            }
        }
    }
}

impl<P, R, D> Typed<P, R, D>
where
    P: ComponentNamedList + Lower,
    R: ComponentType + Lift + Load,
    (R,): ComponentNamedList + Lift,
    D: WasmParams,
{
    /// Calls it. `params` are what a component is given; `flat` is what a core module is given, with the handles that are
    /// lent to it.
    #[inline]
    pub(crate) fn call(
        &self,
        store: &mut Store<State>,
        params: impl FnOnce() -> P,
        lent: Lent,
        flat: impl FnOnce(&mut Store<State>) -> wasmtime::Result<D>,
    ) -> wasmtime::Result<R> {
        match self {
            Typed::Component(function) => function.call(store, params()).map(first),
            Typed::Direct(function) => {
                let flat = flat(store)?;
                function.call(store, lent, flat)
            }
        }
    }
}

/// The function of a hook in an instance of a component.
pub(crate) fn component_function<P, R>(
    store: &mut Store<State>,
    instance: wasmtime::component::Instance,
    hook: Hook,
) -> wasmtime::Result<TypedFunc<P, R>>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift,
{
    let attachment = store.data().attachment.clone();
    let export = attachment.rule().export(hook);
    let export = export.ok_or_else(|| wasmtime::Error::msg(format!("the rule does not export {hook}")))?;
    instance.get_typed_func(store, export)
}

hooks! {
    OnLoad "on-load" on_load::Typed<'static>;
    OnFlow "on-flow" on_flow on_flow_function on_flow::Typed;
    OnClientHello "on-client-hello" on_client_hello on_client_hello_function on_client_hello::Typed;
    OnData "on-data" on_data on_data_function on_data::Typed<'static>;
    OnRequest "on-request" on_request on_request_function on_request::Typed;
    OnRequestBody "on-request-body" on_request_body on_request_body_function on_request_body::Typed<'static>;
    OnSelected "on-selected" on_selected on_selected_function on_selected::Typed;
    OnConnectFailed "on-connect-failed" on_connect_failed on_connect_failed_function on_connect_failed::Typed;
    OnResponse "on-response" on_response on_response_function on_response::Typed;
    OnResponseBody "on-response-body" on_response_body on_response_body_function on_response_body::Typed<'static>;
    OnDone "on-done" on_done on_done_function on_done::Typed;
    OnProbe "on-probe" on_probe on_probe_function on_probe::Typed<'static>;
}

/// The names of a verdict's cases in the contract, for logs, traces and cases.
macro_rules! verdict_names {
    ($verdict:ident { $($case:ident => $name:literal),* }) => {
        impl $verdict {
            /// The name in the contract.
            pub fn name(&self) -> &'static str {
                match self { $($verdict::$case { .. } => $name),* }
            }
        }
    };
}
use verdict_names;

impl Hook {
    /// The hook of that name.
    pub fn from_name(name: &str) -> Option<Hook> {
        Hook::ALL.into_iter().find(|hook| hook.name() == name)
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of hooks.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct HookSet(u16);

impl HookSet {
    pub const EMPTY: HookSet = HookSet(0);
    pub const ALL: HookSet = HookSet((1 << Hook::COUNT) - 1);
    /// What a virtual of protocol `http` can fire.
    pub const HTTP: HookSet = HookSet::ALL.without(HookSet::EMPTY.with(Hook::OnData).with(Hook::OnProbe));
    /// What a monitor can fire.
    pub const MONITOR: HookSet = HookSet::EMPTY.with(Hook::OnLoad).with(Hook::OnProbe);

    pub const fn contains(self, hook: Hook) -> bool {
        self.0 & (1 << hook as u8) != 0
    }

    #[must_use]
    pub const fn with(self, hook: Hook) -> HookSet {
        HookSet(self.0 | 1 << hook as u8)
    }

    #[must_use]
    pub const fn without(self, other: HookSet) -> HookSet {
        HookSet(self.0 & !other.0)
    }

    #[must_use]
    pub const fn union(self, other: HookSet) -> HookSet {
        HookSet(self.0 | other.0)
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = Hook> {
        Hook::ALL.into_iter().filter(move |hook| self.contains(*hook))
    }
}

impl FromIterator<Hook> for HookSet {
    fn from_iter<I: IntoIterator<Item = Hook>>(hooks: I) -> HookSet {
        hooks.into_iter().fold(HookSet::EMPTY, HookSet::with)
    }
}

/// The names, with commas: `on-load, on-request`.
impl fmt::Display for HookSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, hook) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            f.write_str(hook.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for HookSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hook_is_found_by_its_name() {
        for (index, hook) in Hook::ALL.into_iter().enumerate() {
            assert_eq!(hook as usize, index);
            assert_eq!(Hook::from_name(hook.name()), Some(hook));
        }
        assert_eq!(Hook::from_name("on-timer"), None);
    }

    #[test]
    fn sets_join_and_differ() {
        let set: HookSet = [Hook::OnRequest, Hook::OnDone].into_iter().collect();
        assert_eq!(set.to_string(), "on-request, on-done");
        assert!(set.without(HookSet::ALL).is_empty());
        assert_eq!(HookSet::ALL.iter().count(), Hook::COUNT);
        assert_eq!(set.union(HookSet::EMPTY.with(Hook::OnFlow)).iter().count(), 3);
    }
}
