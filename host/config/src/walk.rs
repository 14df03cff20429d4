//! The walk through a document. A table's keys are declared by reading them:
//! `table.or("head", "What it is.", duration(..), default)`. The same calls, made on a table without
//! content, list the keys for the reference and the schema. Problems are collected, never returned:
//! a reader continues with what is left.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::containers;
use super::names::MemberAt;
use super::reference::{self, Entry, Key, Need, TableType};
use super::repair;
use super::report::{Cause, Finding, KeyPath, Refusal};
use super::shape::{Shape, Written};
use super::source::Place;
use super::suggest::{distance, nearest, not_expanded, or_list, quoted, variable};

/// What is gathered on the way.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// The file that is being walked, and the folder that its relative paths start from.
    pub(super) source: usize,
    pub(super) folder: PathBuf,
    /// The bytes that the text at hand has and the file has not.
    pub(super) inserted: Vec<usize>,
    pub(super) findings: Vec<Finding>,
    /// Where every key stands, by its path in this configuration, and its entry in the reference.
    pub(super) places: BTreeMap<String, (Place, String)>,
    pub(super) files: Vec<NamedFile>,
    /// Names of pools and SNAT pools, wherever one is asked for.
    pub(super) references: Vec<Reference>,
    pub(super) seen: Seen,
    /// Of the virtual at hand, once its protocol is known.
    pub(super) kind: Option<Kind>,
    /// The virtual at hand is a table of `[defaults]`: it has some keys only.
    pub(super) is_default: bool,
    /// All keys, once somebody asks where an unknown one belongs.
    keys: OnceCell<Vec<Entry>>,
}

/// What may be used once: in the whole configuration, or in the table that clears it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) sections: Unique<&'static str>,
    pub(super) virtuals: Unique<String>,
    /// Addresses and ports, each with the protocol number of TCP or UDP.
    pub(super) listens: Unique<(SocketAddr, u8)>,
    pub(super) pools: Unique<String>,
    pub(super) snat_pools: Unique<String>,
    /// Of the virtual at hand.
    pub(super) rules: Unique<String>,
    /// Patterns of policies.
    pub(super) patterns: Unique<String>,
    /// Of the pool at hand.
    pub(super) members: Unique<MemberAt>,
    /// Rules of its monitors.
    pub(super) probing: Unique<String>,
    /// Of the virtual at hand.
    pub(super) interfaces: Unique<String>,
    pub(super) client_interfaces: Unique<String>,
}

/// What a virtual is, which decides what its keys may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Of any protocol.
    Proxy,
    /// One of TCP, which is a proxy too.
    Tcp,
    /// One of UDP, likewise.
    Udp,
    Packet,
}

impl Kind {
    pub(super) fn is(self, other: Kind) -> bool {
        self == other || (matches!(self, Kind::Tcp | Kind::Udp) && other == Kind::Proxy)
    }
}

/// The name of something that must be there.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    pub(super) name: String,
    pub(super) to: Named,
    pub(super) place: Place,
    pub(super) key: KeyPath,
}

/// What a reference may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Pool,
    SnatPool,
    Either,
}

/// Values and where they were seen first.
#[derive(Debug)]
pub(super) struct Unique<T>(pub(super) BTreeMap<T, Place>);

impl<T> Default for Unique<T> {
    fn default() -> Self {
        Unique(BTreeMap::new())
    }
}

