//! The demo's rule and its second version: an example pack, and the same with one line changed.

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

/// The folder of the first version.
pub(crate) fn first() -> PathBuf {
    tools::root().join("rules-examples").join(PACK)
}

/// The rule itself, without what stands before it in the file.
pub(crate) fn source() -> Result<String> {
    let text = read(&first().join("src/lib.rs"))?;
    let (_, rule) = text.split_once("#[rule]\n").context("the pack has no #[rule]")?;
    Ok(format!("#[rule]\n{rule}"))
}

/// Writes the second version into `folder` and gives the pack's folder there.
pub(crate) fn make(folder: &Path) -> Result<PathBuf> {
    let (from, to) = (first(), folder.join(PACK));
    let edits: [(&str, &[(&str, &str)]); 3] = [
        ("src/lib.rs", &[(OLD, NEW)]),
        ("pack.toml", &[(r#"version = "1.0.0""#, r#"version = "2.0.0""#)]),
        // It stands alone there: not in our workspace, and not beside the SDK.
        // And under another crate name: cargo would write both versions to the same file of the
        // target folder, and take one for the other.
        (
            "Cargo.toml",
            &[
                ("../../sdk", &sdk()),
                ("[package]", "[workspace]\n\n[package]"),
                ("shunt-example-", "shunt-second-"),
            ],
        ),
    ];
    for (file, edits) in edits {
        let mut text = read(&from.join(file))?;
        for (old, new) in edits {
            ensure!(text.contains(old), "the second version no longer fits {PACK}/{file}: it has no `{old}`");
            text = text.replacen(old, new, 1);
        }
        write(&to.join(file), &text)?;
    }
    // The versions of our own lock, so that the build asks no registry for others.
    write(&to.join("Cargo.lock"), &read(&tools::root().join("Cargo.lock"))?)?;
    Ok(to)
}

fn sdk() -> String {
    tools::root().join("sdk").display().to_string()
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
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
        let pack = make(folder.path()).unwrap();
        let text = read(&pack.join("src/lib.rs")).unwrap();
        assert!(text.contains(NEW) && !text.contains(OLD));
        assert!(source().unwrap().contains(OLD));
    }
}
