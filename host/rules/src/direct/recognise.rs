//! Recognises a component that is one core module and what `wit-component` puts around it.
//!
//! Such a component adds nothing to its module: each function that the module imports is the one of that name in the
//! contract, and each hook is the module's export of that name. Everything is followed to its end, and whatever is not
//! exactly so is another component: it is called as a component. Nothing here is trusted for safety; a module is as
//! confined when it is called directly. What would be lost is that a rule does the same in both ways.

use wasmparser::{CanonicalOption, ExternalKind};

use super::parts::{Filler, Main, SHIM_TABLE, Shim, Wrapper};
use super::spaces::{ComponentPart, CoreFunc, CoreInstance, Func, Index, Spaces, get};
use crate::abi::Contract;
use crate::capabilities::OFFERED;
use crate::{Hook, HookSet};

/// What the core module of a component has, where the component is nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// The module's index in the component.
    pub module: u32,
    pub hooks: HookSet,
    /// Hooks whose results the module takes back when they were read (`post-return`).
    pub post_return: HookSet,
}

/// How a component differs from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unlike(pub &'static str);

impl From<wasmparser::BinaryReaderError> for Unlike {
    fn from(_: wasmparser::BinaryReaderError) -> Unlike {
        Unlike("it is damaged")
    }
}

pub(super) type Outcome<T> = Result<T, Unlike>;

/// The name of the memory and of the allocator that the module exports.
pub(super) const MEMORY: &str = "memory";
pub(super) const REALLOC: &str = "cabi_realloc";

/// The module's export that is a hook.
pub(super) fn hook_export(contract: &Contract, hook: Hook) -> String {
    format!("{}#{hook}", contract.interface(hook.name()))
}

/// The module's export that takes back what the hook returned.
pub(super) fn post_return_export(contract: &Contract, hook: Hook) -> String {
    format!("cabi_post_{}", hook_export(contract, hook))
}

/// Reads a component; it may be anything.
pub(crate) fn recognise(component: &[u8], contract: &Contract) -> Outcome<Shape> {
    let spaces = Spaces::read(component)?;
    let modules = spaces.modules.as_slice();
    let (main, shim, filler) = match modules {
        [main] => (Main::read(main)?, None, None),
        [main, shim, filler] => (Main::read(main)?, Some(Shim::read(shim)?), Some(Filler::read(filler)?)),
        _ => return Err(Unlike("it has other modules")),
    };
    let judge = Judge {
        main_at: spaces.made_of(0)?,
        shim_at: if shim.is_some() { Some(spaces.made_of(1)?) } else { None },
        filler_at: if filler.is_some() { Some(spaces.made_of(2)?) } else { None },
        spaces,
        contract,
        main,
        shim: shim.unwrap_or_default(),
        filler: filler.unwrap_or_default(),
    };
    judge.shims()?;
    judge.imports()?;
    let (hooks, post_return) = judge.hooks()?;
    Ok(Shape { module: 0, hooks, post_return })
}

struct Judge<'a, 'c> {
    spaces: Spaces<'a>,
    contract: &'c Contract,
    main: Main<'a>,
    main_at: Index,
    shim: Shim<'a>,
    shim_at: Option<Index>,
    filler: Filler<'a>,
    filler_at: Option<Index>,
}

