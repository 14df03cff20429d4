use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

const KEY: [u64; 2] = [1, 2];

fn table(capacity: usize) -> PersistenceTable<u32> {
    PersistenceTable::new(capacity, KEY)
}

/// The invariants that hold between calls.
fn check(table: &PersistenceTable<u32>) {
    assert_eq!(table.len(), table.entries.len());
    assert!(table.len() <= table.capacity());
    let ring = table.ring.lock().unwrap();
    for entry in &table.entries {
        let places = ring.iter().filter(|key| Arc::ptr_eq(key, entry.key())).count();
        assert_eq!(places, 1, "each key stands in the ring once");
    }
}

#[test]
fn a_client_stays_while_it_keeps_coming() {
    let table = table(10);
    assert_eq!(table.find(b"k", 0), None);
    assert_eq!(table.bind(b"k", 1, 100, 0, |_| true), Bound::Now(1));
    assert_eq!(table.find(b"k", 99), Some(1));
    assert_eq!(table.find(b"k", 198), Some(1), "the time runs from the last use");
    assert_eq!(table.bind(b"k", 2, 100, 297, |_| true), Bound::Before(1));
    assert_eq!(table.find(b"k", 397), None, "the time is up at its end");
    assert_eq!(table.bind(b"k", 2, 100, 397, |_| true), Bound::Now(2));
    assert_eq!(table.bind(b"k", 3, 100, 400, |&member| member != 2), Bound::Now(3), "2 may not be kept");
    assert_eq!(table.counts(), Counts { hits: 2, misses: 2, ..Counts::default() });
    check(&table);
}

#[test]
fn a_table_apart_finds_what_is_bound_and_binds_nothing() {
    let table = Arc::new(table(10));
    table.bind(b"k", 1, 100, 0, |_| true);
    let apart = table.apart();
    assert_eq!((apart.find(b"k", 60), apart.find(b"other", 60)), (Some(1), None));
    assert_eq!(apart.digest(b"k"), table.digest(b"k"));
    assert_eq!(apart.bind(b"k", 2, 100, 60, |_| false), Bound::Now(2));
    assert_eq!(apart.bind(b"other", 3, 100, 60, |_| true), Bound::Now(3));
    assert_eq!((apart.find(b"k", 70), apart.find(b"other", 70)), (Some(2), Some(3)));
    assert_eq!(table.counts(), Counts::default());
    assert_eq!((table.look(b"k", 99), table.look(b"k", 100)), (Some(1), None), "its time runs on");
    assert_eq!(table.look(b"other", 70), None);
}

#[test]
fn a_clock_that_lags_on_one_worker_shortens_nothing() {
    let table = table(10);
    table.bind(b"k", 1, 100, 1_000, |_| true);
    assert_eq!(table.find(b"k", 990), Some(1));
    assert_eq!(table.find(b"k", 1_099), Some(1));
}

#[test]
fn a_timeout_without_end_has_none() {
    let table = table(10);
    table.bind(b"k", 1, u64::MAX, 5, |_| true);
    assert_eq!(table.find(b"k", u64::MAX - 1), Some(1));
}

#[test]
fn a_full_table_gives_up_what_was_used_longest_ago() {
    let table = table(4);
    for (now, key) in [b"a", b"b", b"c", b"d"].into_iter().enumerate() {
        table.bind(key, 0, 1_000, now as u64, |_| true);
    }
    table.find(b"a", 10);
    assert_eq!(table.bind(b"e", 0, 1_000, 11, |_| true), Bound::Now(0));
    assert_eq!(table.find(b"b", 12), None);
    for key in [b"a", b"c", b"d", b"e"] {
        assert!(table.find(key, 12).is_some());
    }
    assert_eq!(table.counts().evicted, 1);
    check(&table);
}

#[test]
fn expired_entries_go_before_live_ones() {
    let table = table(2);
    table.bind(b"short", 0, 5, 0, |_| true);
    table.bind(b"long", 0, 1_000, 0, |_| true);
    table.bind(b"new", 0, 1_000, 10, |_| true);
    assert!(table.find(b"long", 10).is_some() && table.find(b"new", 10).is_some());
    let Counts { expired, evicted, .. } = table.counts();
    assert_eq!((expired, evicted), (1, 0));
    check(&table);
}

#[test]
fn a_key_that_is_too_long_is_not_bound() {
    let table = table(2);
    assert_eq!(table.bind(&[0; MAX_KEY + 1], 7, 1_000, 0, |_| true), Bound::Not(7));
    assert_eq!(table.bind(&[0; MAX_KEY], 7, 1_000, 0, |_| true), Bound::Now(7));
    assert_eq!((table.counts().refused, table.len()), (1, 1));
}

#[test]
fn members_that_left_are_forgotten() {
    let table = table(10);
    for key in 0..6u8 {
        table.bind(&[key], u32::from(key % 3), 1_000, 0, |_| true);
    }
    table.retain(|&member| member != 1);
    assert_eq!(table.len(), 4);
    check(&table);
}

/// The ring must not grow where keys are forgotten and bound again.
#[test]
fn the_ring_stays_as_small_as_the_table() {
    let table = table(1_000);
    for round in 0..20_000u64 {
        let key = (round % 100).to_be_bytes();
        table.forget(&key);
        table.bind(&key, 0, u64::MAX, round, |_| true);
    }
    let ring = table.ring.lock().unwrap().len();
    assert!(ring <= 400, "{ring} keys in the ring for 100 entries");
}

/// Clients that never come back do not fill the table: the sweep keeps up.
#[test]
fn the_sweep_is_faster_than_the_growth() {
    let table = table(1_000_000);
    for now in 0..50_000u64 {
        table.bind(&now.to_be_bytes(), 0, 100, now, |_| true);
    }
    assert!(table.len() <= 400, "{} entries, 100 of them live", table.len());
    check(&table);
}

