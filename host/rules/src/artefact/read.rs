//! From the bytes of a pack file to a pack, each byte checked before it is used.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;

use super::archive::{self, Name};
use super::oci::{self, Descriptor, Index, Manifest, WasmConfig};
use super::signature::{Document, Signature};
use super::{
    Artefact, ArtefactError, Blob, MAX_FILE_BYTES, MAX_JSON_BYTES, MAX_LAYER_BYTES, MAX_PAYLOAD_BYTES,
    MAX_SIGNATURE_BYTES, MAX_SIGNATURES, PackFile, cosign, file,
};
use crate::compressed::Compression;
use crate::{Digest, MAX_PACK_BYTES, Pack};

const INDEX: &str = "the index";
pub(super) const COMPONENT: &str = "the component's manifest";
const CONFIG: &str = "the component's configuration";
pub(super) const COMPANION: &str = "the pack's manifest";
pub(super) const SIGNATURE: &str = "the manifest of a signature";

pub(super) fn read(bytes: &[u8]) -> Result<Artefact, ArtefactError> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(ArtefactError::TooLarge);
    }
    let (index, blobs) = entries(bytes)?;
    let index: Index = json(INDEX, index)?;
    expect(INDEX, &index.media_type, oci::INDEX)?;
    let artefact = put_together(&index.manifests, blobs)?;
    // All else in the file follows from this: owners and times of entries, their order, what fills their last blocks.
    if artefact.to_bytes() != bytes { Err(ArtefactError::Repacked) } else { Ok(artefact) }
}

/// A pack of its manifests and blobs.
pub(super) fn put_together(manifests: &[Descriptor], blobs: Contents<'_>) -> Result<Artefact, ArtefactError> {
    let mut blobs = Blobs { blobs, named: BTreeSet::new() };
    let (mut components, mut companions, mut signatures) = (Vec::new(), Vec::new(), Vec::new());
    for descriptor in manifests {
        let blob = Blob::new(blobs.named(INDEX, descriptor, oci::MANIFEST, MAX_JSON_BYTES)?.to_vec());
        let manifest: Manifest = json("a manifest", &blob.bytes)?;
        expect("a manifest", &manifest.media_type, oci::MANIFEST)?;
        let place = match manifest.artifact_type.as_deref() {
            None => &mut components,
            Some(oci::PACK) => &mut companions,
            Some(oci::SIGNATURE | oci::COSIGN) => &mut signatures,
            Some(other) => return Err(wrong("a manifest", other, oci::PACK)),
        };
        place.push((manifest, blob));
    }
    let [(component_manifest, component)] = one("a component", components)?;
    let [(companion_manifest, companion)] = one("a pack", companions)?;

    let (config, code) = read_component(&component_manifest, &mut blobs)?;
    subject(COMPANION, &companion_manifest, &component)?;
    let files = read_files(&companion_manifest, &mut blobs)?;
    let signatures = read_signatures(signatures, &companion, &mut blobs)?;
    if let Some(blob) = blobs.unnamed() {
        return Err(ArtefactError::Unnamed { blob });
    }

    let mut pack = Pack::from_bytes(code).map_err(|error| ArtefactError::Pack(Box::new(error)))?;
    same(&files, &pack)?;
    if let Some(debug) = files.iter().find(|file| file.path == file::DEBUG) {
        pack.take_names(&debug.bytes);
    }
    let file_digests = companion_manifest.layers.iter().map(|layer| layer.digest).collect();
    Ok(Artefact { pack, config, component, companion, files, file_digests, signatures })
}

/// Blobs by their digests, which were compared with their bytes.
type Contents<'a> = BTreeMap<Digest, &'a [u8]>;

