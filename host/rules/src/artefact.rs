//! A pack as it is shipped: the component, what goes with it, and who signed it, in one file.
//!
//! The file is an OCI image layout in a tar archive. A manifest names the component, in the layout that other tools of
//! WebAssembly read. A second one names the files that go with it, and the first as its subject; its digest is that of the
//! pack as a whole, and what a signature covers. Each signature is a manifest whose subject is the second. The same
//! source gives the same bytes.
//!
//! Nothing here writes a file or compiles a component. A file that is read is not trusted: see [`Artefact::read`].

mod archive;
mod cosign;
mod error;
mod file;
mod key;
pub mod oci;
mod parts;
mod read;
pub mod reference;
mod signature;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use crate::compressed::Compression;
use crate::{Digest, Pack, PackError};
use oci::{Annotations, Descriptor, Index, Manifest, WasmConfig, WasmInterfaces};

pub use error::ArtefactError;
pub use file::{FolderError, PackFile, files_of};
pub use key::{KeyError, PublicKey, SecretKey};
pub use parts::{Assembly, Checked, ManifestKind, Part, Wanted};
pub use reference::{Reference, ReferenceError, is_reference};
pub use signature::{Signature, Validity, VerifyError};

/// Bytes of a pack file. It is held in memory as a whole: eight of the largest components, for assets.
pub const MAX_FILE_BYTES: usize = 64 << 20;
/// Entries of a pack file: eleven have their place, the others are cases and assets.
pub const MAX_ENTRIES: usize = 256;
/// Bytes of a manifest, of the index and of a configuration; a row for each entry needs a quarter of it.
pub const MAX_JSON_BYTES: usize = 256 << 10;
/// Bytes of a file that goes with a component: those of the largest component.
const MAX_LAYER_BYTES: usize = 8 << 20;
/// Signatures: teams sign, not their members.
pub const MAX_SIGNATURES: usize = 32;
/// Bytes of the document of a signature, which has about 200.
const MAX_SIGNATURE_BYTES: usize = 1 << 10;
/// Bytes of what cosign signs, which has about 300, and more where its user added annotations.
const MAX_PAYLOAD_BYTES: usize = 4 << 10;

/// A pack with all that is shipped with it. Its parts belong together: this was checked where it was read.
#[derive(Clone, Debug)]
pub struct Artefact {
    pack: Pack,
    config: Blob,
    /// The manifest of the component.
    component: Blob,
    /// The manifest of all that goes with it.
    companion: Blob,
    files: Vec<PackFile>,
    /// Of the files, in their order.
    file_digests: Vec<Digest>,
    /// In the order of their keys, and behind them those of cosign.
    signatures: Vec<Signature>,
}

#[derive(Clone, Debug)]
struct Blob {
    digest: Digest,
    bytes: Vec<u8>,
}

impl Blob {
    fn new(bytes: Vec<u8>) -> Blob {
        Blob { digest: Digest::of(&bytes), bytes }
    }

    fn json(value: &impl serde::Serialize) -> Blob {
        // Structs of texts, numbers and lists can always be written.
        Blob::new(serde_json::to_vec(value).unwrap_or_default())
    }

    fn descriptor(&self, media_type: &str) -> Descriptor {
        Descriptor::of(media_type, &self.bytes)
    }
}

impl Artefact {
    /// Puts a pack and the files of its folder together, without a signature.
    ///
    /// # Errors
    /// Something is larger than a pack file may have it, or there is too much of it.
    pub fn new(pack: Pack, files: Vec<PackFile>) -> Result<Artefact, ArtefactError> {
        let interfaces =
            WasmInterfaces { exports: pack.exports().to_vec(), imports: pack.imports().to_vec() };
        let config = Blob::json(&WasmConfig::new(pack.digest(), interfaces));
        let manifest = pack.manifest();
        let version = manifest.version.to_string();
        let about = [
            (oci::TITLE, Some(&manifest.name)),
            (oci::VERSION, Some(&version)),
            (oci::DESCRIPTION, manifest.description.as_ref()),
        ];
        let about: Annotations =
            about.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.clone()))).collect();
        let layer = Descriptor::of(oci::WASM, pack.bytes());
        let component = Blob::json(&Manifest {
            annotations: about.clone(),
            ..Manifest::new(config.descriptor(oci::WASM_CONFIG), vec![layer])
        });
        let layers = files.iter().map(|file| {
            let media_type = file::media_type(&file.path)
                .ok_or_else(|| ArtefactError::Path { path: file.path.clone() })?;
            let annotations = Annotations::from([(oci::TITLE.to_owned(), file.path.clone())]);
            Ok(Descriptor { annotations, ..Descriptor::of(media_type, &file.bytes) })
        });
        let layers = layers.collect::<Result<Vec<_>, ArtefactError>>()?;
        let file_digests = layers.iter().map(|layer| layer.digest).collect();
        let companion = Blob::json(&Manifest {
            annotations: about,
            ..Manifest::artefact(oci::PACK, layers, component.descriptor(oci::MANIFEST))
        });
        let signatures = Vec::new();
        let artefact = Artefact { pack, config, component, companion, files, file_digests, signatures };
        // What is written can be read: its limits are those of the reader.
        Artefact::read(&artefact.to_bytes())
    }

    /// Whether bytes begin as a pack file does, and not as a component.
    #[must_use]
    pub fn is_one(bytes: &[u8]) -> bool {
        archive::is_archive(bytes)
    }

    /// Reads a pack file. `None`: the file is something else, as a component is.
    ///
    /// # Errors
    /// It cannot be read, or is refused.
    pub fn open(file: &Path) -> Result<Option<Artefact>, PackError> {
        let bytes = crate::pack::read_bytes(file)
            .map_err(|source| PackError::Io { path: file.to_owned(), source })?;
        if Artefact::is_one(&bytes) {
            return Ok(Some(Artefact::read(&bytes)?));
        }
        match Compression::of(&bytes) {
            Some(compression) => Err(compression.into()),
            None => Ok(None),
        }
    }

    /// Reads a pack file, and checks every byte of it but the signatures, which need keys: see [`Artefact::verify`].
    ///
    /// # Errors
    /// See [`ArtefactError`].
    pub fn read(bytes: &[u8]) -> Result<Artefact, ArtefactError> {
        read::read(bytes)
    }

    /// The pack file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let signatures = self.signatures.iter().map(|signature| (&signature.manifest, signature.kind()));
        let version = &self.pack.manifest().version.to_string();
        let index = Index::of_pack(&self.component, &self.companion, signatures.clone(), version);
        let manifests = signatures.map(|(manifest, _)| manifest).chain([&self.component, &self.companion]);
        let manifests = manifests.map(|manifest| (manifest.digest, manifest.bytes.as_slice()));
        let blobs: BTreeMap<Digest, &[u8]> =
            self.blobs().into_iter().map(|part| (part.digest, part.bytes)).chain(manifests).collect();
        archive::pack_file(&index, &blobs)
    }

    /// What runs.
    #[must_use]
    pub fn pack(&self) -> &Pack {
        &self.pack
    }

    #[must_use]
    pub fn into_pack(self) -> Pack {
        self.pack
    }

    /// Of the pack as a whole: of the manifest that names its files and, by its subject, its component. Signatures cover
    /// it, and do not change it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.companion.digest
    }

    /// Of the component's manifest: what a registry calls the component.
    #[must_use]
    pub fn component_digest(&self) -> Digest {
        self.component.digest
    }

    /// In the order of their paths.
    #[must_use]
    pub fn files(&self) -> &[PackFile] {
        &self.files
    }

    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }
}
