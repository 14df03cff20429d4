//! A pack in parts, as a registry keeps it: blobs, and manifests that name them.

use std::collections::BTreeMap;

use super::oci::{self, Descriptor, Manifest};
use super::read::{self, COMPANION, COMPONENT, SIGNATURE};
use super::signature::Document;
use super::{
    Artefact, ArtefactError, Blob, MAX_ENTRIES, MAX_FILE_BYTES, MAX_JSON_BYTES, MAX_LAYER_BYTES,
    MAX_PAYLOAD_BYTES, MAX_SIGNATURE_BYTES, MAX_SIGNATURES, archive, cosign,
};
use crate::compressed::Compression;
use crate::{Digest, MAX_PACK_BYTES};

/// Bytes with their digest. A manifest has the media type of manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    pub digest: Digest,
    pub bytes: &'a [u8],
}

impl<'a> From<&'a Blob> for Part<'a> {
    fn from(blob: &'a Blob) -> Part<'a> {
        Part { digest: blob.digest, bytes: &blob.bytes }
    }
}

impl Artefact {
    /// What its manifests name, each once.
    #[must_use]
    pub fn blobs(&self) -> Vec<Part<'_>> {
        let mut blobs: BTreeMap<Digest, &[u8]> = BTreeMap::new();
        blobs.insert(self.config.digest, &self.config.bytes);
        blobs.insert(self.pack.digest(), self.pack.bytes());
        blobs.insert(Digest::of(oci::EMPTY_JSON), oci::EMPTY_JSON);
        let files = self.files.iter().map(|file| file.bytes.as_slice());
        blobs.extend(self.file_digests.iter().copied().zip(files));
        let documents = self.signatures.iter().map(|signature| &signature.document);
        blobs.extend(documents.map(|document| (document.digest, document.bytes.as_slice())));
        blobs.into_iter().map(|(digest, bytes)| Part { digest, bytes }).collect()
    }

    /// The manifest of the component: what a tag points to.
    #[must_use]
    pub fn component_manifest(&self) -> Part<'_> {
        (&self.component).into()
    }

    /// The manifest of the pack. Its subject is that of the component.
    #[must_use]
    pub fn manifest(&self) -> Part<'_> {
        (&self.companion).into()
    }

    /// The manifests of signatures. Their subject is that of the pack.
    #[must_use]
    pub fn signature_manifests(&self) -> Vec<Part<'_>> {
        self.signatures.iter().map(|signature| (&signature.manifest).into()).collect()
    }
}

/// What a manifest of a registry is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestKind {
    Component {
        /// The version that it says it has.
        version: Option<String>,
        /// The component itself, which is one layer.
        code: Option<Digest>,
    },
    /// All that goes with a component, whose manifest has this digest.
    Pack {
        component: Digest,
    },
    Signature,
    /// A signature of cosign, as pack files have them.
    Cosign,
    /// What it says that it is.
    Other(String),
}

impl ManifestKind {
    #[must_use]
    pub fn of(manifest: &[u8]) -> ManifestKind {
        let Ok(manifest) = serde_json::from_slice::<Manifest>(manifest) else {
            // An index, or what only registries of old have.
            let told: Option<serde_json::Value> = serde_json::from_slice(manifest).ok();
            let told = told.as_ref().and_then(|json| json.get("mediaType")).and_then(|it| it.as_str());
            return ManifestKind::Other(told.unwrap_or("something that is no manifest").to_owned());
        };
        match (manifest.artifact_type.as_deref(), manifest.subject) {
            (Some(oci::PACK), Some(subject)) => ManifestKind::Pack { component: subject.digest },
            (Some(oci::SIGNATURE), _) => ManifestKind::Signature,
            (Some(oci::COSIGN), _) => ManifestKind::Cosign,
            (Some(other), _) => ManifestKind::Other(other.to_owned()),
            (None, _) if manifest.config.media_type == oci::WASM_CONFIG => ManifestKind::Component {
                version: manifest.annotations.get(oci::VERSION).cloned(),
                code: manifest.layers.first().map(|layer| layer.digest),
            },
            (None, _) => ManifestKind::Other(manifest.config.media_type),
        }
    }
}

/// A blob that manifests name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub digest: Digest,
    pub size: u64,
}

/// Bytes whose digest was computed, once: of large blobs that takes its time.
#[derive(Debug)]
pub struct Checked(Blob);

impl Checked {
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Checked {
        Checked(Blob::new(bytes))
    }

    #[must_use]
    pub fn digest(&self) -> Digest {
        self.0.digest
    }
}

