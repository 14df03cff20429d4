//! Flags: switches that operators set while a rule runs.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use serde::{Deserialize, Serialize};

/// Bytes of a text, as of other texts of a manifest.
pub const LONGEST_FLAG: usize = 4096;

/// `[flags]` of `pack.toml`: `green = { default = false, purpose = "requests go to green" }`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredFlag {
    pub default: FlagValue,
    /// What it is for, in a sentence.
    pub purpose: String,
}

/// What a flag is: of the type of its default.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged, expecting = "a flag is true or false, a whole number, or a text")]
pub enum FlagValue {
    Boolean(bool),
    Integer(i64),
    Text(String),
}

impl FlagValue {
    /// `boolean`, `integer` or `text`.
    pub fn kind(&self) -> &'static str {
        match self {
            FlagValue::Boolean(_) => "boolean",
            FlagValue::Integer(_) => "integer",
            FlagValue::Text(_) => "text",
        }
    }

    /// Whether the other one is of this type.
    pub fn is_like(&self, other: &FlagValue) -> bool {
        self.kind() == other.kind()
    }
}

/// As it is written on the command line.
impl fmt::Display for FlagValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FlagValue::Boolean(value) => value.fmt(f),
            FlagValue::Integer(value) => value.fmt(f),
            FlagValue::Text(value) => value.fmt(f),
        }
    }
}

/// A flag where a rule is attached.
#[derive(Clone, Debug)]
pub struct LiveFlag {
    pub(crate) name: String,
    default: FlagValue,
    /// What an operator has set; shared by all versions of the rule.
    set: Arc<ArcSwapOption<FlagValue>>,
}

/// Why a value was not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    #[error("the flag {flag} is of the type {kind}, and {value:?} is not")]
    Type { flag: String, kind: &'static str, value: String },
    #[error("the flag {0} has at most {LONGEST_FLAG} bytes")]
    TooLong(String),
}

impl LiveFlag {
    /// `before` has what was set in another version of the rule; a value of another type is forgotten.
    pub(crate) fn new(name: &str, default: &FlagValue, before: Option<&LiveFlag>) -> LiveFlag {
        let before = before.filter(|before| before.default.is_like(default));
        let set = before.map_or_else(Arc::default, |before| Arc::clone(&before.set));
        LiveFlag { name: name.to_owned(), default: default.clone(), set }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn default(&self) -> &FlagValue {
        &self.default
    }

    /// What holds now.
    pub fn value(&self) -> FlagValue {
        self.read(FlagValue::clone)
    }

    /// Whether an operator has set it.
    pub fn is_set(&self) -> bool {
        self.set.load().is_some()
    }

    #[inline]
    pub(crate) fn read<R>(&self, read: impl FnOnce(&FlagValue) -> R) -> R {
        match &*self.set.load() {
            Some(value) => read(value),
            None => read(&self.default),
        }
    }

    /// Has it hold this from the next call on.
    ///
    /// # Errors
    /// It is of another type, or too long.
    pub fn set(&self, value: FlagValue) -> Result<(), FlagError> {
        if !self.default.is_like(&value) {
            let (flag, kind) = (self.name.clone(), self.default.kind());
            return Err(FlagError::Type { flag, kind, value: value.to_string() });
        }
        if matches!(&value, FlagValue::Text(text) if text.len() > LONGEST_FLAG) {
            return Err(FlagError::TooLong(self.name.clone()));
        }
        self.set.store(Some(Arc::new(value)));
        Ok(())
    }

    /// Has it hold the default again.
    pub fn reset(&self) {
        self.set.store(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(default: FlagValue, before: Option<&LiveFlag>) -> LiveFlag {
        LiveFlag::new("f", &default, before)
    }

    #[test]
    fn what_is_set_outlives_a_version_of_the_same_type() {
        let first = flag(FlagValue::Integer(5), None);
        let second = flag(FlagValue::Integer(6), Some(&first));
        assert_eq!((first.value(), second.value()), (FlagValue::Integer(5), FlagValue::Integer(6)));
        first.set(FlagValue::Integer(7)).unwrap();
        assert_eq!((second.value(), second.is_set()), (FlagValue::Integer(7), true));
        let other = flag(FlagValue::Boolean(false), Some(&second));
        assert_eq!((other.value(), other.is_set()), (FlagValue::Boolean(false), false));
        second.reset();
        assert_eq!(first.value(), FlagValue::Integer(5));
    }

    #[test]
    fn another_type_is_refused() {
        let flag = flag(FlagValue::Boolean(true), None);
        let error = flag.set(FlagValue::Text("yes".to_owned())).unwrap_err();
        assert_eq!(error.to_string(), "the flag f is of the type boolean, and \"yes\" is not");
        assert_eq!(flag.value(), FlagValue::Boolean(true));
        let text = self::flag(FlagValue::Text(String::new()), None);
        assert!(matches!(text.set(FlagValue::Text("x".repeat(4097))), Err(FlagError::TooLong(_))));
    }
}
