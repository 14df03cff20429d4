//! The parts of such a component: the module of the rule, the two that `wit-component` adds so that the rule can import
//! functions that need its own memory, and the components that give an exported interface its types.

use wasmparser::{
    BinaryReaderError, ComponentExternalKind, ComponentTypeRef, ElementItems, ElementKind, Encoding,
    ExternalKind, FunctionBody, Operator, Parser, Payload, TypeRef,
};

use super::recognise::{MEMORY, Outcome, Unlike};

/// What the shim calls its table.
pub(super) const SHIM_TABLE: &str = "$imports";

/// A function's module and name.
type Import<'a> = (&'a str, &'a str);

const OTHER_SECTIONS: Unlike = Unlike("a module has other sections");
const OTHER_SHIMS: Unlike = Unlike("its shims are others");

/// Functions that a section imports, and at most one table.
fn imports<'a>(
    section: wasmparser::ImportSectionReader<'a>,
    functions: &mut Vec<Import<'a>>,
    table: &mut Option<Import<'a>>,
) -> Outcome<()> {
    for import in section.into_imports() {
        let import = import?;
        match import.ty {
            TypeRef::Func(_) => functions.push((import.module, import.name)),
            TypeRef::Table(_) if table.is_none() => *table = Some((import.module, import.name)),
            _ => return Err(Unlike("a module imports something else than functions")),
        }
    }
    Ok(())
}

/// The module of the rule.
pub(super) struct Main<'a> {
    pub imports: Vec<Import<'a>>,
}

impl<'a> Main<'a> {
    pub(super) fn read(module: &'a [u8]) -> Outcome<Main<'a>> {
        let (mut main, mut table) = (Main { imports: Vec::new() }, None);
        let (mut memories, mut exports_memory) = (0, false);
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::ImportSection(section) => imports(section, &mut main.imports, &mut table)?,
                Payload::MemorySection(section) => memories += section.count(),
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let export = export?;
                        exports_memory |= export.name == MEMORY && export.kind == ExternalKind::Memory;
                    }
                }
                Payload::Version { encoding: Encoding::Module, .. }
                | Payload::TypeSection(_)
                | Payload::FunctionSection(_)
                | Payload::TableSection(_)
                | Payload::GlobalSection(_)
                | Payload::ElementSection(_)
                | Payload::DataCountSection { .. }
                | Payload::CodeSectionStart { .. }
                | Payload::CodeSectionEntry(_)
                | Payload::DataSection(_)
                | Payload::CustomSection(_)
                | Payload::End(_) => {}
                // A function that runs before `on-load` would find its imports missing in a component.
                _ => return Err(OTHER_SECTIONS),
            }
        }
        if table.is_some() || memories != 1 || !exports_memory {
            return Err(Unlike("the rule has not one memory of its own"));
        }
        Ok(main)
    }
}

/// The module whose functions call through a table what the rule imports.
#[derive(Default)]
pub(super) struct Shim<'a> {
    exports: Vec<(&'a str, u32)>,
    pub functions: usize,
}

impl<'a> Shim<'a> {
    pub(super) fn read(module: &'a [u8]) -> Outcome<Shim<'a>> {
        let mut shim = Shim::default();
        let (mut params, mut types, mut bodies) = (Vec::new(), Vec::new(), 0);
        let (mut size, mut exports_table) = (None, false);
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::Version { encoding: Encoding::Module, .. }
                | Payload::CodeSectionStart { .. }
                | Payload::CustomSection(_)
                | Payload::End(_) => {}
                Payload::TypeSection(section) => {
                    for ty in section.into_iter_err_on_gc_types() {
                        params.push(ty?.params().len());
                    }
                }
                Payload::FunctionSection(section) => {
                    types = section.into_iter().collect::<Result<Vec<u32>, BinaryReaderError>>()?;
                }
                Payload::TableSection(section) => {
                    for table in section {
                        let table = table?;
                        let initial = matches!(table.init, wasmparser::TableInit::RefNull);
                        if size.is_some() || !initial || table.ty.maximum != Some(table.ty.initial) {
                            return Err(OTHER_SHIMS);
                        }
                        size = Some(table.ty.initial);
                    }
                }
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let export = export?;
                        match export.kind {
                            ExternalKind::Func => shim.exports.push((export.name, export.index)),
                            ExternalKind::Table if export.name == SHIM_TABLE => exports_table = true,
                            _ => return Err(OTHER_SHIMS),
                        }
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    let ty = *types.get(bodies).ok_or(OTHER_SHIMS)?;
                    let params = usize::try_from(ty).ok().and_then(|ty| params.get(ty)).ok_or(OTHER_SHIMS)?;
                    passes_on(&body, *params, ty, bodies)?;
                    bodies += 1;
                }
                _ => return Err(OTHER_SECTIONS),
            }
        }
        shim.functions = bodies;
        if !exports_table || size != u64::try_from(bodies).ok() || types.len() != bodies {
            return Err(OTHER_SHIMS);
        }
        Ok(shim)
    }

    /// The slot of the table through which an exported function calls.
    pub(super) fn slot(&self, export: &str) -> Option<u32> {
        self.exports.iter().find(|(name, _)| *name == export).map(|(_, slot)| *slot)
    }
}

