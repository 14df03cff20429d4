//! `pack.toml`: what a pack says about itself.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::abi;

/// The checked text of `pack.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Lower-case letters, digits and hyphens; at most 64.
    pub name: String,
    /// Three numbers, as in `1.2.0`, with what semantic versioning allows behind them.
    pub version: String,
    /// The version of the contract that it was built for: `0.1`.
    pub wit: String,
    pub description: Option<String>,
    /// Slot to what it is for.
    pub slots: BTreeMap<String, String>,
}

/// Why a `pack.toml` is refused. The text shows the place and says what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not TOML, or not the keys that are expected.
    #[error("pack.toml: {0}")]
    Syntax(String),
    #[error(
        "pack.toml: name = {0:?}: use 1 to 64 lower-case letters, digits and hyphens, beginning with a letter"
    )]
    Name(String),
    #[error("pack.toml: version = {0:?}: write three numbers, as in \"1.0.0\"")]
    Version(String),
    #[error(
        "pack.toml: slot {0:?}: use 1 to 64 lower-case letters, digits and hyphens, beginning with a letter"
    )]
    Slot(String),
    #[error(
        "pack.toml: wit = {0:?}: this Shunt has version {wit} of the rule contract; write wit = \"{wit}\" \
         and build the pack with the shunt-sdk of this version",
        wit = abi::WIT
    )]
    Wit(String),
}

impl Manifest {
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn parse(text: &str) -> Result<Manifest, ManifestError> {
        let file: File = toml::from_str(text)
            .map_err(|error| ManifestError::Syntax(error.to_string().trim_end().into()))?;
        let manifest = Manifest {
            name: file.pack.name,
            version: file.pack.version,
            wit: file.pack.wit,
            description: file.pack.description,
            slots: file.slots,
        };
        if !is_name(&manifest.name) {
            return Err(ManifestError::Name(manifest.name));
        }
        if !is_version(&manifest.version) {
            return Err(ManifestError::Version(manifest.version));
        }
        if let Some(slot) = manifest.slots.keys().find(|slot| !is_name(slot)) {
            return Err(ManifestError::Slot(slot.clone()));
        }
        if manifest.wit != abi::WIT {
            return Err(ManifestError::Wit(manifest.wit));
        }
        Ok(manifest)
    }
}

/// Whether that can name a pack or a slot.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn is_version(version: &str) -> bool {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers = core.split('.');
    version.len() <= 64
        && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+".contains(&byte))
        && numbers.clone().count() == 3
        && numbers
            .into_iter()
            .all(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    pack: PackTable,
    #[serde(default)]
    slots: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PackTable {
    name: String,
    version: String,
    wit: String,
    description: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "[pack]\nname = \"canary\"\nversion = \"1.2.0\"\nwit = \"0.1\"\n\n[slots]\nprimary = \"most\"\n";

    #[test]
    fn reads_what_the_design_shows() {
        let manifest = Manifest::parse(GOOD).unwrap();
        assert_eq!((manifest.name.as_str(), manifest.version.as_str()), ("canary", "1.2.0"));
        assert_eq!(manifest.slots["primary"], "most");
        assert_eq!(manifest.description, None);
    }

    #[test]
    fn each_mistake_has_its_own_text() {
        for (from, to, says) in [
            ("name = \"canary\"\n", "", "missing field `name`"),
            (
                "name = \"canary\"",
                "nmae = \"canary\"",
                "expected one of `name`, `version`, `wit`, `description`",
            ),
            ("canary", "Canary", "lower-case"),
            ("1.2.0", "1.2", "three numbers"),
            ("1.2.0", "1.2.x", "three numbers"),
            ("\"0.1\"", "\"0.2\"", "has version 0.1"),
            ("primary =", "\"Pri mary\" =", "slot \"Pri mary\""),
            ("[slots]", "[slot]", "unknown field `slot`"),
            ("[pack]", "[pack", "pack.toml:"),
        ] {
            let error = Manifest::parse(&GOOD.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(says), "{to:?} gave {error:?}");
        }
    }

    #[test]
    fn versions_may_carry_what_semantic_versioning_allows() {
        assert!(is_version("1.0.0-rc.1+build.5"));
        assert!(!is_version("1.0.0 "));
        assert!(!is_version("../1.0.0"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_manifest_or_an_error(text: String) {
            let _ = Manifest::parse(&text);
        }
    }
}
