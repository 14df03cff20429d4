use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const DAY: u64 = 24 * 60 * 60 * 1000;

fn take_all(wheel: &mut Wheel, now: u64) -> Vec<u32> {
    std::iter::from_fn(|| wheel.take_due(now)).collect()
}

#[test]
fn a_token_is_due_in_its_millisecond_and_once() {
    for delay in [0, 1, 63, 64, 65, 4_095, 4_096, 300_000, 3 * DAY] {
        let mut wheel = Wheel::new(1_000);
        wheel.schedule(7, 1_000 + delay);
        if delay > 0 {
            assert_eq!(wheel.take_due(1_000 + delay - 1), None, "{delay} ms");
        }
        assert_eq!(take_all(&mut wheel, 1_000 + delay), [7], "{delay} ms");
        assert_eq!(take_all(&mut wheel, u64::MAX), [], "{delay} ms");
        assert!(wheel.is_empty());
    }
}

#[test]
fn scheduling_again_moves() {
    let mut wheel = Wheel::new(0);
    wheel.schedule(3, 100);
    wheel.schedule(3, 5_000);
    assert_eq!((wheel.len(), wheel.deadline(3)), (1, Some(5_000)));
    assert_eq!(wheel.take_due(4_999), None);
    wheel.schedule(3, 4_000); // in the past: at once
    assert_eq!(wheel.take_due(4_999), Some(3));
    assert_eq!((wheel.take_due(9_999), wheel.deadline(3)), (None, None));
}

#[test]
fn an_earlier_deadline_stays() {
    let mut wheel = Wheel::new(0);
    wheel.schedule_by(1, 50);
    wheel.schedule_by(1, 70);
    assert_eq!(wheel.deadline(1), Some(50));
    wheel.schedule_by(1, 20);
    assert_eq!(wheel.deadline(1), Some(20));
}

#[test]
fn a_clock_that_jumps_by_days_leaves_nothing_behind() {
    let mut wheel = Wheel::new(0);
    for token in 0..10_000 {
        wheel.schedule(token, u64::from(token) * 977);
    }
    wheel.schedule(10_000, 40 * DAY);
    let due = take_all(&mut wheel, 30 * DAY);
    assert_eq!(due, Vec::from_iter(0..10_000), "in the order of the deadlines");
    assert_eq!(take_all(&mut wheel, 40 * DAY), [10_000]);
}

#[test]
fn a_clock_that_goes_back_makes_nothing_due() {
    let mut wheel = Wheel::new(1_000);
    wheel.schedule(1, 2_000);
    assert_eq!(wheel.take_due(500), None);
    wheel.schedule(2, 700); // the wheel knows of a later time
    assert_eq!(take_all(&mut wheel, 500), [2]);
    assert_eq!(take_all(&mut wheel, 2_000), [1]);
}

/// What is due can be taken in rounds: the rest waits, and may be moved or cancelled meanwhile.
#[test]
fn a_round_may_end_early() {
    let mut wheel = Wheel::new(0);
    for token in 0..5 {
        wheel.schedule(token, 10);
    }
    let first = wheel.take_due(10).unwrap();
    let rest: Vec<_> = (0..5).filter(|&token| token != first).collect();
    assert!(wheel.cancel(rest[0]));
    wheel.schedule(rest[1], 20);
    assert_eq!(BTreeSet::from_iter(take_all(&mut wheel, 10)), BTreeSet::from_iter(rest[2..].iter().copied()));
    assert_eq!(take_all(&mut wheel, 20), [rest[1]]);
}

#[test]
fn the_far_end_of_time_is_a_deadline() {
    let mut wheel = Wheel::new(u64::MAX - 2);
    wheel.schedule(0, u64::MAX);
    wheel.schedule(1, u64::MAX - 1);
    assert_eq!(take_all(&mut wheel, u64::MAX - 1), [1]);
    assert_eq!(take_all(&mut wheel, u64::MAX), [0]);
}

#[test]
fn what_is_no_token_is_ignored() {
    let mut wheel = Wheel::new(0);
    for token in [NONE, UNARMED] {
        wheel.schedule(token, 5);
        assert!(!wheel.cancel(token));
    }
    assert_eq!((wheel.len(), wheel.take_due(9)), (0, None));
}

#[derive(Clone, Debug)]
enum Step {
    Schedule(u32, u64),
    ScheduleBy(u32, u64),
    Cancel(u32),
    /// Advances by this much, and takes at most so many.
    Advance(u64, usize),
}

/// Delays of every size: a random number shifted by a random amount.
fn delay() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0u32..64).prop_map(|(number, shift)| number >> shift)
}

fn step() -> impl Strategy<Value = Step> {
    let token = 0u32..24;
    prop_oneof![
        4 => (token.clone(), delay()).prop_map(|(token, delay)| Step::Schedule(token, delay)),
        1 => (token.clone(), delay()).prop_map(|(token, delay)| Step::ScheduleBy(token, delay)),
        1 => token.prop_map(Step::Cancel),
        3 => (delay(), 0usize..30).prop_map(|(delay, most)| Step::Advance(delay, most)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// The model: a map from token to deadline; what is due is what a scan finds.
    #[test]
    fn equals_a_map(start in delay(), steps in proptest::collection::vec(step(), 1..120)) {
        let mut now = start;
        let mut wheel = Wheel::new(now);
        let mut model = BTreeMap::<u32, u64>::new();
        // Those that were due when they were scheduled come in any order.
        let mut at_once = BTreeSet::new();
        for step in steps {
            match step {
                Step::Schedule(token, delay) => {
                    wheel.schedule(token, now.saturating_add(delay));
                    model.insert(token, now.saturating_add(delay));
                    if delay == 0 { at_once.insert(token); } else { at_once.remove(&token); }
                }
                Step::ScheduleBy(token, delay) => {
                    let deadline = now.saturating_add(delay);
                    wheel.schedule_by(token, deadline);
                    if delay == 0 && model.get(&token).is_none_or(|&armed| deadline < armed) {
                        at_once.insert(token);
                    }
                    model.entry(token).and_modify(|armed| *armed = deadline.min(*armed)).or_insert(deadline);
                }
                Step::Cancel(token) => prop_assert_eq!(wheel.cancel(token), model.remove(&token).is_some()),
                Step::Advance(by, most) => {
                    now = now.saturating_add(by);
                    let due = model.values().filter(|&&deadline| deadline <= now).count();
                    let mut last = 0;
                    for _ in 0..most.min(due) {
                        let token = wheel.take_due(now).expect("some are due");
                        let deadline = model.remove(&token).expect("it was scheduled");
                        prop_assert!(deadline <= now, "none early");
                        if !at_once.remove(&token) {
                            prop_assert!(deadline >= last, "in order");
                            last = deadline;
                        }
                    }
                    prop_assert!(most < due || wheel.take_due(now).is_none());
                }
            }
            prop_assert_eq!(wheel.len(), model.len());
            for token in 0..24 {
                prop_assert_eq!(wheel.deadline(token), model.get(&token).copied());
            }
        }
    }
}