/// A pack that comes in parts. What each may be is known and bounded before it is asked for.
#[derive(Debug)]
pub struct Assembly {
    component: Blob,
    companion: Blob,
    /// Of each signature its manifest, and its document if that says where it belongs.
    signatures: Vec<(Blob, Option<Digest>)>,
    wanted: BTreeMap<Digest, u64>,
    blobs: BTreeMap<Digest, Vec<u8>>,
}

impl Assembly {
    /// Begins with the manifest of the component and that of the pack.
    ///
    /// # Errors
    /// One is none, or names what is too large or too much.
    pub fn new(component: Vec<u8>, companion: Vec<u8>) -> Result<Assembly, ArtefactError> {
        let (component, companion) = (Blob::new(component), Blob::new(companion));
        let of_component: Manifest = manifest(COMPONENT, &component)?;
        let of_pack: Manifest = manifest(COMPANION, &companion)?;
        read::subject(COMPANION, &of_pack, &component)?;
        let [layer] = of_component.layers.as_slice() else {
            return Err(ArtefactError::Layers { found: of_component.layers.len() });
        };
        let mut assembly = Assembly {
            component,
            companion,
            signatures: Vec::new(),
            wanted: BTreeMap::new(),
            blobs: BTreeMap::from([(Digest::of(oci::EMPTY_JSON), oci::EMPTY_JSON.to_vec())]),
        };
        for (what, layer) in
            [(COMPONENT, layer)].into_iter().chain(of_pack.layers.iter().map(|it| (COMPANION, it)))
        {
            if Compression::is_in_media_type(&layer.media_type) {
                return Err(ArtefactError::Compressed { what, media_type: layer.media_type.clone() });
            }
        }
        if layer.size > MAX_PACK_BYTES as u64 {
            return Err(ArtefactError::Component);
        }
        assembly.want(layer, MAX_PACK_BYTES)?;
        assembly.want(&of_component.config, MAX_JSON_BYTES)?;
        for layer in &of_pack.layers {
            assembly.want(layer, MAX_LAYER_BYTES)?;
        }
        Ok(assembly)
    }

    /// Of the pack as a whole.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.companion.digest
    }

    /// Adds a signature by its manifest.
    ///
    /// # Errors
    /// It is none, is of another pack, or there are too many.
    pub fn add_signature(&mut self, bytes: Vec<u8>) -> Result<(), ArtefactError> {
        let blob = Blob::new(bytes);
        let read: Manifest = manifest(SIGNATURE, &blob)?;
        read::subject(SIGNATURE, &read, &self.companion)?;
        let [layer] = read::one("a signature", read.layers)?;
        if self.signatures.iter().any(|(other, _)| other.digest == blob.digest) {
            return Ok(());
        }
        if self.signatures.len() == MAX_SIGNATURES {
            return Err(ArtefactError::TooManySignatures);
        }
        let is_own = read.artifact_type.as_deref() != Some(oci::COSIGN);
        self.want(&layer, if is_own { MAX_SIGNATURE_BYTES } else { MAX_PAYLOAD_BYTES })?;
        self.signatures.push((blob, is_own.then_some(layer.digest)));
        Ok(())
    }

    /// Adds the signatures that cosign keeps in a manifest of its own: those that a key made.
    ///
    /// # Errors
    /// There are too many, or what was signed is too large.
    pub fn add_cosign(&mut self, bytes: &[u8]) -> Result<(), ArtefactError> {
        for manifest in cosign::manifests(bytes, &self.companion) {
            self.add_signature(manifest)?;
        }
        Ok(())
    }

    fn want(&mut self, descriptor: &Descriptor, most: usize) -> Result<(), ArtefactError> {
        if descriptor.size > most as u64 {
            return Err(ArtefactError::Limit { what: format!("the blob {}", descriptor.digest), most });
        }
        // One that is named with two sizes is found out when it is there.
        self.wanted.insert(descriptor.digest, descriptor.size);
        if self.wanted.values().sum::<u64>() > MAX_FILE_BYTES as u64 {
            return Err(ArtefactError::TooLarge);
        }
        Ok(())
    }

    /// What is not there yet.
    #[must_use]
    pub fn missing(&self) -> Vec<Wanted> {
        let missing = self.wanted.iter().filter(|(digest, _)| !self.blobs.contains_key(*digest));
        missing.map(|(digest, size)| Wanted { digest: *digest, size: *size }).collect()
    }

    /// Adds a blob. `false`: nothing names it.
    pub fn put(&mut self, Checked(blob): Checked) -> bool {
        let wanted = self.wanted.contains_key(&blob.digest);
        if wanted {
            self.blobs.insert(blob.digest, blob.bytes);
        }
        wanted
    }

    /// Adds those blobs that another has.
    pub fn put_those_of(&mut self, other: &Artefact) {
        for part in other.blobs() {
            if self.wanted.contains_key(&part.digest) {
                self.blobs.insert(part.digest, part.bytes.to_vec());
            }
        }
    }

    /// The pack, checked as a pack file is.
    ///
    /// # Errors
    /// A part is missing, or they do not belong together.
    pub fn finish(self) -> Result<Artefact, ArtefactError> {
        let Assembly { component, companion, signatures, blobs, .. } = self;
        // A registry has them in any order, and a pack file in that of their keys.
        let mut in_order = Vec::new();
        for (manifest, document) in signatures {
            let place = match document {
                Some(document) => {
                    let bytes = blobs.get(&document);
                    let bytes = bytes.ok_or(ArtefactError::Absent { by: SIGNATURE, blob: document })?;
                    let document: Document = read::json("a signature", bytes)?;
                    (false, document.key().to_owned())
                }
                None => (true, manifest.digest.to_string()),
            };
            in_order.push((place, manifest));
        }
        in_order.sort_by(|(one, _), (other, _)| one.cmp(other));
        let signatures = in_order.into_iter().map(|(_, manifest)| manifest);
        let manifests = [component, companion].into_iter().chain(signatures);
        let manifests: Vec<Blob> = manifests.collect();
        let descriptors: Vec<_> =
            manifests.iter().map(|manifest| manifest.descriptor(oci::MANIFEST)).collect();
        let mut all: BTreeMap<Digest, &[u8]> =
            blobs.iter().map(|(digest, bytes)| (*digest, bytes.as_slice())).collect();
        all.extend(manifests.iter().map(|manifest| (manifest.digest, manifest.bytes.as_slice())));
        // As a file it has them, the index and the marker, and could be read again.
        if all.len() + 2 > MAX_ENTRIES {
            return Err(ArtefactError::TooManyEntries);
        }
        if archive::size(all.values().map(|bytes| bytes.len())) + MAX_JSON_BYTES > MAX_FILE_BYTES {
            return Err(ArtefactError::TooLarge);
        }
        read::put_together(&descriptors, all)
    }
}

