//! Settings: the operator's values, read into the rule's own type.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use crate::Prefix;
use crate::bindings::on_load::Node;
use crate::text::{digits, join, signed_digits};

pub mod schema;

use schema::{Field, Kind};

/// A struct that is read from settings. Derive it with `#[derive(Settings)]`; the
/// [derive macro](macro@crate::Settings) lists the types of its fields.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from settings",
    label = "derive `Settings` for it, or make it a unit struct (`struct {Self};`)"
)]
pub trait Settings: Setting {
    /// Its fields, in order.
    #[doc(hidden)]
    const FIELDS: &'static [Field];
}

/// A type that a field of settings can have.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a setting",
    label = "not a type of a setting",
    note = "a setting is `bool`, an integer, `f64`, `String`, `IpAddr`, `Prefix`, `Option<T>`, `Vec<T>`, \
            `BTreeMap<String, T>` or a struct that derives `Settings`"
)]
pub trait Setting: Sized {
    #[doc(hidden)]
    const KIND: Kind;
    /// Whether the operator must write it.
    #[doc(hidden)]
    const REQUIRED: bool = true;
    #[doc(hidden)]
    fn read(value: &Value<'_>) -> Result<Self, String>;
    /// Its value when the operator does not write it, if it is optional.
    #[doc(hidden)]
    fn absent() -> Option<Self> {
        None
    }
}

/// A value among the nodes that the host passes, and its place for messages.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    nodes: &'a [Node],
    index: u32,
    place: Place<'a>,
}

/// The place of a value, such as `routes.2.prefix`: its parent's place and the last step.
#[derive(Debug, Clone, Copy)]
enum Place<'a> {
    Root,
    Key(&'a Place<'a>, &'a str),
    Element(&'a Place<'a>, usize),
}

impl Place<'_> {
    /// `routes.2.prefix`
    fn path(&self) -> String {
        let (parent, step) = match self {
            Place::Root => return String::new(),
            Place::Key(parent, key) => (parent, (*key).to_owned()),
            Place::Element(parent, at) => (parent, digits(*at as u64)),
        };
        match parent {
            Place::Root => step,
            _ => join(&[&parent.path(), ".", &step]),
        }
    }

    /// `routes.2.prefix: …`
    fn error(&self, what: &[&str]) -> String {
        let path = match self {
            Place::Root => "settings".to_owned(),
            _ => self.path(),
        };
        join(&[&path, ": ", &join(what)])
    }

    /// The error of a number that its type cannot hold.
    fn out_of_range(&self, number: i64, least: i64, most: u64) -> String {
        self.error(&[&signed_digits(number), " is not from ", &signed_digits(least), " to ", &digits(most)])
    }
}

impl<'a> Value<'a> {
    /// The table that holds all settings.
    pub(crate) fn root(nodes: &'a [Node]) -> Self {
        Value { nodes, index: 0, place: Place::Root }
    }

    /// One field of this table, or its default when the operator did not write it.
    pub fn field<T: Setting>(&self, key: &str, default: Option<fn() -> T>) -> Result<T, String> {
        let Some(Node::Table(entries)) = self.node() else {
            return Err(self.expected("table"));
        };
        match entries.iter().find(|(own, _)| own == key) {
            Some((_, index)) => {
                let place = Place::Key(&self.place, key);
                T::read(&Value { nodes: self.nodes, index: *index, place })
            }
            None => default
                .map(|default| default())
                .or_else(T::absent)
                .ok_or_else(|| Place::Key(&self.place, key).error(&["missing"])),
        }
    }

