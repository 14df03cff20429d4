//! The keys that are looked up most often: clients behind one address can be a large part of all.
//!
//! Space-saving (Metwally, Agrawal and El Abbadi, "Efficient computation of frequent and top-k elements in data streams",
//! 2005) over one look-up of sixteen: a key that is not among those kept takes the place and the count of the least of them,
//! and how much of its count is not its own is kept beside it. So every key with more than 1/64 of the look-ups is there, and
//! no share is overstated but by chance of the sample.

use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};

use crate::hash::Keyed;

/// One look-up of so many counts; a power of two.
const ONE_OF: u64 = 16;

/// Keys that are kept.
const KEPT: usize = 64;

/// When so many look-ups were counted, each counts half: what is shown is of the last 65,536 look-ups or fewer.
const MOST: u32 = 4_096;

/// Shares of fewer than so many counted are by chance: of 512, a share of a tenth varies by 1.3 percent (one standard
/// deviation).
const LEAST: u32 = 512;

/// A key, and its share of the look-ups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    pub key: Vec<u8>,
    /// In thousandths, rounded down.
    pub thousandths: u32,
}

#[derive(Default)]
pub(super) struct Largest(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    keys: Vec<Counted>,
    counted: u32,
}

struct Counted {
    hash: u64,
    key: Vec<u8>,
    count: u32,
    /// How much of it may be of keys that were here before.
    inherited: u32,
}

impl Largest {
    /// Counts the look-up of a key, if it is one of those that count; `number` of look-ups came before. It never waits.
    pub(super) fn observe(&self, key: &[u8], number: u64, hasher: &Keyed) {
        if is_sampled(number)
            && let Ok(mut kept) = self.0.try_lock()
        {
            kept.count(key, hasher.hash_one(key));
        }
    }

    /// The largest first, `most` at most; none while too few look-ups were counted.
    pub(super) fn shares(&self, most: usize) -> Vec<Share> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.counted < LEAST {
            return Vec::new();
        }
        let own = |it: &Counted| it.count - it.inherited;
        let mut keys: Vec<&Counted> = kept.keys.iter().filter(|it| own(it) > 0).collect();
        keys.sort_by_key(|it| std::cmp::Reverse(own(it)));
        keys.truncate(most);
        let share = |it: &Counted| Share { key: it.key.clone(), thousandths: own(it) * 1_000 / kept.counted };
        keys.into_iter().map(share).collect()
    }
}

/// Whether the member of a key with this share has more than twice what each other has, if these share the rest alike: `s`
/// beside `(1 - s) / members` is as much where `s` is `1 / (members + 1)`. Below a twentieth shares are not exact enough to say
/// so. Where it was so before, it is until the share is half of that.
#[must_use]
pub fn outweighs(thousandths: u32, members: usize, did: bool) -> bool {
    let from = (1_000 / u32::try_from(members + 1).unwrap_or(u32::MAX)).max(50);
    members > 1 && thousandths >= if did { from / 2 } else { from }
}

/// By the finaliser of `SplitMix64` (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): clients
/// that take turns are counted alike.
fn is_sampled(number: u64) -> bool {
    let mixed = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ mixed >> 31).is_multiple_of(ONE_OF)
}

impl Kept {
    fn count(&mut self, key: &[u8], hash: u64) {
        if self.counted >= MOST {
            self.halve();
        }
        self.counted += 1;
        if let Some(known) = self.keys.iter_mut().find(|it| it.hash == hash && it.key == key) {
            known.count += 1;
        } else if self.keys.len() < KEPT {
            self.keys.push(Counted { hash, key: key.to_vec(), count: 1, inherited: 0 });
        } else if let Some(least) = self.keys.iter_mut().min_by_key(|it| it.count) {
            (least.hash, least.inherited) = (hash, least.count);
            least.count += 1;
            // Its room serves again.
            least.key.clear();
            least.key.extend_from_slice(key);
        }
    }

    fn halve(&mut self) {
        self.counted /= 2;
        for it in &mut self.keys {
            it.count /= 2;
            it.inherited = (it.inherited / 2).min(it.count);
        }
        self.keys.retain(|it| it.count > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASHER: Keyed = Keyed::new([1, 2]);

    /// Shares by the last octet of keys.
    fn shares(largest: &Largest, most: usize) -> Vec<(u8, u32)> {
        largest.shares(most).into_iter().map(|it| (it.key[0], it.thousandths)).collect()
    }

    #[test]
    fn large_keys_are_found_among_many() {
        let largest = Largest::default();
        // Of ten look-ups three are of 1, one is of 2, and the others of clients that do not come again.
        for number in 0..200_000u64 {
            let key = match number % 10 {
                0..3 => vec![1],
                3 => vec![2],
                _ => number.to_be_bytes()[..].to_vec(),
            };
            largest.observe(&key, number, &HASHER);
        }
        let found = shares(&largest, 2);
        let is_near = |(_, share): (u8, u32), due: u32| share.abs_diff(due) <= 30;
        assert!(
            found[0].0 == 1 && is_near(found[0], 300) && found[1].0 == 2 && is_near(found[1], 100),
            "{found:?}"
        );
        let others = shares(&largest, 64).into_iter().skip(2).map(|it| it.1).max();
        assert!(others < Some(5), "{others:?}");
    }

    #[test]
    fn clients_that_take_turns_have_equal_shares() {
        for clients in [2, 16, 32] {
            let largest = Largest::default();
            (0..60_000u64).for_each(|number| largest.observe(&[(number % clients) as u8], number, &HASHER));
            let found = shares(&largest, 64);
            assert_eq!(found.len() as u64, clients);
            let due = 1_000 / clients as u32;
            assert!(found.iter().all(|it| it.1.abs_diff(due) <= 25), "{clients}: {found:?}");
        }
    }

    #[test]
    fn what_was_long_ago_counts_less_and_less() {
        let largest = Largest::default();
        let observe = |key: u8, numbers: std::ops::Range<u64>| {
            numbers.for_each(|number| largest.observe(&[key], number, &HASHER));
        };
        observe(1, 0..60_000);
        assert_eq!(shares(&largest, 2), [(1, 1_000)]);
        observe(2, 60_000..400_000);
        assert_eq!(shares(&largest, 1)[0].0, 2);
        assert!(shares(&largest, 1)[0].1 > 950, "{:?}", shares(&largest, 2));
    }

    #[test]
    fn a_key_outweighs_by_how_many_members_share_the_rest() {
        for (thousandths, members, did, expected) in [
            (1_000, 1, false, false),
            (333, 2, false, true),
            (332, 2, false, false),
            (170, 2, true, true),
            (165, 2, true, false),
            (91, 10, false, true),
            (49, 1_000, false, false),
            (50, 1_000, false, true),
        ] {
            assert_eq!(outweighs(thousandths, members, did), expected, "{thousandths} {members} {did}");
        }
    }

    #[test]
    fn a_few_look_ups_say_nothing() {
        let largest = Largest::default();
        (0..6_000).for_each(|number| largest.observe(b"k", number, &HASHER));
        assert_eq!(largest.shares(9), []);
    }
}
