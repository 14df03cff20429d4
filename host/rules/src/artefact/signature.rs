//! Signatures: what is signed, how it is kept, and whose it is.

use base64ct::{Base64, Encoding as _};
use serde::{Deserialize, Serialize};

use super::key::{PublicKey, SecretKey};
use super::oci::{self, Manifest};
use super::{Artefact, ArtefactError, Blob, MAX_SIGNATURES, cosign};
use crate::Digest;

/// What begins every statement, so that nothing else that a key signs can be taken for one.
const DOMAIN: &str = "shunt pack signature v1";

/// What is signed: two lines that say of which pack. The digest is that of the manifest which names all of it.
fn statement(pack: Digest) -> String {
    format!("{DOMAIN}\nsha256:{pack}\n")
}

/// A signature as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    /// Of the public key: `sha256:` and the digest of its `SubjectPublicKeyInfo`.
    key: String,
    /// Ed25519 over the statement: 64 bytes in base64.
    signature: String,
}

impl Document {
    pub(super) fn key(&self) -> &str {
        &self.key
    }
}

/// Someone's signature of a pack. Whether it is valid needs the public key.
#[derive(Clone, Debug)]
pub struct Signature {
    made: Made,
    /// What was signed by cosign; else who signed, and how.
    pub(super) document: Blob,
    pub(super) manifest: Blob,
}

#[derive(Clone, Debug)]
enum Made {
    ByShunt {
        key: Digest,
        signature: ed25519_dalek::Signature,
    },
    ByCosign {
        signature: Vec<u8>,
        /// Whether what was signed is of this pack.
        fits: bool,
    },
}

impl Signature {
    fn new(pack: &Blob, key: &SecretKey) -> Signature {
        let signature = key.sign(statement(pack.digest).as_bytes());
        let id = key.public().id();
        let document = Blob::json(&Document {
            key: format!("sha256:{id}"),
            signature: Base64::encode_string(&signature.to_bytes()),
        });
        let layer = document.descriptor(oci::SIGNATURE);
        let manifest = Manifest::artefact(oci::SIGNATURE, vec![layer], pack.descriptor(oci::MANIFEST));
        let made = Made::ByShunt { key: id, signature };
        Signature { made, document, manifest: Blob::json(&manifest) }
    }

    pub(super) fn read(read: &Document, document: Blob, manifest: Blob) -> Result<Signature, ArtefactError> {
        let wrong = |reason: &str| ArtefactError::Json { what: "a signature", reason: reason.to_owned() };
        let key = read.key.strip_prefix("sha256:").and_then(Digest::from_hex);
        let key = key.ok_or_else(|| wrong("its key is not sha256: and 64 digits"))?;
        let bytes = Base64::decode_vec(&read.signature).unwrap_or_default();
        let signature = ed25519_dalek::Signature::from_slice(&bytes)
            .map_err(|_| wrong("it is not 64 bytes in base64"))?;
        Ok(Signature { made: Made::ByShunt { key, signature }, document, manifest })
    }

    /// One of cosign for this pack.
    pub(super) fn of_cosign(pack: &Blob, signature: Vec<u8>, payload: Blob, manifest: Blob) -> Signature {
        let fits = cosign::is_of(&payload.bytes, pack.digest);
        Signature { made: Made::ByCosign { signature, fits }, document: payload, manifest }
    }

    /// The key that it says it was made with: see [`PublicKey::id`]. `None`: cosign made it, and does not say.
    #[must_use]
    pub fn key(&self) -> Option<Digest> {
        match self.made {
            Made::ByShunt { key, .. } => Some(key),
            Made::ByCosign { .. } => None,
        }
    }

    /// The artefact type of its manifest.
    pub(super) fn kind(&self) -> &'static str {
        match self.made {
            Made::ByShunt { .. } => oci::SIGNATURE,
            Made::ByCosign { .. } => oci::COSIGN,
        }
    }

    /// Its place in a pack file: by its key, and behind those that say none by its manifest.
    pub(super) fn order(&self) -> (bool, Digest) {
        self.key().map_or((true, self.manifest.digest), |key| (false, key))
    }
}

