//! A new pack: a rule that builds, does something, and passes its own cases.

mod sdk;

use std::fs;
use std::path::{Path, PathBuf};

use crate::{abi, manifest};

/// Where a new pack takes the SDK from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SdkSource {
    /// Its sources, written into the pack: it builds wherever crates.io can be had.
    Vendored,
    /// A folder; written as it is given, so make it absolute or relative to the new pack.
    Path(PathBuf),
    /// A git repository that holds it.
    Git {
        url: String,
        /// A tag, a branch or a commit; `None`: the default branch.
        revision: Option<String>,
    },
    /// What crates.io has, by cargo's rules for versions: `0.1`.
    Version(String),
}

/// Why a pack was not made.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    #[error(
        "{0:?} is not a name for a pack: use 1 to 64 lower-case letters, digits and hyphens, beginning with a letter"
    )]
    Name(String),
    #[error("{} exists already; use another name, or remove it", .0.display())]
    Exists(PathBuf),
    #[error("cannot write {}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
}

/// Writes a pack into `folder`, which must not be there yet; gives the files that were written, and the folder of the
/// SDK's where they were.
///
/// # Errors
/// See [`ScaffoldError`].
pub fn new_pack(folder: &Path, name: &str, sdk: &SdkSource) -> Result<Vec<PathBuf>, ScaffoldError> {
    if !manifest::is_name(name) {
        return Err(ScaffoldError::Name(name.to_owned()));
    }
    if folder.exists() {
        return Err(ScaffoldError::Exists(folder.to_owned()));
    }
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| ScaffoldError::Io { path, source }
    };
    let write = |file: &Path, text: &str| {
        let path = folder.join(file);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(io(parent))?;
        }
        fs::write(&path, text).map_err(io(&path))?;
        Ok(path)
    };
    let mut written = Vec::new();
    for (file, template) in TEMPLATES {
        written.push(write(Path::new(file), &fill(template, name, sdk))?);
    }
    if *sdk == SdkSource::Vendored {
        for (file, text) in sdk::files() {
            write(&file, &text)?;
        }
        written.push(folder.join(sdk::FOLDER));
    }
    Ok(written)
}

const TEMPLATES: [(&str, &str); 6] = [
    ("pack.toml", include_str!("scaffold/pack.toml")),
    ("Cargo.toml", include_str!("scaffold/Cargo.toml.template")),
    ("src/lib.rs", include_str!("scaffold/lib.rs.template")),
    ("cases/canary.toml", include_str!("scaffold/canary.toml")),
    ("README.md", include_str!("scaffold/README.md")),
    (".gitignore", "/dist/\n/target/\n"),
];

fn fill(template: &str, name: &str, source: &SdkSource) -> String {
    // As a TOML string, quotes and all: a path may hold anything.
    let sdk = match source {
        SdkSource::Vendored => format!("{{ path = \"{}/sdk\" }}", sdk::FOLDER),
        SdkSource::Path(path) => {
            format!("{{ path = {} }}", toml::Value::from(path.to_string_lossy().as_ref()))
        }
        SdkSource::Git { url, revision } => {
            let revision = revision.as_deref().map(|it| format!(", rev = {}", toml::Value::from(it)));
            format!("{{ git = {}{} }}", toml::Value::from(url.as_str()), revision.unwrap_or_default())
        }
        SdkSource::Version(version) => toml::Value::from(version.as_str()).to_string(),
    };
    template
        .replace("@name@", name)
        .replace("@type@", &type_name(name))
        .replace("@sdk@", &sdk)
        .replace("@wit@", abi::WIT)
}

/// `canary-split` → `CanarySplit`
fn type_name(name: &str) -> String {
    let words = name.split('-').filter(|word| !word.is_empty());
    words
        .map(|word| {
            let (first, rest) = word.split_at(1);
            first.to_ascii_uppercase() + rest
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Manifest;

    #[test]
    fn what_is_written_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let pack = folder.path().join("canary-split");
        let sdk = SdkSource::Path("/where \"it\" is".into());
        let written = new_pack(&pack, "canary-split", &sdk).unwrap();
        assert_eq!(written.len(), TEMPLATES.len());
        for path in &written {
            let text = fs::read_to_string(path).unwrap();
            assert!(!text.contains('@'), "{}: {text}", path.display());
        }
        let manifest = Manifest::parse(&fs::read_to_string(pack.join("pack.toml")).unwrap()).unwrap();
        assert_eq!(manifest.name, "canary-split");
        let cargo: toml::Table = fs::read_to_string(pack.join("Cargo.toml")).unwrap().parse().unwrap();
        assert_eq!(cargo["dependencies"]["shunt-sdk"]["path"].as_str(), Some("/where \"it\" is"));
        assert!(fs::read_to_string(pack.join("src/lib.rs")).unwrap().contains("struct CanarySplit"));
    }

    #[test]
    fn the_sdk_is_named_or_written() {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str, sdk: SdkSource| {
            let pack = folder.path().join(name);
            new_pack(&pack, name, &sdk).unwrap();
            let cargo: toml::Table = fs::read_to_string(pack.join("Cargo.toml")).unwrap().parse().unwrap();
            cargo["dependencies"]["shunt-sdk"].clone()
        };
        let git = |revision: Option<&str>| SdkSource::Git {
            url: "https://x/y".into(),
            revision: revision.map(str::to_owned),
        };
        let newest = of("a", git(None));
        assert_eq!((newest["git"].as_str(), newest.get("rev")), (Some("https://x/y"), None));
        assert_eq!(of("c", git(Some("v0.1.0")))["rev"].as_str(), Some("v0.1.0"));
        assert_eq!(of("d", SdkSource::Version("0.1".into())).as_str(), Some("0.1"));
        let path = of("b", SdkSource::Vendored)["path"].as_str().unwrap().to_owned();
        let sdk = folder.path().join("b").join(path);
        assert!(sdk.join("macros/src/lib.rs").is_file() && sdk.join("wit/hooks.wit").is_file());
        assert!(!folder.path().join("a/vendor").exists());
    }

    #[test]
    fn nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let sdk = SdkSource::Vendored;
        assert!(matches!(new_pack(folder.path(), "x", &sdk), Err(ScaffoldError::Exists(_))));
        let error = new_pack(&folder.path().join("x"), "Not A Name", &sdk).unwrap_err();
        assert!(error.to_string().contains("lower-case letters"), "{error}");
        assert!(!folder.path().join("x").exists());
    }
}
