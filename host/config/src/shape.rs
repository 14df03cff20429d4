//! The shapes that values have. A shape reads a value and describes itself; the description is
//! what error messages, the reference and the schema say, so they cannot differ.

mod texts;

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use super::reference::Type;
use super::report::{Cause, KeyPath, Refusal};
use super::suggest::{nearest, or_list, quoted};
use super::text;
use super::units::{DURATION, SIZE, Units, milliseconds};
use super::walk::{At, Kind, Named, NamedFile, Reference, Walk};

pub(super) use texts::*;

/// What may be written for a key, and what it means.
pub(super) trait Shape {
    type Value;

    fn describe(&self) -> Type;

    /// `None`: it is wrong, and the walk knows why.
    fn read(&self, at: At<'_>, walk: &mut Walk) -> Option<Self::Value>;

    /// As `read`, where the key takes other things besides: `takes` is all that it takes.
    fn read_among(&self, at: At<'_>, takes: &Type, walk: &mut Walk) -> Option<Self::Value> {
        let _ = takes;
        self.read(at, walk)
    }
}

/// A shape whose values can be written back: what a default may be of.
pub(super) trait Written: Shape {
    /// As TOML.
    fn write(&self, value: &Self::Value) -> String;
}

/// Refuses a value of a type that the shape does not take.
pub(super) fn wrong_type(at: &At<'_>, takes: &Type, walk: &mut Walk) {
    let found = match at.value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    let name = last(&at.key);
    let which = if !at.key.here.ends_with(name) { "an element of " } else { "" };
    let mut refusal = Refusal::new(Cause::WrongType, format!("{which}`{name}` takes {takes}, not {found}"));
    if let Some(help) = rewrite(at, takes) {
        refusal = refusal.help(help);
    }
    walk.refuse_at(at, refusal);
}

/// How the same thing is written rightly, where that is plain.
fn rewrite(at: &At<'_>, takes: &Type) -> Option<String> {
    let with_unit = |units: &Units| {
        let number = whole(at.value)?.try_into().ok()?;
        Some(format!("add a unit: `\"{}\"`", units.with_unit(number)))
    };
    match (takes, at.value) {
        (Type::Duration(_), DeValue::Integer(_)) => with_unit(&DURATION),
        (Type::Size(_), DeValue::Integer(_)) => with_unit(&SIZE),
        (Type::Integer(_), DeValue::String(text)) if text.parse::<i64>().is_ok() => {
            Some(format!("write it without quotes: `{text}`"))
        }
        (Type::OnlyTrue | Type::Flag, DeValue::String(text)) if text == "true" => {
            Some("write it without quotes: `true`".to_string())
        }
        (Type::Tables(_), DeValue::Table(_)) => {
            Some(format!("write `[[{}]]`: there may be several", at.key.entry))
        }
        (Type::Table(table), DeValue::Array(_)) => Some(match table.list_of_tables() {
            Some(key) => format!("write `{} = {{ {key} = [ … ] }}`", last(&at.key)),
            None => format!("write `[{}]`: there is one only", at.key.entry),
        }),
        (Type::Table(table) | Type::Tables(table), _) => Some(table.to_string()),
        (Type::List(_), _) => Some("write it in brackets: `[ … ]`".to_string()),
        _ => None,
    }
}

/// The name of the key itself, or of the list that it is an element of.
pub(super) fn last(key: &KeyPath) -> &str {
    key.entry.rsplit('.').next().unwrap_or_default()
}

fn whole(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// Text with a grammar.
pub(super) struct Text<T> {
    what: Type,
    parse: fn(&str) -> Result<T, Refusal>,
    write: fn(&T) -> String,
}

impl<T> Shape for Text<T> {
    type Value = T;

    fn describe(&self) -> Type {
        self.what.clone()
    }

    fn read(&self, at: At<'_>, walk: &mut Walk) -> Option<T> {
        let DeValue::String(text) = at.value else {
            wrong_type(&at, &self.what, walk);
            return None;
        };
        (self.parse)(text).map_err(|refusal| walk.refuse_at(&at, refusal)).ok()
    }
}

impl<T> Written for Text<T> {
    fn write(&self, value: &T) -> String {
        format!("{:?}", (self.write)(value))
    }
}

/// A status of HTTP, or the first and the last of several.
pub(super) struct Statuses;

pub(super) fn statuses() -> Statuses {
    Statuses
}

const STATUSES: RangeInclusive<u16> = 200..=599;

impl Shape for Statuses {
    type Value = RangeInclusive<u16>;

    fn describe(&self) -> Type {
        let several = Type::Text {
            what: "the first and the last of several",
            pattern: Some("^[2-5][0-9]{2}-[2-5][0-9]{2}$"),
        };
        Type::Either(Box::new(integer(STATUSES).describe()), Box::new(several))
    }

    fn read(&self, at: At<'_>, walk: &mut Walk) -> Option<Self::Value> {
        match at.value {
            DeValue::Integer(_) => integer(STATUSES).read(at, walk).map(|status| status..=status),
            DeValue::String(text) => match text::statuses(text, &STATUSES) {
                Ok(range) => Some(range),
                Err(refusal) => {
                    walk.refuse_at(&at, refusal);
                    None
                }
            },
            _ => {
                wrong_type(&at, &self.describe(), walk);
                None
            }
        }
    }
}

impl Written for Statuses {
    fn write(&self, range: &Self::Value) -> String {
        match range.start() == range.end() {
            true => range.start().to_string(),
            false => format!("\"{}-{}\"", range.start(), range.end()),
        }
    }
}

/// The name of a pool or a SNAT pool, which must be there.
pub(super) struct Reach {
    name: Text<String>,
    /// `None`: as the virtual at hand allows.
    to: Option<Named>,
}

pub(super) fn pool_name() -> Reach {
    Reach::new("the name of a pool", Some(Named::Pool))
}

pub(super) fn snat_pool_name() -> Reach {
    Reach::new("the name of a SNAT pool", Some(Named::SnatPool))
}

/// What a slot stands for.
pub(super) fn slot_name() -> Reach {
    Reach::new("the name of a pool, or of a SNAT pool at a packet virtual", None)
}

impl Reach {
    fn new(what: &'static str, to: Option<Named>) -> Reach {
        let what = Type::Text { what, pattern: Some(text::NAME_PATTERN) };
        Reach { name: Text { what, ..name() }, to }
    }
}

impl Shape for Reach {
    type Value = String;

    fn describe(&self) -> Type {
        self.name.describe()
    }

    fn read(&self, at: At<'_>, walk: &mut Walk) -> Option<String> {
        let (place, key) = (at.place.clone(), at.key.clone());
        let name = self.name.read(at, walk)?;
        let allowed =
            if walk.kind.is_some_and(|it| it.is(Kind::Proxy)) { Named::Pool } else { Named::Either };
        let to = self.to.unwrap_or(allowed);
        walk.references.push(Reference { name: name.clone(), to, place, key });
        Some(name)
    }
}

/// A path; relative ones start from the folder of the file.
pub(super) struct FilePath {
    what: &'static str,
    kind: PathKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PathKind {
    File,
    /// It need not be there.
    New,
    Socket,
}

/// A file to read.
pub(super) fn file(what: &'static str) -> FilePath {
    FilePath { what, kind: PathKind::File }
}

/// A folder that is made where it is not there.
pub(super) fn folder() -> FilePath {
    FilePath { what: "the path of a folder", kind: PathKind::New }
}

/// A file that is made where it is not there.
pub(super) fn new_file(what: &'static str) -> FilePath {
    FilePath { what, kind: PathKind::New }
}

/// A unix socket to make.
pub(super) fn socket() -> FilePath {
    FilePath { what: "the path of a unix socket", kind: PathKind::Socket }
}

impl Shape for FilePath {
    type Value = PathBuf;

    fn describe(&self) -> Type {
        Type::Text { what: self.what, pattern: Some("^.") }
    }

    fn read(&self, at: At<'_>, walk: &mut Walk) -> Option<PathBuf> {
        let DeValue::String(written) = at.value else {
            wrong_type(&at, &self.describe(), walk);
            return None;
        };
        let path = walk.folder.join(written.as_ref());
        let sound = match self.kind {
            PathKind::File | PathKind::New => text::path(written),
            PathKind::Socket => text::socket(written, &path),
        };
        if let Err(refusal) = sound {
            walk.refuse_at(&at, refusal);
            return None;
        }
        if self.kind == PathKind::File {
            walk.files.push(NamedFile {
                path: path.clone(),
                may_be_folder: false,
                help_if_missing: None,
                place: at.place,
                key: at.key,
            });
        }
        Some(path)
    }
}

impl Written for FilePath {
    fn write(&self, value: &PathBuf) -> String {
        format!("{:?}", value.display().to_string())
    }
}

/// An amount with a unit.
pub(super) struct Amount<T> {
    units: &'static Units,
    range: RangeInclusive<u64>,
    what: fn(RangeInclusive<u64>) -> Type,
    from: fn(u64) -> T,
    amount: fn(&T) -> u64,
}

/// A duration within these bounds.
pub(super) fn duration(range: RangeInclusive<Duration>) -> Amount<Duration> {
    Amount {
        units: &DURATION,
        range: milliseconds(*range.start())..=milliseconds(*range.end()),
        what: Type::Duration,
        from: Duration::from_millis,
        amount: |duration| milliseconds(*duration),
    }
}

/// Bytes within these bounds.
pub(super) fn size(range: RangeInclusive<u64>) -> Amount<u64> {
    Amount { units: &SIZE, range, what: Type::Size, from: |bytes| bytes, amount: |bytes| *bytes }
}

impl<T> Shape for Amount<T> {
    type Value = T;

    fn describe(&self) -> Type {
        (self.what)(self.range.clone())
    }

    fn read(&self, at: At<'_>, walk: &mut Walk) -> Option<T> {
        let DeValue::String(text) = at.value else {
            wrong_type(&at, &self.describe(), walk);
            return None;
        };
        match self.units.parse(text, &self.range) {
            Ok(amount) => Some((self.from)(amount)),
            Err(refusal) => {
                walk.refuse_at(&at, refusal);
                None
            }
        }
    }
}

impl<T> Written for Amount<T> {
    fn write(&self, value: &T) -> String {
        format!("{:?}", self.units.show((self.amount)(value)))
    }
}

/// A whole number within bounds.
pub(super) struct Integer<T> {
    range: RangeInclusive<T>,
}

pub(super) fn integer<T>(range: RangeInclusive<T>) -> Integer<T> {
    Integer { range }
}

impl<T: Copy + Into<u64> + TryFrom<u64>> Shape for Integer<T> {
    type Value = T;

    fn describe(&self) -> Type {
        Type::Integer((*self.range.start()).into()..=(*self.range.end()).into())
    }

    fn read(&self, at: At<'_>, walk: &mut Walk) -> Option<T> {
        let (least, most): (u64, u64) = ((*self.range.start()).into(), (*self.range.end()).into());
        let DeValue::Integer(number) = at.value else {
            wrong_type(&at, &self.describe(), walk);
            return None;
        };
        let read = u64::from_str_radix(number.as_str(), number.radix()).ok();
        let value = read.filter(|read| (least..=most).contains(read)).and_then(|read| T::try_from(read).ok());
        if value.is_none() {
            let message = format!("{} is not within {least} to {most}", quoted(&number.to_string()));
            walk.refuse_at(&at, Refusal::new(Cause::OutOfRange, message));
        }
        value
    }
}

impl<T: Copy + Into<u64> + TryFrom<u64>> Written for Integer<T> {
    fn write(&self, value: &T) -> String {
        (*value).into().to_string()
    }
}

/// `true` or `false`.
pub(super) struct Flag;

impl Shape for Flag {
    type Value = bool;

    fn describe(&self) -> Type {
        Type::Flag
    }

    fn read(&self, at: At<'_>, walk: &mut Walk) -> Option<bool> {
        match at.value {
            DeValue::Boolean(value) => Some(*value),
            _ => {
                wrong_type(&at, &Type::Flag, walk);
                None
            }
        }
    }
}

impl Written for Flag {
    fn write(&self, value: &bool) -> String {
        value.to_string()
    }
}

/// `true`, where leaving the key out is how to say no.
pub(super) struct OnlyTrue;

impl Shape for OnlyTrue {
    type Value = ();

    fn describe(&self) -> Type {
        Type::OnlyTrue
    }

    fn read(&self, at: At<'_>, walk: &mut Walk) -> Option<()> {
        match at.value {
            DeValue::Boolean(true) => return Some(()),
            DeValue::Boolean(false) => {
                let message = format!("`{} = false` has no effect", last(&at.key));
                walk.refuse_at(&at, Refusal::new(Cause::BadValue, message).help("remove the key"));
            }
            _ => wrong_type(&at, &Type::OnlyTrue, walk),
        }
        None
    }
}

/// One of the listed texts.
pub(super) struct OneOf<T: 'static> {
    words: &'static [(&'static str, T)],
    /// Texts of other products, in lower case, and what to write here.
    instead: &'static [(&'static str, &'static str)],
}

