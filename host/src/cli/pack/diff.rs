//! `shunt pack diff`

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

use super::super::failure::{Exit, Failure};
use super::super::screen::{Paint, Screen, Tone};
use super::about::About;
use super::registry::RegistryArgs;

/// What can differ, with its text: `("slot", "canary")`, `the new version`.
type Items = BTreeMap<(&'static str, String), String>;

struct Change {
    kind: &'static str,
    name: String,
    old: Option<String>,
    new: Option<String>,
}

/// Compares two packs. Their signatures do not count.
///
/// # Errors
/// One cannot be read, or they differ: the exit codes are those of diff(1).
pub(super) fn diff(old: &Path, new: &Path, registry: &RegistryArgs, screen: &Screen) -> Result<(), Failure> {
    let read = |path: &Path| {
        About::read(path, registry, screen).map_err(|failure| Failure { exit: Exit::Usage, ..failure })
    };
    let (old, new) = (read(old)?, read(new)?);
    let changes = changes(&old, &new);
    let side = |about: &About| {
        let manifest = about.pack.manifest();
        json!({ "name": manifest.name, "version": manifest.version.to_string(), "digest": about.digest() })
    };
    let listed: Vec<Value> = changes
        .iter()
        .map(|it| json!({ "kind": it.kind, "name": it.name, "old": it.old, "new": it.new }))
        .collect();
    let more = new.pack.manifest().grants.beyond(&old.pack.manifest().grants);
    let more: Vec<String> = more.iter().map(ToString::to_string).collect();
    let answer = json!({
        "old": side(&old), "new": side(&new), "differ": !changes.is_empty(), "changes": listed,
        "asks-for-more": more,
    });
    screen.show(&answer, |paint| {
        let mut text: String = changes.iter().map(|change| told(change, paint)).collect();
        if !more.is_empty() {
            text.push_str(&format!("\n{}\n", paint.on(Tone::Bad, "the new one asks for more:")));
            more.iter().for_each(|more| text.push_str(&format!("  {more}\n")));
        }
        text
    });
    if changes.is_empty() { Ok(()) } else { Err(Failure::shown()) }
}

fn changes(old: &About, new: &About) -> Vec<Change> {
    let with_files = old.artefact.is_some() && new.artefact.is_some();
    let (mut old, mut new) = (items(old, with_files), items(new, with_files));
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).cloned().collect();
    let changes = keys.into_iter().filter_map(|key| {
        let (old, new) = (old.remove(&key), new.remove(&key));
        let (kind, name) = key;
        (old != new).then_some(Change { kind, name, old, new })
    });
    let mut changes: Vec<_> = changes.collect();
    changes.sort_by_key(|change| ORDER.iter().position(|kind| *kind == change.kind));
    changes
}

/// What is told first.
const ORDER: [&str; 15] = [
    "name",
    "version",
    "changes",
    "maintainer",
    "contract",
    "hook",
    "may",
    "slot",
    "set",
    "flag",
    "key",
    "suggests",
    "setting",
    "code",
    "file",
];

fn items(about: &About, with_files: bool) -> Items {
    let manifest = about.pack.manifest();
    let one = |kind: &'static str, value: &str| ((kind, String::new()), value.to_owned());
    let mut items = Items::from([
        one("name", &manifest.name),
        one("version", &manifest.version.to_string()),
        one("contract", &manifest.wit),
        one("code", &format!("sha256:{}", about.pack.digest())),
    ]);
    items.extend(about.hooks().into_iter().map(|hook| (("hook", hook.to_owned()), String::new())));
    items.extend(manifest.changes.iter().map(|changes| one("changes", changes)));
    items.extend(manifest.maintainers.iter().map(|name| (("maintainer", name.clone()), String::new())));
    items.extend(about.may().into_iter().map(|(name, may)| (("may", name), may)));
    items.extend(about.slots().into_iter().map(|(slot, what)| (("slot", slot.to_owned()), what)));
    items.extend(about.sets().into_iter().map(|(set, what)| (("set", set.to_owned()), what)));
    items.extend(about.flags().into_iter().map(|(flag, what)| (("flag", flag.to_owned()), what)));
    items.extend(about.keys().into_iter().map(|(key, what)| (("key", key.to_owned()), what)));
    items.extend(about.advice().into_iter().map(|(key, value)| (("suggests", key.to_owned()), value)));
    items.extend(about.settings().into_iter().map(|it| (("setting", it.path), it.kind)));
    if with_files {
        let files = about.files();
        items.extend(files.iter().map(|it| (("file", it.path.to_owned()), format!("sha256:{}", it.digest))));
    }
    items
}

/// `+ hook on-response`, `~ version: 1.0.0 -> 1.1.0`
fn told(change: &Change, paint: Paint) -> String {
    let Change { kind, name, old, new } = change;
    let what = if name.is_empty() { (*kind).to_owned() } else { format!("{kind} {name}") };
    let with = |text: &String| if text.is_empty() { what.clone() } else { format!("{what}: {text}") };
    match (old, new) {
        // Digests tell nobody more than that.
        _ if *kind == "code" => format!("~ {what}\n"),
        (Some(_), Some(_)) if *kind == "file" => format!("~ {what}\n"),
        (None, _) if *kind == "file" => format!("{}\n", paint.on(Tone::Good, &format!("+ {what}"))),
        (_, None) if *kind == "file" => format!("{}\n", paint.on(Tone::Bad, &format!("- {what}"))),
        (None, new) => {
            format!("{}\n", paint.on(Tone::Good, &format!("+ {}", with(&new.clone().unwrap_or_default()))))
        }
        (Some(old), None) => format!("{}\n", paint.on(Tone::Bad, &format!("- {}", with(old)))),
        (Some(old), Some(new)) => format!("~ {what}: {old} -> {new}\n"),
    }
}
