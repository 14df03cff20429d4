//! The second version of the demo's rule: the example pack with a line changed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::tools;

/// The example pack.
pub(crate) const PACK: &str = "canary-header";

/// How the configuration binds its slots.
pub(crate) const SLOTS: &str = r#"{ primary = "blue", canary = "green" }"#;

/// What is replaced in `src/lib.rs`, line by line.
pub(crate) const EDIT: [(&str, &str); 1] = [("old", "new")];

/// Copies the pack into `folder`, with the edit and a new version number.
pub(crate) fn make(folder: &Path) -> Result<PathBuf> {
    let from = tools::root().join("rules-examples").join(PACK);
    let to = folder.join(PACK);
    std::fs::create_dir_all(to.join("src")).context("cannot make a folder")?;
    for file in ["pack.toml", "Cargo.toml", "src/lib.rs"] {
        let mut text =
            std::fs::read_to_string(from.join(file)).with_context(|| format!("cannot read {file}"))?;
        if file == "src/lib.rs" {
            for (old, new) in EDIT {
                ensure!(
                    text.contains(old),
                    "the edit no longer fits {PACK}/src/lib.rs: `{old}` is not there"
                );
                text = text.replacen(old, new, 1);
            }
        }
        std::fs::write(to.join(file), text).with_context(|| format!("cannot write {file}"))?;
    }
    Ok(to)
}
