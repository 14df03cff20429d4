//! From a pack's folder to its one file: cargo, then a component, then the pack's own sections.
//!
//! No tool but cargo is run, and none where another tool has compiled the rule. What comes out holds only what the contract offers, whatever the
//! rule's dependencies wished for.

mod cargo;
mod slots;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use wasm_encoder::{ComponentSection as _, CustomSection, RawSection};
use wasmparser::{Parser, Payload};
use wit_component::ComponentEncoder;

use crate::capabilities::OFFERED;
use crate::grants::{Grant, Key, asked};
use crate::pack::{DEBUG_EXTENSION, PACK_SECTION, SETTINGS_SECTION, remedies};
use crate::{Digest, Hook, HookSet, Manifest, ManifestError, Pack, PackError, abi, names, plain_file, whole};

pub use cargo::Progress;
pub use slots::{Place, Undeclared};

/// How to build.
#[derive(Clone, Debug, Default)]
pub struct BuildOptions {
    /// A component, or a core module that can be made one, that another tool compiled; `None`: cargo compiles the crate in
    /// the folder.
    pub component: Option<PathBuf>,
    /// Where cargo keeps its work; `None`: where it would by itself.
    pub target_dir: Option<PathBuf>,
    /// What becomes of the compiler's messages.
    pub progress: Progress,
}

/// A pack that was built.
#[derive(Clone, Debug)]
pub struct BuildOutput {
    /// `DIR/dist/<name>.wasm`
    pub file: PathBuf,
    pub manifest: Manifest,
    /// Bytes of the file.
    pub size: usize,
    pub digest: Digest,
    /// Where the rule names a slot by something else than a literal.
    pub open_slots: Vec<Place>,
    /// What `pack.toml` asks for and the rule does not use.
    pub idle: Vec<Key>,
}

/// Why a pack cannot be built. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("cannot read or write {}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("cargo is not installed; see https://rustup.rs")]
    NoCargo,
    #[error(
        "the compiler has no target wasm32-unknown-unknown; run `rustup target add wasm32-unknown-unknown`"
    )]
    NoTarget,
    /// Cargo's messages, where they were asked for; else they were shown.
    #[error("the rule does not compile{}{messages}", if messages.is_empty() { "" } else { ":\n" })]
    Compile { messages: String },
    #[error(
        "cannot fetch the dependencies of the rule; check [dependencies] in its Cargo.toml, and the network\
         {}{messages}", if messages.is_empty() { "" } else { ":\n" }
    )]
    Fetch { messages: String },
    #[error(
        "the rule names slots that it does not declare:\n  {}",
        .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  ")
    )]
    Slots(Vec<Undeclared>),
    #[error("the crate makes no cdylib; write crate-type = [\"cdylib\"] under [lib] in its Cargo.toml")]
    NoCdylib,
    #[error(
        "the rule imports what Shunt does not offer: {}; a dependency needs an operating system or a browser: \
         remove it, or disable the feature that does (in Rust, `cargo tree -e features` shows which); a rule may \
         import {}", .0.join(", "), OFFERED.join(", ")
    )]
    Imports(Vec<String>),
    #[error("the rule does what pack.toml does not ask for:\n  {}", remedies(.0))]
    NotAsked(Vec<Grant>),
    #[error("{} is no WebAssembly; name the component or core module that a compiler wrote", .0.display())]
    NotWasm(PathBuf),
    #[error(
        "cannot make a component of the rule: {0}; use the shunt-sdk of this version of Shunt, or bindings to the \
         contract of this version"
    )]
    Component(String),
    #[error(
        "the rule exports no hook, so Shunt would never call it; export one of {}; in Rust, put #[rule] before the impl \
         that has its hooks",
        HookSet::ALL
    )]
    NoHook,
    #[error("the build did not make a pack: {0}")]
    Pack(#[from] PackError),
}

