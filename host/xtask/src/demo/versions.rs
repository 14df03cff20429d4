//! The demo's rule and its second version: an example pack, and the same with one line changed.
//!
//! Both stand alone in the target folder, where they stay: their dependencies are compiled once for both, and nothing
//! is compiled when the demo runs again.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::tools;

/// The example pack.
pub(crate) const PACK: &str = "api-canary";

/// How the configuration binds its slots.
pub(crate) const SLOTS: &str = r#"{ a = "blue", b = "green" }"#;

/// The line that changes.
pub(crate) const OLD: &str =
    r#"let canary = request.path().starts_with("/api/") && request.header_is("x-canary", "1");"#;
pub(crate) const NEW: &str = r#"let canary = request.path().starts_with("/api/");"#;

fn example() -> PathBuf {
    tools::root().join("rules-examples").join(PACK)
}

/// The rule itself, without what stands before it in the file.
pub(crate) fn source() -> Result<String> {
    let text = read(&example().join("src/lib.rs"))?;
    let (_, rule) = text.split_once("#[rule]\n").context("the pack has no #[rule]")?;
    Ok(format!("#[rule]\n{rule}"))
}

/// Writes the first version below `folder` and gives the pack's folder there.
pub(crate) fn first(folder: &Path) -> Result<PathBuf> {
    make(&folder.join("first"), "shunt-first-", &[], &[])
}

/// Writes the second version below `folder` and gives the pack's folder there.
pub(crate) fn second(folder: &Path) -> Result<PathBuf> {
    make(
        &folder.join("second"),
        "shunt-second-",
        &[(OLD, NEW)],
        &[(r#"version = "1.0.0""#, r#"version = "2.0.0""#)],
    )
}

/// Changes in a text: what stands there, and what shall.
type Edits<'a> = &'a [(&'a str, &'a str)];

fn make(folder: &Path, name: &str, rule: Edits<'_>, pack: Edits<'_>) -> Result<PathBuf> {
    let (from, to) = (example(), folder.join(PACK));
    let edits: [(&str, Edits<'_>); 3] = [
        ("src/lib.rs", rule),
        ("pack.toml", pack),
        // It stands alone there: not in our workspace, and not beside the SDK.
        // And each version under a crate name of its own: cargo would write both to the same file of the
        // target folder, and take one for the other.
        (
            "Cargo.toml",
            &[("../../sdk", &sdk()), ("[package]", "[workspace]\n\n[package]"), ("shunt-example-", name)],
        ),
    ];
    for (file, edits) in edits {
        let mut text = read(&from.join(file))?;
        for (old, new) in edits {
            ensure!(text.contains(old), "the version no longer fits {PACK}/{file}: it has no `{old}`");
            text = text.replacen(old, new, 1);
        }
        write(&to.join(file), &text)?;
    }
    // The versions of our own lock, so that the build asks no registry for others.
    // Cargo takes from it what is not needed; then it is no longer ours.
    if !to.join("Cargo.lock").exists() {
        write(&to.join("Cargo.lock"), &read(&tools::root().join("Cargo.lock"))?)?;
    }
    Ok(to)
}

fn sdk() -> String {
    tools::root().join("sdk").display().to_string()
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Writes a file, unless it says so already: cargo compiles again what was written.
fn write(path: &Path, text: &str) -> Result<()> {
    if std::fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fits_the_example() {
        let folder = tempfile::tempdir().unwrap();
        for (version, own, other) in
            [(first(folder.path()).unwrap(), OLD, NEW), (second(folder.path()).unwrap(), NEW, OLD)]
        {
            let file = version.join("src/lib.rs");
            let text = read(&file).unwrap();
            assert!(text.contains(own) && !text.contains(other));
            let written = std::fs::metadata(&file).unwrap().modified().unwrap();
            first(folder.path()).unwrap();
            second(folder.path()).unwrap();
            assert_eq!(std::fs::metadata(&file).unwrap().modified().unwrap(), written, "nothing changed");
        }
        assert!(source().unwrap().contains(OLD));
    }
}
