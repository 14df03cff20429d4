//! Calls of a component's core module without the component around it.
//!
//! A component that `wit-component` made of one core module adds nothing to it but the passing of values, which costs more
//! than most rules do. Where a component is exactly that ([`recognise`]), its module is instantiated by itself, the host's
//! functions are defined under the names that the module imports (`capabilities`), and values are passed as the component
//! model says ([`canon`], [`memory`], [`guest`], [`function`]). Any other component is called as a component, and so is every rule with
//! [`WayOfCalls::Component`](crate::WayOfCalls::Component), which the tests compare with.

pub(crate) mod canon;
pub(crate) mod function;
pub(crate) mod guest;
pub(crate) mod memory;
mod parts;
mod recognise;
mod spaces;
mod values;

use std::array;

use wasm_encoder::{ComponentExportKind, ComponentExportSection, ComponentSection as _};
use wasmtime::component::{Component, Linker as ComponentLinker};
use wasmtime::{
    Extern, ExternType, Instance, InstancePre, Linker, Module, ModuleExport, Store, TypedFunc, ValType,
    WasmParams, WasmResults,
};

use self::canon::breach;
use self::function::{Function, Procedure};
use self::guest::{Guest, Realloc};
use self::recognise::{MEMORY, REALLOC, hook_export, post_return_export};
use crate::Hook;
use crate::abi::Contract;
use crate::state::State;

pub(crate) use self::recognise::{Shape, recognise};

/// What the core module is called where the component exports it. No name of the contract is so.
const EXPORT: &str = "core";

/// Ticks of the clock in which an instance is made that is only looked at.
const TICKS: u64 = 1000;

/// The component with its core module exported: so it is compiled once for both ways. A component that exports a module
/// is compiled as one whose module may be given other imports.
pub(crate) fn exporting(component: &[u8], shape: Shape) -> Vec<u8> {
    let mut bytes = component.to_vec();
    let mut exports = ComponentExportSection::new();
    exports.export(EXPORT, ComponentExportKind::Module, shape.module, None);
    exports.append_to_component(&mut bytes);
    bytes
}

/// The core module of a rule, ready to be instantiated.
pub(crate) struct Direct {
    pre: InstancePre<State>,
    memory: ModuleExport,
    realloc: Option<ModuleExport>,
    hooks: [Option<HookExports>; Hook::COUNT],
}

struct HookExports {
    call: ModuleExport,
    post_return: Option<ModuleExport>,
}

impl Direct {
    /// # Errors
    /// The module has not what its component says, or imports what the host does not define.
    pub(crate) fn new(
        component: &Component,
        shape: Shape,
        contract: &Contract,
        linker: &Linker<State>,
    ) -> wasmtime::Result<Direct> {
        let module = core_module(component)?;
        let export = |name: &str| module.get_export_index(name);
        let missing = || breach("the core module lacks an export");
        let mut hooks = array::from_fn(|_| None);
        for hook in shape.hooks.iter() {
            let post_return = if shape.post_return.contains(hook) {
                Some(export(&post_return_export(contract, hook)).ok_or_else(missing)?)
            } else {
                None
            };
            let call = export(&hook_export(contract, hook)).ok_or_else(missing)?;
            hooks[hook as usize] = Some(HookExports { call, post_return });
        }
        Ok(Direct {
            pre: linker.instantiate_pre(&module)?,
            memory: export(MEMORY).ok_or_else(missing)?,
            // One of another type is not for the host, and no function of the component needs it.
            realloc: export(REALLOC).filter(|_| module.get_export(REALLOC).is_some_and(is_realloc)),
            hooks,
        })
    }