/// The index, and all blobs, whose digests are those of their names.
fn entries(bytes: &[u8]) -> Result<(&[u8], Contents<'_>), ArtefactError> {
    let (mut layout, mut index, mut blobs) = (None, None, BTreeMap::new());
    for (name, content) in archive::read(bytes)? {
        match name {
            Name::Layout => layout = Some(content),
            Name::Index => index = Some(content),
            Name::Blob(digest) if Digest::of(content) == digest => drop(blobs.insert(digest, content)),
            Name::Blob(name) => return Err(ArtefactError::Changed { name }),
        }
    }
    match layout {
        None => return Err(ArtefactError::Missing { name: oci::LAYOUT_FILE }),
        Some(oci::LAYOUT) => {}
        Some(_) => {
            let reason = "it is not that of version 1.0.0".to_owned();
            return Err(ArtefactError::Json { what: oci::LAYOUT_FILE, reason });
        }
    }
    let index = index.ok_or(ArtefactError::Missing { name: oci::INDEX_FILE })?;
    if index.len() > MAX_JSON_BYTES {
        return Err(ArtefactError::Limit { what: INDEX.to_owned(), most: MAX_JSON_BYTES });
    }
    Ok((index, blobs))
}

/// The blobs of a file, and which of them something names.
struct Blobs<'a> {
    blobs: Contents<'a>,
    named: BTreeSet<Digest>,
}

impl<'a> Blobs<'a> {
    /// The blob that a descriptor names, which is of this media type and at most so large.
    fn named(
        &mut self,
        by: &'static str,
        descriptor: &Descriptor,
        media_type: &str,
        most: usize,
    ) -> Result<&'a [u8], ArtefactError> {
        expect(by, &descriptor.media_type, media_type)?;
        let blob = descriptor.digest;
        let bytes = *self.blobs.get(&blob).ok_or(ArtefactError::Absent { by, blob })?;
        let (says, has) = (descriptor.size, bytes.len() as u64);
        if says != has {
            return Err(ArtefactError::Size { by, blob, says, has });
        }
        if bytes.len() > most {
            return Err(ArtefactError::Limit { what: format!("the blob {blob}"), most });
        }
        self.named.insert(blob);
        Ok(bytes)
    }

    fn unnamed(&self) -> Option<Digest> {
        self.blobs.keys().find(|blob| !self.named.contains(blob)).copied()
    }
}

/// The configuration, and the component.
fn read_component(manifest: &Manifest, blobs: &mut Blobs<'_>) -> Result<(Blob, Vec<u8>), ArtefactError> {
    let config = blobs.named(COMPONENT, &manifest.config, oci::WASM_CONFIG, MAX_JSON_BYTES)?;
    let [layer] = manifest.layers.as_slice() else {
        return Err(ArtefactError::Layers { found: manifest.layers.len() });
    };
    if layer.size > MAX_PACK_BYTES as u64 {
        return Err(ArtefactError::Component);
    }
    let code = blobs.named(COMPONENT, layer, oci::WASM, MAX_PACK_BYTES)?;
    let read: WasmConfig = json(CONFIG, config)?;
    if !read.is_of(layer.digest) {
        return Err(ArtefactError::Subject { what: CONFIG, subject: read.layer_digests.join(", ") });
    }
    Ok((Blob::new(config.to_vec()), code.to_vec()))
}

fn read_files(manifest: &Manifest, blobs: &mut Blobs<'_>) -> Result<Vec<PackFile>, ArtefactError> {
    no_config(COMPANION, manifest, blobs)?;
    let mut files: Vec<PackFile> = Vec::new();
    for layer in &manifest.layers {
        let path = layer.annotations.get(oci::TITLE).cloned().unwrap_or_default();
        let Some(media_type) = file::media_type(&path) else {
            return Err(ArtefactError::Path { path });
        };
        let bytes = blobs.named(COMPANION, layer, media_type, MAX_LAYER_BYTES)?.to_vec();
        if files.last().is_some_and(|last| last.path >= path) {
            return Err(ArtefactError::Order);
        }
        // Layers may name one blob again and again: what they hold together is bounded as the file is.
        if files.iter().map(|file| file.bytes.len()).sum::<usize>() + bytes.len() > MAX_FILE_BYTES {
            return Err(ArtefactError::TooLarge);
        }
        files.push(PackFile { path, bytes });
    }
    Ok(files)
}

