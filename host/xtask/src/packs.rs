//! The rule packs in `rules-examples`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::tools;

/// The folders of all example packs, sorted.
pub(crate) fn folders() -> Result<Vec<PathBuf>> {
    let examples = tools::root().join("rules-examples");
    let entries =
        std::fs::read_dir(&examples).with_context(|| format!("cannot read {}", examples.display()))?;
    let mut folders = Vec::new();
    for entry in entries {
        let folder = entry?.path();
        if folder.join("pack.toml").is_file() {
            folders.push(folder);
        }
    }
    folders.sort();
    Ok(folders)
}

/// The name of a pack folder, for people.
pub(crate) fn name(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Builds a pack; gives the path of the component.
pub(crate) fn build(shunt: &Path, folder: &Path) -> Result<PathBuf> {
    let output = Command::new(shunt)
        .args(["rule", "build"])
        .arg(folder)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start shunt")?;
    if !output.status.success() {
        bail!("the pack {} does not build:\n{}", name(folder), String::from_utf8_lossy(&output.stdout));
    }
    let dist = folder.join("dist");
    let files = std::fs::read_dir(&dist).with_context(|| format!("cannot read {}", dist.display()))?;
    files
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "wasm"))
        .with_context(|| format!("no component in {}", dist.display()))
}
