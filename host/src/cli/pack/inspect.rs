//! `shunt pack inspect`

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use shunt_rules::artefact::{Artefact, PublicKey, Validity};

use super::super::failure::Failure;
use super::super::format::{bytes, count};
use super::super::screen::{Paint, Screen, Tone};
use super::about::About;
use super::keys::public_keys;
use super::registry::RegistryArgs;

/// A signature, and what is known of it.
struct Signer {
    key: String,
    validity: Validity,
    /// The file of its key, if that was given.
    file: Option<String>,
}

/// Shows a pack.
///
/// # Errors
/// There is none, or one of the keys is none.
pub(super) fn inspect(
    path: &Path,
    keys: &[PathBuf],
    registry: &RegistryArgs,
    screen: &Screen,
) -> Result<(), Failure> {
    let public = public_keys(keys)?;
    let about = About::read(path, registry, screen)?;
    let signers = about.artefact.as_ref().map(|it| signers(it, keys, &public)).unwrap_or_default();
    screen.show(&as_json(&about, &signers), |paint| told(&about, &signers, paint));
    Ok(())
}

fn signers(artefact: &Artefact, files: &[PathBuf], keys: &[PublicKey]) -> Vec<Signer> {
    let signers = artefact.signatures().iter().map(|signature| {
        let validity = artefact.validity(signature, keys);
        let at = match signature.key() {
            Some(id) => keys.iter().position(|key| key.id() == id),
            // One of cosign does not say whose it is.
            None => keys
                .iter()
                .position(|key| artefact.validity(signature, std::slice::from_ref(key)) == Validity::Valid),
        };
        let id = signature.key().or(at.map(|at| keys[at].id()));
        Signer {
            key: id.map_or_else(|| "of cosign".to_owned(), |id| format!("sha256:{id}")),
            validity,
            file: at.map(|at| files[at].display().to_string()),
        }
    });
    signers.collect()
}

fn as_json(about: &About, signers: &[Signer]) -> Value {
    let manifest = about.pack.manifest();
    let may: Vec<Value> = about.may().iter().map(|(name, may)| json!({ "name": name, "may": may })).collect();
    let advice: serde_json::Map<String, Value> =
        about.advice().into_iter().map(|(key, value)| (key.to_owned(), Value::from(value))).collect();
    let files: Vec<Value> = about
        .files()
        .iter()
        .map(|file| json!({ "path": file.path, "digest": format!("sha256:{}", file.digest), "cases": file.cases }))
        .collect();
    let settings: Vec<Value> = about
        .settings()
        .iter()
        .map(|it| json!({ "path": it.path, "kind": it.kind, "doc": it.doc }))
        .collect();
    let signatures: Vec<Value> = signers
        .iter()
        .map(|it| json!({ "key": it.key, "validity": it.validity_name(), "file": it.file }))
        .collect();
    json!({
        "name": manifest.name, "version": manifest.version.to_string(), "wit": manifest.wit,
        "description": manifest.description, "maintainers": manifest.maintainers, "changes": manifest.changes,
        "digest": about.digest(),
        "component": {
            "manifest": about.artefact.as_ref().map(|it| format!("sha256:{}", it.component_digest())),
            "digest": format!("sha256:{}", about.pack.digest()), "bytes": about.pack.bytes().len(),
        },
        "hooks": about.hooks(), "imports": about.imports(), "capabilities": manifest.grants, "may": may,
        "suggests": advice, "slots": manifest.slots, "sets": manifest.sets, "flags": manifest.flags, "keys": manifest.keys,
        "settings": settings, "files": files,
        "signatures": signatures,
    })
}

impl Signer {
    fn validity_name(&self) -> &'static str {
        match self.validity {
            Validity::Valid => "valid",
            Validity::Invalid => "invalid",
            Validity::UnknownKey => "unknown-key",
        }
    }
}

fn told(about: &About, signers: &[Signer], paint: Paint) -> String {
    let manifest = about.pack.manifest();
    let head = |text: &str| paint.on(Tone::Head, text);
    let mut text = head(&format!("{} {}", manifest.name, manifest.version));
    if let Some(description) = &manifest.description {
        text.push_str(&format!(": {description}"));
    }
    text.push('\n');
    let size = bytes(about.pack.bytes().len() as u64);
    let mut facts = vec![("contract", manifest.wit.clone())];
    facts.extend(about.digest().map(|digest| ("pack", digest)));
    facts.push(("component", format!("sha256:{}, {size}", about.pack.digest())));
    facts.push(("hooks", about.hooks().join(", ")));
    facts.push(("imports", about.imports().join(", ")));
    facts.extend(manifest.maintainers.iter().map(|name| ("maintainer", name.clone())));
    facts.extend(manifest.changes.iter().map(|changes| ("changes", changes.trim().replace('\n', "\n    "))));
    text.push_str(&rows("  ", facts.iter().map(|(name, value)| (*name, value.clone()))));

    let may = about.may();
    let may = may.iter().map(|(name, may)| (name.as_str(), may.clone()));
    let settings = about.settings();
    let settings = settings.iter().map(|it| {
        let doc = if it.doc.is_empty() { String::new() } else { format!(". {}", it.doc) };
        (it.path.as_str(), format!("{}{doc}", it.kind))
    });
    let files = about.files();
    let files = files.iter().map(|file| match file.cases.len() {
        0 => (file.path, String::new()),
        cases => (file.path, count(cases, "case")),
    });
    for (title, rows) in [
        ("slots, which the operator binds to pools", rows("  ", about.slots().into_iter())),
        ("sets, which the operator binds to entries", rows("  ", about.sets().into_iter())),
        ("flags, which the operator sets", rows("  ", about.flags().into_iter())),
        ("keys, which the operator binds to files", rows("  ", about.keys().into_iter())),
        ("settings", rows("  ", settings)),
        ("what it may do", rows("  ", may)),
        ("what its authors suggest", rows("  ", about.advice().into_iter())),
        ("files", rows("  ", files)),
    ] {
        if !rows.is_empty() {
            text.push_str(&format!("\n{}\n{rows}", head(title)));
        }
    }
    text.push_str(&format!("\n{}\n", head("signatures")));
    for it in signers {
        let (tone, what) = match it.validity {
            Validity::Valid => (Tone::Good, "valid"),
            Validity::Invalid => (Tone::Bad, "NOT VALID"),
            Validity::UnknownKey => (Tone::Faint, "not checked: give its key with --key"),
        };
        let file = it.file.as_ref().map(|file| format!(" {file}")).unwrap_or_default();
        text.push_str(&format!("  {}  {}{file}\n", it.key, paint.on(tone, what)));
    }
    match (signers.is_empty(), about.is_file) {
        (true, true) => text.push_str("  none: `shunt pack sign` adds one\n"),
        (true, false) => {
            text.push_str("  none: only a pack file has them, which `shunt pack build` writes\n");
        }
        (false, _) => {}
    }
    text
}

/// Two columns.
fn rows<'a>(indent: &str, rows: impl Iterator<Item = (&'a str, String)>) -> String {
    let rows: Vec<_> = rows.collect();
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let rows = rows
        .iter()
        .map(|(name, value)| format!("{}\n", format!("{indent}{name:width$}  {value}").trim_end()));
    rows.collect()
}
