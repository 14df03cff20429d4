use super::*;
use proptest::prelude::*;
use std::cell::Cell;

fn weighted(weight: u32) -> Candidate {
    Candidate { usable: true, weight, active: 0 }
}

fn loaded(active: u32, weight: u32) -> Candidate {
    Candidate { usable: true, weight, active }
}

/// Picks `count` times and gives the chosen members as letters.
fn picks(selector: &mut Selector, candidates: &[Candidate], count: usize) -> String {
    (0..count)
        .map(|_| match selector.pick(candidates.len(), |index| candidates[index]) {
            Some(index) => char::from(b'a' + index as u8),
            None => '-',
        })
        .collect()
}

#[test]
fn round_robin_passes_over_what_is_not_usable() {
    let mut selector = Selector::new(Balance::RoundRobin, 0);
    let mut members = [weighted(1); 3];
    assert_eq!(picks(&mut selector, &members, 4), "abca");
    members[1].usable = false;
    assert_eq!(picks(&mut selector, &members, 4), "caca");
    members = [Candidate::default(); 3];
    assert_eq!(picks(&mut selector, &members, 2), "--");
    members = [weighted(1); 3];
    assert_eq!(picks(&mut selector, &members, 3), "bca", "a failed pick takes no turn");
}

/// The order of the commit message with which nginx introduced the algorithm.
#[test]
fn weighted_turns_are_smooth() {
    let members = [weighted(5), weighted(1), weighted(1)];
    let mut selector = Selector::new(Balance::WeightedRoundRobin, 0);
    assert_eq!(picks(&mut selector, &members, 14), "aabacaaaabacaa");
}

#[test]
fn a_worker_is_ahead_by_its_number() {
    let members = [weighted(5), weighted(1), weighted(1)];
    for (ahead, expected) in ["aabacaa", "abacaaa", "bacaaaa"].into_iter().enumerate() {
        let mut selector = Selector::new(Balance::WeightedRoundRobin, ahead);
        assert_eq!(picks(&mut selector, &members, 7), expected);
    }
    let equal = [weighted(1); 3];
    for balance in [Balance::RoundRobin, Balance::WeightedRoundRobin, Balance::LeastConnections] {
        for (ahead, expected) in ["abc", "bca", "cab", "abc"].into_iter().enumerate() {
            assert_eq!(picks(&mut Selector::new(balance, ahead), &equal, 3), expected, "{balance:?}");
        }
    }
}

#[test]
fn turns_begin_anew_when_weights_or_members_change() {
    let mut selector = Selector::new(Balance::WeightedRoundRobin, 0);
    let heavy = [weighted(256), weighted(1)];
    assert_eq!(picks(&mut selector, &heavy, 3), "aaa");
    // No member has debts from the time when the weights were large.
    assert_eq!(picks(&mut selector, &[weighted(1), weighted(1)], 4), "abab");
    assert_eq!(picks(&mut selector, &[weighted(1), weighted(1), weighted(1)], 4), "abca");
}

#[test]
fn a_member_that_comes_back_is_not_flooded() {
    let mut selector = Selector::new(Balance::WeightedRoundRobin, 0);
    let mut members = [weighted(1), weighted(1)];
    members[1].usable = false;
    assert_eq!(picks(&mut selector, &members, 50), "a".repeat(50));
    members[1].usable = true;
    assert_eq!(picks(&mut selector, &members, 6), "ababab");
}

#[test]
fn weight_zero_takes_no_turn() {
    for balance in [Balance::RoundRobin, Balance::WeightedRoundRobin, Balance::LeastConnections] {
        let mut selector = Selector::new(balance, 3);
        assert_eq!(picks(&mut selector, &[weighted(0), weighted(1)], 3), "bbb", "{balance:?}");
        assert_eq!(picks(&mut selector, &[weighted(0), weighted(0)], 1), "-", "{balance:?}");
        assert_eq!(selector.pick(0, |_| weighted(1)), None, "{balance:?}");
    }
}

#[test]
fn least_connections_weighs() {
    let mut selector = Selector::new(Balance::LeastConnections, 0);
    assert_eq!(picks(&mut selector, &[loaded(3, 1), loaded(2, 1), loaded(4, 1)], 3), "bbb");
    // 6 of 4 is less than 2 of 1.
    assert_eq!(picks(&mut selector, &[loaded(2, 1), loaded(6, 4)], 2), "bb");
    // At rest the shares follow the weights as well.
    assert_eq!(picks(&mut selector, &[loaded(0, 2), loaded(0, 1)], 6), "abaaba");
}

