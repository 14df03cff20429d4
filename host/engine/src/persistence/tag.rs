//! The cookie value that names a member.

use std::fmt;
use std::net::SocketAddr;

use shunt_wire::Address;

use crate::hash;

/// Sixteen hex digits that stand for a member of a pool in a cookie.
///
/// The tag is [`hash::stable`] of the pool's name, a zero octet, the 16 octets of the (v4-mapped)
/// address and the port, big-endian. It needs no table and no secret, so it survives a restart and
/// is the same on every balancer with the same pool. It does not show the address, but it hides it
/// only from a casual look: someone who knows the pool's name can try all addresses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberTag([u8; 16]);

impl MemberTag {
    #[must_use]
    pub fn of(pool: &str, member: SocketAddr) -> Self {
        let mut bytes = Vec::with_capacity(pool.len() + 19);
        bytes.extend_from_slice(pool.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(&Address::from(member.ip()).octets());
        bytes.extend_from_slice(&member.port().to_be_bytes());
        let hash = hash::stable(&bytes);
        Self(std::array::from_fn(|digit| b"0123456789abcdef"[(hash >> (60 - 4 * digit) & 0xf) as usize]))
    }

    /// Reads what a client sent; `None` if no tag looks like that.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digits: [u8; 16] = text.try_into().ok()?;
        digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')).then_some(Self(digits))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII digits are ever stored.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for MemberTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for MemberTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemberTag({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(pool: &str, member: &str) -> MemberTag {
        MemberTag::of(pool, member.parse().unwrap())
    }

    /// Fixed for ever: browsers keep them.
    #[test]
    fn tags_never_change() {
        assert_eq!(tag("web", "10.0.0.1:80").as_str(), "e9687054789e2259");
        assert_eq!(tag("web", "[2001:db8::1]:80").as_str(), "5acc10fc2ad4de54");
    }

    #[test]
    fn pool_address_and_port_all_count() {
        let all = [
            tag("web", "10.0.0.1:80"),
            tag("web", "10.0.0.1:81"),
            tag("web", "10.0.0.2:80"),
            tag("web2", "10.0.0.1:80"),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[at + 1..].contains(one));
        }
        assert_eq!(tag("web", "[::ffff:10.0.0.1]:80"), tag("web", "10.0.0.1:80"));
    }

    #[test]
    fn what_a_client_sends_is_read_with_care() {
        let tag = tag("web", "10.0.0.1:80");
        assert_eq!(MemberTag::parse(tag.as_str().as_bytes()), Some(tag));
        for text in
            ["", "0", "0123456789ABCDEF", "0123456789abcdeg", "0123456789abcdef0", "0123456789abcde\u{e9}"]
        {
            assert_eq!(MemberTag::parse(text.as_bytes()), None, "{text}");
        }
    }
}