/// Checks that a function calls the slot of its own number with its own parameters, and does no more.
fn passes_on(body: &FunctionBody<'_>, params: usize, ty: u32, slot: usize) -> Outcome<()> {
    if body.get_locals_reader()?.get_count() != 0 {
        return Err(OTHER_SHIMS);
    }
    let mut operators = body.get_operators_reader()?;
    let mut expect = |is: &dyn Fn(&Operator<'_>) -> bool| -> Outcome<()> {
        if is(&operators.read()?) { Ok(()) } else { Err(OTHER_SHIMS) }
    };
    for param in 0..params {
        expect(
            &|operator| matches!(operator, Operator::LocalGet { local_index } if usize::try_from(*local_index) == Ok(param)),
        )?;
    }
    expect(
        &|operator| matches!(operator, Operator::I32Const { value } if usize::try_from(*value) == Ok(slot)),
    )?;
    expect(
        &|operator| matches!(operator, Operator::CallIndirect { type_index, table_index: 0 } if *type_index == ty),
    )?;
    expect(&|operator| matches!(operator, Operator::End))?;
    if operators.eof() { Ok(()) } else { Err(OTHER_SHIMS) }
}

/// The module that fills that table.
#[derive(Default)]
pub(super) struct Filler<'a> {
    /// What is put into the table, in the order of its slots.
    pub functions: Vec<Import<'a>>,
    pub table: Import<'a>,
}

impl<'a> Filler<'a> {
    pub(super) fn read(module: &'a [u8]) -> Outcome<Filler<'a>> {
        let (mut imported, mut table, mut slots) = (Vec::new(), None, None);
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::Version { encoding: Encoding::Module, .. }
                | Payload::TypeSection(_)
                | Payload::CustomSection(_)
                | Payload::End(_) => {}
                Payload::ImportSection(section) => imports(section, &mut imported, &mut table)?,
                Payload::ElementSection(section) => {
                    for element in section {
                        let element = element?;
                        let ElementKind::Active { table_index: None | Some(0), offset_expr } = element.kind
                        else {
                            return Err(OTHER_SHIMS);
                        };
                        let mut offset = offset_expr.get_operators_reader();
                        let first = offset.read()?;
                        let at_zero = matches!(first, Operator::I32Const { value: 0 })
                            && matches!(offset.read()?, Operator::End);
                        let ElementItems::Functions(functions) = element.items else {
                            return Err(OTHER_SHIMS);
                        };
                        if !at_zero || slots.is_some() {
                            return Err(OTHER_SHIMS);
                        }
                        slots = Some(functions.into_iter().collect::<Result<Vec<u32>, BinaryReaderError>>()?);
                    }
                }
                _ => return Err(OTHER_SECTIONS),
            }
        }
        let function =
            |index: u32| usize::try_from(index).ok().and_then(|index| imported.get(index).copied());
        let functions: Option<Vec<Import<'a>>> =
            slots.unwrap_or_default().into_iter().map(function).collect();
        Ok(Filler { functions: functions.ok_or(OTHER_SHIMS)?, table: table.ok_or(OTHER_SHIMS)? })
    }
}

/// A component that exports, with types, what it is given.
pub(super) struct Wrapper<'a> {
    /// Exported functions, and what they are called where they are given.
    functions: Vec<(&'a str, &'a str)>,
}

impl<'a> Wrapper<'a> {
    pub(super) fn read(component: &'a [u8]) -> Outcome<Wrapper<'a>> {
        let mut wrapper = Wrapper { functions: Vec::new() };
        let mut funcs: Vec<&str> = Vec::new();
        for payload in Parser::new(0).parse_all(component) {
            match payload? {
                Payload::Version { encoding: Encoding::Component, .. }
                | Payload::ComponentTypeSection(_)
                | Payload::CustomSection(_)
                | Payload::End(_) => {}
                Payload::ComponentImportSection(imports) => {
                    for import in imports {
                        let import = import?;
                        match import.ty {
                            ComponentTypeRef::Func(_) => funcs.push(import.name.name),
                            ComponentTypeRef::Type(_) => {}
                            _ => return Err(Unlike("an interface is made of something else than functions")),
                        }
                    }
                }
                Payload::ComponentExportSection(exports) => {
                    for export in exports {
                        let export = export?;
                        match export.kind {
                            ComponentExternalKind::Func => {
                                let index = usize::try_from(export.index).ok();
                                let import =
                                    *index.and_then(|at| funcs.get(at)).ok_or(Unlike("it is damaged"))?;
                                wrapper.functions.push((export.name.name, import));
                                funcs.push(import);
                            }
                            ComponentExternalKind::Type => {}
                            _ => return Err(Unlike("an interface is made of something else than functions")),
                        }
                    }
                }
                _ => return Err(Unlike("an interface is made of something else than functions")),
            }
        }
        Ok(wrapper)
    }

    /// What the function that is exported under this name is called where it is given.
    pub(super) fn import_of(&self, export: &str) -> Option<&'a str> {
        self.functions.iter().find(|(name, _)| *name == export).map(|(_, import)| *import)
    }
}