proptest! {
    /// Any window as long as the sum of the weights holds each member as often as its weight.
    #[test]
    fn weighted_turns_are_fair(
        weights in proptest::collection::vec(0u32..9, 1..8),
        ahead in 0usize..40,
        start in 0usize..60,
    ) {
        let total: u32 = weights.iter().sum();
        prop_assume!(total > 0);
        let mut selector = Selector::new(Balance::WeightedRoundRobin, ahead);
        let mut pick = || selector.pick(weights.len(), |index| weighted(weights[index])).unwrap();
        for _ in 0..start {
            pick();
        }
        let mut taken = vec![0; weights.len()];
        for _ in 0..total {
            taken[pick()] += 1;
        }
        prop_assert_eq!(taken, weights);
    }

    #[test]
    fn round_robin_is_fair_among_the_usable(usable in proptest::collection::vec(any::<bool>(), 1..20), rounds in 1usize..5) {
        let count = usable.iter().filter(|&&usable| usable).count();
        let mut selector = Selector::new(Balance::RoundRobin, 7);
        let mut taken = vec![0; usable.len()];
        for _ in 0..count * rounds {
            let chosen = selector.pick(usable.len(), |index| Candidate { usable: usable[index], weight: 1, active: 0 });
            taken[chosen.unwrap()] += 1;
        }
        let expected: Vec<usize> = usable.iter().map(|&usable| if usable { rounds } else { 0 }).collect();
        prop_assert_eq!(taken, expected);
    }

    /// Whatever happened before, the choice is usable and no usable member has a smaller load.
    #[test]
    fn least_connections_never_takes_a_worse_one(
        steps in proptest::collection::vec(
            proptest::collection::vec((any::<bool>(), 0u32..6, prop_oneof![0u32..20, Just(u32::MAX)]), 0..8),
            1..12,
        ),
    ) {
        let mut selector = Selector::new(Balance::LeastConnections, 1);
        for step in steps {
            let members: Vec<Candidate> =
                step.into_iter().map(|(usable, weight, active)| Candidate { usable, weight, active }).collect();
            let load = |member: &Candidate| f64::from(member.active) / f64::from(member.weight);
            let usable = |member: &&Candidate| member.usable && member.weight > 0;
            match selector.pick(members.len(), |index| members[index]) {
                Some(chosen) => {
                    let chosen = &members[chosen];
                    prop_assert!(usable(&chosen));
                    prop_assert!(members.iter().filter(usable).all(|other| load(chosen) <= load(other)));
                }
                None => prop_assert!(!members.iter().any(|member| usable(&member))),
            }
        }
    }

    /// Debts stay within one round whatever comes and goes, so no member starves or is flooded.
    #[test]
    fn debts_are_bounded(steps in proptest::collection::vec(any::<u8>(), 1..300)) {
        let weights = [7u32, 3, 1, 1, 5];
        let round: i64 = weights.iter().map(|&weight| i64::from(weight)).sum();
        let mut selector = Selector::new(Balance::WeightedRoundRobin, 0);
        for usable in steps {
            selector.pick(weights.len(), |index| Candidate {
                usable: usable & 1 << index != 0,
                weight: weights[index],
                active: 0,
            });
            prop_assert_eq!(selector.seats.iter().map(|seat| seat.owed).sum::<i64>(), 0);
            prop_assert!(selector.seats.iter().all(|seat| seat.owed.abs() <= round));
        }
    }

    /// A member is asked about once per pick, so that one choice sees one state.
    #[test]
    fn each_candidate_is_asked_once(members in 1usize..20, tried in 0usize..20) {
        for balance in [Balance::RoundRobin, Balance::WeightedRoundRobin, Balance::LeastConnections] {
            let mut selector = Selector::new(balance, 0);
            let asked: Vec<Cell<u32>> = vec![Cell::new(0); members];
            selector.pick(members, |index| {
                asked[index].set(asked[index].get() + 1);
                Candidate { usable: index != tried, weight: 1, active: 0 }
            });
            prop_assert!(asked.iter().all(|count| count.get() <= 1));
        }
    }
}