fn manifest(what: &'static str, blob: &Blob) -> Result<Manifest, ArtefactError> {
    if blob.bytes.len() > MAX_JSON_BYTES {
        return Err(ArtefactError::Limit { what: what.to_owned(), most: MAX_JSON_BYTES });
    }
    read::json(what, &blob.bytes)
}

#[cfg(test)]
mod tests {
    use super::super::SecretKey;
    use super::super::tests::artefact;
    use super::*;

    fn apart(artefact: &Artefact) -> Assembly {
        let bytes = |part: Part<'_>| part.bytes.to_vec();
        let mut assembly =
            Assembly::new(bytes(artefact.component_manifest()), bytes(artefact.manifest())).unwrap();
        // In the order in which nobody would have them.
        for signature in artefact.signature_manifests().into_iter().rev() {
            assembly.add_signature(bytes(signature)).unwrap();
        }
        assembly
    }

    #[test]
    fn a_pack_in_parts_is_the_same_pack() {
        let mut good = artefact("t");
        for _ in 0..3 {
            good.sign(&SecretKey::generate().unwrap()).unwrap();
        }
        let mut assembly = apart(&good);
        assert_eq!(assembly.digest(), good.digest());
        for part in good.blobs() {
            assert_eq!(Digest::of(part.bytes), part.digest);
            let empty = part.bytes == oci::EMPTY_JSON;
            let wanted = Wanted { digest: part.digest, size: part.bytes.len() as u64 };
            assert_eq!(assembly.missing().contains(&wanted), !empty);
            assert_eq!(
                assembly.put(Checked::new(part.bytes.to_vec())),
                !empty,
                "that of no configuration is known"
            );
        }
        assert_eq!(assembly.missing(), []);
        assert!(!assembly.put(Checked::new(b"more".to_vec())));
        assert_eq!(assembly.finish().unwrap().to_bytes(), good.to_bytes());
    }

