//! Rendezvous hashing: every key has its own order of the members, and goes to the first one that can be used.
//!
//! When a member goes, only its keys move, each to the next in its own order; when it comes back, they return.
//! Nothing is remembered, so every process with the same members chooses the same one.

use super::Members;
use crate::hash;

/// The place of the member that a key goes to, by weight; none if none can be used.
///
/// `name` is what a member is known by. The hash is no secret: balancers must agree on it, and who chooses
/// keys can find such as go to one member.
pub(super) fn choose<N: AsRef<[u8]>>(
    key: &[u8],
    members: &impl Members,
    name: impl Fn(usize) -> N,
) -> Option<usize> {
    let key = hash::stable(key).to_be_bytes();
    let mut first: Option<(usize, u64, u64)> = None;
    for place in 0..members.count() {
        let candidate = members.candidate(place);
        if !candidate.may_be_chosen() {
            continue;
        }
        let bits = hash::stable_of(&[&key, name(place).as_ref()]);
        let (distance, weight) = (minus_log2(bits), u64::from(candidate.weight));
        // distance / weight is the least where it is exponentially distributed with the rate `weight`: so often
        // as its share of all weights says (Schindelhauer and Schomaker, SPAA 2005).
        let before = |(_, least, heavy): &(usize, u64, u64)| {
            u128::from(distance) * u128::from(*heavy) < u128::from(*least) * u128::from(weight)
        };
        if first.as_ref().is_none_or(before) {
            first = Some((place, distance, weight));
        }
    }
    first.map(|(place, ..)| place)
}

/// The same, where members are known by their own addresses: balancers of one configuration agree, and a change of it
/// moves few.
pub(super) fn choose_by_endpoint(key: &[u8], members: &impl Members) -> Option<usize> {
    choose(key, members, |place| name(members, place))
}

/// What a member is known by to every balancer with the same pool, as bytes.
pub(super) fn name(members: &impl Members, place: usize) -> [u8; 18] {
    let endpoint = members.endpoint(place);
    let mut name = [0; 18];
    name[..16].copy_from_slice(&endpoint.address.octets());
    name[16..].copy_from_slice(&endpoint.port.to_be_bytes());
    name
}

/// Bits behind the point of [`minus_log2`].
const FRACTION: u32 = 32;

/// −log2 of a number of 64 bits, taken as a fraction of 2^64; in whole numbers, so that it is the same on every
/// machine. The next bit behind the point is that of the square (Knuth, section 1.2.2, exercise 25).
fn minus_log2(bits: u64) -> u64 {
    let bits = bits | 1;
    let zeros = bits.leading_zeros();
    let mut mantissa = bits << zeros;
    let mut log: u64 = 0;
    for _ in 0..FRACTION {
        let square = u128::from(mantissa) * u128::from(mantissa);
        let carry = (square >> 127) as u64;
        mantissa = (square >> (63 + carry)) as u64;
        log = log << 1 | carry;
    }
    ((u64::from(zeros) + 1) << FRACTION) - log
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Pool, weighted};
    use super::*;

    fn chosen(key: u32, weights: &[u32]) -> Option<usize> {
        let members: Vec<_> = weights.iter().map(|weight| weighted(*weight)).collect();
        choose(&key.to_be_bytes(), &Pool(&members), |place| (place as u64).to_be_bytes())
    }

    #[test]
    fn the_logarithm_is_one() {
        for (bits, expected) in [(1 << 63, 1.0), (1 << 62, 2.0), (3 << 62, 0.415_037_499), (1 << 32, 32.0)] {
            let found = minus_log2(bits) as f64 / 2f64.powi(FRACTION as i32);
            assert!((found - expected).abs() < 1e-6, "{bits:x}: {found}");
        }
    }

    #[test]
    fn a_member_that_goes_moves_only_its_own_keys() {
        let all = [1; 5];
        for gone in 0..5 {
            let mut rest = all;
            rest[gone] = 0;
            for key in 0..2_000 {
                let (before, after) = (chosen(key, &all).unwrap(), chosen(key, &rest).unwrap());
                assert!(before == gone || after == before, "{key} moved from {before} to {after}");
                assert_ne!(after, gone);
            }
        }
        assert_eq!(chosen(1, &[0, 0]), None);
        assert_eq!(chosen(1, &[]), None);
    }

    /// Fixed: balancers of different versions stand on both sides of the same firewalls.
    #[test]
    fn everyone_chooses_alike() {
        let places: Vec<_> = (0..12).map(|key| chosen(key, &[1, 1, 1]).unwrap()).collect();
        assert_eq!(places, [0, 2, 2, 0, 2, 0, 0, 2, 2, 2, 0, 0]);
    }

    #[test]
    fn shares_follow_the_weights() {
        let weights = [1, 2, 5];
        let mut counts = [0; 3];
        for key in 0..16_000 {
            counts[chosen(key, &weights).unwrap()] += 1;
        }
        for (count, weight) in counts.into_iter().zip(weights) {
            let expected = 2_000 * i64::from(weight);
            assert!((i64::from(count) - expected).abs() < 200, "{counts:?}");
        }
    }
}
