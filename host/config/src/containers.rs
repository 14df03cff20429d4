//! Shapes made of shapes: tables, lists, choices, and values that may be used once.

use std::collections::BTreeMap;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::reference::Type;
use super::report::{Cause, KeyPath, Refusal};
use super::shape::{OnlyTrue, Shape, Written, last, wrong_type};
use super::suggest::quoted;
use super::text;
use super::walk::{At, ReadTable, Unique, Walk, describe};

/// A table with keys of our own.
pub(super) struct Table<T>(ReadTable<T>);

pub(super) fn table<T>(read: ReadTable<T>) -> Table<T> {
    Table(read)
}

impl<T> Shape for Table<T> {
    type Value = T;

    fn describe(&self) -> Type {
        Type::Table(describe(self.0))
    }

    fn read(&self, at: At<'_>, walk: &mut Walk) -> Option<T> {
        match at.value {
            DeValue::Table(content) => walk.table(&at.place, &at.key, content, self.0),
            _ => {
                wrong_type(&at, &self.describe(), walk);
                None
            }
        }
    }
}

/// `[[name]]`, any number of times.
pub(super) struct Tables<T>(ReadTable<T>);

pub(super) fn tables<T>(read: ReadTable<T>) -> Tables<T> {
    Tables(read)
}

impl<T> Shape for Tables<T> {
    type Value = Vec<T>;

    fn describe(&self) -> Type {
        Type::Tables(describe(self.0))
    }

    fn read(&self, at: At<'_>, walk: &mut Walk) -> Option<Vec<T>> {
        if let DeValue::Array(array) = at.value {
            return Some(elements(array, &at.key, &table(self.0), walk));
        }
        wrong_type(&at, &self.describe(), walk);
        // `[virtual]` for `[[virtual]]`: what stands in it is checked all the same.
        if let DeValue::Table(content) = at.value {
            walk.table(&at.place, &at.key, content, self.0);
        }
        None
    }
}

/// A list with at least one element.
pub(super) struct List<S>(S);

pub(super) fn list<S: Shape>(of: S) -> List<S> {
    List(of)
}

impl<S: Shape> Shape for List<S> {
    type Value = Vec<S::Value>;

    fn describe(&self) -> Type {
        Type::List(Box::new(self.0.describe()))
    }

    fn read(&self, at: At<'_>, walk: &mut Walk) -> Option<Vec<S::Value>> {
        let DeValue::Array(array) = at.value else {
            wrong_type(&at, &self.describe(), walk);
            return None;
        };
        nonempty(&at, array, &self.0, walk)
    }
}

/// One, or a list of them with at least one element.
pub(super) struct OneOrList<S>(S);

pub(super) fn one_or_list<S: Shape>(of: S) -> OneOrList<S> {
    OneOrList(of)
}

impl<S: Shape> Shape for OneOrList<S> {
    type Value = Vec<S::Value>;

    fn describe(&self) -> Type {
        Type::OneOrList(Box::new(self.0.describe()))
    }

    fn read(&self, at: At<'_>, walk: &mut Walk) -> Option<Vec<S::Value>> {
        match at.value {
            DeValue::Array(array) => nonempty(&at, array, &self.0, walk),
            _ => self.0.read(at, walk).map(|value| vec![value]),
        }
    }
}

impl<S: Written> Written for OneOrList<S> {
    fn write(&self, values: &Vec<S::Value>) -> String {
        let written: Vec<String> = values.iter().map(|value| self.0.write(value)).collect();
        match written.as_slice() {
            [only] => only.clone(),
            several => format!("[{}]", several.join(", ")),
        }
    }
}

fn nonempty<'d, S: Shape>(
    at: &At<'d>,
    array: &'d DeArray<'d>,
    of: &S,
    walk: &mut Walk,
) -> Option<Vec<S::Value>> {
    if array.is_empty() {
        let refusal = Refusal::new(Cause::BadValue, format!("`{}` is an empty list", last(&at.key)))
            .help("write at least one element");
        walk.refuse_at(at, refusal);
        return None;
    }
    Some(elements(array, &at.key, of, walk))
}

/// The elements that are right.
fn elements<'d, S: Shape>(array: &'d DeArray<'d>, key: &KeyPath, of: &S, walk: &mut Walk) -> Vec<S::Value> {
    let read = |(index, value): (usize, &'d Spanned<DeValue<'d>>)| {
        let text = |key| value.get_ref().get(key).and_then(|value| value.get_ref().as_str());
        // What a policy matches is what it is called by.
        let name = text("name").or_else(|| text("match"));
        let at = walk.at(value, key.element(name, index));
        of.read(at, walk)
    };
    array.iter().enumerate().filter_map(read).collect()
}

/// A table whose keys the operator chooses, such as slots; sorted by key.
pub(super) struct Map<S>(S);

pub(super) fn map<S: Shape>(of: S) -> Map<S> {
    Map(of)
}

impl<S: Shape> Shape for Map<S> {
    type Value = Vec<(String, S::Value)>;

    fn describe(&self) -> Type {
        Type::Map(Box::new(self.0.describe()))
    }

    fn read(&self, at: At<'_>, walk: &mut Walk) -> Option<Self::Value> {
        let DeValue::Table(content) = at.value else {
            wrong_type(&at, &self.describe(), walk);
            return None;
        };
        let mut values = BTreeMap::new();
        for (name, value) in content {
            let key = at.key.named(name.get_ref());
            match text::name(name.get_ref()) {
                Ok(name) => {
                    let at = walk.at(value, key);
                    values.extend(self.0.read(at, walk).map(|value| (name, value)));
                }
                Err(refusal) => {
                    let place = walk.place(name.span());
                    walk.refuse(&place, Some(&key), refusal);
                }
            }
        }
        Some(values.into_iter().collect())
    }
}

