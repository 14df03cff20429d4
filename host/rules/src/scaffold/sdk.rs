//! The sources of the SDK, to be written into a pack: what they need besides is on crates.io.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// Where they go in a pack.
pub(super) const FOLDER: &str = "vendor";

/// The manifest of the workspace, of which the SDK's take versions.
const WORKSPACE: &str = include_str!("../../../../Cargo.toml");

macro_rules! sources {
    ($($path:literal)*) => {
        &[$(($path, include_str!(concat!("../../../../", $path)))),*]
    };
}

/// Every file that the SDK is compiled from, by its path in the repository.
const SOURCES: &[(&str, &str)] = sources! {
    "LICENSE-APACHE"
    "LICENSE-MIT"
    "sdk/Cargo.toml"
    "sdk/macros/Cargo.toml"
    "sdk/macros/src/format.rs"
    "sdk/macros/src/hooks.rs"
    "sdk/macros/src/lib.rs"
    "sdk/macros/src/rule.rs"
    "sdk/macros/src/settings.rs"
    "sdk/src/address.rs"
    "sdk/src/allocator.rs"
    "sdk/src/bindings.rs"
    "sdk/src/client_certificate.rs"
    "sdk/src/client_hello.rs"
    "sdk/src/clock.rs"
    "sdk/src/crypto.rs"
    "sdk/src/data.rs"
    "sdk/src/fault.rs"
    "sdk/src/field_error.rs"
    "sdk/src/fields.rs"
    "sdk/src/flags.rs"
    "sdk/src/flow.rs"
    "sdk/src/hash.rs"
    "sdk/src/hooks.rs"
    "sdk/src/lb.rs"
    "sdk/src/lib.rs"
    "sdk/src/log.rs"
    "sdk/src/persist.rs"
    "sdk/src/probe.rs"
    "sdk/src/random.rs"
    "sdk/src/request.rs"
    "sdk/src/response.rs"
    "sdk/src/response_body.rs"
    "sdk/src/rt.rs"
    "sdk/src/selected.rs"
    "sdk/src/sets.rs"
    "sdk/src/settings.rs"
    "sdk/src/settings/schema.rs"
    "sdk/src/table.rs"
    "sdk/src/text.rs"
    "sdk/src/value.rs"
    "sdk/src/vars.rs"
    "sdk/src/verdict.rs"
    "wit/capabilities.wit"
    "wit/hooks.wit"
    "wit/http.wit"
    "wit/package.wit"
    "wit/tls.wit"
    "wit/types.wit"
};

/// The files, with their paths in the pack.
pub(super) fn files() -> Vec<(PathBuf, String)> {
    let workspace = WORKSPACE.parse::<Table>().unwrap_or_default();
    let file = |(path, text): &(&str, &str)| {
        let text = if path.ends_with("Cargo.toml") {
            standalone(text, &workspace)
        } else {
            // Tests of the SDK stay at home.
            text.replace("\n#[cfg(test)]\nmod tests;\n", "")
        };
        // The contract is a package of its own here, and a part of the SDK elsewhere: `sdk/wit` is a link to it.
        let folder = if path.starts_with("sdk/") { FOLDER.to_owned() } else { format!("{FOLDER}/sdk") };
        (Path::new(&folder).join(path), text)
    };
    SOURCES.iter().map(file).collect()
}

/// A manifest that takes nothing from a workspace.
fn standalone(manifest: &str, workspace: &Table) -> String {
    let mut manifest = manifest.parse::<Table>().unwrap_or_default();
    let workspace = workspace.get("workspace");
    let of_workspace = |section: &str, key: &str| workspace?.get(section)?.get(key).cloned();
    manifest.remove("dev-dependencies");
    manifest.remove("lints");
    // What only a registry reads.
    if let Some(Value::Table(package)) = manifest.get_mut("package") {
        for key in ["categories", "include", "keywords", "readme"] {
            package.remove(key);
        }
    }
    if let Some(Value::Table(package)) = manifest.get_mut("package") {
        for (key, value) in package.iter_mut().filter(|(_, value)| is_inherited(value)) {
            if let Some(own) = of_workspace("package", key) {
                *value = own;
            }
        }
    }
    if let Some(Value::Table(dependencies)) = manifest.get_mut("dependencies") {
        for (name, value) in dependencies.iter_mut().filter(|(_, value)| is_inherited(value)) {
            if let Some(mut own) = of_workspace("dependencies", name) {
                if let Value::Table(own) = &mut own
                    && let Some(Value::String(path)) = own.get_mut("path")
                {
                    // From the root of the workspace to the folder of the SDK.
                    *path = path.trim_start_matches("sdk/").to_owned();
                }
                *value = own;
            }
        }
    }
    toml::to_string(&manifest).unwrap_or_default()
}

fn is_inherited(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that is forgotten would be missed by another team only.
    #[test]
    fn no_source_is_missing() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut folders = ["sdk/src", "sdk/macros/src", "wit"].map(|folder| root.join(folder)).to_vec();
        let mut found = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let own = path.strip_prefix(&root).unwrap().to_str().unwrap();
                if path.is_dir() {
                    // Frozen versions of the contract are not what the SDK is compiled from.
                    if own != "wit/released" {
                        folders.push(path);
                    }
                } else if !own.ends_with("/tests.rs") {
                    assert!(SOURCES.iter().any(|(listed, _)| *listed == own), "{own}");
                    found += 1;
                }
            }
        }
        assert_eq!(found, SOURCES.len() - 4, "the licences and manifests, and what was found");
    }

    #[test]
    fn manifests_stand_alone() {
        let files = files();
        let manifest = |path: &str| -> Table {
            let (_, text) = files.iter().find(|(own, _)| own == Path::new(path)).unwrap();
            assert!(!text.contains("workspace"), "{text}");
            text.parse().unwrap()
        };
        let sdk = manifest("vendor/sdk/Cargo.toml");
        assert_eq!(sdk["package"]["edition"].as_str(), Some("2024"));
        assert_eq!(sdk["dependencies"]["shunt-sdk-macros"]["path"].as_str(), Some("macros"));
        assert!(sdk["dependencies"]["wit-bindgen"]["version"].is_str());
        manifest("vendor/sdk/macros/Cargo.toml");
    }
}