    #[test]
    fn what_is_missing_or_of_another_pack_is_refused() {
        let mut good = artefact("t");
        good.sign(&SecretKey::generate().unwrap()).unwrap();
        let other = artefact("other");
        for left_out in apart(&good).missing() {
            let mut assembly = apart(&good);
            for part in good.blobs().into_iter().filter(|part| part.digest != left_out.digest) {
                assembly.put(Checked::new(part.bytes.to_vec()));
            }
            assert_eq!(assembly.missing(), [left_out]);
            let error = assembly.finish().unwrap_err();
            assert!(matches!(error, ArtefactError::Absent { .. }), "{error}");
        }
        let [of_one, of_other] = [&good, &other].map(|it| it.component_manifest().bytes.to_vec());
        let error = Assembly::new(of_other, good.manifest().bytes.to_vec()).unwrap_err();
        assert!(matches!(error, ArtefactError::Subject { .. }), "{error}");
        let mut assembly = Assembly::new(of_one, good.manifest().bytes.to_vec()).unwrap();
        let error = assembly.add_signature(other.manifest().bytes.to_vec()).unwrap_err();
        assert!(matches!(error, ArtefactError::Subject { .. }), "{error}");
        // One that is there is there; others differ in what they end with.
        let signature = |spaces: usize| [good.signature_manifests()[0].bytes, &vec![b' '; spaces]].concat();
        for spaces in (0..MAX_SIGNATURES).chain([0]) {
            assembly.add_signature(signature(spaces)).unwrap();
        }
        let error = assembly.add_signature(signature(MAX_SIGNATURES)).unwrap_err();
        assert!(matches!(error, ArtefactError::TooManySignatures), "{error}");
    }

    /// What would fill memory or disk is refused by what its manifest says, before a byte of it is asked for.
    #[test]
    fn what_is_too_large_is_not_asked_for() {
        let good = artefact("t");
        let edited = |edit: &dyn Fn(&mut Manifest, &mut Manifest)| {
            let parse = |part: Part<'_>| serde_json::from_slice::<Manifest>(part.bytes).unwrap();
            let (mut component, mut companion) = (parse(good.component_manifest()), parse(good.manifest()));
            edit(&mut component, &mut companion);
            let component = Blob::json(&component);
            companion.subject = Some(component.descriptor(oci::MANIFEST));
            Assembly::new(component.bytes, Blob::json(&companion).bytes).unwrap_err().to_string()
        };
        let code = edited(&|component, _| component.layers[0].size = MAX_PACK_BYTES as u64 + 1);
        assert!(code.contains("the component is larger than 8 MiB"), "{code}");
        let config = edited(&|component, _| component.config.size = u64::MAX);
        assert!(config.contains("larger than 256 KiB"), "{config}");
        let file = edited(&|_, companion| companion.layers[0].size = MAX_LAYER_BYTES as u64 + 1);
        assert!(file.contains("larger than 8192 KiB"), "{file}");
        let many = edited(&|_, companion| {
            companion.layers = (0..9_u8).map(|number| Descriptor::of("x", &[number])).collect();
            companion.layers.iter_mut().for_each(|layer| layer.size = MAX_LAYER_BYTES as u64);
        });
        assert!(many.contains("larger than 64 MiB"), "{many}");
        let compressed = |media_type: &str| {
            format!("names a layer of the type {media_type:?}, and packs are not compressed")
        };
        let code =
            edited(&|component, _| component.layers[0].media_type = "application/wasm+gzip".to_owned());
        assert!(code.contains(&compressed("application/wasm+gzip")), "{code}");
        let file = edited(&|_, companion| companion.layers[0].media_type.push_str("+zstd"));
        assert!(file.contains(&compressed("application/octet-stream+zstd")), "{file}");
        let long = Assembly::new(vec![b' '; MAX_JSON_BYTES + 1], Vec::new()).unwrap_err().to_string();
        assert!(long.contains("larger than 256 KiB"), "{long}");
    }

    #[test]
    fn manifests_say_what_they_are_of() {
        let mut good = artefact("t");
        good.sign(&SecretKey::generate().unwrap()).unwrap();
        let version = Some("1.0.0".to_owned());
        let code = Some(good.pack().digest());
        assert_eq!(
            ManifestKind::of(good.component_manifest().bytes),
            ManifestKind::Component { version, code }
        );
        let component = good.component_digest();
        assert_eq!(ManifestKind::of(good.manifest().bytes), ManifestKind::Pack { component });
        assert_eq!(ManifestKind::of(good.signature_manifests()[0].bytes), ManifestKind::Signature);
        let image =
            Manifest::new(Descriptor::of("application/vnd.oci.image.config.v1+json", b"{}"), Vec::new());
        for (bytes, says) in [
            (&Blob::json(&image).bytes[..], "application/vnd.oci.image.config.v1+json"),
            (
                br#"{"mediaType":"application/vnd.oci.image.index.v1+json"}"#,
                "application/vnd.oci.image.index.v1+json",
            ),
            (b"<html>", "something that is no manifest"),
        ] {
            assert_eq!(ManifestKind::of(bytes), ManifestKind::Other(says.to_owned()));
        }
    }
}