fn read_signatures(
    manifests: Vec<(Manifest, Blob)>,
    companion: &Blob,
    blobs: &mut Blobs<'_>,
) -> Result<Vec<Signature>, ArtefactError> {
    if manifests.len() > MAX_SIGNATURES {
        return Err(ArtefactError::TooManySignatures);
    }
    let mut signatures: Vec<Signature> = Vec::new();
    for (manifest, blob) in manifests {
        subject(SIGNATURE, &manifest, companion)?;
        no_config(SIGNATURE, &manifest, blobs)?;
        let [layer] = one("a signature", manifest.layers)?;
        if manifest.artifact_type.as_deref() == Some(oci::COSIGN) {
            let payload = blobs.named(SIGNATURE, &layer, oci::SIMPLE_SIGNING, MAX_PAYLOAD_BYTES)?;
            let signature = cosign::signature(&layer.annotations).ok_or_else(|| ArtefactError::Json {
                what: "a signature",
                reason: "it is not in base64".to_owned(),
            })?;
            let payload = Blob::new(payload.to_vec());
            signatures.push(Signature::of_cosign(companion, signature, payload, blob));
            continue;
        }
        let document = blobs.named(SIGNATURE, &layer, oci::SIGNATURE, MAX_SIGNATURE_BYTES)?;
        let read: Document = json("a signature", document)?;
        let signature = Signature::read(&read, Blob::new(document.to_vec()), blob)?;
        if let Some(key) = signature.key().filter(|_| signatures.iter().any(|it| it.key() == signature.key()))
        {
            return Err(ArtefactError::SignedTwice { key });
        }
        signatures.push(signature);
    }
    Ok(signatures)
}

/// What the component says of itself is what stands beside it.
fn same(files: &[PackFile], pack: &Pack) -> Result<(), ArtefactError> {
    let own = file::own(pack);
    for path in [file::MANIFEST, file::SETTINGS] {
        let of = |files: &[PackFile]| files.iter().find(|file| file.path == path).cloned();
        if of(files) != of(&own) {
            return Err(ArtefactError::Mixed { path });
        }
    }
    Ok(())
}

pub(super) fn subject(what: &'static str, manifest: &Manifest, expected: &Blob) -> Result<(), ArtefactError> {
    match &manifest.subject {
        Some(subject) if *subject == expected.descriptor(oci::MANIFEST) => Ok(()),
        Some(other) => Err(ArtefactError::Subject { what, subject: other.digest.to_string() }),
        None => Err(ArtefactError::Subject { what, subject: "of none".to_owned() }),
    }
}

fn no_config(by: &'static str, manifest: &Manifest, blobs: &mut Blobs<'_>) -> Result<(), ArtefactError> {
    blobs.named(by, &manifest.config, oci::EMPTY, oci::EMPTY_JSON.len()).map(drop)
}

pub(super) fn one<T>(what: &'static str, found: Vec<T>) -> Result<[T; 1], ArtefactError> {
    found.try_into().map_err(|found: Vec<T>| ArtefactError::Manifests { what, found: found.len() })
}

pub(super) fn json<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, ArtefactError> {
    serde_json::from_slice(bytes).map_err(|error| ArtefactError::Json { what, reason: error.to_string() })
}

fn expect(what: &'static str, found: &str, expected: &str) -> Result<(), ArtefactError> {
    if found == expected { Ok(()) } else { Err(wrong(what, found, expected)) }
}

fn wrong(what: &'static str, found: &str, expected: &str) -> ArtefactError {
    if Compression::is_in_media_type(found) {
        return ArtefactError::Compressed { what, media_type: found.to_owned() };
    }
    ArtefactError::MediaType { what, found: found.to_owned(), expected: expected.to_owned() }
}
