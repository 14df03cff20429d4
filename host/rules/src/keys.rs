//! Keys that the operator binds: rules name them, and never see them.
//!
//! A file has either secrets, one a line, or public keys in PEM. What it has decides what a rule can do with it, so that a
//! public key is never taken for a secret (RFC 8725 section 2.1).

use std::fmt;
use std::io::Read as _;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};

use crate::{Digest, plain_file};

/// Keys of a file at most.
const MOST: usize = 8;
/// Bytes of a file.
const MAX_FILE: usize = 64 << 10;
/// Bytes of a secret: what HMAC with SHA-256 asks for (RFC 7518 section 3.2), and four times as much.
const SECRET: std::ops::RangeInclusive<usize> = 32..=128;

/// The keys of a file.
pub struct Keys {
    digest: Digest,
    all: All,
}

enum All {
    Secrets(Vec<Secret>),
    Public(Vec<PublicKey>),
}

/// A secret, and what is derived from it.
struct Secret {
    hmac: hmac::Key,
    seal: LessSafeKey,
}

/// A key that verifies signatures of one algorithm.
struct PublicKey {
    algorithm: &'static str,
    key: ParsedPublicKey,
}

/// Why a file has no keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    #[error("{0}: cannot read it: {1}; make it readable for Shunt")]
    Read(String, String),
    #[error(
        "{file}:{line}: this is no secret; write secrets of 32 to 128 bytes in base64, one a line, each made by `openssl \
         rand -base64 32`"
    )]
    Secret { file: String, line: usize },
    #[error("{0}: there is no key in it; write secrets, one a line, or public keys in PEM")]
    Empty(String),
    #[error("{0}: there are more than {MOST} keys; remove those that are not used any more")]
    TooMany(String),
    #[error(
        "{0}: there is a private key in it; give Shunt the public one alone, as `openssl pkey -in KEY -pubout` writes it"
    )]
    Private(String),
    #[error(
        "{0}: there is a key that is none of RSA with 2048 bits or more, P-256 and Ed25519; make one of these, in PEM as \
         `openssl pkey -pubout` writes it"
    )]
    Public(String),
}

impl Keys {
    /// # Errors
    /// See [`KeysError`].
    pub fn read(path: &Path) -> Result<Keys, KeysError> {
        let source = path.display().to_string();
        let mut bytes = Vec::new();
        let read =
            plain_file::open(path).and_then(|file| file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes));
        match read {
            Ok(read) if read > MAX_FILE => Err(KeysError::TooMany(source)),
            Ok(_) => Keys::parse(&source, &bytes),
            Err(error) => Err(KeysError::Read(source, error.to_string())),
        }
    }

    /// # Errors
    /// See [`KeysError`].
    pub fn parse(source: &str, bytes: &[u8]) -> Result<Keys, KeysError> {
        let text = String::from_utf8_lossy(bytes);
        let all = if text.contains("-----BEGIN ") { public(source, &text)? } else { secrets(source, &text)? };
        let count = match &all {
            All::Secrets(secrets) => secrets.len(),
            All::Public(keys) => keys.len(),
        };
        match count {
            0 => Err(KeysError::Empty(source.to_owned())),
            count if count > MOST => Err(KeysError::TooMany(source.to_owned())),
            _ => Ok(Keys { digest: Digest::of(bytes), all }),
        }
    }

    /// Of the file.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// HMAC with SHA-256 under the first secret; `None`: these are public keys.
    pub(crate) fn sign(&self, data: &[u8]) -> Option<Vec<u8>> {
        let secret = self.secrets()?.first()?;
        Some(hmac::sign(&secret.hmac, data).as_ref().to_vec())
    }

    /// Whether that is what one of the secrets makes of it.
    pub(crate) fn verify(&self, data: &[u8], tag: &[u8]) -> Option<bool> {
        Some(self.secrets()?.iter().any(|secret| hmac::verify(&secret.hmac, data, tag).is_ok()))
    }

    /// Encrypts with the first secret: base64url of nonce, ciphertext and tag (RFC 8452). A nonce that is drawn at random
    /// may even be drawn twice.
    pub(crate) fn seal(&self, nonce: [u8; NONCE_LEN], plain: &[u8], context: &[u8]) -> Option<String> {
        let secret = self.secrets()?.first()?;
        let mut sealed = plain.to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        secret.seal.seal_in_place_append_tag(unique, Aad::from(context), &mut sealed).ok()?;
        Some(Base64UrlUnpadded::encode_string(&[&nonce[..], &sealed].concat()))
    }

    /// What one of the secrets has sealed with this context.
    pub(crate) fn open(&self, sealed: &str, context: &[u8]) -> Option<Option<Vec<u8>>> {
        let secrets = self.secrets()?;
        let Ok(bytes) = Base64UrlUnpadded::decode_vec(sealed) else { return Some(None) };
        let Some((nonce, sealed)) = bytes.split_first_chunk::<NONCE_LEN>() else { return Some(None) };
        Some(secrets.iter().find_map(|secret| {
            let mut opened = sealed.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let len = secret.seal.open_in_place(nonce, Aad::from(context), &mut opened).ok()?.len();
            opened.truncate(len);
            Some(opened)
        }))
    }

    /// Whether the keys verify tokens of this algorithm, by its name in RFC 7518 section 3.1 and RFC 8037.
    pub(crate) fn has_algorithm(&self, algorithm: &str) -> bool {
        match &self.all {
            All::Secrets(_) => algorithm == "HS256",
            All::Public(keys) => keys.iter().any(|key| key.algorithm == algorithm),
        }
    }

    /// Whether one of them made the signature, by this algorithm.
    pub(crate) fn signed(&self, algorithm: &str, data: &[u8], signature: &[u8]) -> bool {
        match &self.all {
            All::Secrets(secrets) => {
                algorithm == "HS256"
                    && secrets.iter().any(|it| hmac::verify(&it.hmac, data, signature).is_ok())
            }
            All::Public(keys) => {
                let mut of = keys.iter().filter(|key| key.algorithm == algorithm);
                of.any(|it| it.key.verify_sig(data, signature).is_ok())
            }
        }
    }

    fn secrets(&self) -> Option<&[Secret]> {
        match &self.all {
            All::Secrets(secrets) => Some(secrets),
            All::Public(_) => None,
        }
    }
}

