use proptest::prelude::*;

use super::*;

/// Longest way from a home to its number.
fn longest(directory: &Directory) -> usize {
    let buckets = directory.buckets.iter().enumerate();
    let full = buckets.filter(|(_, bucket)| **bucket != 0);
    full.map(|(at, bucket)| directory.distance(directory.home(tag(*bucket)), at)).max().unwrap_or(0)
}

#[test]
fn equal_hashes_are_told_apart_by_the_owner() {
    let mut directory = Directory::new(4);
    assert!(directory.insert(7, 1) && directory.insert(7, 2));
    assert_eq!(directory.find(7, |number| number == 2), Some(2));
    assert_eq!(directory.find(7, |_| false), None);
    assert_eq!(directory.find(15, |_| true), None, "the same bucket, another hash");
    assert!(directory.remove(7, 1) && !directory.remove(7, 1));
    assert_eq!(directory.find(7, |_| true), Some(2));
}

#[test]
fn a_full_one_takes_no_more() {
    let mut directory = Directory::new(3);
    assert!((0..3).all(|n| directory.insert(n, n as u32)));
    assert!(!directory.insert(9, 9));
    assert!(directory.remove(1, 1) && directory.insert(9, 9));
    assert!(!Directory::new(0).insert(0, 0));
    assert!(!Directory::new(1).insert(0, u32::MAX), "not a number that it can hold");
}

/// After many times its size have come and gone, it is as if only those that are there had come: the
/// buckets that are used, and the ways to them, are those of a new one.
#[test]
fn what_has_gone_leaves_nothing_behind() {
    const SIZE: usize = 10_000;
    let hash = |n: u32| u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    let mut directory = Directory::new(SIZE);
    for n in 0..100 * SIZE as u32 {
        if let Some(old) = n.checked_sub(SIZE as u32) {
            assert!(directory.remove(hash(old), old));
        }
        assert!(directory.insert(hash(n), n));
    }
    let mut fresh = Directory::new(SIZE);
    for n in 99 * SIZE as u32..100 * SIZE as u32 {
        fresh.insert(hash(n), n);
    }
    let used = |directory: &Directory| Vec::from_iter(directory.buckets.iter().map(|bucket| *bucket != 0));
    assert_eq!(used(&directory), used(&fresh));
    assert!(longest(&directory) < 40, "{}", longest(&directory));
}

proptest! {
    /// The model: a list of pairs. Few homes, so that runs are long and wrap around the end.
    #[test]
    fn equals_a_list(steps in proptest::collection::vec((any::<bool>(), 0u64..20, 0u32..4), 1..200)) {
        let mut directory = Directory::new(12);
        let mut list = Vec::new();
        for (insert, hash, number) in steps {
            let place = list.iter().position(|&pair| pair == (hash, number));
            if insert && place.is_none() {
                prop_assert_eq!(directory.insert(hash, number), list.len() < 12);
                if list.len() < 12 {
                    list.push((hash, number));
                }
            } else if !insert {
                prop_assert_eq!(directory.remove(hash, number), place.map(|at| list.swap_remove(at)).is_some());
            }
            for hash in 0..20 {
                for number in 0..4 {
                    let found = directory.find(hash, |other| other == number);
                    prop_assert_eq!(found.is_some(), list.contains(&(hash, number)));
                }
            }
        }
        for (hash, number) in list {
            prop_assert!(directory.remove(hash, number));
        }
        prop_assert!(directory.buckets.iter().all(|bucket| *bucket == 0));
    }
}
