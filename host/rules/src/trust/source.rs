//! Where a pack comes from.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::artefact::Reference;
use crate::builtin;

/// Where a pack comes from, which decides who must have signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// It comes with Shunt.
    BuiltIn(String),
    /// A folder or file of this host.
    Path(PathBuf),
    /// It is in a registry.
    Registry(Reference),
    /// A program sent it, and does not say from where.
    Sent,
}

impl Source {
    /// What a path means that may be `builtin:NAME`.
    #[must_use]
    pub fn of_path(path: &Path) -> Source {
        match path.to_str().and_then(|path| path.strip_prefix(builtin::PREFIX)) {
            Some(name) => Source::BuiltIn(name.to_owned()),
            None => Source::Path(path.to_owned()),
        }
    }

    /// Whether others decide what stands there.
    pub(super) fn is_elsewhere(&self) -> bool {
        matches!(self, Source::Registry(_))
    }
}

/// As an operator writes it.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::BuiltIn(name) => write!(f, "{}{name}", builtin::PREFIX),
            Source::Path(path) => path.display().fmt(f),
            Source::Registry(reference) => reference.fmt(f),
            Source::Sent => f.write_str("a pack that was sent"),
        }
    }
}