impl<T: Ord> Unique<T> {
    /// The place where it was seen before, if it was.
    pub(super) fn insert(&mut self, value: T, place: &Place) -> Option<Place> {
        let first = self.0.entry(value).or_insert_with(|| place.clone());
        (first != place).then(|| first.clone())
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// A file that a key names.
#[derive(Clone, Debug)]
pub(super) struct NamedFile {
    pub(super) path: PathBuf,
    pub(super) may_be_folder: bool,
    /// What else may have been meant, if it is not there.
    pub(super) help_if_missing: Option<String>,
    pub(super) place: Place,
    pub(super) key: KeyPath,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct At<'d> {
    pub(super) value: &'d DeValue<'d>,
    pub(super) place: Place,
    pub(super) key: KeyPath,
}

impl Walk {
    pub(super) fn refuse(&mut self, place: &Place, key: Option<&KeyPath>, refusal: Refusal) {
        self.findings.push(Finding { place: place.clone(), key: key.cloned(), refusal });
    }

    pub(super) fn refuse_at(&mut self, at: &At<'_>, mut refusal: Refusal) {
        if let Some(variable) = at.value.as_str().and_then(variable) {
            refusal.help = Some(not_expanded(variable));
        }
        self.refuse(&at.place, Some(&at.key), refusal);
    }

    pub(super) fn at<'d>(&mut self, value: &'d Spanned<DeValue<'d>>, key: KeyPath) -> At<'d> {
        let place = self.place(value.span());
        self.places.insert(key.here.clone(), (place.clone(), key.entry.clone()));
        At { value: value.get_ref(), place, key }
    }

    /// Where a key stands that was read, by its path in this configuration.
    pub(super) fn spot(&self, here: &str) -> (Place, KeyPath) {
        let (place, entry) =
            self.places.get(here).cloned().unwrap_or((Place { source: 0, span: None }, String::new()));
        (place, KeyPath { here: here.to_string(), entry })
    }

    pub(super) fn place(&self, span: Range<usize>) -> Place {
        let span = self.original(span.start)..self.original(span.end);
        Place { source: self.source, span: Some(span) }
    }

    /// Where a byte of the text at hand stands in the file.
    pub(super) fn original(&self, byte: usize) -> usize {
        repair::original(&self.inserted, byte)
    }

    /// Reads a table: its keys by `read`, then whatever `read` did not know.
    pub(super) fn table<'d, T>(
        &mut self,
        place: &Place,
        key: &KeyPath,
        content: &'d DeTable<'d>,
        read: ReadTable<T>,
    ) -> Option<T> {
        let mut table = Table {
            content: Some(content),
            place: place.clone(),
            key: key.clone(),
            ..Table::without_content(self)
        };
        let value = read(&mut table);
        table.finish();
        value
    }
}

/// Reads the keys of a table. It must ask for all of them, whatever it finds: that is how they are known.
pub(super) type ReadTable<T> = fn(&mut Table<'_>) -> Option<T>;

/// A table that is being read.
pub(super) struct Table<'t> {
    pub(super) walk: &'t mut Walk,
    /// `None`: it is not in the file; all keys are absent.
    content: Option<&'t DeTable<'t>>,
    place: Place,
    key: KeyPath,
    declared: TableType,
    /// Required keys that are not there, and what is to be said about it.
    missing: Vec<(Vec<&'static str>, KeyPath, Refusal)>,
}

impl<'t> Table<'t> {
    /// A key that must be there.
    pub(super) fn required<S: Shape>(
        &mut self,
        name: &'static str,
        doc: &'static str,
        shape: S,
    ) -> Option<S::Value> {
        self.declare(name, doc, Need::Required, &shape);
        let value = self.read(name, shape);
        self.needs(name);
        value
    }

    /// A key that was declared, and must be there after all.
    pub(super) fn needs(&mut self, name: &'static str) {
        if self.content.is_some() && !self.wrote(name) {
            let refusal = Refusal::new(Cause::MissingKey, format!("`{name}` is missing"))
                .label(format!("this table needs `{name}`"))
                .help(format!("{} It takes {}.", self.doc_of(name), self.type_of(name)));
            self.missing.push((vec![name], self.key.key(name), refusal));
        }
    }

    /// A key without which there is none of it.
    pub(super) fn optional<S: Shape>(
        &mut self,
        name: &'static str,
        doc: &'static str,
        shape: S,
    ) -> Option<S::Value> {
        self.declare(name, doc, Need::Optional, &shape);
        self.read(name, shape)
    }

    /// A key whose default follows from something else, as `said` in the reference.
    pub(super) fn derived<S: Shape>(
        &mut self,
        name: &'static str,
        doc: &'static str,
        shape: S,
        said: &'static str,
    ) -> Option<S::Value> {
        self.declare(name, doc, Need::Derived(said), &shape);
        self.read(name, shape)
    }

    /// A key with a default.
    pub(super) fn or<S: Written>(
        &mut self,
        name: &'static str,
        doc: &'static str,
        shape: S,
        default: S::Value,
    ) -> S::Value {
        self.declare(name, doc, Need::Default(shape.write(&default)), &shape);
        self.read(name, shape).unwrap_or(default)
    }

    /// A table that, left out, is as if it were empty: its keys have their defaults.
    pub(super) fn section<T>(
        &mut self,
        name: &'static str,
        doc: &'static str,
        read: ReadTable<T>,
    ) -> Option<T> {
        self.derived(name, doc, containers::table(read), "its keys' defaults").or_else(|| absent(read))
    }

    /// A table that only one file of a folder may have.
    pub(super) fn section_of_one_file<T>(
        &mut self,
        name: &'static str,
        doc: &'static str,
        read: ReadTable<T>,
    ) -> Option<T> {
        let value = self.derived(name, doc, containers::table(read), "its keys' defaults");
        if self.wrote(name) {
            let place = self.place_of(name);
            if let Some(first) = self.walk.seen.sections.insert(name, &place) {
                let refusal = Refusal::new(Cause::Duplicate, format!("there is already a `[{name}]`"))
                    .label("again here")
                    .also(first, "first here")
                    .help("keep one of them, with the keys of both");
                self.refuse(name, refusal);
            }
        }
        value
    }

    /// Keys that mean nothing at a virtual of this kind, each with the reason.
    pub(super) fn useless_at(&mut self, kind: Kind, keys: &[(&'static str, &str)]) {
        if !self.walk.kind.is_some_and(|it| it.is(kind)) {
            return;
        }
        let what = match kind {
            Kind::Proxy => "a proxy",
            Kind::Tcp => "a proxy for TCP",
            Kind::Udp => "a proxy for UDP",
            Kind::Packet => "a packet virtual",
        };
        for (name, why) in keys {
            if let Some((span, _)) = self.entry(name) {
                let refusal = Refusal::new(Cause::Conflict, format!("`{name}` means nothing at {what}"))
                    .label(*why)
                    .help("remove it");
                let (place, key) = (self.walk.place(span), self.key.key(name));
                self.walk.refuse(&place, Some(&key), refusal);
            }
        }
    }

    /// Of these keys exactly one is to be written. A flag that is `false` is not.
    pub(super) fn exactly_one(&mut self, names: &'static [&'static str]) {
        self.declared.exactly_one = names;
        if self.content.is_none() {
            return;
        }
        let written: Vec<&str> = names.iter().copied().filter(|name| self.says(name)).collect();
        let all: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        match written.as_slice() {
            [] => {
                let docs: Vec<String> =
                    names.iter().map(|name| format!("`{name}`: {}", self.doc_of(name))).collect();
                let refusal = Refusal::new(Cause::MissingKey, format!("{} is missing", or_list(&all)))
                    .label("this table needs one of them")
                    .help(docs.join(" "));
                self.missing.push((names.to_vec(), self.key.clone(), refusal));
            }
            [_] => {}
            [first, others @ ..] => {
                for other in others {
                    let refusal =
                        Refusal::new(Cause::Conflict, format!("`{first}` and `{other}` exclude each other"))
                            .help("keep one of them");
                    self.refuse(other, self.also(refusal, first));
                }
            }
        }
    }

    /// Keys that mean something only beside another.
    pub(super) fn only_with(&mut self, names: &[&str], other: &str) {
        if self.content.is_none() || self.wrote(other) {
            return;
        }
        for name in names.iter().filter(|name| self.entry(name).is_some()).copied().collect::<Vec<_>>() {
            let refusal = Refusal::new(Cause::Conflict, format!("`{name}` means nothing without `{other}`"))
                .help(format!("add `{other}`, or remove `{name}`"));
            self.refuse(name, refusal);
        }
    }

    /// Whether the key is in the file, right or wrong.
    pub(super) fn wrote(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    /// Whether a key is written, and is no flag that is `false`.
    fn says(&self, name: &str) -> bool {
        let is_no = |value: &DeValue<'_>| matches!(value, DeValue::Boolean(false));
        let entry = self.entry(name);
        entry.is_some_and(|(_, value)| !(self.declared.is_flag(name) && is_no(value.get_ref())))
    }

    /// Refuses the value of a key; the table, where the key is not written.
    pub(super) fn refuse(&mut self, name: &str, refusal: Refusal) {
        let place = self.place_of(name);
        let key = self.key.key(name);
        self.walk.refuse(&place, Some(&key), refusal);
    }

    /// The refusal, showing another key of this table too, if it is written.
    pub(super) fn also(&self, refusal: Refusal, name: &str) -> Refusal {
        if self.wrote(name) {
            refusal.also(self.place_of(name), format!("`{name}` is set here"))
        } else {
            refusal
        }
    }

    /// Of the value of a key; of the table, where the key is not written.
    pub(super) fn place_of(&self, name: &str) -> Place {
        match self.content.and_then(|content| content.get(name)) {
            Some(value) => self.walk.place(value.span()),
            None => self.place.clone(),
        }
    }

    fn entry(&self, name: &str) -> Option<(Range<usize>, &'t Spanned<DeValue<'t>>)> {
        let (key, value) = self.content?.get_key_value(name)?;
        Some((key.span(), value))
    }

    fn read<S: Shape>(&mut self, name: &'static str, shape: S) -> Option<S::Value> {
        let (_, value) = self.entry(name)?;
        let at = self.walk.at(value, self.key.key(name));
        shape.read(at, self.walk)
    }

    fn declare<S: Shape>(&mut self, name: &'static str, doc: &'static str, need: Need, shape: &S) {
        self.declared.keys.push(Key { name, doc, need, of: shape.describe() });
    }

    fn type_of(&self, name: &str) -> String {
        self.declared
            .keys
            .iter()
            .find(|key| key.name == name)
            .map(|key| key.of.to_string())
            .unwrap_or_default()
    }

    fn doc_of(&self, name: &str) -> &'static str {
        self.declared.keys.iter().find(|key| key.name == name).map_or("", |key| key.doc)
    }

    /// What is left once all keys were asked for: unknown ones, and required ones that are not there.
    fn finish(mut self) {
        let Some(content) = self.content else { return };
        for name in content.keys() {
            let text = name.get_ref().as_ref();
            if self.declared.keys.iter().any(|key| key.name == text) {
                continue;
            }
            let near = nearest(text, self.declared.keys.iter().map(|key| key.name));
            // A slip of a key that is not there is one mistake, not two.
            self.missing.retain(|(names, ..)| !near.is_some_and(|near| names.contains(&near)));
            let place = self.walk.place(name.span());
            let key = self.key.named(text);
            let refusal = self.unknown(text, near);
            self.walk.refuse(&place, Some(&key), refusal);
        }
        let in_defaults = self.walk.is_default && self.key.entry == "virtual";
        for (_, key, refusal) in self.missing.into_iter().filter(|_| !in_defaults) {
            self.walk.refuse(&self.place, Some(&key), refusal);
        }
    }

    /// A slip of a key of this table, a key of another table, or neither.
    fn unknown(&self, name: &str, near: Option<&str>) -> Refusal {
        let shown = quoted(name);
        let (message, label) = match self.key.entry.as_str() {
            "" => (format!("unknown key {shown}"), "not a key of a configuration".to_string()),
            entry => (format!("unknown key {shown} in `{entry}`"), format!("not a key of `{entry}`")),
        };
        let refusal = Refusal::new(Cause::UnknownKey, message).label(label);
        if let Some(key) = near.filter(|key| distance(name, key) == 1) {
            return refusal.help(format!("did you mean `{key}`?"));
        }
        let all = self.walk.keys.get_or_init(reference::entries);
        let homes = || all.iter().filter(|entry| entry.name() == name);
        // TOML has no way back from an inner table to the outer one.
        let within =
            |table: &str| self.key.entry.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'));
        if let Some(outer) = homes().filter_map(Entry::table).find(|table| within(table)) {
            return refusal
                .help(format!("`{name}` is a key of `{outer}`, and must stand above the tables in it"));
        }
        let homes: Vec<String> = homes()
            .map(|entry| {
                entry.table().map_or("the top of the file".to_string(), |table| format!("`{table}`"))
            })
            .collect();
        if !homes.is_empty() {
            return refusal.help(format!("`{name}` is a key of {}", or_list(&homes)));
        }
        match near {
            Some(key) => refusal.help(format!("did you mean `{key}`?")),
            None => refusal.help(self.declared.to_string()),
        }
    }
}

/// What a table means that is not written.
pub(super) fn absent<T>(read: ReadTable<T>) -> Option<T> {
    let mut walk = Walk::default();
    read(&mut Table::without_content(&mut walk))
}

/// The keys that a table has.
pub(super) fn describe<T>(read: ReadTable<T>) -> TableType {
    let mut walk = Walk::default();
    let mut table = Table::without_content(&mut walk);
    read(&mut table);
    table.declared
}

impl<'t> Table<'t> {
    fn without_content(walk: &'t mut Walk) -> Table<'t> {
        let place = Place { source: 0, span: None };
        Table {
            walk,
            content: None,
            place,
            key: KeyPath::default(),
            declared: TableType::default(),
            missing: Vec::new(),
        }
    }
}
