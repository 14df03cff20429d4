//! Keys of signers: Ed25519 (RFC 8032), in the PEM files that openssl reads and writes. Signatures of cosign are verified
//! with keys of P-256 as well, which it makes.

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::spki::der::zeroize::Zeroizing;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _, KeypairBytes,
};
use ed25519_dalek::{Signature, Signer as _, SigningKey, Verifier as _, VerifyingKey};

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
    #[error("this is no key of Ed25519 or P-256 in PEM ({0}); `shunt pack keygen` makes one")]
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
    key: Algorithm,
    id: Digest,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Algorithm {
    Ed25519(VerifyingKey),
    /// ECDSA over SHA-256.
    P256(p256::ecdsa::VerifyingKey),
}

impl PublicKey {
    /// Reads a PEM file of `SubjectPublicKeyInfo` (RFC 8410).
    ///
    /// # Errors
    /// It is none.
    pub fn from_pem(text: &str) -> Result<PublicKey, KeyError> {
        if let Ok(key) = p256::ecdsa::VerifyingKey::from_public_key_pem(text.trim_end()) {
            return PublicKey::new(Algorithm::P256(key));
        }
        let key = VerifyingKey::from_public_key_pem(text.trim_end()).map_err(|error| match label(text) {
            Label::Secret | Label::Encrypted => KeyError::Secret,
            _ => KeyError::Unreadable(error.to_string()),
        })?;
        if key.is_weak() { Err(KeyError::Weak) } else { PublicKey::new(Algorithm::Ed25519(key)) }
    }

    fn new(key: Algorithm) -> Result<PublicKey, KeyError> {
        let der = match &key {
            Algorithm::Ed25519(key) => key.to_public_key_der(),
            Algorithm::P256(key) => key.to_public_key_der(),
        };
        let der = der.map_err(|error| KeyError::Unreadable(error.to_string()))?;
        Ok(PublicKey { key, id: Digest::of(der.as_bytes()) })
    }

    /// # Errors
    /// It cannot be written, which does not happen.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let pem = match &self.key {
            Algorithm::Ed25519(key) => key.to_public_key_pem(LineEnding::LF),
            Algorithm::P256(key) => key.to_public_key_pem(LineEnding::LF),
        };
        pem.map_err(|error| KeyError::Unreadable(error.to_string()))
    }

    /// The SHA-256 of its `SubjectPublicKeyInfo` in DER: what `openssl pkey -pubin -outform DER | sha256sum` prints.
    #[must_use]
    pub fn id(&self) -> Digest {
        self.id
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        // Strict: one message and one key have one signature, whatever the library that checks.
        match &self.key {
            Algorithm::Ed25519(key) => key.verify_strict(message, signature).is_ok(),
            // Shunt signs with none.
            Algorithm::P256(_) => false,
        }
    }

    /// A signature as cosign keeps it: 64 bytes of Ed25519, or ECDSA in DER (RFC 3279, section 2.2.3).
    pub(super) fn verifies_cosign(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.key {
            Algorithm::Ed25519(_) => {
                Signature::from_slice(signature).is_ok_and(|signature| self.verifies(message, &signature))
            }
            Algorithm::P256(key) => {
                let signature = p256::ecdsa::Signature::from_der(signature);
                signature.is_ok_and(|signature| key.verify(message, &signature).is_ok())
            }
        }
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
        let public = PublicKey::new(Algorithm::Ed25519(key.verifying_key()))?;
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

    /// RFC 6979, section A.2.5: P-256, SHA-256, "sample".
    #[test]
    fn a_key_of_p256_verifies_what_cosign_keeps_and_signs_no_pack() {
        let hex = |text: &str| -> Vec<u8> {
            (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
        };
        let spki = hex("3059301306072a8648ce3d020106082a8648ce3d03010703420004\
             60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6\
             7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299");
        let signature = hex("3046022100EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716\
             022100F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8");
        use base64ct::Encoding as _;
        let text = base64ct::Base64::encode_string(&spki);
        let (first, second) = text.split_at(64);
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{first}\n{second}\n-----END PUBLIC KEY-----\n");
        let key = PublicKey::from_pem(&pem).unwrap();
        assert_eq!((key.to_pem().unwrap(), key.id()), (pem, Digest::of(&spki)));
        assert!(key.verifies_cosign(b"sample", &signature));
        assert!(!key.verifies_cosign(b"simple", &signature) && !key.verifies_cosign(b"sample", &[0; 64]));
        assert!(!key.verifies(b"sample", &Signature::from_bytes(&[0; 64])));
        // Ed25519, which cosign takes as well.
        let secret = SecretKey::from_pem(SECRET).unwrap();
        let signature = secret.sign(b"sample").to_bytes();
        assert!(secret.public().verifies_cosign(b"sample", &signature));
        assert!(!secret.public().verifies_cosign(b"sample", &signature[1..]));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_key_or_an_error(text: String) {
            let _ = (PublicKey::from_pem(&text), SecretKey::from_pem(&text));
        }
    }
}