/// Says nothing of the keys.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.all {
            All::Secrets(secrets) => write!(f, "{} secrets", secrets.len()),
            All::Public(keys) => write!(f, "{} public keys", keys.len()),
        }
    }
}

fn secrets(source: &str, text: &str) -> Result<All, KeysError> {
    let lines = (1..).zip(text.lines().map(str::trim));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let secret = |(line, text): (usize, &str)| {
        let bytes = Base64::decode_vec(text).ok().filter(|bytes| SECRET.contains(&bytes.len()));
        bytes.and_then(|bytes| Secret::new(&bytes)).ok_or(KeysError::Secret { file: source.to_owned(), line })
    };
    Ok(All::Secrets(lines.map(secret).collect::<Result<_, _>>()?))
}

impl Secret {
    fn new(bytes: &[u8]) -> Option<Secret> {
        // A key of its own for each use (RFC 5869).
        let derived = Salt::new(HKDF_SHA256, b"shunt").extract(bytes);
        let mut key = [0; 32];
        derived.expand(&[b"seal"], HKDF_SHA256).ok()?.fill(&mut key).ok()?;
        let seal = LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, &key).ok()?);
        Some(Secret { hmac: hmac::Key::new(hmac::HMAC_SHA256, bytes), seal })
    }
}

/// RFC 7468: the blocks of a file.
fn public(source: &str, text: &str) -> Result<All, KeysError> {
    let wrong = || KeysError::Public(source.to_owned());
    let mut keys = Vec::new();
    for block in text.split("-----BEGIN ").skip(1) {
        let (label, rest) = block.split_once("-----").ok_or_else(wrong)?;
        if label.contains("PRIVATE KEY") {
            return Err(KeysError::Private(source.to_owned()));
        }
        let body = rest.split("-----END ").next().filter(|_| label == "PUBLIC KEY").ok_or_else(wrong)?;
        let der: String = body.split_whitespace().collect();
        let der = Base64::decode_vec(&der).map_err(|_| wrong())?;
        keys.push(PublicKey::new(&der).ok_or_else(wrong)?);
    }
    Ok(All::Public(keys))
}

impl PublicKey {
    /// From a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7). The kind of the key decides the algorithm.
    fn new(der: &[u8]) -> Option<PublicKey> {
        let algorithms: [(&'static str, &'static dyn VerificationAlgorithm); 3] = [
            ("ES256", &ECDSA_P256_SHA256_FIXED),
            ("EdDSA", &ED25519),
            ("RS256", &RSA_PKCS1_2048_8192_SHA256),
        ];
        let mut parsed = algorithms.into_iter().filter_map(|(algorithm, kind)| {
            Some(PublicKey { algorithm, key: ParsedPublicKey::new(kind, der).ok()? })
        });
        // A modulus of 2048 bits alone is longer than that: shorter ones verify nothing.
        parsed.next().filter(|key| key.algorithm != "RS256" || der.len() > 2048 / 8)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsDer as _;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
        RsaKeyPair,
    };

    use super::*;

    pub(crate) fn pem(label: &str, der: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", Base64::encode_string(der))
    }

    fn secret(byte: u8) -> String {
        Base64::encode_string(&[byte; 32])
    }

