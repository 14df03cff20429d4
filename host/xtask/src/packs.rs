//! The rule packs in `rules-examples`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::terminal::Terminal;
use crate::{progress, tools};

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
    let output =
        build_command(shunt, folder).stderr(Stdio::inherit()).output().context("cannot start shunt")?;
    if !output.status.success() {
        bail!("the pack {} does not build:\n{}", name(folder), String::from_utf8_lossy(&output.stdout));
    }
    component(folder)
}

/// The same, with one line that counts in place of cargo's.
pub(crate) fn build_shown(terminal: &Terminal, shunt: &Path, folder: &Path) -> Result<PathBuf> {
    let ended = progress::watch(terminal, &mut build_command(shunt, folder))?;
    if !ended.status.success() {
        bail!("the pack {} does not build:\n{}", name(folder), ended.messages);
    }
    component(folder)
}

fn build_command(shunt: &Path, folder: &Path) -> Command {
    let mut command = Command::new(shunt);
    // One target folder for all packs, wherever they stand: the SDK is compiled once.
    command.args(["rule", "build"]).arg(folder).env("CARGO_TARGET_DIR", tools::target_folder(shunt));
    command
}

fn component(folder: &Path) -> Result<PathBuf> {
    // An example is called as its folder.
    let component = folder.join("dist").join(name(folder)).with_extension("wasm");
    ensure!(component.is_file(), "`shunt rule build` wrote no {}", component.display());
    Ok(component)
}
