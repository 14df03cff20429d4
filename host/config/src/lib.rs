//! The configuration: TOML text to a checked [`Config`], or a [`Report`] of everything that is wrong
//! with it.
//!
//! | module | what |
//! |---|---|
//! | [`model`] | what a checked configuration is |
//! | `source` | files and places in them |
//! | `syntax` | what is not TOML |
//! | `repair` | brackets that are missing, found and put right in a copy |
//! | `walk` | the walk through a document, collecting problems |
//! | `shape`, `containers` | what values look like |
//! | `packs` | where packs come from |
//! | `names` | members by name |
//! | [`tls`] | what a checked configuration says about TLS |
//! | `text`, `units` | the grammar of values |
//! | `keys` | every key, declared once |
//! | `defaults` | keys that the virtuals of a file have in common |
//! | [`RuleOwner`] | which virtual or pool a rule belongs to |
//! | [`lock`] | which packs references stand for |
//! | `cross` | keys of different tables that do not fit together |
//! | `reference` | the keys told: reference, JSON schema |
//! | `report` | problems, rendered |
//! | `warnings` | what is right, and most likely not meant |
//! | `watching` | how soon monitors find members down, and what they miss |
//! | [`Fingerprint`] | whether the files are still those that were read |

mod containers;
mod cross;
mod defaults;
mod files;
mod fingerprint;
mod keys;
pub mod lock;
pub mod model;
pub mod monitors;
mod names;
mod owner;
mod packs;
pub mod persistence;
mod reference;
mod repair;
mod report;
mod sets;
mod shape;
mod source;
mod suggest;
mod syntax;
mod text;
pub mod tls;
mod units;
mod walk;
mod warnings;
mod watching;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

pub use fingerprint::{Fingerprint, Marks};
pub use model::Config;
pub use owner::RuleOwner;
pub use reference::{Entry, entries, reference_markdown, schema};
pub use report::{Also, Cause, Problem, Report};
pub use watching::{PoolWatch, pool_watches};

use keys::Part;
use keys::virtuals::AnyVirtual;
use report::{Finding, KeyPath, Refusal};
use source::{Place, Source};
use suggest::{nearest, quoted};
use walk::{Named, NamedFile, Reference, Unique, Walk};

/// The configuration of commands that are given none.
pub const DEFAULT_PATH: &str = "/etc/shunt/shunt.toml";

/// Reads and checks a configuration: a file, or all `*.toml` of a folder as one. Files that it names
/// are not opened.
///
/// # Errors
///
/// Everything that is wrong, in one report.
pub fn load(path: &Path) -> Result<Config, Report> {
    Document::read(path).map(|document| document.config)
}

/// A checked configuration that still knows where it stands in its files, for those who find out
/// later that something in it does not hold.
#[derive(Clone, Debug)]
pub struct Document {
    pub config: Config,
    sources: Arc<[Source]>,
    places: BTreeMap<String, (Place, String)>,
    files: Vec<NamedFile>,
    fingerprint: Fingerprint,
    path: PathBuf,
    lock_path: PathBuf,
}

impl Document {
    /// As [`load`].
    ///
    /// # Errors
    ///
    /// Everything that is wrong, in one report.
    pub fn read(path: &Path) -> Result<Document, Report> {
        // Before they are read: what is written meanwhile is then found to be newer.
        let mut fingerprint = Fingerprint::take(path);
        let (sources, unread) = source::read(path);
        let sources: Arc<[Source]> = sources.into();
        let mut walk = Walk::default();
        let mut broken: BTreeSet<usize> = unread.iter().map(|(place, _)| place.source).collect();
        for (place, refusal) in unread {
            walk.refuse(&place, None, refusal);
        }
        let mut parts = Vec::new();
        for (index, source) in sources.iter().enumerate() {
            if broken.contains(&index) {
                continue;
            }
            walk.source = index;
            walk.folder = source.path.parent().map(Path::to_path_buf).unwrap_or_default();
            let (part, is_toml) = read_part(source, &mut walk);
            parts.extend(part);
            if !is_toml {
                broken.insert(index);
            }
        }
        let config = merge(parts, broken.is_empty(), &mut walk);
        match config.filter(|_| walk.findings.is_empty()) {
            Some(config) => {
                fingerprint.add(walk.files.iter().map(|file| file.path.clone()));
                if !lock::references(&config).is_empty() {
                    fingerprint.add([lock::Lock::path(path)]);
                }
                let (places, files, lock_path) = (walk.places, walk.files, lock::Lock::path(path));
                let path = path.to_owned();
                Ok(Document { config, sources, places, files, fingerprint, path, lock_path })
            }
            None => Err(Report::new(sources, walk.findings)),
        }
    }

    /// Where its lock is, if it has one.
    pub fn lock_path(&self) -> &Path {
        &self.lock_path
    }

    /// The command that writes its lock, as a text tells to run it. It names this configuration, unless that is the
    /// default.
    pub fn lock_command(&self) -> String {
        if self.path == Path::new(DEFAULT_PATH) {
            return "`shunt pack lock`".to_owned();
        }
        format!("`shunt pack lock --config {}`", self.path.display())
    }

