//! Why a pack file is refused. Each text says what to do.

use crate::{Digest, MAX_PACK_BYTES, PackError};

use super::{MAX_ENTRIES, MAX_FILE_BYTES, MAX_SIGNATURES};

/// Why a file is no pack file. Nothing of it was compiled, and nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum ArtefactError {
    #[error("the pack file is larger than {} MiB; take large assets out of the pack", MAX_FILE_BYTES >> 20)]
    TooLarge,
    #[error("the pack file ends before it is whole; copy it again")]
    Truncated,
    #[error("something follows the end of the pack file; copy it again")]
    Trailing,
    #[error("header {number} of the pack file is damaged; copy the file again")]
    Header { number: usize },
    #[error("the pack file has more than {MAX_ENTRIES} entries; take assets or cases out of the pack")]
    TooManyEntries,
    #[error(
        "{name:?} in the pack file is {kind}, and only plain files may be there; use what `shunt pack build` writes"
    )]
    Kind { name: String, kind: &'static str },
    #[error(
        "the pack file has an entry {name:?}; there may be oci-layout, index.json and blobs/sha256/DIGEST: use what \
         `shunt pack build` writes"
    )]
    Name { name: String },
    #[error("{name} is larger than what is left of the pack file; copy the file again")]
    Oversized { name: String },
    #[error("{name} is in the pack file twice; use what `shunt pack build` writes")]
    Twice { name: String },
    #[error("the pack file has no {name}; use what `shunt pack build` writes")]
    Missing { name: &'static str },
    #[error("{what} is larger than {} KiB; make it smaller", most >> 10)]
    Limit { what: String, most: usize },
    #[error("the component is larger than {} MiB; make it smaller", MAX_PACK_BYTES >> 20)]
    Component,
    #[error(
        "the bytes of blobs/sha256/{name} are not those of this digest; get the pack from its author again"
    )]
    Changed { name: Digest },
    #[error("{what} cannot be read ({reason}); use what `shunt pack build` of this version writes")]
    Json { what: &'static str, reason: String },
    #[error(
        "{what} says {found:?} where {expected:?} is expected; use what `shunt pack build` of this version writes"
    )]
    MediaType { what: &'static str, found: String, expected: String },
    #[error(
        "{what} names a layer of the type {media_type:?}, and packs are not compressed; use what `shunt pack push` sends"
    )]
    Compressed { what: &'static str, media_type: String },
    #[error("{by} names the blob {blob}, which is not in the pack file; get the pack from its author again")]
    Absent { by: &'static str, blob: Digest },
    #[error(
        "{by} says that the blob {blob} has {says} bytes, and it has {has}; use what `shunt pack build` writes"
    )]
    Size { by: &'static str, blob: Digest, says: u64, has: u64 },
    #[error("nothing in the pack file names the blob {blob}; use what `shunt pack build` writes")]
    Unnamed { blob: Digest },
    #[error(
        "the component's manifest names {found} layers, and a WebAssembly component is exactly one; use what `shunt pack build` writes"
    )]
    Layers { found: usize },
    #[error(
        "the index names {found} manifests of {what}, and a pack file has exactly one; use what `shunt pack build` writes"
    )]
    Manifests { what: &'static str, found: usize },
    #[error(
        "{what} belongs to the manifest {subject}, which is not the one in this file: parts of two packs were mixed; \
         get the pack from its author again"
    )]
    Subject { what: &'static str, subject: String },
    #[error("{path:?} cannot be a file of a pack; there may be {}", super::file::ALLOWED)]
    Path { path: String },
    #[error(
        "the files of the pack are not in the order of their paths, or one is there twice; use what `shunt pack build` writes"
    )]
    Order,
    #[error(
        "{path} beside the component is not what the component has in it: parts of two packs were mixed; build the pack again"
    )]
    Mixed { path: &'static str },
    #[error("the pack file has more than {MAX_SIGNATURES} signatures; get it from its author again")]
    TooManySignatures,
    #[error("the key {key} has signed twice; get the pack from its author again")]
    SignedTwice { key: Digest },
    #[error(
        "the pack file was packed again by another program; use it as `shunt pack build` or `shunt pack sign` wrote it"
    )]
    Repacked,
    #[error("the component of the pack file: {0}")]
    Pack(#[source] Box<PackError>),
}
