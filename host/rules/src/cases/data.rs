//! What a case says of the bytes of a relayed connection, and what came of them.

use serde::Deserialize;

use crate::{Direction, Rest};

/// Bytes that come, one way.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct DataCase {
    pub to_server: Option<Payload>,
    pub to_client: Option<Payload>,
    #[serde(default)]
    pub then: Then,
    /// `limits.data` of the virtual.
    #[serde(default = "most")]
    pub most: usize,
}

/// Its default.
fn most() -> usize {
    64 << 10
}

/// Text, or octets as pairs of hexadecimal digits.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Payload {
    Text(String),
    Hex { hex: String },
}

/// What comes behind a piece.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Then {
    /// More, perhaps.
    #[default]
    Open,
    /// The end of what the side sends.
    Ended,
    /// Nothing, for too long.
    Late,
}

impl Then {
    pub(crate) fn rest(self) -> Rest {
        match self {
            Then::Open => Rest::Open,
            Then::Ended => Rest::Ended,
            Then::Late => Rest::Late,
        }
    }
}

impl DataCase {
    /// Which way, and what.
    ///
    /// # Errors
    /// The case says neither, or both, or the digits are none.
    pub(crate) fn piece(&self) -> Result<(Direction, Vec<u8>), String> {
        let (direction, payload) = match (&self.to_server, &self.to_client) {
            (Some(payload), None) => (Direction::ToServer, payload),
            (None, Some(payload)) => (Direction::ToClient, payload),
            _ => return Err("data: write to-server or to-client in each piece".to_owned()),
        };
        Ok((direction, payload.bytes().map_err(|error| format!("data: {}: {error}", direction.name()))?))
    }
}

impl Payload {
    /// # Errors
    /// The digits are no octets.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, String> {
        let hex = match self {
            Payload::Text(text) => return Ok(text.clone().into_bytes()),
            Payload::Hex { hex } => hex,
        };
        let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let (pairs, []) = digits.as_chunks::<2>() else {
            return Err(format!("{hex:?} has a digit too many; write two for each octet"));
        };
        let octet = |pair: &[u8; 2]| {
            let text = str::from_utf8(pair).ok().filter(|_| pair.iter().all(u8::is_ascii_hexdigit));
            text.and_then(|text| u8::from_str_radix(text, 16).ok())
        };
        let octets: Option<Vec<u8>> = pairs.iter().map(octet).collect();
        octets.ok_or_else(|| format!("{hex:?} is not hexadecimal; write digits such as \"03 00 00 13\""))
    }
}

/// What became of one direction.
#[derive(Default)]
pub(crate) struct Shown {
    /// Received, and not passed on.
    pub held: Vec<u8>,
    pub offset: u64,
    /// How many have to be held before the rule is called; 0: it was not called yet.
    pub awaited: usize,
    /// The rule sees no more of it.
    pub released: bool,
    pub sent: Vec<u8>,
}

impl Shown {
    /// Whether the rule is called with what is held. What it does not see is sent.
    ///
    /// `empty`: an end is shown as well where nothing came before it.
    pub(crate) fn wants(&mut self, rest: Rest, empty: bool) -> bool {
        if self.released {
            self.sent.append(&mut self.held);
            return false;
        }
        if rest == Rest::Open {
            self.held.len() >= self.awaited.max(1)
        } else {
            !self.held.is_empty() || empty && self.awaited == 0
        }
    }
}

/// As text where it is printable, else as a case writes octets.
pub(crate) fn shown(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) if text.chars().all(|it| !it.is_control() || it.is_ascii_whitespace()) => {
            format!("{text:?}")
        }
        _ => format!(
            "hex = \"{}\"",
            bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Result<Vec<u8>, String> {
        Payload::Hex { hex: text.to_owned() }.bytes()
    }

    #[test]
    fn octets_are_written_as_digits() {
        assert_eq!(hex("03 00\n0a fF"), Ok(vec![3, 0, 10, 255]));
        assert_eq!(hex(""), Ok(vec![]));
        assert!(hex("030").unwrap_err().contains("a digit too many"));
        assert!(hex("+1").unwrap_err().contains("not hexadecimal"));
        assert_eq!(shown(b"EHLO a\r\n"), "\"EHLO a\\r\\n\"");
        assert_eq!(shown(&[3, 0, 0xff]), "hex = \"03 00 ff\"");
    }

    #[test]
    fn a_rule_is_called_when_what_it_awaits_has_come() {
        let mut shown = Shown { awaited: 4, held: vec![1, 2], ..Shown::default() };
        assert!(!shown.wants(Rest::Open, true));
        assert!(shown.wants(Rest::Late, true));
        shown.held.extend([3, 4]);
        assert!(shown.wants(Rest::Open, true));
        let mut silent = Shown::default();
        assert!(silent.wants(Rest::Late, true) && !silent.wants(Rest::Late, false));
        shown.released = true;
        assert!(!shown.wants(Rest::Ended, true));
        assert_eq!((shown.held.len(), shown.sent.len()), (0, 4));
    }
}