    /// Whether the certificates, keys and packs that it names are there and can be opened.
    ///
    /// # Errors
    ///
    /// Those that are not, at the keys that name them.
    pub fn verify_files(&self) -> Result<(), Report> {
        let refused = |file: &NamedFile| {
            let refusal = files::check(file)?;
            Some(Finding { place: file.place.clone(), key: Some(file.key.clone()), refusal })
        };
        let findings: Vec<Finding> = self.files.iter().filter_map(refused).collect();
        if findings.is_empty() { Ok(()) } else { Err(Report::new(self.sources.clone(), findings)) }
    }

    /// A report of what was found out about this configuration after it was read: that a pack is not
    /// built, that its rule refuses its settings.
    pub fn refuse(&self, remarks: impl IntoIterator<Item = Remark>) -> Report {
        Report::new(Arc::clone(&self.sources), self.findings(Cause::Refused, remarks))
    }

    /// What is right, and most likely not meant: a pool that nothing uses, a member that is Shunt itself, and what was
    /// found out besides.
    pub fn warnings(&self, besides: impl IntoIterator<Item = Remark>) -> Report {
        let remarks = warnings::warnings(&self.config).into_iter().chain(besides);
        let findings = self.findings(Cause::Suspicious, remarks);
        Report::new(Arc::clone(&self.sources), findings).of_warnings()
    }

    /// What its files were when it was read, and those that it names.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Where a key is written, for people: `shunt.toml:12`. As in a [`Remark`], the nearest that is written, outwards.
    pub fn place(&self, key: &[&str]) -> String {
        let written = (1..=key.len()).rev().find_map(|depth| {
            let path = key[..depth].iter().fold(String::new(), |path, name| report::join(&path, name));
            self.places.get(&path)
        });
        let place = written.map_or(Place { source: 0, span: None }, |(place, _)| place.clone());
        let Some(source) = self.sources.get(place.source) else { return String::new() };
        let file = source.path.file_name().unwrap_or(source.path.as_os_str()).to_string_lossy();
        match place.span {
            Some(span) => format!("{file}:{}", source.line_of(span.start) + 1),
            None => file.into_owned(),
        }
    }

    fn findings(&self, cause: Cause, remarks: impl IntoIterator<Item = Remark>) -> Vec<Finding> {
        let finding = |remark: Remark| {
            // The nearest key that is written, outwards; the first file, if none is.
            let path = |depth| {
                remark.key[..depth].iter().fold(String::new(), |path, name| report::join(&path, name))
            };
            let written = (1..=remark.key.len()).rev().find_map(|depth| self.places.get(&path(depth)));
            let place = written.map_or(Place { source: 0, span: None }, |(place, _)| place.clone());
            let entry = written.map(|(_, entry)| entry.clone()).unwrap_or_default();
            let key = Some(KeyPath { here: path(remark.key.len()), entry });
            let mut refusal = Refusal::new(cause, remark.message);
            refusal.help = remark.help;
            Finding { place, key, refusal }
        };
        remarks.into_iter().map(finding).collect()
    }
}

/// What somebody found out about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Its tables and itself, named ones by name: `["virtual", "shop", "rule", "canary", "settings"]`.
    /// Where it is not written, the remark stands at the table that it would be in.
    pub key: Vec<String>,
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// Reads one file. What the parser saved of a file that is not TOML is read too, for what else is
/// wrong with it. Whether it is TOML is said beside.
fn read_part(source: &Source, walk: &mut Walk) -> (Option<Part>, bool) {
    let (document, errors) = DeTable::parse_recoverable(&source.text);
    if errors.is_empty() {
        return (read_document(document.into_inner(), walk), true);
    }
    let repaired = repair::repair(&source.text);
    if let Some(repaired) = repaired {
        let (document, left) = DeTable::parse_recoverable(&repaired.text);
        if left.len() < errors.len() {
            for (span, refusal) in repaired.refusals {
                let place = walk.place(span);
                walk.refuse(&place, None, refusal);
            }
            walk.inserted = repaired.inserted;
            let part = read_recovered(source, document.into_inner(), &left, walk);
            walk.inserted = Vec::new();
            return (part, false);
        }
    }
    (read_recovered(source, document.into_inner(), &errors, walk), false)
}

fn read_document(mut content: DeTable<'_>, walk: &mut Walk) -> Option<Part> {
    defaults::spread(&mut content);
    let place = Place { source: walk.source, span: None };
    walk.table(&place, &KeyPath::default(), &content, keys::file)
}

