//! A pack as it came: in a pack file, or bare.

use std::path::Path;

use crate::artefact::{Artefact, PackFile};
use crate::pack::read_bytes;
use crate::trust::Source;
use crate::{Digest, Pack, PackError};

/// A pack, with what was shipped with it.
#[derive(Clone, Debug)]
pub enum Shipped {
    /// A component, from its file or its folder, or one that comes with Shunt.
    Bare(Box<Pack>),
    /// A pack file.
    Artefact(Box<Artefact>),
}

impl Shipped {
    /// Reads a pack of this host, as [`Pack::read`] does.
    ///
    /// # Errors
    /// See [`PackError`].
    pub fn read(path: &Path) -> Result<Shipped, PackError> {
        if matches!(Source::of_path(path), Source::BuiltIn(_)) || path.is_dir() {
            return Pack::read(path).map(Box::new).map(Shipped::Bare);
        }
        let bytes = read_bytes(path).map_err(|source| PackError::Io { path: path.to_owned(), source })?;
        Shipped::from_bytes(bytes)
    }

    /// From a component, or a pack file.
    ///
    /// # Errors
    /// See [`PackError`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Shipped, PackError> {
        if Artefact::is_one(&bytes) {
            Ok(Shipped::Artefact(Box::new(Artefact::read(&bytes)?)))
        } else {
            Pack::from_bytes(bytes).map(Box::new).map(Shipped::Bare)
        }
    }

    #[must_use]
    pub fn pack(&self) -> &Pack {
        match self {
            Shipped::Bare(pack) => pack,
            Shipped::Artefact(artefact) => artefact.pack(),
        }
    }

    /// What it is known by: of a pack file the digest that signatures are over, of a bare component its own.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.artefact().map_or_else(|| self.pack().digest(), Artefact::digest)
    }

    /// The pack file that it was in.
    #[must_use]
    pub fn artefact(&self) -> Option<&Artefact> {
        match self {
            Shipped::Bare(_) => None,
            Shipped::Artefact(artefact) => Some(artefact),
        }
    }

    /// What was shipped with the component.
    #[must_use]
    pub fn files(&self) -> &[PackFile] {
        self.artefact().map_or(&[], Artefact::files)
    }
}