    fn refusal(text: &str) -> String {
        Keys::parse("k", text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn what_the_first_secret_seals_all_open_with_its_context() {
        let old = Keys::parse("k", secret(1).as_bytes()).unwrap();
        let new =
            Keys::parse("k", format!("# new first\n{}\n\n {} \n", secret(2), secret(1)).as_bytes()).unwrap();
        let sealed = old.seal([7; 12], b"user=5", b"session").unwrap();
        assert_eq!(new.open(&sealed, b"session"), Some(Some(b"user=5".to_vec())));
        assert_eq!(new.open(&sealed, b"other"), Some(None));
        assert_eq!(old.open(&new.seal([7; 12], b"x", b"session").unwrap(), b"session"), Some(None));
        for damaged in ["", "AAAA", "!", &sealed[1..], &sealed.replacen(&sealed[20..21], "-", 1)] {
            assert_eq!(new.open(damaged, b"session"), Some(None), "{damaged}");
        }
        assert_eq!(old.seal([7; 12], b"", b"").map(|it| old.open(&it, b"")), Some(Some(Some(Vec::new()))));
        let tag = old.sign(b"data").unwrap();
        assert_eq!((new.verify(b"data", &tag), new.verify(b"date", &tag)), (Some(true), Some(false)));
        assert_ne!(new.sign(b"data").unwrap(), tag, "the first makes them");
    }

    #[test]
    fn a_tag_is_what_openssl_makes_and_a_sealed_text_begins_with_its_nonce() {
        // printf data | openssl dgst -sha256 -mac HMAC -macopt hexkey:0101…
        let keys = Keys::parse("k", secret(1).as_bytes()).unwrap();
        let tag: String = keys.sign(b"data").unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(tag, "f9dfd03b361dcdb21e31b433104426b2faa94b8b610b251fa759683d49620be7");
        let sealed = Base64UrlUnpadded::decode_vec(&keys.seal([7; 12], b"abc", b"").unwrap()).unwrap();
        assert_eq!((&sealed[..12], sealed.len()), (&[7; 12][..], 12 + 3 + 16));
    }

    #[test]
    fn the_kind_of_a_public_key_decides_its_algorithm() {
        let random = SystemRandom::new();
        let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let ed = Ed25519KeyPair::generate().unwrap();
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let mut of_rsa = vec![0; rsa.public_modulus_len()];
        rsa.sign(&RSA_PKCS1_SHA256, &random, b"data", &mut of_rsa).unwrap();
        let der = [
            ec.public_key().as_der().unwrap().as_ref().to_vec(),
            ed.public_key().as_der().unwrap().as_ref().to_vec(),
            rsa.public_key().as_der().unwrap().as_ref().to_vec(),
        ];
        let file: String = der.iter().map(|der| pem("PUBLIC KEY", der)).collect();
        let keys = Keys::parse("k", file.as_bytes()).unwrap();
        let of_ec = ec.sign(&random, b"data").unwrap();
        let of_ed = ed.sign(b"data");
        let signatures = [("ES256", of_ec.as_ref()), ("EdDSA", of_ed.as_ref()), ("RS256", &of_rsa)];
        for (algorithm, signature) in signatures {
            assert!(keys.has_algorithm(algorithm));
            for (other, _) in signatures {
                assert_eq!(keys.signed(other, b"data", signature), other == algorithm, "{other} {algorithm}");
            }
            assert!(!keys.signed(algorithm, b"date", signature));
        }
        // A public key is no secret (RFC 8725 section 2.1).
        assert!(!keys.has_algorithm("HS256") && !keys.has_algorithm("none"));
        assert_eq!((keys.sign(b""), keys.verify(b"", b""), keys.open("", b"")), (None, None, None));
        assert_eq!(format!("{keys:?}"), "3 public keys");
    }

    #[test]
    fn what_is_no_key_is_refused_with_what_to_do() {
        assert_eq!(
            refusal("# none\n"),
            "k: there is no key in it; write secrets, one a line, or public keys in PEM"
        );
        let short = refusal(&format!("{}\n{}\n", secret(1), Base64::encode_string(&[1; 31])));
        assert!(short.starts_with("k:2: this is no secret") && short.contains("openssl rand"), "{short}");
        assert!(
            refusal(&pem("PRIVATE KEY", b"x")).contains("a private key in it; give Shunt the public one")
        );
        assert!(refusal(&pem("EC PRIVATE KEY", b"x")).contains("a private key"));
        assert!(refusal(&pem("CERTIFICATE", b"x")).contains("none of RSA with 2048 bits"));
        assert!(refusal(&pem("PUBLIC KEY", b"x")).contains("none of RSA with 2048 bits"));
        assert!(refusal(&format!("{}\n", secret(1)).repeat(9)).contains("more than 8 keys"));
    }
}
