//! The cookie value that names a member.

use std::fmt;
use std::net::SocketAddr;

use shunt_wire::Address;

use crate::hash;

/// Sixteen hex digits that stand for a member of a pool in a cookie, computed by [`TagKeys`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberTag([u8; 16]);

/// What tags are computed with.
///
/// A tag is SipHash-2-4 of the pool's name, a zero octet, the 16 octets of the (v4-mapped) address and the port,
/// big-endian. It needs no table, so it survives a restart and is the same on every balancer with the same pool and key.
/// Who does not have the key can neither tell the member of a tag nor make the tag of a member.
#[derive(Clone, PartialEq, Eq)]
pub struct TagKeys {
    /// The first makes tags, all are known; at least one.
    keys: Vec<[u64; 2]>,
}

impl TagKeys {
    /// The key that everyone knows: that of [`hash::stable`]. A tag by it hides the address from a casual look only:
    /// someone who knows the pool's name can try all addresses.
    #[must_use]
    pub fn public() -> Self {
        Self { keys: vec![hash::STABLE_KEY] }
    }

    /// `None` where there is no key.
    #[must_use]
    pub fn secret(keys: &[[u8; 16]]) -> Option<Self> {
        let half = |bytes: &[u8]| bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        let keys: Vec<_> = keys.iter().map(|key| [half(&key[..8]), half(&key[8..])]).collect();
        (!keys.is_empty()).then_some(Self { keys })
    }

    /// The tag of a member.
    #[must_use]
    pub fn tag(&self, pool: &str, member: SocketAddr) -> MemberTag {
        MemberTag::by(self.keys[0], pool, member)
    }

    /// By each of the keys.
    pub fn tags(&self, pool: &str, member: SocketAddr) -> impl Iterator<Item = MemberTag> {
        self.keys.iter().map(move |key| MemberTag::by(*key, pool, member))
    }
}

impl fmt::Debug for TagKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TagKeys({})", self.keys.len())
    }
}

impl MemberTag {
    fn by(key: [u64; 2], pool: &str, member: SocketAddr) -> Self {
        let address = Address::from(member.ip()).octets();
        let port = member.port().to_be_bytes();
        let hash = hash::authenticate(key, &[pool.as_bytes(), &[0], &address, &port]);
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
        TagKeys::public().tag(pool, member.parse().unwrap())
    }

    /// Fixed for ever: browsers keep them.
    #[test]
    fn tags_never_change() {
        assert_eq!(tag("web", "10.0.0.1:80").as_str(), "e9687054789e2259");
        assert_eq!(tag("web", "[2001:db8::1]:80").as_str(), "5acc10fc2ad4de54");
    }

    #[test]
    fn each_key_has_tags_of_its_own() {
        let member = "10.0.0.1:80".parse().unwrap();
        let keys = TagKeys::secret(&[[1; 16], [2; 16]]).unwrap();
        let known: Vec<_> = keys.tags("web", member).collect();
        assert_eq!(known[0], keys.tag("web", member));
        assert_eq!(known[0], TagKeys::secret(&[[1; 16]]).unwrap().tag("web", member));
        assert_ne!(known[0], known[1]);
        assert!(!known.contains(&tag("web", "10.0.0.1:80")));
        assert_eq!(TagKeys::secret(&[]), None);
        assert_eq!(format!("{keys:?}"), "TagKeys(2)", "no key is shown");
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
