//! Keys of signers: Ed25519 (RFC 8032), in the PEM files that openssl reads and writes.

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::spki::der::zeroize::Zeroizing;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _, KeypairBytes,
};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::Digest;

/// Why a text is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("this is a secret key, and here the public one is needed: the file that ends in .pub")]
    Secret,
    #[error("this is a public key, and only its secret key can sign: the file that ends in .key")]
    Public,
    #[error(
        "this secret key has a passphrase, which Shunt cannot ask for; `openssl pkey` writes it without one"
    )]
    Encrypted,
    #[error("this is no Ed25519 key in PEM ({0}); `shunt pack keygen` makes one")]
    Unreadable(String),
    /// One of the few points under which anything can be signed (RFC 8032, section 5.1.7).
    #[error(
        "this public key is weak: signatures under it say nothing; use one that `shunt pack keygen` made"
    )]
    Weak,
    #[error("the system gives no random numbers ({0})")]
    Random(String),
}

/// Tells whether a signature is of its secret key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    key: VerifyingKey,
    id: Digest,
}

impl PublicKey {
    /// Reads a PEM file of `SubjectPublicKeyInfo` (RFC 8410).
    ///
    /// # Errors
    /// It is none.
    pub fn from_pem(text: &str) -> Result<PublicKey, KeyError> {
        let key = VerifyingKey::from_public_key_pem(text.trim_end()).map_err(|error| match label(text) {
            Label::Secret | Label::Encrypted => KeyError::Secret,
            _ => KeyError::Unreadable(error.to_string()),
        })?;
        if key.is_weak() { Err(KeyError::Weak) } else { PublicKey::new(key) }
    }

    fn new(key: VerifyingKey) -> Result<PublicKey, KeyError> {
        let der = key.to_public_key_der().map_err(|error| KeyError::Unreadable(error.to_string()))?;
        Ok(PublicKey { key, id: Digest::of(der.as_bytes()) })
    }

    /// # Errors
    /// It cannot be written, which does not happen.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        self.key.to_public_key_pem(LineEnding::LF).map_err(|error| KeyError::Unreadable(error.to_string()))
    }

    /// The SHA-256 of its `SubjectPublicKeyInfo` in DER: what `openssl pkey -pubin -outform DER | sha256sum` prints.
    #[must_use]
    pub fn id(&self) -> Digest {
        self.id
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        // Strict: one message and one key have one signature, whatever the library that checks.
        self.key.verify_strict(message, signature).is_ok()
    }
}

/// Signs. Its memory is overwritten when it goes.
#[derive(Clone, Debug)]
pub struct SecretKey {
    key: SigningKey,
    public: PublicKey,
}

impl SecretKey {
    /// # Errors
    /// The system has no random numbers.
    pub fn generate() -> Result<SecretKey, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).map_err(|error| KeyError::Random(error.to_string()))?;
        SecretKey::new(SigningKey::from_bytes(&seed))
    }

    fn new(key: SigningKey) -> Result<SecretKey, KeyError> {
        let public = PublicKey::new(key.verifying_key())?;
        Ok(SecretKey { key, public })
    }

    /// Reads a PEM file of PKCS #8 (RFC 8410, RFC 5958).
    ///
    /// # Errors
    /// It is none.
    pub fn from_pem(text: &str) -> Result<SecretKey, KeyError> {
        let key = SigningKey::from_pkcs8_pem(text.trim_end()).map_err(|error| match label(text) {
            Label::Public => KeyError::Public,
            Label::Encrypted => KeyError::Encrypted,
            _ => KeyError::Unreadable(error.to_string()),
        })?;
        SecretKey::new(key)
    }

    /// # Errors
    /// It cannot be written, which does not happen.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        // Without the public key, which version 2 of the format adds: OpenSSL reads version 1 only.
        let bytes = KeypairBytes { secret_key: self.key.to_bytes(), public_key: None };
        bytes.to_pkcs8_pem(LineEnding::LF).map_err(|error| KeyError::Unreadable(error.to_string()))
    }

    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(super) fn sign(&self, message: &[u8]) -> Signature {
        self.key.sign(message)
    }
}

enum Label {
    Secret,
    Encrypted,
    Public,
    Other,
}

/// What a PEM file says that it is.
fn label(text: &str) -> Label {
    let is = |label: &str| text.trim_start().starts_with(&format!("-----BEGIN {label}-----"));
    match () {
        () if is("PRIVATE KEY") => Label::Secret,
        () if is("ENCRYPTED PRIVATE KEY") => Label::Encrypted,
        () if is("PUBLIC KEY") => Label::Public,
        () => Label::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8410, section 10.3, and its public key of section 10.1.
    const SECRET: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

    #[test]
    fn keys_of_the_rfc_are_read_and_written_as_they_are() {
        let secret = SecretKey::from_pem(SECRET).unwrap();
        assert_eq!(secret.to_pem().unwrap().as_str(), SECRET);
        assert_eq!(secret.public().to_pem().unwrap(), PUBLIC);
        assert_eq!(&PublicKey::from_pem(PUBLIC).unwrap(), secret.public());
        assert!(!format!("{secret:?}").contains("d4, ee"), "no secret in a log");
    }

    #[test]
    fn new_keys_differ() {
        let keys = [(); 2].map(|()| SecretKey::generate().unwrap());
        assert_ne!(keys[0].public().id(), keys[1].public().id());
    }

    #[test]
    fn what_is_no_key_says_what_to_do() {
        assert_eq!(PublicKey::from_pem(SECRET).unwrap_err(), KeyError::Secret);
        assert_eq!(SecretKey::from_pem(PUBLIC).unwrap_err(), KeyError::Public);
        let encrypted = SECRET.replace("PRIVATE", "ENCRYPTED PRIVATE");
        assert_eq!(SecretKey::from_pem(&encrypted).unwrap_err(), KeyError::Encrypted);
        for text in ["", "x", &PUBLIC[..40], &PUBLIC.replace("MCow", "MCox"), &PUBLIC.replace("K2Vw", "K2Vu")]
        {
            let error = PublicKey::from_pem(text).unwrap_err();
            assert!(matches!(error, KeyError::Unreadable(_)), "{text:?}: {error}");
        }
        // The neutral point: y = 1.
        let neutral = "MCowBQYDK2VwAyEAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let weak = format!("-----BEGIN PUBLIC KEY-----\n{neutral}\n-----END PUBLIC KEY-----\n");
        assert_eq!(PublicKey::from_pem(&weak).unwrap_err(), KeyError::Weak);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_key_or_an_error(text: String) {
            let _ = (PublicKey::from_pem(&text), SecretKey::from_pem(&text));
        }
    }
}
