//! A pack: a component that has its own manifest and settings schema in it.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wasmparser::{Encoding, Parser, Payload};

use crate::artefact::{Artefact, ArtefactError, MAX_FILE_BYTES};
use crate::builtin;
use crate::compressed::Compression;
use crate::grants::{Grant, asked};
use crate::manifest::{Manifest, ManifestError};
use crate::names::Names;
use crate::settings::Schema;
use crate::{Digest, Hook, HookSet, abi, plain_file};

/// Custom section that holds the text of `pack.toml`.
pub(crate) const PACK_SECTION: &str = "shunt:pack";
/// Custom section that holds the settings schema as JSON; written by the SDK's derive.
pub(crate) const SETTINGS_SECTION: &str = "shunt:settings";
/// Of the file with the names of a component's functions, beside it: `dist/NAME.debug.wasm`.
pub(crate) const DEBUG_EXTENSION: &str = "debug.wasm";
/// Bytes of a pack. A rule is some 20 KiB; a hundred times that, twice over, leaves room for
/// tables of data and bounds what one load can make the compiler do (about a second per MiB).
pub const MAX_PACK_BYTES: usize = 8 << 20;
/// Bytes of a manifest or a schema.
const MAX_SECTION_BYTES: usize = 256 << 10;

/// A pack that was read and whose own statements hold together. Nothing in it was compiled.
#[derive(Clone, Debug)]
pub struct Pack {
    bytes: Vec<u8>,
    manifest: Manifest,
    manifest_toml: Vec<u8>,
    schema: Option<Schema>,
    settings_json: Option<Vec<u8>>,
    imports: Vec<String>,
    exports: Vec<String>,
    digest: Digest,
    names: Option<Arc<Names>>,
}

/// Why a file is no pack. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    #[error("cannot read {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is no pack: it has no pack.toml; name the folder of a pack, which `shunt rule new` makes", .0.display())]
    NoPack(PathBuf),
    #[error("{} is not built: {} does not exist; run `shunt rule build {}`", folder.display(), file.display(), folder.display())]
    NotBuilt { folder: PathBuf, file: PathBuf },
    #[error("there is no built-in pack {name}; {}", builtin::hint(name))]
    NotBuiltIn { name: String },
    #[error("the pack is larger than {} MiB; make it smaller", MAX_PACK_BYTES >> 20)]
    TooLarge,
    #[error(
        "the file is not WebAssembly; use the folder of a pack, or the file that `shunt rule build` wrote"
    )]
    NotWasm,
    #[error("the file is compressed by {format}, and packs are not compressed; unpack it by `{unpack}`")]
    Compressed { format: &'static str, unpack: &'static str },
    #[error("the file is a core module and not a component; build the pack by `shunt rule build`")]
    CoreModule,
    #[error("the file is truncated or damaged ({0}); build or copy it again")]
    Damaged(String),
    #[error(
        "the component has no `shunt:pack` section; build the pack by `shunt rule build`, which embeds pack.toml"
    )]
    NoManifest,
    #[error("the pack has the section `{name}` twice, or larger than {} KiB; build the pack again", MAX_SECTION_BYTES >> 10)]
    Section { name: &'static str },
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// It is a pack file that is refused.
    #[error(transparent)]
    Artefact(#[from] ArtefactError),
    #[error("the rule can do what its pack.toml does not ask for:\n  {}", remedies(.0))]
    NotAsked(Vec<Grant>),
    #[error("pack.toml says hooks = [{said}], and the rule has [{found}]; write these in pack.toml")]
    Hooks { said: String, found: String },
    #[error(
        "cannot read the settings schema ({0}); build the pack again with the shunt-sdk of this version of Shunt"
    )]
    Schema(String),
}

impl From<Compression> for PackError {
    fn from(Compression { format, unpack }: Compression) -> PackError {
        PackError::Compressed { format, unpack }
    }
}