/// Reads what the parser saved of a text that is not TOML.
fn read_recovered(
    source: &Source,
    content: DeTable<'_>,
    errors: &[toml::de::Error],
    walk: &mut Walk,
) -> Option<Part> {
    let before = walk.findings.len();
    let part = read_document(content, walk);
    if errors.is_empty() {
        return part;
    }
    // Recovery drops what it does not understand and makes up empty values; neither is the
    // operator's. Of what is left, only that which is there and away from the errors is told.
    let lines: BTreeSet<usize> =
        errors.iter().filter_map(|error| Some(source.line_of(walk.original(error.span()?.start)))).collect();
    let mut rest = walk.findings.split_off(before);
    rest.retain(|finding| {
        let there = finding
            .place
            .span
            .as_ref()
            .is_some_and(|span| !span.is_empty() && !lines.contains(&source.line_of(span.start)));
        there && finding.refusal.cause != Cause::MissingKey
    });
    walk.findings.append(&mut rest);
    syntax::refuse(source, errors, walk);
    part
}

/// One configuration of all files, once names are known. `whole`: all of them could be read.
fn merge(parts: Vec<Part>, whole: bool, walk: &mut Walk) -> Option<Config> {
    resolve(whole, walk);
    let (mut process, mut admin, mut resolver, mut packs, mut policies) =
        (None, None, None, None, Vec::new());
    let (mut virtuals, mut packet_virtuals, mut translators) = (Vec::new(), Vec::new(), Vec::new());
    let (mut pools, mut snat_pools) = (Vec::new(), Vec::new());
    for part in parts {
        process = process.or(part.process);
        admin = admin.or(part.admin);
        resolver = resolver.or(part.resolver);
        packs = packs.or(part.packs);
        policies.extend(part.policies);
        for virtual_ in part.virtuals {
            match virtual_ {
                AnyVirtual::Proxy(virtual_) => virtuals.push(*virtual_),
                AnyVirtual::Packet(virtual_) => packet_virtuals.push(*virtual_),
                AnyVirtual::Translator(translator) => translators.push(translator),
            }
        }
        pools.extend(part.pools);
        snat_pools.extend(part.snat_pools);
    }
    for virtual_ in &mut virtuals {
        virtual_.stand_ins = model::stand_ins(&pools, |pool| virtual_.reaches(pool));
    }
    for virtual_ in &mut packet_virtuals {
        virtual_.stand_ins = model::stand_ins(&pools, |pool| virtual_.reaches(pool));
    }
    let nothing = virtuals.is_empty() && packet_virtuals.is_empty() && translators.is_empty();
    if whole && walk.findings.is_empty() && nothing {
        let refusal = Refusal::new(Cause::MissingKey, "there is no `[[virtual]]`: nothing would be served")
            .help("add one with `name`, `listen`, `protocol` and `pool`");
        let key = KeyPath::default().key("virtual");
        walk.refuse(&Place { source: 0, span: None }, Some(&key), refusal);
    }
    let config = Config {
        process: process.or_else(|| walk::absent(keys::process))?,
        admin: admin.or_else(|| walk::absent(keys::admin))?,
        resolver: resolver.or_else(|| walk::absent(keys::resolver::resolver))?,
        packs: packs.or_else(|| walk::absent(keys::packs::packs))?,
        policies,
        virtuals,
        packet_virtuals,
        translators,
        pools,
        snat_pools,
    };
    if whole {
        cross::check(&config, walk);
    }
    Some(config)
}

/// Every pool that is named must be there.
fn resolve(whole: bool, walk: &mut Walk) {
    if !whole {
        // It may stand in what could not be read.
        return;
    }
    for reference in std::mem::take(&mut walk.references) {
        let Reference { name, to, place, key } = reference;
        let (pools, snat_pools) = (&walk.seen.pools, &walk.seen.snat_pools);
        let (what, tables, all): (_, _, &[&Unique<String>]) = match to {
            Named::Pool => ("pool", "a `[[pool]]`", &[pools]),
            Named::SnatPool => ("SNAT pool", "a `[[snat-pool]]`", &[snat_pools]),
            Named::Either => ("pool", "a `[[pool]]` or `[[snat-pool]]`", &[pools, snat_pools]),
        };
        if all.iter().any(|names| names.0.contains_key(&name)) {
            continue;
        }
        let refusal = Refusal::new(Cause::Unresolved, format!("there is no {what} {}", quoted(&name)));
        let names = || all.iter().flat_map(|names| names.0.keys()).map(String::as_str);
        let refusal = if to == Named::Pool && snat_pools.0.contains_key(&name) {
            refusal.help(
                "a SNAT pool has this name: name it in `snat-pool`, or in the `slots` of a packet virtual",
            )
        } else if to == Named::SnatPool && pools.0.contains_key(&name) {
            refusal.help("a pool of members has this name: name a `[[snat-pool]]`")
        } else if let Some(near) = nearest(&name, names()) {
            refusal.help(format!("did you mean `{near}`?"))
        } else if names().next().is_none() {
            refusal.help(format!("add {tables} of this name"))
        } else {
            let names: Vec<String> = names().take(10).map(|name| format!("`{name}`")).collect();
            refusal.help(format!("add {tables} of this name, or name another: {}", suggest::or_list(&names)))
        };
        walk.refuse(&place, Some(&key), refusal);
    }
}
