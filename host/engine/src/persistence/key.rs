//! What a client is known by in the table.

use std::net::IpAddr;

use crate::hash;

/// How long a binding outlives its last use where nothing is configured, in milliseconds: an hour.
const DEFAULT_TIMEOUT: u64 = 3_600_000;

/// Keeps the keys of virtuals that share a pool apart: a hash of the virtual's name.
#[must_use]
pub fn key_prefix(virtual_: &str) -> [u8; 8] {
    hash::stable(virtual_.as_bytes()).to_be_bytes()
}

/// A key, and how long a binding of it outlives its last use.
pub struct Key {
    bytes: Bytes,
    /// In milliseconds.
    timeout: u64,
}

/// That of an address allocates nothing.
enum Bytes {
    Client([u8; 24]),
    Other(Vec<u8>),
}

impl Key {
    /// Of a client that is known by its address alone. `timeout` in milliseconds; `None`: an hour.
    #[must_use]
    pub fn of_client(prefix: [u8; 8], client: IpAddr, timeout: Option<u64>) -> Self {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&prefix);
        bytes[8..].copy_from_slice(&shunt_wire::Address::from(client).octets());
        Self { bytes: Bytes::Client(bytes), timeout: timeout.unwrap_or(DEFAULT_TIMEOUT) }
    }

    /// That a rule made.
    #[must_use]
    pub fn of_rule(prefix: [u8; 8], key: &[u8], timeout: Option<u64>) -> Self {
        Self { bytes: Bytes::Other([&prefix, key].concat()), timeout: timeout.unwrap_or(DEFAULT_TIMEOUT) }
    }

    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Client(bytes) => bytes,
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
    use super::*;

    #[test]
    fn virtuals_and_clients_have_keys_of_their_own() {
        let of = |virtual_, client: &str| Key::of_client(key_prefix(virtual_), client.parse().unwrap(), None);
        let all = [of("a", "192.0.2.1"), of("b", "192.0.2.1"), of("a", "192.0.2.2"), of("a", "2001:db8::1")];
        for (place, one) in all.iter().enumerate() {
            assert!(all[place + 1..].iter().all(|other| other.bytes() != one.bytes()));
        }
        assert_eq!(of("a", "::ffff:192.0.2.1").bytes(), of("a", "192.0.2.1").bytes());
        // A rule that gives the address as its key means the same client.
        let octets = shunt_wire::Address::from("192.0.2.1".parse::<IpAddr>().unwrap()).octets();
        assert_eq!(Key::of_rule(key_prefix("a"), &octets, Some(5)).bytes(), of("a", "192.0.2.1").bytes());
        assert_eq!(
            (of("a", "192.0.2.1").timeout(), Key::of_rule([0; 8], b"x", Some(5)).timeout()),
            (3_600_000, 5)
        );
    }
}
