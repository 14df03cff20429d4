//! The index spaces of a component, as it is written: nothing is judged here but what kinds of items there are.

use wasmparser::{
    CanonicalFunction, CanonicalOption, ComponentAlias, ComponentExternName, ComponentExternalKind,
    ComponentInstance, ComponentTypeRef, Encoding, Export, ExternalKind, Instance, Parser, Payload,
};

use super::recognise::{Outcome, Unlike};

/// The index of an item in the component.
pub(super) type Index = u32;
/// An export of an instance.
pub(super) type Of<'a> = (Index, &'a str);

pub(super) enum CoreInstance<'a> {
    Made { module: Index, args: Vec<(&'a str, Index)> },
    Bundle(Vec<Export<'a>>),
}

#[derive(Clone)]
pub(super) enum CoreFunc<'a> {
    Of(Of<'a>),
    Lowered { func: Index, options: Box<[CanonicalOption]> },
    Drop { ty: Index },
}

pub(super) enum ComponentPart<'a> {
    Import(&'a str),
    Made { component: Index, funcs: Vec<(&'a str, Index)> },
    Export,
}

pub(super) enum Func<'a> {
    Of(Of<'a>),
    Lifted { func: Index, options: Box<[CanonicalOption]> },
}

/// The index spaces of a component.
#[derive(Default)]
pub(super) struct Spaces<'a> {
    pub modules: Vec<&'a [u8]>,
    pub components: Vec<&'a [u8]>,
    pub core_instances: Vec<CoreInstance<'a>>,
    pub core_funcs: Vec<CoreFunc<'a>>,
    pub memories: Vec<Of<'a>>,
    pub tables: Vec<Of<'a>>,
    pub instances: Vec<ComponentPart<'a>>,
    pub funcs: Vec<Func<'a>>,
    /// `None`: a type that is written in the component.
    pub types: Vec<Option<Of<'a>>>,
    pub exports: Vec<(&'a str, Index)>,
}

/// An item by its index.
pub(super) fn get<T>(items: &[T], index: Index) -> Outcome<&T> {
    usize::try_from(index).ok().and_then(|index| items.get(index)).ok_or(Unlike("it is damaged"))
}

fn plain<'a>(name: &ComponentExternName<'a>) -> Outcome<&'a str> {
    match name {
        ComponentExternName { name, implements: None, version_suffix: None, external_id: None } => Ok(name),
        _ => Err(Unlike("it has names of another form")),
    }
}

impl<'a> Spaces<'a> {
    pub(super) fn read(component: &'a [u8]) -> Outcome<Spaces<'a>> {
        let mut spaces = Spaces::default();
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(component) {
            let payload = payload?;
            let nested = matches!(payload, Payload::ModuleSection { .. } | Payload::ComponentSection { .. });
            let ends = matches!(payload, Payload::End(_));
            if depth == 0 {
                spaces.take(payload, component)?;
            }
            // The end of the component itself is the last payload.
            depth = if nested { depth + 1 } else { depth.saturating_sub(ends.into()) };
        }
        Ok(spaces)
    }

    fn take(&mut self, payload: Payload<'a>, component: &'a [u8]) -> Outcome<()> {
        let bytes = |range: std::ops::Range<u64>| {
            let range = usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?;
            component.get(range)
        };
        match payload {
            Payload::Version { encoding: Encoding::Component, .. }
            | Payload::CustomSection(_)
            | Payload::End(_) => {}
            Payload::ModuleSection { unchecked_range, .. } => {
                self.modules.push(bytes(unchecked_range).ok_or(Unlike("it is damaged"))?);
            }
            Payload::ComponentSection { unchecked_range, .. } => {
                self.components.push(bytes(unchecked_range).ok_or(Unlike("it is damaged"))?);
            }
            Payload::ComponentTypeSection(types) => {
                for ty in types {
                    ty?;
                    self.types.push(None);
                }
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    let import = import?;
                    let ComponentTypeRef::Instance(_) = import.ty else {
                        return Err(Unlike("it imports something else than interfaces"));
                    };
                    self.instances.push(ComponentPart::Import(plain(&import.name)?));
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases {
                    self.alias(alias?)?;
                }
            }
            Payload::InstanceSection(instances) => {
                for instance in instances {
                    self.core_instances.push(match instance? {
                        Instance::Instantiate { module_index, args } => CoreInstance::Made {
                            module: module_index,
                            args: args.iter().map(|arg| (arg.name, arg.index)).collect(),
                        },
                        Instance::FromExports(exports) => CoreInstance::Bundle(exports.into_vec()),
                    });
                }
            }
            Payload::ComponentCanonicalSection(functions) => {
                for function in functions {
                    self.canonical(function?)?;
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances {
                    let ComponentInstance::Instantiate { component_index, args } = instance? else {
                        return Err(Unlike("it bundles what it exports"));
                    };
                    let funcs = args.iter().filter(|arg| arg.kind == ComponentExternalKind::Func);
                    self.instances.push(ComponentPart::Made {
                        component: component_index,
                        funcs: funcs.map(|arg| (arg.name, arg.index)).collect(),
                    });
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    if export.kind != ComponentExternalKind::Instance || export.ty.is_some() {
                        return Err(Unlike("it exports something else than interfaces"));
                    }
                    self.exports.push((plain(&export.name)?, export.index));
                    self.instances.push(ComponentPart::Export);
                }
            }
            _ => return Err(Unlike("it has other sections")),
        }
        Ok(())
    }

    fn alias(&mut self, alias: ComponentAlias<'a>) -> Outcome<()> {
        match alias {
            ComponentAlias::InstanceExport { kind, instance_index, name } => match kind {
                ComponentExternalKind::Func => self.funcs.push(Func::Of((instance_index, name))),
                ComponentExternalKind::Type => self.types.push(Some((instance_index, name))),
                _ => return Err(Unlike("it takes something else out of an interface")),
            },
            ComponentAlias::CoreInstanceExport { kind, instance_index, name } => match kind {
                ExternalKind::Func => self.core_funcs.push(CoreFunc::Of((instance_index, name))),
                ExternalKind::Memory => self.memories.push((instance_index, name)),
                ExternalKind::Table => self.tables.push((instance_index, name)),
                _ => return Err(Unlike("it takes something else out of a module")),
            },
            ComponentAlias::Outer { .. } => return Err(Unlike("it is a part of another component")),
        }
        Ok(())
    }

    fn canonical(&mut self, function: CanonicalFunction) -> Outcome<()> {
        match function {
            CanonicalFunction::Lift { core_func_index, options, .. } => {
                self.funcs.push(Func::Lifted { func: core_func_index, options });
            }
            CanonicalFunction::Lower { func_index, options } => {
                self.core_funcs.push(CoreFunc::Lowered { func: func_index, options });
            }
            CanonicalFunction::ResourceDrop { resource } => {
                self.core_funcs.push(CoreFunc::Drop { ty: resource });
            }
            _ => return Err(Unlike("it calls the component model")),
        }
        Ok(())
    }

    /// The one instance of a module.
    pub(super) fn made_of(&self, module: Index) -> Outcome<Index> {
        let mut made = self.core_instances.iter().zip(0..).filter_map(|(instance, at)| match instance {
            CoreInstance::Made { module: of, .. } if *of == module => Some(at),
            _ => None,
        });
        match (made.next(), made.next()) {
            (Some(at), None) => Ok(at),
            _ => Err(Unlike("a module is there more than once, or never")),
        }
    }

    /// What an instance of a module is given for the imports from a module of that name.
    pub(super) fn argument(&self, instance: Index, module: &str) -> Outcome<Index> {
        let CoreInstance::Made { args, .. } = get(&self.core_instances, instance)? else {
            return Err(Unlike("it is damaged"));
        };
        let argument = args.iter().find(|(name, _)| *name == module);
        argument.map(|(_, instance)| *instance).ok_or(Unlike("it is damaged"))
    }

    /// The item of that name in a bundle.
    pub(super) fn bundled(&self, instance: Index, kind: ExternalKind, name: &str) -> Outcome<Index> {
        let CoreInstance::Bundle(exports) = get(&self.core_instances, instance)? else {
            return Err(Unlike("a module imports from another"));
        };
        let export = exports.iter().find(|export| export.name == name && export.kind == kind);
        export.map(|export| export.index).ok_or(Unlike("it is damaged"))
    }

    /// The function that an instance of a module imports.
    pub(super) fn imported(&self, instance: Index, (module, name): (&str, &str)) -> Outcome<&CoreFunc<'a>> {
        let bundle = self.argument(instance, module)?;
        get(&self.core_funcs, self.bundled(bundle, ExternalKind::Func, name)?)
    }

    /// The name of the imported interface that an instance is.
    pub(super) fn interface(&self, instance: Index) -> Outcome<&'a str> {
        match get(&self.instances, instance)? {
            ComponentPart::Import(name) => Ok(name),
            _ => Err(Unlike("it calls itself")),
        }
    }
}
