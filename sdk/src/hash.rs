//! Keys, and a hash of them that stays the same.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A value that can be hashed with [`stable_hash`] or be a persistence key.
///
/// The bytes of a value never change between versions of the SDK: text as UTF-8,
/// addresses as 4 or 16 bytes in network order, integers as 8 bytes, big-endian.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a key",
    label = "must be text, bytes, an address or an unsigned integer"
)]
pub trait Key {
    /// Calls `show` with the bytes of the value.
    fn with_bytes<R>(&self, show: impl FnOnce(&[u8]) -> R) -> R;
}

/// A hash that is the same on every machine and in every version of the SDK, so that
/// `stable_hash(client) % 100` puts a client in the same share on every load balancer and
/// after every update.
///
/// It is XXH64 with seed 0 over the bytes of the [`Key`]; `xxhsum -H1` prints the same. It
/// is not cryptographic: whoever knows the rule can find values with a wanted hash.
pub fn stable_hash(value: impl Key) -> u64 {
    value.with_bytes(xxh64)
}

impl<T: Key + ?Sized> Key for &T {
    fn with_bytes<R>(&self, show: impl FnOnce(&[u8]) -> R) -> R {
        (**self).with_bytes(show)
    }
}

/// Implements [`Key`] by an expression that gives the bytes.
macro_rules! key {
    ($($type:ty: $value:ident => $bytes:expr;)*) => {$(
        impl Key for $type {
            fn with_bytes<R>(&self, show: impl FnOnce(&[u8]) -> R) -> R {
                let $value = self;
                show($bytes)
            }
        }
    )*};
}

key! {
    str: text => text.as_bytes();
    String: text => text.as_bytes();
    [u8]: bytes => bytes;
    Vec<u8>: bytes => bytes;
    Ipv4Addr: address => &address.octets();
    Ipv6Addr: address => &address.octets();
    u8: number => &u64::from(*number).to_be_bytes();
    u16: number => &u64::from(*number).to_be_bytes();
    u32: number => &u64::from(*number).to_be_bytes();
    u64: number => &number.to_be_bytes();
}

impl<const N: usize> Key for [u8; N] {
    fn with_bytes<R>(&self, show: impl FnOnce(&[u8]) -> R) -> R {
        show(self)
    }
}

impl Key for IpAddr {
    fn with_bytes<R>(&self, show: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            IpAddr::V4(address) => address.with_bytes(show),
            IpAddr::V6(address) => address.with_bytes(show),
        }
    }
}

// XXH64 as its specification gives it
// (https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md), seed 0.
const PRIME_1: u64 = 0x9E37_79B1_85EB_CA87;
const PRIME_2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const PRIME_3: u64 = 0x1656_67B1_9E37_79F9;
const PRIME_4: u64 = 0x85EB_CA77_C2B2_AE63;
const PRIME_5: u64 = 0x27D4_EB2F_1656_67C5;

fn xxh64(bytes: &[u8]) -> u64 {
    let (stripes, rest) = bytes.as_chunks::<32>();
    let mut hash = if stripes.is_empty() { PRIME_5 } else { converge(stripes) };
    hash = hash.wrapping_add(bytes.len() as u64);

    let (words, rest) = rest.as_chunks::<8>();
    for word in words {
        hash = (hash ^ round(0, u64::from_le_bytes(*word)))
            .rotate_left(27)
            .wrapping_mul(PRIME_1)
            .wrapping_add(PRIME_4);
    }
    let (halves, rest) = rest.as_chunks::<4>();
    for half in halves {
        hash ^= u64::from(u32::from_le_bytes(*half)).wrapping_mul(PRIME_1);
        hash = hash.rotate_left(23).wrapping_mul(PRIME_2).wrapping_add(PRIME_3);
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte).wrapping_mul(PRIME_5)).rotate_left(11).wrapping_mul(PRIME_1);
    }

    hash = (hash ^ hash >> 33).wrapping_mul(PRIME_2);
    hash = (hash ^ hash >> 29).wrapping_mul(PRIME_3);
    hash ^ hash >> 32
}

/// Four lanes of eight bytes each over the stripes, folded into one.
fn converge(stripes: &[[u8; 32]]) -> u64 {
    let mut lanes = [PRIME_1.wrapping_add(PRIME_2), PRIME_2, 0, PRIME_1.wrapping_neg()];
    for stripe in stripes {
        let (words, _) = stripe.as_chunks::<8>();
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane = round(*lane, u64::from_le_bytes(*word));
        }
    }
    let [a, b, c, d] = lanes;
    let folded = a
        .rotate_left(1)
        .wrapping_add(b.rotate_left(7))
        .wrapping_add(c.rotate_left(12))
        .wrapping_add(d.rotate_left(18));
    lanes
        .into_iter()
        .fold(folded, |hash, lane| (hash ^ round(0, lane)).wrapping_mul(PRIME_1).wrapping_add(PRIME_4))
}

fn round(lane: u64, word: u64) -> u64 {
    lane.wrapping_add(word.wrapping_mul(PRIME_2)).rotate_left(31).wrapping_mul(PRIME_1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sanity buffer of the reference implementation's self-test.
    fn sanity_buffer(len: usize) -> Vec<u8> {
        let mut state: u64 = 2_654_435_761;
        (0..len)
            .map(|_| {
                let byte = (state >> 56) as u8;
                state = state.wrapping_mul(11_400_714_785_074_694_797);
                byte
            })
            .collect()
    }

    #[test]
    fn agrees_with_the_reference_vectors() {
        for (len, hash) in [
            (0, 0xEF46_DB37_51D8_E999),
            (1, 0xE934_A84A_DB05_2768),
            (4, 0x9136_A0DC_A574_57EE),
            (14, 0x8282_DCC4_994E_35C8),
            (222, 0xB641_AE8C_B691_C174),
        ] {
            assert_eq!(stable_hash(sanity_buffer(len)), hash, "of {len} bytes");
        }
        assert_eq!(stable_hash("a"), 0xD24E_C4F1_A98C_6E5B);
        assert_eq!(stable_hash("abc"), 0x44BC_2CF5_AD77_0999);
    }

    #[test]
    fn keys_have_the_bytes_that_are_promised() {
        let v4: IpAddr = "192.0.2.7".parse().unwrap();
        assert_eq!(stable_hash(v4), stable_hash([192, 0, 2, 7]));
        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        assert_eq!(stable_hash(v6), stable_hash([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]));
        assert_eq!(stable_hash(258u16), stable_hash([0, 0, 0, 0, 0, 0, 1, 2]));
        assert_eq!(stable_hash(String::from("a")), stable_hash(b"a".as_slice()));
    }

    /// A split by percent is only as even as the hash: neighbours must scatter.
    #[test]
    fn neighbouring_addresses_scatter() {
        let mut shares = [0u32; 10];
        for low in 0..10_000u32 {
            shares[(stable_hash(Ipv4Addr::from_bits(0x0A00_0000 + low)) % 10) as usize] += 1;
        }
        assert!(shares.iter().all(|share| (880..1120).contains(share)), "{shares:?}");
    }
}