    fn node(&self) -> Option<&'a Node> {
        self.nodes.get(self.index as usize)
    }

    fn expected(&self, wanted: &str) -> String {
        let found = match self.node() {
            Some(Node::Boolean(_)) => "boolean",
            Some(Node::Integer(_)) => "integer",
            Some(Node::Decimal(_)) => "decimal",
            Some(Node::Text(_)) => "text",
            Some(Node::Elements(_)) => "list",
            Some(Node::Table(_)) => "table",
            None => "nothing",
        };
        self.place.error(&["expected ", wanted, ", found ", found])
    }

    fn text(&self) -> Result<&'a str, String> {
        match self.node() {
            Some(Node::Text(text)) => Ok(text),
            _ => Err(self.expected("text")),
        }
    }

    /// A value that is written as text in the given form.
    fn parse<T: FromStr>(&self, form: &str) -> Result<T, String> {
        let text = self.text()?;
        text.parse().map_err(|_| self.place.error(&["expected ", form, ", found \"", text, "\""]))
    }
}

impl Setting for bool {
    const KIND: Kind = Kind::Boolean;

    fn read(value: &Value<'_>) -> Result<Self, String> {
        match value.node() {
            Some(Node::Boolean(own)) => Ok(*own),
            _ => Err(value.expected("boolean")),
        }
    }
}

macro_rules! integers {
    ($($integer:ident)*) => {$(
        impl Setting for $integer {
            const KIND: Kind = Kind::Integer { least: $integer::MIN as i64, most: $integer::MAX as u64 };

            fn read(value: &Value<'_>) -> Result<Self, String> {
                match value.node() {
                    Some(Node::Integer(own)) => $integer::try_from(*own)
                        .map_err(|_| value.place.out_of_range(*own, $integer::MIN as i64, $integer::MAX as u64)),
                    _ => Err(value.expected("integer")),
                }
            }
        }
    )*};
}

integers! { u8 u16 u32 u64 usize i8 i16 i32 i64 isize }

impl Setting for f64 {
    const KIND: Kind = Kind::Decimal;

    fn read(value: &Value<'_>) -> Result<Self, String> {
        match value.node() {
            Some(Node::Decimal(own)) => Ok(*own),
            // TOML tells 5 from 5.0; operators need not.
            Some(Node::Integer(own)) => Ok(*own as f64),
            _ => Err(value.expected("decimal")),
        }
    }
}

impl Setting for String {
    const KIND: Kind = Kind::Text;

    fn read(value: &Value<'_>) -> Result<Self, String> {
        value.text().map(str::to_owned)
    }
}

impl Setting for Prefix {
    const KIND: Kind = Kind::Text;

    fn read(value: &Value<'_>) -> Result<Self, String> {
        value.parse("an address or a prefix such as 192.0.2.0/24")
    }
}

impl Setting for IpAddr {
    const KIND: Kind = Kind::Text;

    fn read(value: &Value<'_>) -> Result<Self, String> {
        value.parse("an address")
    }
}

impl<T: Setting> Setting for Option<T> {
    const KIND: Kind = T::KIND;
    const REQUIRED: bool = false;

    fn read(value: &Value<'_>) -> Result<Self, String> {
        T::read(value).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Setting> Setting for Vec<T> {
    const KIND: Kind = Kind::List(&T::KIND);

    fn read(value: &Value<'_>) -> Result<Self, String> {
        let Some(Node::Elements(indices)) = value.node() else {
            return Err(value.expected("list"));
        };
        let element = |(at, index): (usize, &u32)| {
            T::read(&Value { nodes: value.nodes, index: *index, place: Place::Element(&value.place, at) })
        };
        indices.iter().enumerate().map(element).collect()
    }
}

impl<T: Setting> Setting for BTreeMap<String, T> {
    const KIND: Kind = Kind::Map(&T::KIND);

    fn read(value: &Value<'_>) -> Result<Self, String> {
        let Some(Node::Table(entries)) = value.node() else {
            return Err(value.expected("table"));
        };
        // One by one: `collect` would sort first, with 5 KB of code.
        let mut map = BTreeMap::new();
        for (key, index) in entries {
            let place = Place::Key(&value.place, key);
            map.insert(key.clone(), T::read(&Value { nodes: value.nodes, index: *index, place })?);
        }
        Ok(map)
    }
}

#[cfg(test)]
mod tests;
