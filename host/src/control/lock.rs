//! `shunt pack lock`: what the references of a configuration stand for now, got, judged and written down.

use std::path::{Path, PathBuf};

use shunt_config::lock::{Lock, Pin, references};
use shunt_config::{Document, Remark};
use shunt_registry::{Client, Progress, RegistryError};
use shunt_rules::artefact::reference::highest;
use shunt_rules::artefact::{Artefact, Reference};
use shunt_rules::trust::Source;
use shunt_rules::{Shipped, whole};
use tokio::runtime::Builder;

use super::ApplyError;
use super::packs::Packs;
use super::plan::Asked;
use super::rules::LoadError;

/// What was written.
#[derive(Debug)]
pub struct Locked {
    pub path: PathBuf,
    /// References that are pinned.
    pub pins: usize,
    /// In the order of their references.
    pub changes: Vec<Change>,
}

/// A reference that stands for another pack than before.
#[derive(Debug)]
pub struct Change {
    pub reference: String,
    /// `None`: it is new.
    pub from: Option<Pin>,
    /// `None`: the configuration has it no more.
    pub to: Option<Pin>,
    /// What the pack asks for that the one before does not, a line each; `None`: the one before is not in the cache.
    pub grown: Option<Vec<String>>,
    /// All that the pack may do, a line each.
    pub may: Vec<String>,
    /// The files of the policy's keys that signed it.
    pub signers: Vec<String>,
}

/// Resolves the references of a configuration, gets their packs into the cache, and writes the lock.
///
/// # Errors
/// Everything that is wrong; the lock that was there stays.
pub fn lock(config: &Path, progress: &dyn Progress) -> Result<Locked, ApplyError> {
    let system = |error: std::io::Error| ApplyError::System(error.to_string());
    let document = Document::read(config).map_err(ApplyError::Config)?;
    let packs = Packs::of(&document, Asked::Lock)?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(system)?;
    let client = packs.client().map_err(|error| ApplyError::System(error.to_string()))?;
    let path = document.lock_path().to_owned();
    let before = packs.lock().clone();
    let (mut after, mut changes, mut remarks) = (Lock::default(), Vec::new(), Vec::new());
    for (owner, rule) in document.config.rules() {
        let Source::Registry(reference) = &rule.pack else { continue };
        if after.0.contains_key(&reference.to_string()) {
            continue;
        }
        let got =
            runtime.block_on(get(&packs, &client, reference, progress)).map_err(|error| error.to_string());
        let judged = got.and_then(|artefact| {
            let shipped = Shipped::Artefact(Box::new(artefact));
            let judged = same_name(&before, reference, &shipped)
                .and_then(|()| packs.judge(&rule.pack, &shipped))
                .and_then(|judged| packs.keep(&rule.pack, &shipped).map(|()| judged))
                .map_err(|error| of_pack(&shipped, &error))?;
            Ok((shipped, judged.judgement))
        });
        match judged {
            Ok((shipped, judgement)) => {
                let manifest = shipped.pack().manifest();
                let Some(digest) = shipped.artefact().map(Artefact::digest) else { continue };
                // What has a digest is pinned by it.
                if reference.digest().is_none() {
                    let pin =
                        Pin { digest, name: manifest.name.clone(), version: manifest.version.to_string() };
                    let signers = judgement.signers.into_iter().map(|signer| signer.file).collect();
                    changes.extend(change(&packs, &before, reference, &pin, (&shipped, signers)));
                    after.0.insert(reference.to_string(), pin);
                }
            }
            Err(error) => {
                let key = owner.key(&rule.name, "pack");
                remarks.push(Remark { key, message: error, help: None });
            }
        }
    }
    if !remarks.is_empty() {
        return Err(ApplyError::Config(document.refuse(remarks)));
    }
    let gone = before.0.iter().filter(|(reference, _)| !after.0.contains_key(*reference));
    changes.extend(gone.map(|(reference, pin)| Change {
        reference: reference.clone(),
        from: Some(pin.clone()),
        to: None,
        grown: Some(Vec::new()),
        may: Vec::new(),
        signers: Vec::new(),
    }));
    changes.sort_by(|one, other| one.reference.cmp(&other.reference));
    let pins = references(&document.config).len();
    if !changes.is_empty() || (pins > 0 && !path.exists()) {
        whole::write(&path, after.text().as_bytes())
            .map_err(|error| ApplyError::System(format!("cannot write {}: {error}", path.display())))?;
    }
    Ok(Locked { path, pins, changes })
}

/// What a reference stands for now.
async fn get(
    packs: &Packs,
    client: &Client,
    reference: &Reference,
    progress: &dyn Progress,
) -> Result<Artefact, LoadError> {
    if let Some(artefact) = packs.cached(reference)? {
        return Ok(artefact);
    }
    let tag = reference.tag().filter(|_| reference.is_range());
    let reference = match tag {
        Some(range) => {
            let tags = client.tags(reference).await?;
            let tag = highest(range, tags.iter().map(String::as_str));
            let tag = tag.ok_or_else(|| LoadError::NoVersion { reference: reference.clone() })?;
            reference.with_tag(tag).map_err(RegistryError::from)?
        }
        None => reference.clone(),
    };
    Ok(client.pull(&reference, packs.cache(), progress).await?)
}

/// # Errors
/// The reference stood for a pack of another name: a version of that one says nothing about this one.
fn same_name(before: &Lock, reference: &Reference, shipped: &Shipped) -> Result<(), LoadError> {
    match before.0.get(&reference.to_string()) {
        Some(pin) if pin.name != shipped.pack().manifest().name => {
            Err(LoadError::OtherPack { reference: Box::new(reference.clone()), before: pin.name.clone() })
        }
        _ => Ok(()),
    }
}

/// A refusal, with what a tag stands for.
fn of_pack(shipped: &Shipped, error: &LoadError) -> String {
    let manifest = shipped.pack().manifest();
    let digest = shipped.artefact().map(|it| format!(" (sha256:{})", it.digest())).unwrap_or_default();
    format!("{} {}{digest}: {error}", manifest.name, manifest.version)
}

/// How a pack differs from the one that was pinned.
fn change(
    packs: &Packs,
    before: &Lock,
    reference: &Reference,
    to: &Pin,
    (shipped, signers): (&Shipped, Vec<String>),
) -> Option<Change> {
    let from = before.0.get(&reference.to_string());
    if from.is_some_and(|from| from == to) {
        return None;
    }
    let old = from.and_then(|pin| packs.cached(&reference.with_digest(pin.digest)).ok().flatten());
    let grants = &shipped.pack().manifest().grants;
    let grown =
        old.map(|old| grants.beyond(&old.pack().manifest().grants).iter().map(ToString::to_string).collect());
    let may = grants.iter().map(|grant| grant.to_string()).collect();
    let (reference, from) = (reference.to_string(), from.cloned());
    Some(Change { reference, from, to: Some(to.clone()), grown, may, signers })
}
