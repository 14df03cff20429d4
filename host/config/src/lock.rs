//! `shunt.lock`: which pack each reference of a configuration stands for, so that a tag that moves changes nothing by itself.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use shunt_rules::Digest;
use shunt_rules::artefact::Reference;
use shunt_rules::plain_file;
use shunt_rules::trust::Source;

use super::Remark;
use super::model::Config;

const HEAD: &str = "\
# Which packs the references of the configuration stand for. Written by `shunt pack lock`; keep it with the
# configuration.
";

/// What references stand for, by their text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock(pub BTreeMap<String, Pin>);

/// What a reference stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Of the pack as a whole.
    pub digest: Digest,
    pub name: String,
    pub version: String,
}

/// Why there is no lock. What to do is told apart: see [`LockError::remedy`].
#[derive(Debug)]
pub struct LockError {
    path: PathBuf,
    reason: String,
    remedy: Remedy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remedy {
    /// It is damaged.
    Write,
    /// No file can be written in its place.
    Remove,
    Permit,
    /// The disk fails.
    None,
}

impl LockError {
    fn io(path: &Path, error: &io::Error) -> LockError {
        let remedy = match error.kind() {
            io::ErrorKind::InvalidData => Remedy::Write,
            io::ErrorKind::InvalidInput => Remedy::Remove,
            io::ErrorKind::PermissionDenied => Remedy::Permit,
            _ => Remedy::None,
        };
        let reason = match remedy {
            Remedy::Write => "it is not UTF-8".to_owned(),
            _ => error.to_string(),
        };
        LockError { path: path.to_owned(), reason, remedy }
    }

    /// What to do, with the command that writes the lock; see [`Document::lock_command`](super::Document::lock_command).
    #[must_use]
    pub fn remedy(&self, command: &str) -> Option<String> {
        match self.remedy {
            Remedy::Write => Some(format!("write it again by {command}")),
            Remedy::Remove => Some(format!("move it away, then pin by {command}")),
            Remedy::Permit => Some(
                "give the user that runs this command the right to read it, and to enter its folders"
                    .to_owned(),
            ),
            Remedy::None => None,
        }
    }

    /// Whether it is a file that can be read, and whose content is no lock.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.remedy == Remedy::Write
    }
}

impl std::error::Error for LockError {}

impl std::fmt::Display for LockError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

/// As it is written.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    pack: Vec<Entry>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    reference: String,
    digest: String,
    name: String,
    version: String,
}

impl Lock {
    /// Where the lock of a configuration is: beside its file, of the same name; in its folder, where it is one.
    #[must_use]
    pub fn path(config: &Path) -> PathBuf {
        if config.is_dir() { config.join("shunt.lock") } else { config.with_extension("lock") }
    }

    /// Reads a lock; an empty one where there is none.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(path: &Path) -> Result<Lock, LockError> {
        let damaged = |reason| LockError { path: path.to_owned(), reason, remedy: Remedy::Write };
        match plain_file::open(path).and_then(io::read_to_string) {
            Ok(text) => Lock::parse(&text).map_err(damaged),
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(Lock::default()),
            Err(other) => Err(LockError::io(path, &other)),
        }
    }

    fn parse(text: &str) -> Result<Lock, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        let mut pins = BTreeMap::new();
        for Entry { reference, digest, name, version } in file.pack {
            let digest = digest
                .strip_prefix("sha256:")
                .and_then(Digest::from_hex)
                .ok_or_else(|| format!("the digest of {reference} is not sha256: and 64 digits"))?;
            if pins.insert(reference.clone(), Pin { digest, name, version }).is_some() {
                return Err(format!("it has {reference} twice"));
            }
        }
        Ok(Lock(pins))
    }

    /// The text of the file, the same for the same pins.
    #[must_use]
    pub fn text(&self) -> String {
        let entry = |(reference, pin): (&String, &Pin)| Entry {
            reference: reference.clone(),
            digest: format!("sha256:{}", pin.digest),
            name: pin.name.clone(),
            version: pin.version.clone(),
        };
        let file = File { pack: self.0.iter().map(entry).collect() };
        // Texts in tables can always be written.
        format!("{HEAD}\n{}", toml::to_string(&file).unwrap_or_default())
    }

    /// What a reference stands for: what it says itself, else what is pinned.
    #[must_use]
    pub fn digest(&self, reference: &Reference) -> Option<Digest> {
        reference.digest().or_else(|| Some(self.0.get(&reference.to_string())?.digest))
    }

    /// Where a configuration and its lock disagree, `path` being that of the lock, and `command` what writes it.
    #[must_use]
    pub fn disagreements(&self, config: &Config, path: &Path, command: &str) -> Vec<Remark> {
        let missing = config.rules().filter_map(|(owner, rule)| {
            let Source::Registry(reference) = &rule.pack else { return None };
            let key = owner.key(&rule.name, "pack");
            let message = format!("{} does not have {reference}", path.display());
            let help = Some(format!("pin it by {command}"));
            self.digest(reference).is_none().then_some(Remark { key, message, help })
        });
        let needed = references(config);
        let extra = self.0.keys().filter(|reference| !needed.iter().any(|it| it.to_string() == **reference));
        let extra = extra.map(|reference| Remark {
            key: Vec::new(),
            message: format!("{} has {reference}, which the configuration does not name", path.display()),
            help: Some(format!("remove it by {command}")),
        });
        missing.chain(extra).collect()
    }
}