#[test]
fn workers_agree_on_the_member_of_a_new_client() {
    // Room to spare: workers that insert the same key at the same time each hold a place for a moment,
    // and in a full table an older entry would give way for it.
    let table = Arc::new(table(128));
    let threads: Vec<_> = (0..4u32)
        .map(|worker| {
            let table = Arc::clone(&table);
            std::thread::Builder::new()
                .spawn(move || {
                    let bind =
                        |key: u32| table.bind(&key.to_be_bytes(), worker, 1_000, 0, |_| true).into_inner();
                    (0..64).map(bind).collect::<Vec<_>>()
                })
                .unwrap()
        })
        .collect();
    let choices: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(choices.windows(2).all(|pair| pair[0] == pair[1]));
    check(&table);
}

#[test]
fn workers_never_overfill_it() {
    let table = Arc::new(table(16));
    let threads: Vec<_> = (0..4u64)
        .map(|worker| {
            let table = Arc::clone(&table);
            std::thread::Builder::new()
                .spawn(move || {
                    for step in 0..5_000u64 {
                        let key = (step * 7 + worker * 3) % 97;
                        table.bind(&key.to_be_bytes(), 0, 1 + step % 50, step, |_| true);
                        table.find(&key.to_be_bytes(), step);
                        if step % 5 == 0 {
                            table.forget(&key.to_be_bytes());
                        }
                        assert!(table.len() <= table.capacity());
                    }
                })
                .unwrap()
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    check(&table);
}

#[derive(Clone, Debug)]
enum Step {
    Find(u8),
    Bind { key: u8, choice: u32, timeout: u64, keep: bool },
    Forget(u8),
    Retain { without: u32 },
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0u8..12).prop_map(Step::Find),
        4 => (0u8..12, 0u32..4, 1u64..60, any::<bool>())
            .prop_map(|(key, choice, timeout, keep)| Step::Bind { key, choice, timeout, keep }),
        1 => (0u8..12).prop_map(Step::Forget),
        1 => (0u32..4).prop_map(|without| Step::Retain { without }),
        3 => (0u64..40).prop_map(Step::Wait),
    ]
}

proptest! {
    /// With room for all keys the table is a map from keys to (member, last use, timeout).
    #[test]
    fn equals_a_simple_map(steps in proptest::collection::vec(step(), 1..200)) {
        let table = table(12);
        let mut model: HashMap<u8, (u32, u64, u64)> = HashMap::new();
        let mut now = 0;
        for step in steps {
            model.retain(|_, (_, used, timeout)| now < *used + *timeout);
            match step {
                Step::Wait(ms) => now += ms,
                Step::Find(key) => {
                    let expected = model.get_mut(&key).map(|(member, used, _)| {
                        *used = now;
                        *member
                    });
                    prop_assert_eq!(table.find(&[key], now), expected);
                }
                Step::Bind { key, choice, timeout, keep } => {
                    let expected = match model.get(&key) {
                        Some((member, ..)) if keep => Bound::Before(*member),
                        _ => Bound::Now(choice),
                    };
                    prop_assert_eq!(table.bind(&[key], choice, timeout, now, |_| keep), expected);
                    model.insert(key, (expected.into_inner(), now, timeout));
                }
                Step::Forget(key) => {
                    let was_there = table.forget(&[key]);
                    prop_assert!(was_there || !model.contains_key(&key));
                    model.remove(&key);
                }
                Step::Retain { without } => {
                    table.retain(|&member| member != without);
                    model.retain(|_, (member, ..)| *member != without);
                }
            }
            check(&table);
        }
    }

    /// Too small a table: what it says is still true, and it says something for the last key always.
    #[test]
    fn a_table_that_is_too_small_forgets_and_never_invents(keys in proptest::collection::vec(0u8..40, 1..200)) {
        let table = table(5);
        for (now, key) in keys.into_iter().enumerate() {
            table.bind(&[key], u32::from(key), 1_000, now as u64, |_| true);
            prop_assert_eq!(table.find(&[key], now as u64), Some(u32::from(key)));
            for other in 0..40 {
                let found = table.find(&[other], now as u64);
                prop_assert!(found.is_none_or(|member| member == u32::from(other)));
            }
            check(&table);
        }
    }
}

#[test]
fn what_is_bound_is_listed() {
    let table = PersistenceTable::new(8, [1, 2]);
    for (key, member, now) in [(b"a", 1, 0), (b"b", 2, 5), (b"c", 1, 9)] {
        table.bind(key, member, 10, now, |_| true);
    }
    let list = |now, most, member| {
        let (mut listed, more) = table.list(now, most, |_, of| member == 0 || *of == member);
        listed.sort_by_key(|it| it.idle);
        let shown = listed.iter().map(|it| (it.key[0], it.value, it.idle, it.expires_in)).collect::<Vec<_>>();
        (shown, more)
    };
    assert_eq!(list(9, 3, 0), (vec![(b'c', 1, 0, 10), (b'b', 2, 4, 6), (b'a', 1, 9, 1)], false));
    assert_eq!(list(9, 3, 2), (vec![(b'b', 2, 4, 6)], false));
    assert_eq!(list(10, 3, 1), (vec![(b'c', 1, 1, 9)], false), "the first has expired");
    let entry = |key: &[u8], now| table.entry(key, now).map(|it| (it.value, it.idle, it.expires_in));
    assert_eq!((entry(b"b", 9), entry(b"b", 15), entry(b"d", 9)), (Some((2, 4, 6)), None, None));
    let (some, more) = list(9, 2, 0);
    assert_eq!((some.len(), more), (2, true));
}