/// Builds the pack in `folder` and writes `dist/<name>.wasm` there, whole or not at all, and the names of its functions
/// beside it, where there are any.
///
/// # Errors
/// See [`BuildError`]; the file that was there before stays.
pub fn build(folder: &Path, options: &BuildOptions) -> Result<BuildOutput, BuildError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| BuildError::Io { path, source }
    };
    let manifest_file = folder.join("pack.toml");
    let text =
        plain_file::open(&manifest_file).and_then(std::io::read_to_string).map_err(io(&manifest_file))?;
    let manifest = Manifest::parse(&text)?;
    let (compiled, open_slots) = match &options.component {
        Some(file) => (file.clone(), Vec::new()),
        None => {
            // Before a compiler is waited for.
            let open_slots = slots::check(folder, &manifest.slots)?;
            (cargo::build(folder, options)?, open_slots)
        }
    };
    let mut module = Vec::new();
    plain_file::open(&compiled).and_then(|mut open| open.read_to_end(&mut module)).map_err(io(&compiled))?;
    if !module.starts_with(b"\0asm") {
        return Err(BuildError::NotWasm(compiled));
    }
    let mut done = used(&module).map_err(|error| BuildError::Component(error.to_string()))?;
    // What another tool made may import what it never calls.
    let lacking = manifest.grants.lacking(&done);
    if !lacking.is_empty() && options.component.is_none() {
        return Err(BuildError::NotAsked(lacking));
    }
    let settings_file = folder.join("settings.json");
    let settings = match &options.component {
        Some(_) if settings_file.is_file() => Some(fs::read(&settings_file).map_err(io(&settings_file))?),
        // The SDK puts it into the module.
        _ => None,
    };
    let pack = Pack::from_bytes(componentize(&module, &text, settings.as_deref())?)?;
    done.extend(asked::by_interfaces(pack.imports(), pack.exports()));

    let dist = folder.join("dist");
    fs::create_dir_all(&dist).map_err(io(&dist))?;
    let file = dist.join(format!("{}.wasm", manifest.name));
    whole::write(&file, pack.bytes()).map_err(io(&file))?;
    let debug = file.with_extension(DEBUG_EXTENSION);
    match names::file(&module, pack.digest()) {
        Some(names) => whole::write(&debug, &names).map_err(io(&debug))?,
        // Those of an earlier build are of another component.
        None if debug.exists() => fs::remove_file(&debug).map_err(io(&debug))?,
        None => {}
    }
    Ok(BuildOutput {
        file,
        size: pack.bytes().len(),
        digest: pack.digest(),
        manifest: pack.manifest().clone(),
        idle: manifest.grants.idle(&done),
        open_slots,
    })
}

/// What the rule does, by the functions that its core module imports.
fn used(module: &[u8]) -> wasmparser::Result<BTreeSet<Key>> {
    let mut functions = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ImportSection(imports) = payload? {
            for import in imports.into_imports() {
                let import = import?;
                functions.push((import.module, import.name));
            }
        }
    }
    Ok(asked::by_functions(functions.into_iter()))
}

/// Makes a pack of a component, or of a core module that was compiled with the SDK or with other bindings to the contract,
/// and of the text of `pack.toml`. `settings` is the schema of its settings, where the module has none in it.
///
/// # Errors
/// [`BuildError::Imports`], [`BuildError::Component`], [`BuildError::NoHook`].
pub fn componentize(compiled: &[u8], manifest: &str, settings: Option<&[u8]>) -> Result<Vec<u8>, BuildError> {
    let refused = |error: &dyn std::fmt::Display| BuildError::Component(error.to_string());
    let read = Compiled::read(compiled).map_err(|error| refused(&error))?;
    // Before wit-component says so in its own words.
    if !read.foreign.is_empty() {
        return Err(BuildError::Imports(read.foreign));
    }
    let component = if Parser::is_component(compiled) {
        Cow::Borrowed(compiled)
    } else {
        // wit-component reads and drops its own sections; the others help nobody in a finished pack.
        let module =
            strip(compiled, |name| name.starts_with("component-type")).map_err(|error| refused(&error))?;
        let component = ComponentEncoder::default()
            .validate(true)
            .module(&module)
            .and_then(|encoder| encoder.encode())
            .map_err(|error| BuildError::Component(format!("{error:#}")))?;
        Cow::Owned(component)
    };
    let mut component = strip(&component, |_| false).map_err(|error| refused(&error))?;
    if !exports_a_hook(&component).map_err(|error| refused(&error))? {
        return Err(BuildError::NoHook);
    }
    let mut sections = vec![(PACK_SECTION, manifest.as_bytes())];
    if let Some(settings) = read.settings.or(settings) {
        sections.push((SETTINGS_SECTION, settings));
    }
    for (name, data) in sections {
        CustomSection { name: name.into(), data: data.into() }.append_to_component(&mut component);
    }
    Ok(component)
}