/// The references of a configuration that are to be pinned, each once.
#[must_use]
pub fn references(config: &Config) -> Vec<Reference> {
    let mut all: Vec<Reference> = config
        .rules()
        .filter_map(|(_, rule)| match &rule.pack {
            Source::Registry(reference) if reference.digest().is_none() => Some(reference.clone()),
            _ => None,
        })
        .collect();
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(text: &str) -> Pin {
        Pin { digest: Digest::of(text.as_bytes()), name: "canary".to_owned(), version: "1.2.0".to_owned() }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut lock = Lock::default();
        assert_eq!(Lock::parse(&lock.text()), Ok(lock.clone()));
        for reference in ["registry.example/b:1", "registry.example/a:1.2"] {
            lock.0.insert(reference.to_owned(), pin(reference));
        }
        let text = lock.text();
        assert_eq!(Lock::parse(&text), Ok(lock.clone()));
        assert!(text.starts_with("# ") && text.find("/a:1.2") < text.find("/b:1"), "{text}");
        let reference: Reference = "registry.example/b:1".parse().unwrap();
        assert_eq!(lock.digest(&reference), Some(pin("registry.example/b:1").digest));
        let pinned = reference.with_digest(pin("other").digest);
        assert_eq!(lock.digest(&pinned), Some(pin("other").digest), "what it says itself");
    }

    #[test]
    fn what_is_no_lock_says_so() {
        let text = Lock(BTreeMap::from([("registry.example/a:1".to_owned(), pin("a"))])).text();
        for (wrong, says) in [
            (text.replace("sha256:", "sha512:"), "is not sha256:"),
            (text.replace("digest", "digset"), "unknown field"),
        ] {
            let error = Lock::parse(&wrong).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        let twice = format!("{text}{}", text.split_once("\n\n").unwrap().1);
        assert!(Lock::parse(&twice).unwrap_err().contains("twice"));
    }

    #[test]
    fn what_cannot_be_read_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shunt.lock");
        let says = |wrong: &[u8]| {
            std::fs::write(&path, wrong).unwrap();
            Lock::read(&path).unwrap_err()
        };
        for (damaged, reason) in [(&b"\xff\xfe"[..], "it is not UTF-8"), (&b"[[pack]]\nref"[..], "TOML")] {
            let error = says(damaged);
            let text = error.to_string();
            assert!(error.is_damaged() && text.contains(reason), "{text}");
            assert_eq!(error.remedy("`x`").as_deref(), Some("write it again by `x`"));
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(Lock::read(&path).unwrap(), Lock::default());
        for (what, other) in [("a folder", folder.path()), ("a device", Path::new("/dev/null"))] {
            let error = Lock::read(other).unwrap_err();
            let text = error.to_string();
            assert!(!error.is_damaged() && text.contains(&format!("it is {what} and not a file")), "{text}");
            assert_eq!(error.remedy("`x`").as_deref(), Some("move it away, then pin by `x`"));
        }
        let denied = LockError::io(&path, &io::ErrorKind::PermissionDenied.into());
        assert!(
            !denied.is_damaged() && denied.remedy("").unwrap().contains("the right to read it"),
            "{denied}"
        );
    }

    #[test]
    fn it_stands_beside_the_configuration() {
        assert_eq!(Lock::path(Path::new("/etc/shunt/shunt.toml")), Path::new("/etc/shunt/shunt.lock"));
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Lock::path(folder.path()), folder.path().join("shunt.lock"));
    }
}
