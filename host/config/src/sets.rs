//! The shape of what is in a set of a rule.

use toml::de::DeValue;

use super::containers::{List, list};
use super::model::SetSource;
use super::reference::Type;
use super::shape::{FilePath, Shape, Text, file, set_line, wrong_type};
use super::walk::{At, Walk};

/// A file, or its lines in a list.
pub(super) struct Entries;

impl Entries {
    fn file() -> FilePath {
        file("the path of a file")
    }

    fn lines() -> List<Text<String>> {
        list(set_line())
    }
}

impl Shape for Entries {
    type Value = SetSource;

    fn describe(&self) -> Type {
        Type::Either(Box::new(Self::file().describe()), Box::new(Self::lines().describe()))
    }

    fn read(&self, at: At<'_>, walk: &mut Walk) -> Option<SetSource> {
        match at.value {
            DeValue::String(_) => Self::file().read(at, walk).map(SetSource::File),
            DeValue::Array(_) => Self::lines().read(at, walk).map(SetSource::Lines),
            _ => {
                wrong_type(&at, &self.describe(), walk);
                None
            }
        }
    }
}
