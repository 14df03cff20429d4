//! Keys of tables: in memory, and as people read and write them.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// Bytes of a key, as the contract says.
pub(crate) const MAX_KEY: usize = 256;

/// Bytes of a key that lie in its entry.
const SHORT: usize = 22;

/// The bytes of a key. Most are short, and need no allocation.
#[derive(Clone)]
pub(super) enum Key {
    Short { len: u8, bytes: [u8; SHORT] },
    Long(Box<[u8]>),
}

impl Key {
    pub(super) fn new(key: &[u8]) -> Key {
        match u8::try_from(key.len()) {
            Ok(len) if key.len() <= SHORT => {
                let mut bytes = [0; SHORT];
                bytes[..key.len()].copy_from_slice(key);
                Key::Short { len, bytes }
            }
            _ => Key::Long(key.into()),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Key::Short { len, bytes } => &bytes[..usize::from(*len)],
            Key::Long(bytes) => bytes,
        }
    }

    /// Bytes beside the entry that a key takes.
    pub(super) fn heap(key: &[u8]) -> usize {
        if key.len() <= SHORT { 0 } else { super::allocated(key.len()) }
    }
}

/// How the keys of a table are shown and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyForm {
    /// UTF-8.
    #[default]
    Text,
    /// 4 or 16 bytes: an address.
    Address,
    /// 8 bytes, big-endian: a number.
    Number,
    /// Pairs of hexadecimal digits behind `0x`.
    Bytes,
}

impl KeyForm {
    /// The name in `pack.toml`.
    pub const fn name(self) -> &'static str {
        match self {
            KeyForm::Text => "text",
            KeyForm::Address => "address",
            KeyForm::Number => "number",
            KeyForm::Bytes => "bytes",
        }
    }

    /// A key as text. One that is not of this form is shown as bytes.
    pub fn show(self, key: &[u8]) -> String {
        match self {
            KeyForm::Text => shown(key),
            KeyForm::Address => {
                let v4 = <[u8; 4]>::try_from(key).map(|octets| IpAddr::from(Ipv4Addr::from(octets)));
                let v6 = || <[u8; 16]>::try_from(key).map(|octets| IpAddr::from(Ipv6Addr::from(octets)));
                v4.or_else(|_| v6()).map_or_else(|_| hexadecimal(key), |address| address.to_string())
            }
            KeyForm::Number => <[u8; 8]>::try_from(key)
                .map_or_else(|_| hexadecimal(key), |octets| u64::from_be_bytes(octets).to_string()),
            KeyForm::Bytes => hexadecimal(key),
        }
    }

    /// The bytes of a key that was written so.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(self, text: &str) -> Result<Vec<u8>, String> {
        let key = match (self, text.strip_prefix("0x").and_then(from_hexadecimal)) {
            (KeyForm::Text | KeyForm::Address | KeyForm::Bytes, Some(bytes)) => bytes,
            (KeyForm::Text, None) => text.as_bytes().to_vec(),
            (KeyForm::Address, None) => match text.parse() {
                Ok(IpAddr::V4(address)) => address.octets().to_vec(),
                Ok(IpAddr::V6(address)) => address.octets().to_vec(),
                Err(_) => {
                    return Err(format!("{text:?} is not an address; write one such as \"192.0.2.7\""));
                }
            },
            (KeyForm::Number, _) => match text.parse::<u64>() {
                Ok(number) => number.to_be_bytes().to_vec(),
                Err(_) => return Err(format!("{text:?} is not a number from 0 to 2^64 - 1")),
            },
            (KeyForm::Bytes, None) => {
                return Err(format!("{text:?}: write 0x and pairs of hexadecimal digits"));
            }
        };
        if key.len() > MAX_KEY {
            return Err(format!("a key of {} bytes; at most {MAX_KEY} are allowed", key.len()));
        }
        Ok(key)
    }
}

/// Bytes as text where they are text that can be read, else as `0x` and digits.
pub(super) fn shown(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) if !text.contains(char::is_control) && !text.starts_with("0x") => text.to_owned(),
        _ => hexadecimal(bytes),
    }
}

/// Bytes that were written as text, or as `0x` and digits.
pub(super) fn written(text: &str) -> Vec<u8> {
    text.strip_prefix("0x").and_then(from_hexadecimal).unwrap_or_else(|| text.as_bytes().to_vec())
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 + bytes.len() * 2);
    text.push_str("0x");
    for byte in bytes {
        // A string takes what it is given.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn from_hexadecimal(digits: &str) -> Option<Vec<u8>> {
    if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_bytes() {
        for len in [0, 1, SHORT, SHORT + 1, MAX_KEY] {
            let bytes = vec![7; len];
            assert_eq!(Key::new(&bytes).bytes(), bytes);
        }
        assert_eq!(size_of::<Key>(), 24);
    }

    #[test]
    fn what_is_shown_can_be_written() {
        for (form, key, text) in [
            (KeyForm::Text, &b"ann"[..], "ann"),
            (KeyForm::Text, b"a\nb", "0x610a62"),
            (KeyForm::Text, b"0x61", "0x30783631"),
            (KeyForm::Text, b"\xff", "0xff"),
            (KeyForm::Text, b"", ""),
            (KeyForm::Address, &[192, 0, 2, 7], "192.0.2.7"),
            (KeyForm::Address, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], "2001:db8::1"),
            (KeyForm::Address, b"ann", "0x616e6e"),
            (KeyForm::Number, &[0, 0, 0, 0, 0, 0, 1, 0], "256"),
            (KeyForm::Bytes, b"ann", "0x616e6e"),
        ] {
            assert_eq!(form.show(key), text);
            assert_eq!(form.parse(text).unwrap(), key, "{text}");
        }
        assert!(KeyForm::Address.parse("ann").unwrap_err().contains("is not an address"));
        assert!(KeyForm::Number.parse("-1").unwrap_err().contains("is not a number"));
        assert!(KeyForm::Bytes.parse("ann").unwrap_err().contains("hexadecimal"));
        assert!(KeyForm::Text.parse(&"k".repeat(257)).unwrap_err().contains("at most 256"));
    }
}
