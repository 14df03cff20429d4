//! Signatures that cosign keeps in a registry (cosign, `SIGNATURE_SPEC.md`), where it made them with a key.
//!
//! An image manifest under the tag `sha256-DIGEST.sig` has a layer for each. The layer is what was signed, a document of
//! "simple signing" that names the digest, and an annotation has the signature. It does not say by which key.

use base64ct::{Base64, Encoding as _};
use serde::Deserialize;

use super::Blob;
use super::oci::{self, Annotations, Descriptor, Manifest};
use crate::Digest;

/// What was signed, as far as it counts. The reference in it is what its signer called the image, and cosign itself
/// passes it over.
#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Image {
    // Cosign writes it in lower case, and an example of its specification with a capital.
    #[serde(alias = "Docker-manifest-digest", rename = "docker-manifest-digest")]
    digest: String,
}

/// Whether what was signed is this pack.
pub(super) fn is_of(payload: &[u8], pack: Digest) -> bool {
    serde_json::from_slice::<Payload>(payload).is_ok_and(|payload| {
        payload.critical.kind == "cosign container image signature"
            && payload.critical.image.digest == format!("sha256:{pack}")
    })
}

/// The signature that the annotations of a layer have.
pub(super) fn signature(annotations: &Annotations) -> Option<Vec<u8>> {
    Base64::decode_vec(annotations.get(oci::COSIGN_SIGNATURE)?).ok()
}

/// A manifest as pack files have them, for each signature in one of cosign. The others are of certificates, which nobody
/// here can judge, or not signatures at all.
pub(super) fn manifests(bytes: &[u8], pack: &Blob) -> Vec<Vec<u8>> {
    let Ok(found) = serde_json::from_slice::<Found>(bytes) else { return Vec::new() };
    let layers = found.layers.into_iter().filter(|layer| {
        layer.media_type == oci::SIMPLE_SIGNING
            && signature(&layer.annotations).is_some()
            && !layer.annotations.contains_key(oci::COSIGN_CERTIFICATE)
    });
    let manifests = layers.map(|mut layer| {
        layer.annotations.retain(|key, _| key == oci::COSIGN_SIGNATURE);
        layer.artifact_type = None;
        let manifest = Manifest::artefact(oci::COSIGN, vec![layer], pack.descriptor(oci::MANIFEST));
        Blob::json(&manifest).bytes
    });
    manifests.collect()
}

/// What is asked of a manifest of cosign.
#[derive(Deserialize)]
struct Found {
    layers: Vec<Descriptor>,
}