    /// Makes an instance; none of its code runs yet.
    pub(crate) fn instantiate(&self, store: &mut Store<State>) -> wasmtime::Result<Instance> {
        let instance = self.pre.instantiate(&mut *store)?;
        let memory = match instance.get_module_export(&mut *store, &self.memory) {
            Some(Extern::Memory(memory)) => memory,
            _ => return Err(breach("the core module has no memory")),
        };
        let realloc: Option<Realloc> = match &self.realloc {
            Some(realloc) => Some(typed(instance, store, realloc)?),
            None => None,
        };
        store.data_mut().guest = Some(Guest::new(memory, realloc));
        Ok(instance)
    }

    /// The function of a hook.
    pub(crate) fn function<P: WasmParams>(
        &self,
        instance: Instance,
        store: &mut Store<State>,
        hook: Hook,
    ) -> wasmtime::Result<Function<P>> {
        let exports = self.exports(hook)?;
        let post_return = match &exports.post_return {
            Some(post_return) => Some(typed(instance, store, post_return)?),
            None => None,
        };
        Ok(Function { call: typed(instance, store, &exports.call)?, post_return })
    }

    /// The function of a hook that returns nothing.
    pub(crate) fn procedure(
        &self,
        instance: Instance,
        store: &mut Store<State>,
        hook: Hook,
    ) -> wasmtime::Result<Procedure> {
        typed(instance, store, &self.exports(hook)?.call).map(Procedure)
    }

    fn exports(&self, hook: Hook) -> wasmtime::Result<&HookExports> {
        let exports = self.hooks[hook as usize].as_ref();
        exports.ok_or_else(|| wasmtime::Error::msg(format!("the rule does not export {hook}")))
    }
}

fn is_realloc(export: ExternType) -> bool {
    let ExternType::Func(ty) = export else { return false };
    let is_i32 = |ty: ValType| ty.is_i32();
    ty.params().len() == 4 && ty.params().all(is_i32) && ty.results().len() == 1 && ty.results().all(is_i32)
}

fn typed<P: WasmParams, R: WasmResults>(
    instance: Instance,
    store: &mut Store<State>,
    export: &ModuleExport,
) -> wasmtime::Result<TypedFunc<P, R>> {
    match instance.get_module_export(&mut *store, export) {
        Some(Extern::Func(function)) => function.typed(&*store),
        _ => Err(breach("the core module lacks an export")),
    }
}

/// The module that a component exports. wasmtime gives it out of an instance; making one runs none of the guest's code,
/// for no module of such a component has a start function.
fn core_module(component: &Component) -> wasmtime::Result<Module> {
    let mut linker = ComponentLinker::<()>::new(component.engine());
    linker.define_unknown_imports_as_traps(component)?;
    let mut store = Store::new(component.engine(), ());
    // Filling memory and tables looks at it.
    store.set_epoch_deadline(TICKS);
    let instance = linker.instantiate(&mut store, component)?;
    instance.get_module(&mut store, EXPORT).ok_or_else(|| breach("the component has no core module"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HookSet, abi};

    /// A component of nothing but a core module that exports a function of that type as its allocator.
    fn has_realloc(ty: &str) -> bool {
        let engine = wasmtime::Engine::default();
        let text = format!(
            "(component (core module $m (memory (export \"memory\") 1) (func (export \"cabi_realloc\") {ty} unreachable))
             (export \"core\" (core module $m)))"
        );
        let component = Component::new(&engine, wat::parse_str(text).unwrap()).unwrap();
        let shape = Shape { module: 0, hooks: HookSet::EMPTY, post_return: HookSet::EMPTY };
        Direct::new(&component, shape, abi::newest(), &Linker::new(&engine)).unwrap().realloc.is_some()
    }

    #[test]
    fn an_allocator_of_another_type_is_not_the_host_s() {
        assert!(has_realloc("(param i32 i32 i32 i32) (result i32)"));
        for other in [
            "",
            "(param i32 i32 i32 i64) (result i32)",
            "(param i32 i32 i32) (result i32)",
            "(param i32 i32 i32 i32)",
        ] {
            assert!(!has_realloc(other), "{other}");
        }
    }
}