impl<'a> Judge<'a, '_> {
    /// The module that passes calls on does so to what the last module puts into its table.
    fn shims(&self) -> Outcome<()> {
        let (Some(shim), Some(filler)) = (self.shim_at, self.filler_at) else { return Ok(()) };
        let CoreInstance::Made { args, .. } = get(&self.spaces.core_instances, shim)? else {
            return Err(Unlike("it is damaged"));
        };
        if !args.is_empty() || self.filler.functions.len() != self.shim.functions {
            return Err(Unlike("its shims are others"));
        }
        let (module, name) = self.filler.table;
        let of = self.spaces.argument(filler, module)?;
        let is_table = if of == shim {
            name == SHIM_TABLE
        } else {
            let table = self.spaces.bundled(of, ExternalKind::Table, name)?;
            *get(&self.spaces.tables, table)? == (shim, SHIM_TABLE)
        };
        if is_table { Ok(()) } else { Err(Unlike("its shims are others")) }
    }

    /// Each function that the module imports is the one of that name in the contract.
    fn imports(&self) -> Outcome<()> {
        for import in &self.main.imports {
            let mut function = self.spaces.imported(self.main_at, *import)?;
            if let CoreFunc::Of((instance, name)) = function {
                let slot = (self.shim_at == Some(*instance)).then(|| self.shim.slot(name)).flatten();
                let slot = slot.ok_or(Unlike("it imports from another module"))?;
                let filler = self.filler_at.ok_or(Unlike("it is damaged"))?;
                function = self.spaces.imported(filler, *get(&self.filler.functions, slot)?)?;
            }
            self.import(function, *import)?;
        }
        Ok(())
    }

    fn import(&self, function: &CoreFunc<'a>, (module, name): (&str, &str)) -> Outcome<()> {
        if !OFFERED.iter().any(|interface| self.contract.interface(interface) == module) {
            return Err(Unlike("it imports something else than the contract"));
        }
        let (instance, of) = match function {
            CoreFunc::Of(_) => return Err(Unlike("it imports from another module")),
            CoreFunc::Lowered { func, options } => {
                if self.options(options)?.is_some() {
                    return Err(Unlike("it is damaged"));
                }
                match get(&self.spaces.funcs, *func)? {
                    Func::Of((instance, of)) => (*instance, (*of).to_owned()),
                    Func::Lifted { .. } => return Err(Unlike("it calls itself")),
                }
            }
            CoreFunc::Drop { ty } => match get(&self.spaces.types, *ty)? {
                Some((instance, resource)) => (*instance, format!("[resource-drop]{resource}")),
                None => return Err(Unlike("it has a resource of its own")),
            },
        };
        if self.spaces.interface(instance)? == module && of == name {
            Ok(())
        } else {
            Err(Unlike("an import is another function than its name says"))
        }
    }

    /// Checks that strings are UTF-8 in the module's memory, and gives the function that takes results back.
    fn options(&self, options: &[CanonicalOption]) -> Outcome<Option<Index>> {
        let mut post_return = None;
        for option in options {
            match option {
                CanonicalOption::UTF8 => {}
                CanonicalOption::Memory(memory)
                    if *get(&self.spaces.memories, *memory)? == (self.main_at, MEMORY) => {}
                CanonicalOption::Realloc(function) if self.is_export(*function, REALLOC)? => {}
                CanonicalOption::PostReturn(function) => post_return = Some(*function),
                _ => return Err(Unlike("it passes values in another way")),
            }
        }
        Ok(post_return)
    }

    /// Whether a core function is that export of the module.
    fn is_export(&self, function: Index, export: &str) -> Outcome<bool> {
        Ok(matches!(get(&self.spaces.core_funcs, function)?, CoreFunc::Of((instance, name))
            if *instance == self.main_at && *name == export))
    }

    /// Each hook that the component exports is the one of that name in the module.
    fn hooks(&self) -> Outcome<(HookSet, HookSet)> {
        let (mut hooks, mut post_returns) = (HookSet::EMPTY, HookSet::EMPTY);
        for (interface, instance) in &self.spaces.exports {
            let hook = Hook::ALL.into_iter().find(|hook| self.contract.interface(hook.name()) == *interface);
            let hook = hook.ok_or(Unlike("it exports something else than hooks"))?;
            let Func::Lifted { func, options } = self.exported(*instance, hook)? else {
                return Err(Unlike("it exports what it imports"));
            };
            if !self.is_export(*func, &hook_export(self.contract, hook))? {
                return Err(Unlike("a hook is another function than its name says"));
            }
            hooks = hooks.with(hook);
            if let Some(post_return) = self.options(options)? {
                // Nothing that `on-done` returns could be taken back.
                if hook == Hook::OnDone
                    || !self.is_export(post_return, &post_return_export(self.contract, hook))?
                {
                    return Err(Unlike("a hook is another function than its name says"));
                }
                post_returns = post_returns.with(hook);
            }
        }
        Ok((hooks, post_returns))
    }

    /// The function of a hook in the instance that the component exports.
    fn exported(&self, instance: Index, hook: Hook) -> Outcome<&Func<'a>> {
        let ComponentPart::Made { component, funcs } = get(&self.spaces.instances, instance)? else {
            return Err(Unlike("it exports what it imports"));
        };
        let wrapper = Wrapper::read(get(&self.spaces.components, *component)?)?;
        let import = wrapper.import_of(hook.name()).ok_or(Unlike("a hook is missing"))?;
        let func = funcs.iter().find(|(name, _)| *name == import).ok_or(Unlike("it is damaged"))?;
        get(&self.spaces.funcs, func.1)
    }
}

#[cfg(test)]
mod tests;
