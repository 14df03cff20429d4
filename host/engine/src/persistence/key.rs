//! What a client is known by in the table.

use crate::hash;

/// How long a binding outlives its last use where nothing is configured, in milliseconds: an hour.
const DEFAULT_TIMEOUT: u64 = 3_600_000;

/// Keeps the keys of virtuals that share a pool apart: a hash of the virtual's name.
#[must_use]
pub fn key_prefix(virtual_: &str) -> [u8; 8] {
    hash::stable(virtual_.as_bytes()).to_be_bytes()
}

/// The same for all virtuals of a group: a hash of the group's name, which no virtual has for its own.
#[must_use]
pub fn group_prefix(group: &str) -> [u8; 8] {
    hash::stable_of(&[b"group\0", group.as_bytes()]).to_be_bytes()
}

/// A key, and how long a binding of it outlives its last use.
pub struct Key {
    bytes: Bytes,
    /// In milliseconds.
    timeout: u64,
}

/// That of an address allocates nothing.
enum Bytes {
    Short([u8; 26], usize),
    Other(Vec<u8>),
}

impl Key {
    /// Of the octets of a client's address, and of its port where that counts.
    pub(super) fn of_source(
        prefix: [u8; 8],
        octets: [u8; 16],
        port: Option<u16>,
        timeout: Option<u64>,
    ) -> Self {
        let mut bytes = [0; 26];
        bytes[..8].copy_from_slice(&prefix);
        bytes[8..24].copy_from_slice(&octets);
        bytes[24..].copy_from_slice(&port.unwrap_or_default().to_be_bytes());
        let length = if port.is_some() { 26 } else { 24 };
        Self { bytes: Bytes::Short(bytes, length), timeout: timeout.unwrap_or(DEFAULT_TIMEOUT) }
    }

    /// Of a session of the application, by the [digest](super::PersistenceTable::digest) of what it is called.
    #[must_use]
    pub fn of_session(prefix: [u8; 8], digest: [u8; 16], timeout: Option<u64>) -> Self {
        let mut bytes = [0; 26];
        bytes[..8].copy_from_slice(&prefix);
        bytes[8..24].copy_from_slice(&digest);
        // No address has this length.
        Self { bytes: Bytes::Short(bytes, 25), timeout: timeout.unwrap_or(DEFAULT_TIMEOUT) }
    }

    /// That a rule made.
    #[must_use]
    pub fn of_rule(prefix: [u8; 8], key: &[u8], timeout: Option<u64>) -> Self {
        Self { bytes: Bytes::Other([&prefix, key].concat()), timeout: timeout.unwrap_or(DEFAULT_TIMEOUT) }
    }

    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Short(bytes, length) => &bytes[..*length],
            Bytes::Other(bytes) => bytes,
        }
    }

    /// In milliseconds.
    #[must_use]
    pub const fn timeout(&self) -> u64 {
        self.timeout
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::persistence::Source;

    fn key(prefix: [u8; 8], client: &str) -> Key {
        Source::ADDRESS.key(prefix, client.parse().unwrap(), None)
    }

    #[test]
    fn virtuals_and_clients_have_keys_of_their_own() {
        let of = |virtual_, client| key(key_prefix(virtual_), client);
        let all = [
            of("a", "192.0.2.1:1"),
            of("b", "192.0.2.1:1"),
            of("a", "192.0.2.2:1"),
            of("a", "[2001:db8::1]:1"),
            key(group_prefix("a"), "192.0.2.1:1"),
            key(group_prefix("b"), "192.0.2.1:1"),
        ];
        for (place, one) in all.iter().enumerate() {
            assert!(all[place + 1..].iter().all(|other| other.bytes() != one.bytes()));
        }
        // A rule that gives the address as its key means the same client.
        let octets = shunt_wire::Address::from("192.0.2.1".parse::<IpAddr>().unwrap()).octets();
        assert_eq!(Key::of_rule(key_prefix("a"), &octets, None).bytes(), of("a", "192.0.2.1:1").bytes());
        assert_eq!(
            (of("a", "192.0.2.1:1").timeout(), Key::of_rule([0; 8], b"x", Some(5)).timeout()),
            (3_600_000, 5)
        );
    }
}
