//! How packs come to rules: where they are read from, and whether the policies let them run.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use shunt_config::lock::Lock;
use shunt_config::{Document, Remark};
use shunt_registry::{Cache, CacheError, Client, RegistryError, Settings};
use shunt_rules::artefact::{Artefact, PublicKey, Reference};
use shunt_rules::trust::{Judgement, Policies, Policy, Signers, Source};
use shunt_rules::{
    Digest, Pack, PrivateFolder, PrivateFolderError, Rule, RuleHost, Shipped, cases, plain_file,
};
use tokio::runtime::Handle;

use super::ApplyError;
use super::plan::Asked;
use super::rules::LoadError;

/// Bytes of a key's file, which has about 120.
const MAX_KEY: u64 = 4 << 10;

/// How long the cases of a pack may take. They are a few milliseconds; a pack that needs seconds is no pack to load.
const MOST_CASES: Duration = Duration::from_secs(10);

/// What a configuration says about packs, with the files that it names.
#[derive(Debug, Default)]
pub(super) struct Packs {
    policies: Policies,
    /// Shunt's own folder.
    pub(super) folder: Option<PrivateFolder>,
    /// Packs of registries in it.
    cache: Option<Cache>,
    /// Why a check cannot look into it, and what to do.
    unseen: Option<String>,
    lock: Lock,
    /// What writes the lock.
    lock_command: String,
    registries: Settings,
    /// Registries may be asked.
    may_pull: bool,
}

/// Where a version came from, for those who ask.
#[derive(Debug, Default)]
pub(super) struct Provenance {
    /// As an operator writes it.
    pub(super) source: String,
    /// Of the pack as a whole; `None`: it was in no pack file.
    pub(super) digest: Option<Digest>,
    pub(super) judgement: Judgement,
}

/// A pack that was compiled, and where it came from.
#[derive(Clone)]
pub(super) struct Loaded {
    pub(super) rule: Arc<Rule>,
    pub(super) provenance: Arc<Provenance>,
    /// Of all that came, not of the component alone.
    pub(super) shipped: Digest,
}

/// The rule host of the process, which keeps compiled code in Shunt's folder, where there is one.
///
/// # Errors
/// Rules cannot run here, or the folder is not Shunt's alone.
pub(super) fn rule_host(document: &Document) -> Result<Arc<RuleHost>, ApplyError> {
    let system = |error: shunt_rules::HostError| ApplyError::System(error.to_string());
    let Some(folder) = Packs::of(document, Asked::Start)?.folder else {
        return RuleHost::new().map_err(system);
    };
    let (host, problem) = RuleHost::with_cache(&folder).map_err(system)?;
    if let Some(problem) = problem {
        tracing::warn!(%problem, "compiled rules are not kept: the next start compiles them again");
    }
    Ok(host)
}

impl Packs {
    /// Reads the keys of the policies, and opens the folder.
    ///
    /// # Errors
    /// A key is none, or the folder is not Shunt's alone.
    pub(super) fn of(document: &Document, asked: Asked) -> Result<Packs, ApplyError> {
        let mut remarks = Vec::new();
        let policies = policies(document, &mut remarks);
        let settings = &document.config.packs;
        let mut refuse = |name: &str, message: String| {
            remarks.push(Remark { key: key(["packs", name]), message, help: None });
        };
        let (mut folder, mut cache, mut unseen) = (None, None, None);
        if let Some(path) = &settings.cache {
            let opened = match asked {
                Asked::Check => seen(path),
                _ => PrivateFolder::open(path)
                    .map_err(CacheError::from)
                    .and_then(|it| Ok((Some(it), Some(Cache::open(path)?))))
                    .map_err(Unseen::Refused),
            };
            match opened {
                Ok(opened) => (folder, cache) = opened,
                Err(Unseen::ByThisUser(why)) => unseen = Some(why),
                Err(Unseen::Refused(error)) => refuse("cache", error.to_string()),
            }
        }
        let (lock_path, lock_command) = (document.lock_path(), document.lock_command());
        let lock = Lock::read(lock_path).unwrap_or_else(|error| {
            let help = error.remedy(&lock_command);
            remarks.push(Remark { key: Vec::new(), message: error.to_string(), help });
            Lock::default()
        });
        if asked == Asked::Check {
            remarks.extend(lock.disagreements(&document.config, lock_path, &lock_command));
        }
        let registries = Settings {
            insecure: settings.insecure_registries.clone(),
            ca: settings.ca.clone(),
            ..Settings::default()
        };
        if remarks.is_empty() {
            let may_pull = asked != Asked::Check;
            Ok(Packs { policies, folder, cache, unseen, lock, lock_command, registries, may_pull })
        } else {
            Err(ApplyError::Config(document.refuse(remarks)))
        }
    }

