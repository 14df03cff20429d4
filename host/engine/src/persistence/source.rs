//! How much of a client's address it is known by.

use std::net::SocketAddr;

use shunt_wire::Address;

use super::Key;

/// The bits before the prefix of an IPv4 address in its v4-mapped form (RFC 4291 section 2.5.5.2).
const MAPPED: u8 = 96;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Bits of an IPv4 address that count; at most 32.
    pub ipv4: u8,
    /// Bits of an IPv6 address that count; at most 128.
    pub ipv6: u8,
    /// The port counts, too.
    pub port: bool,
}

impl Source {
    /// The whole address, whatever the port.
    pub const ADDRESS: Self = Self { ipv4: 32, ipv6: 128, port: false };

    /// The key of a client. `timeout` in milliseconds; `None`: an hour.
    #[must_use]
    pub fn key(self, prefix: [u8; 8], client: SocketAddr, timeout: Option<u64>) -> Key {
        let address = Address::from(client.ip());
        let bits = match address.to_ipv4() {
            Some(_) => MAPPED + self.ipv4.min(32),
            None => self.ipv6.min(128),
        };
        let kept = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
        let octets = (u128::from_be_bytes(address.octets()) & kept).to_be_bytes();
        Key::of_source(prefix, octets, self.port.then_some(client.port()), timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::persistence::key_prefix;

    #[test]
    fn prefixes_and_ports_count_as_configured() {
        let same = |source: Source, one: &str, other: &str| {
            let key = |client: &str| source.key(key_prefix("v"), client.parse().unwrap(), None);
            key(one).bytes() == key(other).bytes()
        };
        let source = |ipv4, ipv6| Source { ipv4, ipv6, port: false };
        for (source, one, other, expected) in [
            (Source::ADDRESS, "192.0.2.1:1", "192.0.2.1:2", true),
            (Source::ADDRESS, "192.0.2.1:1", "192.0.2.0:1", false),
            (Source::ADDRESS, "[2001:db8::1]:1", "[2001:db8::2]:1", false),
            (Source::ADDRESS, "[::ffff:192.0.2.1]:1", "192.0.2.1:1", true),
            (source(24, 64), "192.0.2.1:1", "192.0.2.255:2", true),
            (source(24, 64), "192.0.2.1:1", "192.0.3.1:1", false),
            (source(24, 64), "[::ffff:192.0.2.1]:1", "192.0.2.9:1", true),
            (source(24, 64), "[2001:db8::1]:1", "[2001:db8::ffff:0:0:1]:1", true),
            (source(24, 64), "[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false),
            (source(1, 1), "10.0.0.1:1", "127.0.0.1:1", true),
            (source(1, 1), "10.0.0.1:1", "128.0.0.1:1", false),
            (source(1, 1), "10.0.0.1:1", "[::1]:1", false),
            (Source { port: true, ..Source::ADDRESS }, "192.0.2.1:1", "192.0.2.1:1", true),
            (Source { port: true, ..Source::ADDRESS }, "192.0.2.1:1", "192.0.2.1:2", false),
        ] {
            assert_eq!(same(source, one, other), expected, "{source:?} {one} {other}");
        }
    }
}
