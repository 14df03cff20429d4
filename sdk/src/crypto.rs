//! Hashes, message authentication, encryption and JSON Web Tokens, by keys that the rule never
//! sees.
//!
//! `pack.toml` declares the names of keys, and `[capabilities]` asks for `crypto`:
//!
//! ```toml
//! [keys]
//! session = "seals the cookie of the session"
//! ```
//!
//! The operator binds each to a file: of secrets, 32 to 128 bytes in base64, one a line, of
//! which the first is used and all are accepted; or of public keys in PEM, for tokens. Naming a
//! key that the pack does not declare is a fault, and so is asking public keys for what needs a
//! secret, and more than 1,048,576 bytes.
//!
//! ```
//! # use shunt_sdk::prelude::*;
//! # fn show(request: &Request) -> Option<()> {
//! let cookie = crypto::seal("session", b"user=5", "session");
//! let user = crypto::open("session", &request.cookie("session")?, "session")?;
//! # Some(())
//! # }
//! ```

use crate::bindings::crypto as wire;

pub use wire::{Claims, TokenError};

/// SHA-256.
pub fn sha256(data: impl AsRef<[u8]>) -> Vec<u8> {
    wire::digest(wire::Hash::Sha256, data.as_ref())
}

/// SHA-512.
pub fn sha512(data: impl AsRef<[u8]>) -> Vec<u8> {
    wire::digest(wire::Hash::Sha512, data.as_ref())
}

/// HMAC with SHA-256 under the first secret of a key.
pub fn sign(key: &str, data: impl AsRef<[u8]>) -> Vec<u8> {
    wire::sign(key, data.as_ref())
}

/// Whether one of the secrets makes that tag, in constant time.
pub fn verify(key: &str, data: impl AsRef<[u8]>, tag: impl AsRef<[u8]>) -> bool {
    wire::verify(key, data.as_ref(), tag.as_ref())
}

/// Whether two secrets are the same, in a time that says nothing of where they differ.
pub fn equal(left: impl AsRef<[u8]>, right: impl AsRef<[u8]>) -> bool {
    wire::equal(left.as_ref(), right.as_ref())
}

/// Encrypts and authenticates with the first secret. The text is base64url and fits a cookie. It
/// opens with the same context alone: with the name of the cookie, say.
pub fn seal(key: &str, plain: impl AsRef<[u8]>, context: &str) -> String {
    wire::seal(key, plain.as_ref(), context)
}

/// What one of the secrets sealed with that context, if it did.
pub fn open(key: &str, sealed: &str, context: &str) -> Option<Vec<u8>> {
    wire::open(key, sealed, context)
}

/// Verifies a JSON Web Token (RFC 7519): its signature by the algorithm of the keys and no other
/// (HS256 by secrets, RS256, ES256 and EdDSA by public keys), and `exp` and `nbf`, give or take
/// so many seconds. Check `issuer` and `audience` of what it gives.
pub fn verify_token(key: &str, token: &str, leeway_s: u32) -> Result<Claims, TokenError> {
    wire::verify_token(key, token, leeway_s)
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Bytes as base64url without padding (RFC 4648 section 5).
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    let bytes = bytes.as_ref();
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let octet = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = octet(0) << 16 | octet(1) << 8 | octet(2);
        for place in 0..=chunk.len() {
            text.push(char::from(LETTERS[(bits >> (18 - 6 * place) & 63) as usize]));
        }
    }
    text
}

/// The bytes of such a text; `None`: it is none.
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for chunk in text.as_bytes().chunks(4) {
        let mut bits = 0;
        for letter in chunk {
            let value = LETTERS.iter().position(|it| it == letter)?;
            bits = bits << 6 | value as u32;
        }
        let unused = 4 - chunk.len();
        bits <<= 6 * unused;
        let [_, octets @ ..] = bits.to_be_bytes();
        let len = match chunk.len() {
            4 => 3,
            // What is left over is zero.
            len @ 2..=3 if bits & (0xff_ffff >> (8 * (len - 1))) == 0 => len - 1,
            _ => return None,
        };
        bytes.extend(&octets[..len]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_is_that_of_rfc_4648() {
        for (text, encoded) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("fooba", "Zm9vYmE"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64url(text), encoded);
            assert_eq!(from_base64url(encoded).as_deref(), Some(text.as_bytes()));
        }
        assert_eq!(base64url([0xff, 0xfe]), "__4");
        for wrong in ["Z", "Zg==", "Zh", "Zm9", "+/8", "Zm9vZ"] {
            assert_eq!(from_base64url(wrong), None, "{wrong}");
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(from_base64url(&base64url(&all)), Some(all));
    }
}