/// One shape for a table, another for everything else.
pub(super) struct OrTable<S, T> {
    plain: S,
    table: Table<T>,
}

pub(super) fn or_table<S: Shape>(plain: S, read: ReadTable<S::Value>) -> OrTable<S, S::Value> {
    OrTable { plain, table: table(read) }
}

impl<S: Shape> Shape for OrTable<S, S::Value> {
    type Value = S::Value;

    fn describe(&self) -> Type {
        Type::Either(Box::new(self.plain.describe()), Box::new(self.table.describe()))
    }

    fn read(&self, at: At<'_>, walk: &mut Walk) -> Option<S::Value> {
        match at.value {
            DeValue::Table(_) => self.table.read(at, walk),
            DeValue::String(_) => self.plain.read_among(at, &self.describe(), walk),
            _ => {
                wrong_type(&at, &self.describe(), walk);
                None
            }
        }
    }
}

impl<S: Written> Written for OrTable<S, S::Value> {
    fn write(&self, value: &S::Value) -> String {
        self.plain.write(value)
    }
}

/// `true` for one value, or a table for another.
pub(super) struct TrueOrTable<T> {
    plain: T,
    table: Table<T>,
}

pub(super) fn true_or_table<T: Clone>(plain: T, read: ReadTable<T>) -> TrueOrTable<T> {
    TrueOrTable { plain, table: table(read) }
}

impl<T: Clone> Shape for TrueOrTable<T> {
    type Value = T;

    fn describe(&self) -> Type {
        Type::Either(Box::new(OnlyTrue.describe()), Box::new(self.table.describe()))
    }

    fn read(&self, at: At<'_>, walk: &mut Walk) -> Option<T> {
        match at.value {
            DeValue::Table(_) => self.table.read(at, walk),
            DeValue::Boolean(_) => OnlyTrue.read(at, walk).map(|()| self.plain.clone()),
            _ => {
                wrong_type(&at, &self.describe(), walk);
                None
            }
        }
    }
}

/// A value that nothing else may have.
pub(super) struct Once<S: Shape> {
    shape: S,
    seen: fn(&mut Walk) -> &mut Unique<S::Value>,
    /// What is there already, before the value: `another virtual already listens on`.
    already: &'static str,
}

pub(super) fn once<S: Shape>(
    shape: S,
    seen: fn(&mut Walk) -> &mut Unique<S::Value>,
    already: &'static str,
) -> Once<S> {
    Once { shape, seen, already }
}

impl<S: Shape<Value: Ord + Clone + ToString>> Shape for Once<S> {
    type Value = S::Value;

    fn describe(&self) -> Type {
        self.shape.describe()
    }

    fn read(&self, at: At<'_>, walk: &mut Walk) -> Option<S::Value> {
        let (place, key) = (at.place.clone(), at.key.clone());
        let value = self.shape.read(at, walk)?;
        if let Some(first) = (self.seen)(walk).insert(value.clone(), &place) {
            let message = format!("{} {}", self.already, quoted(&value.to_string()));
            let refusal = Refusal::new(Cause::Duplicate, message)
                .label("again here")
                .also(first, "first here")
                .help("change or remove one of them");
            walk.refuse(&place, Some(&key), refusal);
        }
        Some(value)
    }
}

/// Any table, for a rule: as JSON, which has no dates.
pub(super) struct Settings;

impl Shape for Settings {
    type Value = Value;

    fn describe(&self) -> Type {
        Type::Any
    }

    fn read(&self, at: At<'_>, walk: &mut Walk) -> Option<Value> {
        match at.value {
            DeValue::Table(content) => Some(object(content, &at.key, walk)),
            _ => {
                wrong_type(&at, &Type::Any, walk);
                None
            }
        }
    }
}

impl Written for Settings {
    fn write(&self, value: &Value) -> String {
        // An object without members looks alike in both.
        value.to_string()
    }
}

fn object<'d>(content: &'d DeTable<'d>, key: &KeyPath, walk: &mut Walk) -> Value {
    let members = content.iter().map(|(name, value)| {
        let at = walk.at(value, key.named(name.get_ref()));
        (name.get_ref().to_string(), json(at, walk))
    });
    Value::Object(members.collect())
}

/// What cannot be said is null, and a problem.
fn json(at: At<'_>, walk: &mut Walk) -> Value {
    let refusal = match at.value {
        DeValue::String(text) => return Value::from(text.as_ref()),
        DeValue::Boolean(value) => return Value::from(*value),
        DeValue::Table(content) => return object(content, &at.key, walk),
        DeValue::Array(array) => {
            let element = |(index, value)| {
                let at = walk.at(value, at.key.element(None, index));
                json(at, walk)
            };
            return array.iter().enumerate().map(element).collect();
        }
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(value) => return Value::from(value),
            Err(_) => Refusal::new(Cause::OutOfRange, "the number does not fit a signed 64-bit integer"),
        },
        DeValue::Float(number) => match number.as_str().parse::<f64>() {
            Ok(value) if value.is_finite() => return Value::from(value),
            _ => Refusal::new(Cause::BadValue, "settings take finite numbers only"),
        },
        DeValue::Datetime(_) => Refusal::new(Cause::WrongType, "settings cannot hold dates and times")
            .help("write it in quotes; the rule gets it as text"),
    };
    walk.refuse_at(&at, refusal);
    Value::Null
}
