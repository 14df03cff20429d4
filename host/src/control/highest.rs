//! The highest version of each pack that ran at each rule, and what it may do: what is older is a pack of yesterday, which
//! somebody may have put in the place of today's, and what asks for more is a question for the operator, also after a
//! restart. Kept in the folder of packs, where there is one.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use shunt_rules::trust::is_older;
use shunt_rules::{Grants, Manifest, PrivateFolder, whole};

use super::rules::RuleName;

const FILE: &str = "highest.toml";

const HEAD: &str = "\
# The highest version of each pack that ran at each rule, and what it may do. Shunt refuses an older one unless it is
# allowed by --allow-downgrade, and one that asks for more unless that is accepted by --accept-grants. Written by Shunt.
";

/// Rule to pack to what ran.
type Versions = BTreeMap<String, BTreeMap<String, Ran>>;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Ran {
    version: String,
    #[serde(default)]
    grants: Grants,
}

impl Ran {
    fn of(manifest: &Manifest) -> Ran {
        Ran { version: manifest.version.to_string(), grants: manifest.grants.clone() }
    }
}

#[derive(Clone, Default)]
pub(super) struct Highest {
    versions: Versions,
    /// Changes so far, which tells whether a file is of now.
    changes: u64,
    file: Option<Arc<File>>,
}

/// Where it is kept.
struct File {
    path: PathBuf,
    /// The changes that are in it.
    written: Mutex<u64>,
}

impl Highest {
    /// What is kept in a folder. A file that cannot be read is told, and begun anew: the folder is a cache, which may be
    /// emptied.
    pub(super) fn read(folder: Option<&PrivateFolder>) -> Highest {
        let mut highest = Highest::default();
        if let Some(folder) = folder {
            highest.keep_in(folder);
        }
        highest
    }

    /// Keeps it in this folder from now on, together with what is in it.
    pub(super) fn keep_in(&mut self, folder: &PrivateFolder) {
        let path = folder.path().join(FILE);
        if self.file.as_ref().is_some_and(|file| file.path == path) {
            return;
        }
        let versions = match read(&path) {
            Ok(versions) => versions,
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "cannot read the versions that ran; any may be loaded now");
                Versions::new()
            }
        };
        for (rule, packs) in versions {
            for (pack, ran) in packs {
                self.raise(&rule, &pack, ran);
            }
        }
        self.file = Some(Arc::new(File { path, written: Mutex::new(0) }));
    }

    /// Keeps it in memory alone from now on.
    pub(super) fn forget_folder(&mut self) {
        self.file = None;
    }

    pub(super) fn of(&self, rule: &RuleName, pack: &str) -> Option<&str> {
        Some(&self.ran(rule, pack)?.version)
    }

    /// What that version may do.
    pub(super) fn grants_of(&self, rule: &RuleName, pack: &str) -> Option<&Grants> {
        Some(&self.ran(rule, pack)?.grants)
    }

    fn ran(&self, rule: &RuleName, pack: &str) -> Option<&Ran> {
        self.versions.get(&rule.to_string())?.get(pack)
    }

    /// A version was loaded. If it is older than the highest, that was allowed: what is older than it is refused from now
    /// on.
    pub(super) fn runs(&mut self, rule: &RuleName, manifest: &Manifest) {
        let packs = self.versions.entry(rule.to_string()).or_default();
        let ran = Ran::of(manifest);
        let before = packs.insert(manifest.name.clone(), ran.clone());
        self.changes += u64::from(before != Some(ran));
    }

    /// A version runs since the start, which asks nobody: it may be older.
    pub(super) fn runs_at_start(&mut self, rule: &RuleName, manifest: &Manifest) {
        self.raise(&rule.to_string(), &manifest.name, Ran::of(manifest));
    }

    fn raise(&mut self, rule: &str, pack: &str, ran: Ran) {
        let known = self.versions.entry(rule.to_owned()).or_default();
        if known.get(pack).is_none_or(|known| is_older(&known.version, &ran.version)) {
            known.insert(pack.to_owned(), ran);
            self.changes += 1;
        }
    }

    /// Writes it, if something changed. It may wait for the disk.
    pub(super) fn write(&self) {
        let Some(file) = &self.file else { return };
        let mut written = file.written.lock().unwrap_or_else(PoisonError::into_inner);
        if *written >= self.changes {
            return;
        }
        // Texts in tables can always be written.
        let text = toml::to_string(&self.versions).unwrap_or_default();
        match whole::write(&file.path, format!("{HEAD}\n{text}").as_bytes()) {
            Ok(()) => *written = self.changes,
            Err(error) => tracing::warn!(
                file = %file.path.display(), %error, "cannot keep the versions that ran: a restart forgets them"
            ),
        }
    }
}

fn read(path: &Path) -> io::Result<Versions> {
    match std::fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).map_err(|error| io::Error::other(error.message().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Versions::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(version: &str) -> Manifest {
        let text = format!(
            "[pack]\nname = \"canary\"\nversion = \"{version}\"\nwit = \"0.1\"\n\
                            [capabilities]\nrandom = true\n[capabilities.request]\nread = [\"x-*\"]\n"
        );
        Manifest::parse(&text).unwrap()
    }

    fn folder() -> (tempfile::TempDir, PrivateFolder) {
        let folder = tempfile::tempdir().unwrap();
        let private = PrivateFolder::open(&folder.path().join("packs")).unwrap();
        (folder, private)
    }

    #[test]
    fn what_ran_is_there_after_a_restart() {
        let (_folder, private) = folder();
        let (rule, other) = ("shop/canary".parse().unwrap(), "shop/other".parse().unwrap());
        let mut highest = Highest::read(Some(&private));
        assert_eq!(highest.of(&rule, "canary"), None);
        highest.runs(&rule, &manifest("1.10.0"));
        let before = highest.clone();
        highest.runs(&rule, &manifest("1.9.0"));
        highest.write();
        // Of a change before it that comes late.
        before.write();
        let again = Highest::read(Some(&private));
        assert_eq!((again.of(&rule, "canary"), again.of(&rule, "headers")), (Some("1.9.0"), None));
        assert_eq!(again.of(&other, "canary"), None);
        assert_eq!(again.grants_of(&rule, "canary"), Some(&manifest("1.9.0").grants));
        assert_eq!(std::fs::read_dir(private.path()).unwrap().count(), 1);
    }

    #[test]
    fn another_folder_adds_what_it_knows() {
        let ((_one, one), (_two, two)) = (folder(), folder());
        let rule = "shop/canary".parse().unwrap();
        let mut old = Highest::read(Some(&one));
        old.runs(&rule, &manifest("2.0.0"));
        old.write();
        let mut highest = Highest::read(None);
        highest.runs(&rule, &manifest("1.0.0"));
        highest.write();
        highest.keep_in(&one);
        assert_eq!(highest.of(&rule, "canary"), Some("2.0.0"));
        highest.keep_in(&two);
        highest.write();
        assert_eq!(Highest::read(Some(&two)).of(&rule, "canary"), Some("2.0.0"));
    }

    #[test]
    fn what_is_damaged_is_begun_anew() {
        let (_folder, private) = folder();
        std::fs::write(private.path().join(FILE), "shop/canary = [").unwrap();
        let rule = "shop/canary".parse().unwrap();
        let mut highest = Highest::read(Some(&private));
        assert_eq!(highest.of(&rule, "canary"), None);
        highest.runs(&rule, &manifest("1.0.0"));
        highest.write();
        assert_eq!(Highest::read(Some(&private)).of(&rule, "canary"), Some("1.0.0"));
    }
}
