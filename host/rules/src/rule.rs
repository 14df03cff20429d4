//! A compiled rule.

use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre};

use crate::abi::Contract;
use crate::direct::{self, Direct};
use crate::epoch::EpochClock;
use crate::host::Linkers;
use crate::names::Names;
use crate::state::State;
use crate::{Digest, Hook, HookSet, Manifest, Pack, Schema, abi, capabilities};

/// A pack, compiled and checked against the contract. Cheap to share; instances are made from it
/// without looking at the component again.
pub struct Rule {
    manifest: Manifest,
    schema: Option<Schema>,
    digest: Digest,
    hooks: HookSet,
    pre: InstancePre<State>,
    /// Its core module, where the component is nothing more.
    direct: Option<Direct>,
    exports: [Option<ComponentExportIndex>; Hook::COUNT],
    names: Option<Arc<Names>>,
    clock: Arc<EpochClock>,
    contract: &'static Contract,
}

/// Why a pack cannot be run here. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    #[error("the component does not compile: {0}; build it again with `shunt rule build`")]
    Compile(String),
    #[error(
        "the component imports what Shunt does not offer: {}; build the rule for wasm32-unknown-unknown \
         by `shunt rule build`; it may import {}",
        .0.join(", "), capabilities::OFFERED.join(", ")
    )]
    Imports(Vec<String>),
    #[error(
        "the component is for another version of the rule contract ({}), and this Shunt has {}; use a newer Shunt \
         where that is newer, else build the pack with the shunt-sdk of this version of Shunt",
        .0.join(", "), abi::spoken()
    )]
    Version(Vec<String>),
    #[error("the component exports {}, which this Shunt never calls; its hooks are {}", .0.join(", "), HookSet::ALL)]
    UnknownHooks(Vec<String>),
    #[error(
        "the component exports no hook, so Shunt would never call it; export one or more of {}",
        HookSet::ALL
    )]
    NoHook,
    #[error(
        "the component does not match the contract: {0}; build the pack with the shunt-sdk of this version of Shunt"
    )]
    Contract(String),
}

impl Rule {
    pub(crate) fn compile(
        engine: &Engine,
        linkers: &Linkers,
        clock: &Arc<EpochClock>,
        pack: &Pack,
    ) -> Result<Arc<Rule>, RuleError> {
        let shape = direct::recognise(pack.bytes(), abi::newest()).ok();
        let component = match shape {
            Some(shape) => Component::from_binary(engine, &direct::exporting(pack.bytes(), shape)),
            None => Component::from_binary(engine, pack.bytes()),
        };
        let component = component.map_err(|error| RuleError::Compile(format!("{error:#}")))?;
        let contract = check_names(engine, &component)?;

        let mut exports = [const { None }; Hook::COUNT];
        for hook in Hook::ALL {
            exports[hook as usize] = component
                .get_export_index(None, contract.interface(hook.name()).as_str())
                .and_then(|interface| component.get_export_index(Some(&interface), hook.name()));
        }
        let hooks: HookSet = Hook::ALL.into_iter().filter(|hook| exports[*hook as usize].is_some()).collect();
        if hooks.without(HookSet::EMPTY.with(Hook::OnLoad)).is_empty() {
            return Err(RuleError::NoHook);
        }
        let pre = linkers.component.instantiate_pre(&component);
        let pre = pre.map_err(|error| RuleError::Contract(format!("{error:#}")))?;
        // Whatever stands against it, the component can be called.
        let direct = shape.and_then(|shape| Direct::new(&component, shape, contract, &linkers.core).ok());
        Ok(Arc::new(Rule {
            manifest: pack.manifest().clone(),
            schema: pack.schema().cloned(),
            digest: pack.digest(),
            hooks,
            pre,
            direct,
            exports,
            names: pack.names().cloned(),
            clock: clock.clone(),
            contract,
        }))
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The schema of its settings; `None`: it takes none.
    pub fn schema(&self) -> Option<&Schema> {
        self.schema.as_ref()
    }

    /// Of the pack's file.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The hooks that it exports.
    pub fn hooks(&self) -> HookSet {
        self.hooks
    }

    /// The version of the contract that it was made for.
    pub(crate) fn contract(&self) -> &'static Contract {
        self.contract
    }

    pub(crate) fn pre(&self) -> &InstancePre<State> {
        &self.pre
    }

    pub(crate) fn direct(&self) -> Option<&Direct> {
        self.direct.as_ref()
    }

    /// Whether its core module can be called without the component around it, which is quicker.
    pub fn is_direct(&self) -> bool {
        self.direct.is_some()
    }

    pub(crate) fn export(&self, hook: Hook) -> Option<&ComponentExportIndex> {
        self.exports[hook as usize].as_ref()
    }

    /// The names of its functions, where they are known.
    pub(crate) fn names(&self) -> Option<&Names> {
        self.names.as_deref()
    }

    pub(crate) fn clock(&self) -> &EpochClock {
        &self.clock
    }
}

/// Checks the names of imports and exports, so that what does not fit is told in the
/// contract's words before the linker tells it in its own; gives the contract that they are of.
fn check_names(engine: &Engine, component: &Component) -> Result<&'static Contract, RuleError> {
    let ty = component.component_type();
    let (mut foreign, mut other_version, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    let mut seen: Option<&'static Contract> = None;
    let mut is_other = |contract: Option<&'static Contract>| match (contract, seen) {
        (Some(contract), Some(seen)) => !std::ptr::eq(contract, seen),
        (Some(contract), None) => {
            seen = Some(contract);
            false
        }
        (None, _) => true,
    };
    for (name, _) in ty.imports(engine) {
        match abi::read_name(name) {
            Some((interface, _)) if !capabilities::OFFERED.contains(&interface) => {
                foreign.push(name.to_owned());
            }
            Some((_, contract)) if is_other(contract) => other_version.push(name.to_owned()),
            Some(_) => {}
            None => foreign.push(name.to_owned()),
        }
    }
    for (name, _) in ty.exports(engine) {
        match abi::read_name(name) {
            Some((_, contract)) if is_other(contract) => other_version.push(name.to_owned()),
            Some((interface, _)) if Hook::from_name(interface).is_none() => unknown.push(name.to_owned()),
            // Exports of other packages are no affair of ours.
            _ => {}
        }
    }
    if !other_version.is_empty() {
        return Err(RuleError::Version(other_version));
    }
    if !foreign.is_empty() {
        return Err(RuleError::Imports(foreign));
    }
    if !unknown.is_empty() {
        return Err(RuleError::UnknownHooks(unknown));
    }
    seen.ok_or(RuleError::NoHook)
}