/// What is known of a signature, given some keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    Valid,
    /// It says that it was made with one of the keys, and was not, or for another pack.
    Invalid,
    /// The key is not among those given.
    UnknownKey,
}

/// Why a pack is not signed as it must be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{valid} of {given} keys signed this pack, and {threshold} must; have it signed, or get it from its author again:{}",
    .wrong.iter().map(|wrong| format!("\n  {wrong}")).collect::<String>()
)]
pub struct VerifyError {
    valid: usize,
    given: usize,
    threshold: usize,
    /// What each other key did.
    wrong: Vec<String>,
}

impl Artefact {
    /// What is known of a signature.
    #[must_use]
    pub fn validity(&self, signature: &Signature, keys: &[PublicKey]) -> Validity {
        let of = |key: &PublicKey| self.made_with(signature, key);
        match keys.iter().map(of).find(|it| *it != Validity::UnknownKey) {
            Some(known) => known,
            None if matches!(signature.made, Made::ByCosign { fits: false, .. }) => Validity::Invalid,
            None => Validity::UnknownKey,
        }
    }

    fn made_with(&self, signature: &Signature, key: &PublicKey) -> Validity {
        match &signature.made {
            Made::ByShunt { key: id, .. } if *id != key.id() => Validity::UnknownKey,
            Made::ByShunt { signature, .. } => {
                let valid = key.verifies(statement(self.digest()).as_bytes(), signature);
                if valid { Validity::Valid } else { Validity::Invalid }
            }
            Made::ByCosign { signature: bytes, fits } => {
                match key.verifies_cosign(&signature.document.bytes, bytes) {
                    true if *fits => Validity::Valid,
                    true => Validity::Invalid,
                    // By another key, or changed: it does not say.
                    false => Validity::UnknownKey,
                }
            }
        }
    }

    /// What the owner of a key did: signed the pack, made a signature that is not valid, or none that is known.
    #[must_use]
    pub fn signed_by(&self, key: &PublicKey) -> Validity {
        let mut known = Validity::UnknownKey;
        for signature in &self.signatures {
            match self.made_with(signature, key) {
                Validity::Valid => return Validity::Valid,
                Validity::Invalid => known = Validity::Invalid,
                Validity::UnknownKey => {}
            }
        }
        known
    }

    /// Checks that so many of the keys signed the pack. A key counts once, however often it is given.
    ///
    /// # Errors
    /// Fewer did.
    pub fn verify(&self, keys: &[PublicKey], threshold: usize) -> Result<Vec<Digest>, VerifyError> {
        let mut given: Vec<&PublicKey> = keys.iter().collect();
        given.sort_unstable_by_key(|key| key.id());
        given.dedup();
        let (mut valid, mut wrong) = (Vec::new(), Vec::new());
        for key in &given {
            let id = key.id();
            match self.signed_by(key) {
                Validity::Valid => valid.push(id),
                Validity::Invalid => {
                    wrong.push(format!("key sha256:{id}: its signature is not of this pack, or was changed"));
                }
                Validity::UnknownKey => wrong.push(format!("key sha256:{id} has not signed")),
            }
        }
        // None is no threshold.
        if valid.len() >= threshold.max(1) {
            return Ok(valid);
        }
        Err(VerifyError { valid: valid.len(), given: given.len(), threshold: threshold.max(1), wrong })
    }

    /// Adds a signature. `false`: this key's was there, and stays.
    ///
    /// # Errors
    /// There are too many, or the file became too large.
    pub fn sign(&mut self, key: &SecretKey) -> Result<bool, ArtefactError> {
        let public = std::slice::from_ref(key.public());
        let id = Some(key.public().id());
        let own = self.signatures.iter().find(|signature| signature.key() == id);
        if own.is_some_and(|own| self.validity(own, public) == Validity::Valid) {
            return Ok(false);
        }
        let mut signed = self.clone();
        signed.signatures.retain(|signature| signature.key() != id);
        if signed.signatures.len() == MAX_SIGNATURES {
            return Err(ArtefactError::TooManySignatures);
        }
        signed.signatures.push(Signature::new(&self.companion, key));
        signed.signatures.sort_by_key(Signature::order);
        *self = Artefact::read(&signed.to_bytes())?;
        Ok(true)
    }
}
