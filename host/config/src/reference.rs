//! The keys, told: one list, from which the book's reference and the editors' schema are made. The
//! list itself comes from the readers in `keys`, run on tables without content.

use std::fmt;
use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

use super::keys;
use super::suggest::or_list;
use super::units::{DURATION, SIZE, Units};
use super::walk::describe;

/// A key of the configuration.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its tables and itself: `virtual.timeouts.head`.
    pub key: String,
    /// What it takes, in words.
    pub takes: String,
    pub required: bool,
    /// What holds without it, in Markdown; `None`: nothing does.
    pub default: Option<String>,
    /// What it is, in Markdown.
    pub doc: &'static str,
}

impl Entry {
    /// `head`
    pub fn name(&self) -> &str {
        self.key.rsplit_once('.').map_or(self.key.as_str(), |(_, name)| name)
    }

    /// `virtual.timeouts`; `None` at the top of the file.
    pub fn table(&self) -> Option<&str> {
        self.key.rsplit_once('.').map(|(table, _)| table)
    }
}

/// Every key, tables before what is in them.
pub fn entries() -> Vec<Entry> {
    let mut entries = Vec::new();
    flatten("", &describe(keys::file), &mut entries);
    entries
}

/// The tables that there may be several of, written `[[name]]`: `virtual`, `virtual.rule`.
pub(super) fn tables_of_lists() -> Vec<String> {
    fn add(path: &str, table: &TableType, found: &mut Vec<String>) {
        for key in &table.keys {
            let path = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
            match &key.of {
                Type::Tables(of) => {
                    found.push(path.clone());
                    add(&path, of, found);
                }
                Type::Table(of) => add(&path, of, found),
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    add("", &describe(keys::file), &mut found);
    found
}

/// A JSON schema (draft-07, which the editors' TOML extensions read) of one configuration file.
pub fn schema() -> Value {
    let mut schema = schema_of_table(&describe(keys::file));
    schema.insert("$schema".to_string(), json!("http://json-schema.org/draft-07/schema#"));
    schema.insert("title".to_string(), json!("Shunt configuration"));
    Value::Object(schema)
}

/// The reference of all keys for the book, in Markdown: a heading and a table for each TOML table.
pub fn reference_markdown() -> String {
    let mut text = String::new();
    markdown("", &Type::Table(describe(keys::file)), "", &mut text);
    text
}

/// A key as its table declares it.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) doc: &'static str,
    pub(super) need: Need,
    pub(super) of: Type,
}

/// What it means that a key is not there.
#[derive(Clone, Debug)]
pub(super) enum Need {
    /// A problem.
    Required,
    /// There is none of it.
    Optional,
    /// This, as TOML.
    Default(String),
    /// What these words say.
    Derived(&'static str),
}

/// The keys of a table.
#[derive(Clone, Debug, Default)]
pub(super) struct TableType {
    pub(super) keys: Vec<Key>,
    /// One of these must be there; empty: no such thing.
    pub(super) exactly_one: &'static [&'static str],
}

impl TableType {
    pub(super) fn is_flag(&self, name: &str) -> bool {
        self.keys.iter().any(|key| key.name == name && matches!(key.of, Type::Flag))
    }

    /// The key that takes a list of tables, if one does.
    pub(super) fn list_of_tables(&self) -> Option<&'static str> {
        let takes = |key: &&Key| matches!(&key.of, Type::List(of) if matches!(**of, Type::Table(_)));
        self.keys.iter().find(takes).map(|key| key.name)
    }
}

/// As a hint to those who wrote something else.
impl fmt::Display for TableType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<String> = self.keys.iter().map(|key| format!("`{}`", key.name)).collect();
        match keys.as_slice() {
            [only] => write!(f, "its only key is {only}"),
            [first @ .., last] => write!(f, "its keys are {} and {last}", first.join(", ")),
            [] => f.write_str("it has no keys"),
        }
    }
}

/// What a shape takes.
#[derive(Clone, Debug)]
pub(super) enum Type {
    OnlyTrue,
    /// `true` or `false`; `false` is as if it were not written.
    Flag,
    Integer(RangeInclusive<u64>),
    /// Milliseconds.
    Duration(RangeInclusive<u64>),
    /// Bytes.
    Size(RangeInclusive<u64>),
    Text {
        what: &'static str,
        pattern: Option<&'static str>,
    },
    OneOf(Vec<&'static str>),
    List(Box<Type>),
    OneOrList(Box<Type>),
    Table(TableType),
    Tables(TableType),
    /// Any key, each with this.
    Map(Box<Type>),
    /// A table of anything.
    Any,
    Either(Box<Type>, Box<Type>),
}

impl Type {
    /// Of two the first, which is no table.
    pub(super) fn plain(&self) -> &Type {
        match self {
            Type::Either(plain, _) => plain,
            other => other,
        }
    }
}

/// With its article, to stand after "takes".
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let range = |units: &Units, range: &RangeInclusive<u64>| {
            format!("{} from `{}` to `{}`", units.what, units.show(*range.start()), units.show(*range.end()))
        };
        match self {
            Type::OnlyTrue => f.write_str("`true`"),
            Type::Flag => f.write_str("`true` or `false`"),
            Type::Integer(range) => write!(f, "a whole number from {} to {}", range.start(), range.end()),
            Type::Duration(bounds) => f.write_str(&range(&DURATION, bounds)),
            Type::Size(bounds) => f.write_str(&range(&SIZE, bounds)),
            Type::Text { what, .. } => f.write_str(what),
            Type::OneOf(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
                f.write_str(&or_list(&words))
            }
            Type::List(of) if of.table().is_some() => f.write_str("a list of tables"),
            Type::List(of) => write!(f, "a list, each element {of}"),
            Type::OneOrList(of) => write!(f, "{of}, or a list of such"),
            Type::Table(_) => f.write_str("a table"),
            Type::Tables(_) => f.write_str("an array of tables"),
            Type::Map(of) => write!(f, "a table, each value {of}"),
            Type::Any => f.write_str("a table"),
            Type::Either(one, other) => write!(f, "{one}, or {other}"),
        }
    }
}

