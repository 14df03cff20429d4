//! The archive: a tar file of POSIX.1-1988 (`ustar`), in which every byte follows from names and contents.

use std::collections::BTreeMap;

use tar::{EntryType, Header};

use super::oci::{BLOBS, INDEX_FILE, Index, LAYOUT, LAYOUT_FILE};
use super::{ArtefactError, Blob, MAX_ENTRIES};
use crate::Digest;

/// Bytes of a header, and what contents are rounded up to.
pub(super) const BLOCK: usize = 512;

/// What an entry may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    // In the order of their texts.
    Blob(Digest),
    Index,
    Layout,
}

impl Name {
    fn parse(text: &str) -> Option<Name> {
        match text {
            LAYOUT_FILE => Some(Name::Layout),
            INDEX_FILE => Some(Name::Index),
            _ => text.strip_prefix(BLOBS).and_then(Digest::from_hex).map(Name::Blob),
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Name::Blob(digest) => write!(f, "{BLOBS}{digest}"),
            Name::Index => f.write_str(INDEX_FILE),
            Name::Layout => f.write_str(LAYOUT_FILE),
        }
    }
}

/// Whether bytes begin as an archive does. Its magic stands at byte 257 of the first header.
pub(super) fn is_archive(bytes: &[u8]) -> bool {
    bytes.get(257..262) == Some(b"ustar")
}

/// The pack file with this index, and these blobs and manifests.
pub(super) fn pack_file(index: &Index, blobs: &BTreeMap<Digest, impl AsRef<[u8]>>) -> Vec<u8> {
    let index = Blob::json(index);
    let blobs = blobs.iter().map(|(digest, bytes)| (Name::Blob(*digest), bytes.as_ref()));
    write(blobs.chain([(Name::Index, index.bytes.as_slice()), (Name::Layout, LAYOUT)]))
}

/// Bytes of an archive whose entries have these lengths.
pub(super) fn size(lengths: impl IntoIterator<Item = usize>) -> usize {
    lengths.into_iter().map(|length| BLOCK + length.next_multiple_of(BLOCK)).sum::<usize>() + 2 * BLOCK
}

/// Writes entries, which are given in the order of their names.
pub(super) fn write<'a>(entries: impl IntoIterator<Item = (Name, &'a [u8])>) -> Vec<u8> {
    let entries: Vec<_> = entries.into_iter().collect();
    let mut archive = Vec::with_capacity(size(entries.iter().map(|(_, content)| content.len())));
    for (name, content) in entries {
        archive.extend_from_slice(header(name, content.len() as u64).as_bytes());
        archive.extend_from_slice(content);
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    // Two blocks of zeros are the end.
    archive.resize(archive.len() + 2 * BLOCK, 0);
    archive
}

/// Nobody's file of 1970 that all may read: as little as a header can say.
fn header(name: Name, size: u64) -> Header {
    let mut header = Header::new_ustar();
    let name = name.to_string();
    // The longest name is that of a blob, 77 bytes, and the field has 100.
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    header
}

/// The entries of an archive, in its order. Contents are not looked at.
///
/// # Errors
/// It is cut short, or has in it what does not belong there.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<(Name, &[u8])>, ArtefactError> {
    let mut entries: Vec<(Name, &[u8])> = Vec::new();
    let mut rest = bytes;
    loop {
        let Some((block, behind)) = rest.split_first_chunk::<BLOCK>() else {
            return Err(ArtefactError::Truncated);
        };
        if block.iter().all(|byte| *byte == 0) {
            return match behind.len() {
                BLOCK if behind.iter().all(|byte| *byte == 0) => Ok(entries),
                0..BLOCK => Err(ArtefactError::Truncated),
                _ => Err(ArtefactError::Trailing),
            };
        }
        if entries.len() == MAX_ENTRIES {
            return Err(ArtefactError::TooManyEntries);
        }
        let number = entries.len() + 1;
        let header = Header::from_byte_slice(block);
        let (name, size) = checked(header).ok_or(ArtefactError::Header { number })?;
        if let Some(kind) = foreign(header.entry_type()) {
            return Err(ArtefactError::Kind { name, kind });
        }
        let Some(known) = Name::parse(&name) else {
            return Err(ArtefactError::Name { name });
        };
        if entries.iter().any(|(other, _)| *other == known) {
            return Err(ArtefactError::Twice { name });
        }
        let content = usize::try_from(size).ok().and_then(|size| behind.get(..size));
        let Some(content) = content else {
            return Err(ArtefactError::Oversized { name });
        };
        entries.push((known, content));
        rest = behind.get(content.len().next_multiple_of(BLOCK)..).ok_or(ArtefactError::Truncated)?;
    }
}

/// The name and the size that a header gives, if it is whole.
fn checked(header: &Header) -> Option<(String, u64)> {
    let mut again = header.clone();
    again.set_cksum();
    let whole = header.as_ustar().is_some() || header.as_gnu().is_some();
    if !whole || again.cksum().ok()? != header.cksum().ok()? {
        return None;
    }
    Some((String::from_utf8_lossy(&header.path_bytes()).into_owned(), header.entry_size().ok()?))
}

/// What an entry is that is no plain file.
fn foreign(kind: EntryType) -> Option<&'static str> {
    match kind {
        EntryType::Regular => None,
        EntryType::Link => Some("a hard link"),
        EntryType::Symlink => Some("a symbolic link"),
        EntryType::Directory => Some("a folder"),
        EntryType::Char | EntryType::Block => Some("a device"),
        EntryType::Fifo => Some("a pipe"),
        EntryType::XHeader | EntryType::XGlobalHeader => Some("an extended header"),
        EntryType::GNULongName | EntryType::GNULongLink => Some("a long name of GNU tar"),
        _ => Some("of an unusual kind"),
    }
}