pub(super) fn one_of<T>(words: &'static [(&'static str, T)]) -> OneOf<T> {
    OneOf { words, instead: &[] }
}

impl<T> OneOf<T> {
    /// Texts that mean something elsewhere, with what to write for them.
    pub(super) fn instead(self, instead: &'static [(&'static str, &'static str)]) -> Self {
        OneOf { instead, ..self }
    }
}

impl<T: Clone> Shape for OneOf<T> {
    type Value = T;

    fn describe(&self) -> Type {
        Type::OneOf(self.words.iter().map(|(word, _)| *word).collect())
    }

    fn read(&self, at: At<'_>, walk: &mut Walk) -> Option<T> {
        self.read_among(at, &self.describe(), walk)
    }

    fn read_among(&self, at: At<'_>, takes: &Type, walk: &mut Walk) -> Option<T> {
        let DeValue::String(text) = at.value else {
            wrong_type(&at, takes, walk);
            return None;
        };
        if let Some((_, value)) = self.words.iter().find(|(word, _)| word == text) {
            return Some(value.clone());
        }
        let name = last(&at.key);
        let other = self.instead.iter().find(|(word, _)| text.eq_ignore_ascii_case(word));
        let refusal = Refusal::new(Cause::BadValue, format!("{} is not a value of `{name}`", quoted(text)));
        if let Some((_, help)) = other {
            walk.refuse_at(&at, refusal.help(*help));
            return None;
        }
        let refusal = match nearest(text, self.words.iter().map(|(word, _)| *word)) {
            Some(word) => refusal.help(format!("did you mean `{word}`?")),
            None => refusal.help(format!("use {}", choices(takes))),
        };
        walk.refuse_at(&at, refusal);
        None
    }
}

/// All that can be written, where some of it are fixed texts.
fn choices(takes: &Type) -> String {
    let (Type::Either(plain, other), Type::OneOf(words)) = (takes, takes.plain()) else {
        return takes.to_string();
    };
    let Type::Table(table) = &**other else { return format!("{plain}, or {other}") };
    let keys: Vec<String> = table.keys.iter().map(|key| format!("{} = …", key.name)).collect();
    let words = words.iter().map(|word| format!("`{word}`"));
    or_list(&words.chain([format!("`{{ {} }}`", keys.join(", "))]).collect::<Vec<_>>())
}

impl<T: Clone + PartialEq> Written for OneOf<T> {
    fn write(&self, value: &T) -> String {
        let word = self.words.iter().find(|(_, known)| known == value).map_or("", |(word, _)| *word);
        format!("{word:?}")
    }
}