    /// Reads a pack. It may wait for the disk, and for a registry where the pack is not in the cache.
    ///
    /// # Errors
    /// There is none, or it is damaged.
    pub(super) fn read(&self, source: &Source) -> Result<Shipped, LoadError> {
        Ok(match source {
            Source::BuiltIn(name) => Shipped::Bare(Box::new(Pack::builtin(name)?)),
            Source::Path(path) => Shipped::read(path)?,
            Source::Registry(reference) => {
                let command = &self.lock_command;
                let pinned = self.lock.digest(reference).map(|digest| reference.with_digest(digest));
                let pinned = pinned.ok_or_else(|| LoadError::NotLocked {
                    reference: Box::new(reference.clone()),
                    command: command.clone(),
                })?;
                let artefact = self.fetch(&pinned, &format!("write the lock again by {command}"))?;
                self.is_as_pinned(reference, &artefact)?;
                Shipped::Artefact(Box::new(artefact))
            }
            Source::Sent => return Err(LoadError::System("a pack that was sent is not kept".to_owned())),
        })
    }

    /// # Errors
    /// The lock was written by somebody who says of the pack what it is not.
    fn is_as_pinned(&self, reference: &Reference, artefact: &Artefact) -> Result<(), LoadError> {
        let manifest = artefact.pack().manifest();
        let found = (manifest.name.clone(), manifest.version.to_string());
        // What has a digest is not pinned.
        let pin = self.lock.0.get(&reference.to_string()).filter(|_| reference.digest().is_none());
        match pin.map(|pin| (pin.name.clone(), pin.version.clone())).filter(|said| *said != found) {
            None => Ok(()),
            Some((name, version)) => Err(LoadError::OtherPin {
                reference: Box::new(reference.clone()),
                said: format!("{name} {version}"),
                found: format!("{} {}", found.0, found.1),
                command: self.lock_command.clone(),
            }),
        }
    }

    /// A pack from the cache if its digest is known and it is there, else from its registry. Not on a thread that must not
    /// wait. `remedy`: what to do where its version is not that of its tag.
    ///
    /// # Errors
    /// The registry does not give it.
    pub(super) fn fetch(&self, reference: &Reference, remedy: &str) -> Result<Artefact, LoadError> {
        if let Some(artefact) = self.cached(reference)? {
            let manifest = artefact.pack().manifest();
            if !reference.covers(&manifest.version) {
                let (name, version) = (manifest.name.clone(), manifest.version.to_string());
                return Err(LoadError::OtherVersion {
                    reference: Box::new(reference.clone()),
                    name,
                    version,
                    remedy: remedy.to_owned(),
                });
            }
            return Ok(artefact);
        }
        if !self.may_pull {
            let get = || format!("it is not in the cache; {} gets it", self.lock_command);
            let why = self.unseen.clone().unwrap_or_else(get);
            return Err(LoadError::NotCached { reference: Box::new(reference.clone()), why });
        }
        let client = self.client()?;
        tracing::info!(%reference, "getting a pack from its registry");
        Ok(Handle::current().block_on(client.pull(reference, self.cache.as_ref(), &()))?)
    }

    /// A pack of the cache, by the digest of its reference.
    ///
    /// # Errors
    /// The cache cannot be read.
    pub(super) fn cached(&self, reference: &Reference) -> Result<Option<Artefact>, LoadError> {
        match (&self.cache, reference.digest()) {
            (Some(cache), Some(digest)) => Ok(cache.get(digest)?),
            _ => Ok(None),
        }
    }

    /// # Errors
    /// A file of certificates cannot be used.
    pub(super) fn client(&self) -> Result<Client, RegistryError> {
        Client::new(&self.registries)
    }

    pub(super) fn cache(&self) -> Option<&Cache> {
        self.cache.as_ref()
    }

    pub(super) fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Keeps a pack of a registry that may run, so that the registry is not needed again.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(super) fn keep(&self, source: &Source, shipped: &Shipped) -> Result<(), LoadError> {
        if let (Source::Registry(_), Some(cache), Some(artefact)) = (source, &self.cache, shipped.artefact())
            && self.may_pull
        {
            let same = |kept: Artefact| kept.signatures().len() == artefact.signatures().len();
            if !cache.get(artefact.digest())?.is_some_and(same) {
                cache.put(artefact)?;
            }
        }
        Ok(())
    }

