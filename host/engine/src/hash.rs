//! Hashes: one that is the same everywhere and for ever, and a keyed one that clients cannot predict.

use std::hash::{BuildHasher, Hasher};

use siphasher::sip::{SipHasher13, SipHasher24};

/// The key of [`stable`]. Not a secret: it sets Shunt's hashes apart from plain SipHash ones.
pub(crate) const STABLE_KEY: [u64; 2] = [u64::from_be_bytes(*b"shunt sh"), u64::from_be_bytes(*b"unt hash")];

/// The same number for the same bytes on every machine, in every version of Shunt.
///
/// SipHash-2-4 of `bytes` under the fixed key whose halves are the ASCII texts `shunt sh` and
/// `unt hash` read as big-endian numbers. What is computed with it may be stored and sent: cookie
/// values are. It is no defence against someone who chooses the bytes to collide; [`Keyed`] is.
#[must_use]
pub fn stable(bytes: &[u8]) -> u64 {
    stable_of(&[bytes])
}

/// [`stable`] of all the bytes in their order, without putting them together first.
#[must_use]
pub fn stable_of(parts: &[&[u8]]) -> u64 {
    authenticate(STABLE_KEY, parts)
}

/// What only those who have the key can compute: SipHash-2-4 of all the bytes in their order.
#[must_use]
pub fn authenticate(key: [u64; 2], parts: &[&[u8]]) -> u64 {
    let mut hasher = SipHasher24::new_with_keys(key[0], key[1]);
    parts.iter().for_each(|part| hasher.write(part));
    hasher.finish()
}

/// Hashes for tables whose keys untrusted clients choose: SipHash-1-3 under a key from a random source.
#[derive(Clone, Copy)]
pub struct Keyed([u64; 2]);

impl Keyed {
    /// `key` is drawn by the caller, once per process.
    #[must_use]
    pub const fn new(key: [u64; 2]) -> Self {
        Self(key)
    }
}

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0[0], self.0[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fixed for ever: cookies in browsers hold such numbers.
    #[test]
    fn stable_never_changes() {
        let vectors: [(&[u8], u64); 4] = [
            (b"", 0x7758_7a77_76fe_3dae),
            (b"a", 0x491a_4f15_5ba9_7200),
            (b"shunt", 0x3f6b_82ef_9f87_2828),
            (&[0xff; 64], 0xd267_e095_4e4b_03a5),
        ];
        for (bytes, expected) in vectors {
            assert_eq!(stable(bytes), expected, "{bytes:?}");
        }
    }

    /// The first vectors of the reference implementation of SipHash-2-4: key 00 01 … 0f, input
    /// empty, 00, 00 01.
    #[test]
    fn siphash_is_the_published_one() {
        let key = (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        let vectors = [0x726f_db47_dd0e_0e31, 0x74f8_39c5_93dc_67fd, 0x0d6c_8009_d9a9_4f5a];
        for (len, expected) in vectors.into_iter().enumerate() {
            let mut hasher = SipHasher24::new_with_keys(key.0, key.1);
            hasher.write(&[0, 1][..len]);
            assert_eq!(hasher.finish(), expected);
        }
    }

    #[test]
    fn keys_set_tables_apart() {
        assert_ne!(Keyed::new([1, 2]).hash_one("x"), Keyed::new([1, 3]).hash_one("x"));
    }
}