/// What a compiler wrote says.
struct Compiled<'a> {
    /// What it imports and is not of the contract: functions of a core module, interfaces of a component.
    foreign: Vec<String>,
    settings: Option<&'a [u8]>,
}

impl<'a> Compiled<'a> {
    fn read(compiled: &'a [u8]) -> wasmparser::Result<Compiled<'a>> {
        let mut read = Compiled { foreign: Vec::new(), settings: None };
        // What the modules in a component import is the affair of the component.
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(compiled) {
            match payload? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ImportSection(imports) if depth == 0 => {
                    for import in imports.into_imports() {
                        let import = import?;
                        if !is_ours(import.module) {
                            read.foreign.push(format!("{}#{}", import.module, import.name));
                        }
                    }
                }
                Payload::ComponentImportSection(imports) if depth == 0 => {
                    for import in imports {
                        let name = import?.name.name;
                        if !is_ours(name) {
                            read.foreign.push(name.to_owned());
                        }
                    }
                }
                Payload::CustomSection(section) if depth == 0 && section.name() == SETTINGS_SECTION => {
                    read.settings = Some(section.data());
                }
                _ => {}
            }
        }
        Ok(read)
    }
}

/// A module or a component without the custom sections at its top level, but for some. These stand at its end in the
/// order of their names: the linker's order depends on the folder of the sources, and wit-component goes by it.
fn strip(bytes: &[u8], keep: impl Fn(&str) -> bool) -> wasmparser::Result<Vec<u8>> {
    // The preamble: magic, version, layer.
    let mut stripped = bytes[..8].to_vec();
    let mut kept = Vec::new();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        if let (0, Some((id, range))) = (depth, payload.as_section()) {
            let data = &bytes[range.start as usize..range.end as usize];
            match &payload {
                Payload::CustomSection(section) if keep(section.name()) => kept.push((id, data)),
                Payload::CustomSection(_) => {}
                _ => RawSection { id, data }.append_to_component(&mut stripped),
            }
        }
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    // The data of a custom section begins with its name.
    kept.sort_unstable();
    kept.into_iter().for_each(|(id, data)| RawSection { id, data }.append_to_component(&mut stripped));
    Ok(stripped)
}

fn exports_a_hook(component: &[u8]) -> wasmparser::Result<bool> {
    for payload in Parser::new(0).parse_all(component) {
        if let Payload::ComponentExportSection(exports) = payload? {
            for export in exports {
                let interface = export?.name.name.strip_prefix("shunt:rule/");
                let hook = interface.and_then(|interface| Hook::from_name(interface.split('@').next()?));
                if hook.is_some_and(|hook| hook != Hook::OnLoad) {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

/// Whether a name is an interface of the contract: an import of a component, or the module of a core import as wit-bindgen
/// names it.
fn is_ours(name: &str) -> bool {
    let interface = name.strip_prefix(abi::PACKAGE).and_then(|rest| rest.strip_prefix('/'));
    interface.is_some_and(|interface| {
        let name = interface.split('@').next().unwrap_or_default();
        OFFERED.contains(&name)
    })
}

#[cfg(test)]
mod tests;