impl Type {
    /// The table that lies in it, however deep.
    fn table(&self) -> Option<&TableType> {
        match self {
            Type::Table(table) | Type::Tables(table) => Some(table),
            Type::List(of) | Type::OneOrList(of) | Type::Map(of) => of.table(),
            Type::Either(one, other) => one.table().or_else(|| other.table()),
            _ => None,
        }
    }
}

fn path_of(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_string() } else { format!("{table}.{key}") }
}

fn flatten(path: &str, table: &TableType, entries: &mut Vec<Entry>) {
    for key in &table.keys {
        let path = path_of(path, key.name);
        entries.push(Entry {
            key: path.clone(),
            takes: key.of.to_string(),
            required: matches!(key.need, Need::Required),
            default: match &key.need {
                Need::Required | Need::Optional => None,
                Need::Default(toml) => Some(format!("`{toml}`")),
                Need::Derived(said) => Some((*said).to_string()),
            },
            doc: key.doc,
        });
        if let Some(inner) = key.of.table() {
            flatten(&path, inner, entries);
        }
    }
}

/// A section for a table, then sections for the tables in it.
fn markdown(path: &str, of: &Type, doc: &str, text: &mut String) {
    let Some(table) = of.table() else { return };
    if path.is_empty() {
        text.push_str("## The file\n\n");
    } else {
        let heading = if matches!(of, Type::Tables(_)) { format!("[[{path}]]") } else { path.to_string() };
        text.push_str(&format!("## `{heading}`\n\n{doc}\n\n"));
    }
    if !table.exactly_one.is_empty() {
        let names: Vec<String> = table.exactly_one.iter().map(|name| format!("`{name}`")).collect();
        text.push_str(&format!("Exactly one of {} must be written.\n\n", or_list(&names)));
    }
    text.push_str("| key | takes | without it | what it is |\n|---|---|---|---|\n");
    for key in &table.keys {
        let without = match &key.need {
            Need::Required => "required".to_string(),
            Need::Optional => "–".to_string(),
            Need::Default(toml) => format!("`{toml}`"),
            Need::Derived(said) => (*said).to_string(),
        };
        text.push_str(&format!("| `{}` | {} | {without} | {} |\n", key.name, key.of, key.doc));
    }
    text.push('\n');
    for key in &table.keys {
        markdown(&path_of(path, key.name), &key.of, key.doc, text);
    }
}

fn schema_of_table(table: &TableType) -> Map<String, Value> {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for key in &table.keys {
        let mut schema = schema_of(&key.of);
        schema.insert("description".to_string(), json!(key.doc));
        match &key.need {
            Need::Required => required.push(json!(key.name)),
            // Scalars look alike in TOML and JSON, and other defaults are not for editors to fill in.
            Need::Default(toml) => {
                if let Ok(default) = serde_json::from_str(toml) {
                    schema.insert("default".to_string(), default);
                }
            }
            Need::Optional | Need::Derived(_) => {}
        }
        properties.insert(key.name.to_string(), Value::Object(schema));
    }
    let mut schema = object([
        ("type", json!("object")),
        ("properties", Value::Object(properties)),
        ("additionalProperties", json!(false)),
    ]);
    if !required.is_empty() {
        schema.insert("required".to_string(), Value::Array(required));
    }
    if !table.exactly_one.is_empty() {
        let one = table.exactly_one.iter().map(|name| match table.is_flag(name) {
            true => json!({ "required": [name], "properties": { *name: { "const": true } } }),
            false => json!({ "required": [name] }),
        });
        let one = one.collect();
        schema.insert("oneOf".to_string(), Value::Array(one));
    }
    schema
}

fn schema_of(of: &Type) -> Map<String, Value> {
    let with_unit = |units: &Units| {
        let names: Vec<&str> = units.written.iter().map(|(name, _)| *name).collect();
        object([("type", json!("string")), ("pattern", json!(format!("^[0-9]+({})$", names.join("|"))))])
    };
    match of {
        Type::OnlyTrue => object([("const", json!(true))]),
        Type::Flag => object([("type", json!("boolean"))]),
        Type::Integer(range) => object([
            ("type", json!("integer")),
            ("minimum", json!(range.start())),
            ("maximum", json!(range.end())),
        ]),
        Type::Duration(_) => with_unit(&DURATION),
        Type::Size(_) => with_unit(&SIZE),
        Type::Text { pattern, .. } => {
            let mut schema = object([("type", json!("string"))]);
            schema.extend(pattern.map(|pattern| ("pattern".to_string(), json!(pattern))));
            schema
        }
        Type::OneOf(words) => object([("enum", json!(words))]),
        Type::List(of) => {
            object([("type", json!("array")), ("items", schema_of(of).into()), ("minItems", json!(1))])
        }
        Type::OneOrList(one) => {
            let list = schema_of(&Type::List(one.clone()));
            object([("anyOf", json!([schema_of(one), list]))])
        }
        Type::Table(table) => schema_of_table(table),
        Type::Tables(table) => object([("type", json!("array")), ("items", schema_of_table(table).into())]),
        Type::Map(of) => object([("type", json!("object")), ("additionalProperties", schema_of(of).into())]),
        Type::Any => object([("type", json!("object"))]),
        Type::Either(one, other) => object([("anyOf", json!([schema_of(one), schema_of(other)]))]),
    }
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}