    /// Whether a pack may run, and where it came from.
    ///
    /// # Errors
    /// The policies refuse it.
    pub(super) fn judge(&self, source: &Source, shipped: &Shipped) -> Result<Provenance, LoadError> {
        let judgement = self.policies.judge(&absolute(source), shipped.pack(), shipped.artefact())?;
        let digest = shipped.artefact().map(Artefact::digest);
        Ok(Provenance { source: source.to_string(), digest, judgement })
    }
}

/// Why a check has no cache.
enum Unseen {
    /// The folder is not that of the user who checks, and may be right; says what to do.
    ByThisUser(String),
    /// Shunt would refuse it as well.
    Refused(CacheError),
}

/// The cache as a check sees it, which makes no folders, and may be of another user than Shunt is.
fn seen(path: &Path) -> Result<(Option<PrivateFolder>, Option<Cache>), Unseen> {
    use std::io::ErrorKind;
    let is_absent = |path: &Path| path.symlink_metadata().is_err_and(|it| it.kind() == ErrorKind::NotFound);
    if is_absent(path) {
        return Ok((None, None));
    }
    let opened = PrivateFolder::open(path).map_err(CacheError::from).and_then(|_| {
        match is_absent(&path.join("packs")) {
            true => Ok(None),
            false => Cache::open(path).map(Some),
        }
    });
    let path = path.display();
    match opened {
        Ok(cache) => Ok((None, cache)),
        Err(CacheError::Folder(PrivateFolderError::Owner { owner, user, .. })) => {
            Err(Unseen::ByThisUser(format!(
                "the cache {path} is of user {owner}, and this check of user {user}; check as user {owner}"
            )))
        }
        Err(error @ (CacheError::Io { .. } | CacheError::Folder(PrivateFolderError::Io { .. }))) => {
            Err(Unseen::ByThisUser(format!("{error}; check as the user of Shunt")))
        }
        Err(error) => Err(Unseen::Refused(error)),
    }
}

/// Plays the cases that a pack was shipped with.
///
/// # Errors
/// One fails, or they cannot be played.
pub(super) fn play_cases(rule: &Arc<Rule>, shipped: &Shipped) -> Result<(), LoadError> {
    let refused = |error: cases::CasesError| LoadError::Cases(error.to_string());
    let report = cases::run_shipped(rule, shipped.files(), MOST_CASES).map_err(refused)?;
    let failed: Vec<String> = report.failed().map(ToString::to_string).collect();
    if failed.is_empty() { Ok(()) } else { Err(LoadError::Cases(failed.join("\n"))) }
}

fn policies(document: &Document, remarks: &mut Vec<Remark>) -> Policies {
    let policies = document.config.policies.iter().map(|policy| {
        let pattern = policy.pattern.as_str();
        let mut keys: Vec<(String, PublicKey)> = Vec::new();
        for path in &policy.keys {
            let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
            let message = match read_key(path) {
                Ok(key) => match keys.iter().find(|(_, other)| *other == key) {
                    // It would count twice.
                    Some((other, _)) => format!("{file} and {other} are one key; name each key once"),
                    None => {
                        keys.push((file, key));
                        continue;
                    }
                },
                Err(error) => format!("{}: {error}", path.display()),
            };
            remarks.push(Remark { key: key(["pack-policy", pattern, "keys"]), message, help: None });
        }
        let threshold = policy.threshold;
        Policy {
            pattern: policy.pattern.clone(),
            place: document.place(&["pack-policy", pattern]),
            signers: if policy.unsigned { Signers::Nobody } else { Signers::Of { keys, threshold } },
            grants: policy.grants.clone(),
        }
    });
    Policies(policies.collect())
}

fn read_key(path: &Path) -> Result<PublicKey, String> {
    use std::io::Read as _;
    let mut text = String::new();
    plain_file::open(path)
        .and_then(|open| open.take(MAX_KEY).read_to_string(&mut text))
        .map_err(|error| error.to_string())?;
    PublicKey::from_pem(&text).map_err(|error| error.to_string())
}

/// Policies for paths are absolute.
fn absolute(source: &Source) -> Source {
    match source {
        Source::Path(path) => Source::Path(std::path::absolute(path).unwrap_or_else(|_| path.clone())),
        other => other.clone(),
    }
}

fn key<const N: usize>(names: [&str; N]) -> Vec<String> {
    names.map(str::to_owned).to_vec()
}
