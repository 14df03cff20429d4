//! The files that go with a component.

use std::path::Path;

use super::{ArtefactError, MAX_ENTRIES, MAX_LAYER_BYTES};
use crate::Pack;
use crate::pack::DEBUG_EXTENSION;

/// What may be in a pack, for a refusal.
pub(super) const ALLOWED: &str = "pack.toml, settings.json, README.md, debug.wasm, cases/NAME.toml and assets/NAME with folders below it, \
     of letters, digits, `.`, `_` and `-`, no name beginning with a dot";

/// Bytes of a path.
const MAX_PATH: usize = 200;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackFile {
    /// From the pack's folder: `cases/share.toml`.
    pub path: String,
    pub bytes: Vec<u8>,
}

/// Why the files of a folder do not make a pack file.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("cannot read {}: {source}", path.display())]
    Io { path: std::path::PathBuf, source: std::io::Error },
    #[error("{} is neither a file nor a folder; put the file itself there", .0.display())]
    Kind(std::path::PathBuf),
    #[error(transparent)]
    Artefact(#[from] ArtefactError),
}

/// The files of a pack's folder that go with its component: README.md, the names of its functions, the cases, and the
/// assets.
///
/// # Errors
/// One cannot be read, or cannot be in a pack file.
pub fn files_of(folder: &Path, pack: &Pack) -> Result<Vec<PackFile>, FolderError> {
    let mut files = own(pack);
    let mut add = |path: String, file: &Path| -> Result<(), FolderError> {
        if media_type(&path).is_none() {
            return Err(ArtefactError::Path { path }.into());
        }
        if files.len() == MAX_ENTRIES {
            return Err(ArtefactError::TooManyEntries.into());
        }
        files.push(PackFile { path, bytes: read(file)? });
        Ok(())
    };
    let readme = folder.join("README.md");
    match readme.symlink_metadata() {
        Ok(found) if found.is_file() => add("README.md".to_owned(), &readme)?,
        Ok(_) => return Err(FolderError::Kind(readme)),
        Err(_) => {}
    }
    let debug = folder.join("dist").join(&pack.manifest().name).with_extension(DEBUG_EXTENSION);
    if debug.is_file() {
        add(DEBUG.to_owned(), &debug)?;
    }
    for (name, kind, file) in listed(&folder.join("cases"))? {
        // What `shunt rule test` plays.
        if kind == Kind::File && name.ends_with(".toml") {
            add(format!("cases/{name}"), &file)?;
        }
    }
    let mut folders = vec![("assets".to_owned(), folder.join("assets"))];
    while let Some((path, folder)) = folders.pop() {
        for (name, kind, file) in listed(&folder)? {
            let path = format!("{path}/{name}");
            match kind {
                Kind::File => add(path, &file)?,
                // The paths are bounded, and with them how deep this goes.
                Kind::Folder if path.len() <= MAX_PATH => folders.push((path, file)),
                Kind::Folder => return Err(ArtefactError::Path { path }.into()),
            }
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// What the component says, in files of their own, for those who read no component.
pub(super) fn own(pack: &Pack) -> Vec<PackFile> {
    let file = |path: &str, bytes: &[u8]| PackFile { path: path.to_owned(), bytes: bytes.to_vec() };
    let settings = pack.settings_json().map(|json| file(SETTINGS, json));
    std::iter::once(file(MANIFEST, pack.manifest_toml())).chain(settings).collect()
}

pub(super) const MANIFEST: &str = "pack.toml";
pub(super) const SETTINGS: &str = "settings.json";
/// The names of the component's functions, for backtraces.
pub(super) const DEBUG: &str = "debug.wasm";

/// The media type of a file of a pack; `None`: none may have this path.
pub(super) fn media_type(path: &str) -> Option<&'static str> {
    let plain = path.len() <= MAX_PATH
        && path.split('/').all(|name| {
            !name.is_empty()
                && !name.starts_with('.')
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        });
    match path.split_once('/') {
        _ if !plain => None,
        None => match path {
            MANIFEST => Some("application/vnd.shunt.pack.manifest.v1+toml"),
            SETTINGS => Some("application/vnd.shunt.pack.settings.v1+json"),
            "README.md" => Some("text/markdown"),
            DEBUG => Some("application/vnd.shunt.pack.debug.v1+wasm"),
            _ => None,
        },
        Some(("cases", name)) if name.ends_with(".toml") && !name.contains('/') => {
            Some("application/vnd.shunt.pack.cases.v1+toml")
        }
        Some(("assets", _)) => Some("application/octet-stream"),
        Some(_) => None,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
}

/// What is in a folder, by name; nothing where there is no folder. Links are refused: what they point to may not be the
/// same on the next machine.
fn listed(folder: &Path) -> Result<Vec<(String, Kind, std::path::PathBuf)>, FolderError> {
    let io = |source| FolderError::Io { path: folder.to_owned(), source };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(io)?;
        let kind = entry.file_type().map_err(io)?;
        let kind = match (kind.is_file(), kind.is_dir()) {
            (true, _) => Kind::File,
            (_, true) => Kind::Folder,
            _ => return Err(FolderError::Kind(entry.path())),
        };
        found.push((entry.file_name().to_string_lossy().into_owned(), kind, entry.path()));
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(found)
}

fn read(file: &Path) -> Result<Vec<u8>, FolderError> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(file)
        .and_then(|open| open.take(MAX_LAYER_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|source| FolderError::Io { path: file.to_owned(), source })?;
    if bytes.len() > MAX_LAYER_BYTES {
        return Err(ArtefactError::Limit { what: file.display().to_string(), most: MAX_LAYER_BYTES }.into());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_of_a_pack_have_a_media_type() {
        for path in [
            "pack.toml",
            "settings.json",
            "README.md",
            "debug.wasm",
            "cases/a-1.toml",
            "assets/list.txt",
            "assets/a/b/c",
        ] {
            assert!(media_type(path).is_some(), "{path}");
        }
        let long = format!("assets/{}", "a".repeat(MAX_PATH));
        for path in [
            "",
            "/",
            "src/lib.rs",
            "Cargo.toml",
            "cases",
            "cases/a.txt",
            "cases/a/b.toml",
            "assets",
            "assets/",
            "assets//a",
            "assets/../pack.toml",
            "assets/.hidden",
            "../assets/a",
            "/assets/a",
            "assets/a b",
            "assets/ü",
            "assets/a\0",
            "assets\\a",
            &long,
        ] {
            assert!(media_type(path).is_none(), "{path}");
        }
    }
}