impl Pack {
    /// Reads a pack from its component, from a pack file, or from its folder: then `dist/<name>.wasm` in it.
    /// `builtin:NAME` is one that comes with Shunt.
    ///
    /// # Errors
    /// See [`PackError`].
    pub fn read(path: &Path) -> Result<Pack, PackError> {
        if let Some(name) = path.to_str().and_then(|path| path.strip_prefix(builtin::PREFIX)) {
            return Pack::builtin(name);
        }
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| PackError::Io { path, source }
        };
        let is_folder = path.is_dir();
        let file = if is_folder {
            let manifest = path.join("pack.toml");
            let text = plain_file::open(&manifest).and_then(io::read_to_string);
            let text = text.map_err(|source| match source.kind() {
                io::ErrorKind::NotFound => PackError::NoPack(path.to_owned()),
                _ => failed(&manifest)(source),
            })?;
            let file = path.join("dist").join(Manifest::parse(&text)?.name + ".wasm");
            if !file.exists() {
                return Err(PackError::NotBuilt { folder: path.to_owned(), file });
            }
            file
        } else {
            path.to_owned()
        };
        let bytes = read_bytes(&file).map_err(failed(&file))?;
        if Artefact::is_one(&bytes) {
            return Ok(Artefact::read(&bytes)?.into_pack());
        }
        let mut pack = Pack::from_bytes(bytes)?;
        if is_folder && let Ok(debug) = read_bytes(&file.with_extension(DEBUG_EXTENSION)) {
            pack.take_names(&debug);
        }
        Ok(pack)
    }

    /// # Errors
    /// See [`PackError`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Pack, PackError> {
        let sections = Sections::read(&bytes)?;
        let manifest_toml = sections.manifest.ok_or(PackError::NoManifest)?.to_vec();
        let manifest = std::str::from_utf8(&manifest_toml)
            .map_err(|error| ManifestError::Syntax(error.to_string()).into())
            .and_then(|text| Manifest::parse(text).map_err(PackError::from))?;
        let schema = match sections.schema {
            Some(json) => Some(Schema::parse(json).map_err(PackError::Schema)?),
            None => None,
        };
        let settings_json = sections.schema.map(<[u8]>::to_vec);
        let Sections { imports, exports, .. } = sections;
        let lacking = manifest.grants.lacking(&asked::by_interfaces(&imports, &exports));
        if !lacking.is_empty() {
            return Err(PackError::NotAsked(lacking));
        }
        check_hooks(&manifest, &exports)?;
        let digest = Digest::of(&bytes);
        let names = None;
        Ok(Pack { bytes, manifest, manifest_toml, schema, settings_json, imports, exports, digest, names })
    }

    /// The names of its functions, from the file that was built with it. Those of another component are passed over: they
    /// would be wrong, and nothing needs them.
    pub(crate) fn take_names(&mut self, debug: &[u8]) {
        self.names = Names::read(debug, self.digest).map(Arc::new);
    }

    pub(crate) fn names(&self) -> Option<&Arc<Names>> {
        self.names.as_ref()
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The schema of its settings; `None`: it takes none.
    pub fn schema(&self) -> Option<&Schema> {
        self.schema.as_ref()
    }

    /// The text that [`Pack::manifest`] was read from.
    pub fn manifest_toml(&self) -> &[u8] {
        &self.manifest_toml
    }

    /// The text that [`Pack::schema`] was read from.
    pub fn settings_json(&self) -> Option<&[u8]> {
        self.settings_json.as_deref()
    }

    /// The interfaces that it imports, which are all that it can do: `shunt:rule/log@0.1.0`.
    pub fn imports(&self) -> &[String] {
        &self.imports
    }

    /// The interfaces that it exports, which are its hooks: `shunt:rule/on-request@0.1.0`.
    pub fn exports(&self) -> &[String] {
        &self.exports
    }

    /// Of the component.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The component.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Checks the hooks that pack.toml names, if it does. Every rule of the SDK has `on-load`, which need not be named.
fn check_hooks(manifest: &Manifest, exports: &[String]) -> Result<(), PackError> {
    let Some(said) = manifest.hooks else { return Ok(()) };
    let hook = |name: &String| {
        Hook::from_name(name.strip_prefix(abi::PACKAGE)?.strip_prefix('/')?.split('@').next()?)
    };
    let found: HookSet = exports.iter().filter_map(hook).collect();
    let load = HookSet::EMPTY.with(Hook::OnLoad);
    if said.without(load) == found.without(load) {
        return Ok(());
    }
    let list =
        |hooks: HookSet| hooks.iter().map(|hook| format!("{:?}", hook.name())).collect::<Vec<_>>().join(", ");
    Err(PackError::Hooks { said: list(said), found: list(found.without(load)) })
}

/// A line for each: what it is, and what to write.
pub(crate) fn remedies(grants: &[Grant]) -> String {
    let lines = grants.iter().map(|grant| format!("{grant}: {}", grant.remedy()));
    lines.collect::<Vec<_>>().join("\n  ")
}

/// The bytes of a file. A byte more than there may be is enough to refuse it.
pub(crate) fn read_bytes(file: &Path) -> io::Result<Vec<u8>> {
    let mut open = plain_file::open(file)?;
    let mut bytes = Vec::new();
    (&mut open).take(MAX_PACK_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    // Only a pack file may be larger than a component.
    if bytes.len() > MAX_PACK_BYTES && Artefact::is_one(&bytes) {
        open.take((MAX_FILE_BYTES - MAX_PACK_BYTES) as u64).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// What stands at the top level of a component.
struct Sections<'a> {
    manifest: Option<&'a [u8]>,
    schema: Option<&'a [u8]>,
    imports: Vec<String>,
    exports: Vec<String>,
}

impl<'a> Sections<'a> {
    fn read(bytes: &'a [u8]) -> Result<Sections<'a>, PackError> {
        // One that is too large is not to be made smaller so.
        if let Some(compression) = Compression::of(bytes) {
            return Err(compression.into());
        }
        if bytes.len() > MAX_PACK_BYTES {
            return Err(PackError::TooLarge);
        }
        if !bytes.starts_with(b"\0asm") {
            return Err(PackError::NotWasm);
        }
        let mut sections =
            Sections { manifest: None, schema: None, imports: Vec::new(), exports: Vec::new() };
        let damaged = |error: wasmparser::BinaryReaderError| PackError::Damaged(error.to_string());
        // Sections of nested modules are those modules' own affair.
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(damaged)? {
                Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                    return Err(PackError::CoreModule);
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::CustomSection(section) if depth == 0 => {
                    let (name, place) = match section.name() {
                        PACK_SECTION => (PACK_SECTION, &mut sections.manifest),
                        SETTINGS_SECTION => (SETTINGS_SECTION, &mut sections.schema),
                        _ => continue,
                    };
                    if section.data().len() > MAX_SECTION_BYTES || place.replace(section.data()).is_some() {
                        return Err(PackError::Section { name });
                    }
                }
                Payload::ComponentImportSection(imports) if depth == 0 => {
                    for import in imports {
                        sections.imports.push(import.map_err(damaged)?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(exports) if depth == 0 => {
                    for export in exports {
                        sections.exports.push(export.map_err(damaged)?.name.name.to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(sections)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::component;

    const MANIFEST: &str = "[pack]\nname = \"t\"\nversion = \"1.0.0\"\nwit = \"0.1\"\n";

    #[test]
    fn a_component_with_a_manifest_is_a_pack() {
        let bytes = component("(component)", &[(PACK_SECTION, MANIFEST.as_bytes())]);
        let digest = Digest::of(&bytes);
        let pack = Pack::from_bytes(bytes).unwrap();
        assert_eq!(pack.manifest().name, "t");
        assert_eq!(pack.digest(), digest);
        assert_eq!(pack.digest().to_string().len(), 64);
        assert!(pack.schema().is_none());
    }

    #[test]
    fn what_is_no_pack_says_what_to_do() {
        let good = component("(component (core module))", &[(PACK_SECTION, MANIFEST.as_bytes())]);
        let says = |bytes: Vec<u8>| Pack::from_bytes(bytes).unwrap_err().to_string();
        assert!(says(b"#!/bin/sh".to_vec()).contains("not WebAssembly"));
        assert!(says(Vec::new()).contains("not WebAssembly"));
        let compressed = "compressed by gzip, and packs are not compressed; unpack it by `gunzip`";
        assert!(says(b"\x1f\x8b\x08\0".to_vec()).contains(compressed));
        assert!(
            says(wat::parse_str("(module)").unwrap())
                .contains("core module and not a component; build the pack by `shunt rule build`")
        );
        assert!(says(wat::parse_str("(component)").unwrap()).contains("no `shunt:pack` section"));
        assert!(says(good[..good.len() - 3].to_vec()).contains("truncated"));
        assert!(says(good[..20].to_vec()).contains("truncated"));
        let twice = [(PACK_SECTION, MANIFEST.as_bytes()), (PACK_SECTION, MANIFEST.as_bytes())];
        assert!(says(component("(component)", &twice)).contains("section `shunt:pack` twice"));
        let wrong = MANIFEST.replace("0.1", "7.0");
        assert!(
            says(component("(component)", &[(PACK_SECTION, wrong.as_bytes())])).contains("wit = \"7.0\"")
        );
        let schema = [(PACK_SECTION, MANIFEST.as_bytes()), (SETTINGS_SECTION, &b"{"[..])];
        assert!(says(component("(component)", &schema)).contains("settings schema"));
        assert!(matches!(Pack::from_bytes(vec![0; MAX_PACK_BYTES + 1]), Err(PackError::TooLarge)));
    }

    #[test]
    fn sections_of_nested_modules_do_not_count() {
        let module = r#"(component (core module (@custom "shunt:pack" "[pack]")))"#;
        assert!(matches!(Pack::from_bytes(wat::parse_str(module).unwrap()), Err(PackError::NoManifest)));
    }

    #[test]
    fn what_is_imported_is_asked_for() {
        let of = |component: &str, manifest: &str| {
            Pack::from_bytes(self::component(component, &[(PACK_SECTION, manifest.as_bytes())]))
        };
        let clock = r#"(component (import "shunt:rule/clock@0.1.0" (instance)) (import "shunt:rule/log@0.1.0" (instance)))"#;
        let error = of(clock, MANIFEST).unwrap_err().to_string();
        assert_eq!(
            error,
            "the rule can do what its pack.toml does not ask for:\n  \
             write to the log: add `log = 8` to [capabilities]\n  read the time: add `clock = true` to [capabilities]"
        );
        assert!(of(clock, &format!("{MANIFEST}[capabilities]\nclock = true\nlog = 1\n")).is_ok());
        let body = r#"(component (instance $h) (export "shunt:rule/on-request-body@0.1.0" (instance $h)))"#;
        assert!(matches!(of(body, MANIFEST), Err(PackError::NotAsked(_))));
        assert!(of(body, &format!("{MANIFEST}[capabilities.request]\nbody = true\n")).is_ok());
    }

    #[test]
    fn hooks_that_are_named_are_those_that_are_there() {
        let component = r#"(component (instance $h)
            (export "shunt:rule/on-load@0.1.0" (instance $h)) (export "shunt:rule/on-flow@0.1.0" (instance $h)))"#;
        let of = |hooks: &str| {
            let manifest = MANIFEST.replace("wit =", &format!("hooks = [{hooks}]\nwit ="));
            Pack::from_bytes(self::component(component, &[(PACK_SECTION, manifest.as_bytes())]))
        };
        assert!(of("\"on-flow\"").is_ok() && of("\"on-load\", \"on-flow\"").is_ok());
        let error = of("\"on-done\"").unwrap_err().to_string();
        assert!(error.contains("hooks = [\"on-done\"], and the rule has [\"on-flow\"]"), "{error}");
    }

    #[test]
    fn what_is_no_plain_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = folder.path().join("pack.toml");
        assert!(std::process::Command::new("mkfifo").arg(&manifest).status().unwrap().success());
        for path in [folder.path(), &manifest] {
            let error = Pack::read(path).unwrap_err().to_string();
            assert_eq!(error, format!("cannot read {}: it is a FIFO and not a file", manifest.display()));
        }
    }

    #[test]
    fn a_folder_that_is_not_built_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Pack::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("is no pack: it has no pack.toml; name the folder of a pack"), "{error}");
        std::fs::write(folder.path().join("pack.toml"), MANIFEST).unwrap();
        let error = Pack::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("shunt rule build"), "{error}");
        std::fs::create_dir(folder.path().join("dist")).unwrap();
        let bytes = component("(component)", &[(PACK_SECTION, MANIFEST.as_bytes())]);
        std::fs::write(folder.path().join("dist/t.wasm"), bytes).unwrap();
        assert_eq!(Pack::read(folder.path()).unwrap().manifest().name, "t");
    }

    proptest::proptest! {
        #[test]
        fn damage_never_panics(at in 0usize..200, with: u8) {
            let mut bytes = component("(component (core module))", &[(PACK_SECTION, MANIFEST.as_bytes())]);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = with;
            }
            let _ = Pack::from_bytes(bytes);
        }
    }
}
