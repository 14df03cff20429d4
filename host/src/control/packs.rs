//! How packs come to rules: where they are read from, and whether the policies let them run.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use shunt_config::{Document, Remark};
use shunt_rules::artefact::{Artefact, PublicKey};
use shunt_rules::trust::{Judgement, Policies, Policy, Signers, Source};
use shunt_rules::{Digest, Pack, PrivateFolder, Rule, RuleHost, Shipped, cases};

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
        let path = document.config.packs.cache.as_deref().filter(|_| asked != Asked::Check);
        let folder = path.and_then(|path| {
            let refused = |error: shunt_rules::PrivateFolderError| {
                remarks.push(Remark { key: key(["packs", "cache"]), message: error.to_string(), help: None });
            };
            PrivateFolder::open(path).map_err(refused).ok()
        });
        if remarks.is_empty() {
            Ok(Packs { policies, folder })
        } else {
            Err(ApplyError::Config(document.refuse(remarks)))
        }
    }

    /// Reads a pack. It may wait for the disk.
    ///
    /// # Errors
    /// There is none, or it is damaged.
    pub(super) fn read(&self, source: &Source) -> Result<Shipped, LoadError> {
        Ok(match source {
            Source::BuiltIn(name) => Shipped::Bare(Box::new(Pack::builtin(name)?)),
            Source::Path(path) => Shipped::read(path)?,
            Source::Registry(reference) => {
                return Err(LoadError::System(format!(
                    "{reference} cannot be read by this version of Shunt"
                )));
            }
            Source::Sent => return Err(LoadError::System("a pack that was sent is not kept".to_owned())),
        })
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
    std::fs::File::open(path)
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
