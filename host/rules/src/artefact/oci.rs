//! What OCI says about manifests, and the media types of a pack.
//!
//! Sources: OCI Image Format Specification 1.1 (`manifest.md`, `image-index.md`, `image-layout.md`), and for the component
//! the Wasm OCI artifact layout of CNCF's TAG Runtime, which wkg reads. Own structs: four of them are all that is needed,
//! and the crate `oci-spec` brings its builders for every other object of OCI.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Blob;
use crate::Digest;

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Configuration of a manifest that has none: two bytes, `{}`.
pub(super) const EMPTY: &str = "application/vnd.oci.empty.v1+json";
pub(super) const EMPTY_JSON: &[u8] = b"{}";

pub(super) const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";
pub(super) const WASM: &str = "application/wasm";

/// The manifest of all that goes with a component.
pub const PACK: &str = "application/vnd.shunt.pack.v1+json";
/// The manifest of a signature, and the signature.
pub const SIGNATURE: &str = "application/vnd.shunt.pack.signature.v1+json";

/// The manifest of a signature that cosign made, in a pack file; and what cosign signs (cosign, `SIGNATURE_SPEC.md`).
pub const COSIGN: &str = "application/vnd.shunt.pack.signature.cosign.v1+json";
pub(super) const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Annotations of a layer that it signed: the signature in base64, and the certificate where no key of its own did it.
pub(super) const COSIGN_SIGNATURE: &str = "dev.cosignproject.cosign/signature";
pub(super) const COSIGN_CERTIFICATE: &str = "dev.sigstore.cosign/certificate";

/// Annotations (`annotations.md`): of a layer, the path of its file; of a manifest, the name of the pack.
pub(super) const TITLE: &str = "org.opencontainers.image.title";
pub(super) const VERSION: &str = "org.opencontainers.image.version";
pub(super) const DESCRIPTION: &str = "org.opencontainers.image.description";
/// Of a manifest in an index, the tag.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The marker of an image layout, and what is in it.
pub(super) const LAYOUT_FILE: &str = "oci-layout";
pub(super) const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
pub(super) const INDEX_FILE: &str = "index.json";
pub(super) const BLOBS: &str = "blobs/sha256/";

pub(super) type Annotations = BTreeMap<String, String>;

/// Names a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub media_type: String,
    #[serde(with = "prefixed")]
    pub digest: Digest,
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
}

impl Descriptor {
    pub(super) fn of(media_type: &str, bytes: &[u8]) -> Descriptor {
        Descriptor {
            media_type: media_type.to_owned(),
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            artifact_type: None,
            annotations: Annotations::new(),
        }
    }
}

/// An image manifest. Fields that are not here are passed over, as OCI demands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    pub schema_version: u32,
    pub media_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
}

impl Manifest {
    pub(super) fn new(config: Descriptor, layers: Vec<Descriptor>) -> Manifest {
        Manifest {
            schema_version: 2,
            media_type: MANIFEST.to_owned(),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations: Annotations::new(),
        }
    }

    /// One of an artefact that is no image.
    pub(super) fn artefact(kind: &str, layers: Vec<Descriptor>, subject: Descriptor) -> Manifest {
        Manifest {
            artifact_type: Some(kind.to_owned()),
            subject: Some(subject),
            ..Manifest::new(Descriptor::of(EMPTY, EMPTY_JSON), layers)
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Index {
    pub schema_version: u32,
    pub media_type: String,
    pub manifests: Vec<Descriptor>,
}

impl Index {
    /// That of a pack file, which names all its manifests.
    pub(super) fn of_pack<'a>(
        component: &Blob,
        companion: &Blob,
        signatures: impl Iterator<Item = (&'a Blob, &'a str)>,
        version: &str,
    ) -> Index {
        let artefact = |blob: &Blob, kind: &str| Descriptor {
            artifact_type: Some(kind.to_owned()),
            ..blob.descriptor(MANIFEST)
        };
        let annotations = Annotations::from([(REF_NAME.to_owned(), version.to_owned())]);
        let mut manifests = vec![Descriptor { annotations, ..component.descriptor(MANIFEST) }];
        manifests.push(artefact(companion, PACK));
        manifests.extend(signatures.map(|(signature, kind)| artefact(signature, kind)));
        Index { schema_version: 2, media_type: INDEX.to_owned(), manifests }
    }
}

/// The configuration of a component (TAG Runtime, `config.mediaType`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WasmConfig {
    /// When it was made. The same source gives the same bytes, so that it is always [`EPOCH`].
    pub created: String,
    pub architecture: String,
    pub os: String,
    pub layer_digests: Vec<String>,
    pub component: WasmInterfaces,
}

/// RFC 3339; readers require a time.
const EPOCH: &str = "1970-01-01T00:00:00Z";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WasmInterfaces {
    pub exports: Vec<String>,
    pub imports: Vec<String>,
}

impl WasmConfig {
    pub(super) fn new(component: Digest, interfaces: WasmInterfaces) -> WasmConfig {
        WasmConfig {
            created: EPOCH.to_owned(),
            architecture: "wasm".to_owned(),
            // What the layout calls every component.
            os: "wasip2".to_owned(),
            layer_digests: vec![prefixed::text(component)],
            component: interfaces,
        }
    }

    pub(super) fn is_of(&self, component: Digest) -> bool {
        self.architecture == "wasm" && self.layer_digests == [prefixed::text(component)]
    }
}

/// A digest as OCI writes it: `sha256:` and 64 hexadecimal digits.
mod prefixed {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::Digest;

    pub(super) fn text(digest: Digest) -> String {
        format!("sha256:{digest}")
    }

    pub(super) fn serialize<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text(*digest))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digest = text.strip_prefix("sha256:").and_then(Digest::from_hex);
        digest.ok_or_else(|| D::Error::custom(format!("{text:?} is no digest; write sha256: and 64 digits")))
    }
}
