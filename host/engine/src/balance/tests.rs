//! What holds for every balance.

use super::*;
use proptest::prelude::*;
use std::cell::Cell;

/// Members that are known by their places.
pub(super) struct Pool<'a>(pub(super) &'a [Candidate]);

impl Pool<'_> {
    pub(super) fn pick(&self, selector: &mut Selector) -> Option<usize> {
        self.ask(|ends, members| selector.pick(ends, members))
    }

    pub(super) fn ask<T>(&self, ask: impl FnOnce(&Ends, &Self) -> T) -> T {
        ask(&ends(1, 2), self)
    }
}

impl Members for Pool<'_> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn candidate(&self, place: usize) -> Candidate {
        self.0[place]
    }

    fn endpoint(&self, place: usize) -> Endpoint {
        address(place).into()
    }

    fn serves_bound(&self, place: usize) -> bool {
        self.0[place].usable
    }

    fn place(&self, member: SocketAddr) -> Option<usize> {
        (0..self.0.len()).find(|place| address(*place) == member)
    }
}

pub(super) fn address(place: usize) -> SocketAddr {
    ([10, 0, 0, place as u8], 80).into()
}

pub(super) fn ends(client: u8, destination: u8) -> Ends {
    let [client, destination] =
        [client, destination].map(|last| std::net::IpAddr::from([192, 0, 2, last]).into());
    Ends::new(client, destination)
}

pub(super) fn weighted(weight: u32) -> Candidate {
    Candidate { usable: true, weight, ..Candidate::default() }
}

/// Picks `count` times and gives the chosen members as letters.
pub(super) fn picks(selector: &mut Selector, members: &[Candidate], count: usize) -> String {
    let letter = |place: Option<usize>| place.map_or('-', |place| char::from(b'a' + place as u8));
    (0..count).map(|_| letter(Pool(members).pick(selector))).collect()
}

fn all() -> impl Iterator<Item = Balance> {
    Balance::ALL.iter().map(|(_, balance)| *balance)
}

/// Those that take turns.
const TURNS: [Balance; 5] = [
    Balance::RoundRobin,
    Balance::WeightedRoundRobin,
    Balance::LeastConnections,
    Balance::LeastResponseTime,
    Balance::Fastest,
];

#[test]
fn every_balance_has_a_name_of_its_own() {
    for (name, balance) in Balance::ALL {
        assert_eq!(balance.as_str(), *name);
        assert_eq!(
            Balance::ALL.iter().filter(|(other, it)| other == name || it == balance).count(),
            1,
            "{name}"
        );
        assert_eq!(Selector::new(*balance, 0).balance(), *balance);
    }
}

#[test]
fn workers_begin_at_different_members() {
    for balance in TURNS {
        for (ahead, expected) in ["abc", "bca", "cab", "abc"].into_iter().enumerate() {
            assert_eq!(
                picks(&mut Selector::new(balance, ahead), &[weighted(1); 3], 3),
                expected,
                "{balance:?}"
            );
        }
    }
}

#[test]
fn weight_zero_is_never_chosen() {
    for balance in all() {
        let mut selector = Selector::new(balance, 3);
        assert_eq!(picks(&mut selector, &[weighted(0), weighted(1)], 3), "bbb", "{balance:?}");
        assert_eq!(picks(&mut selector, &[weighted(0), weighted(0)], 1), "-", "{balance:?}");
        assert_eq!(picks(&mut selector, &[], 1), "-", "{balance:?}");
    }
}

/// The selector after a reload: members by their letters.
fn reloaded(selector: &Selector, balance: Balance, before: &str, after: &str) -> Selector {
    let after: Vec<char> = after.chars().collect();
    selector.next(balance, 0, after.len(), |place| before.chars().position(|it| it == after[place]))
}

#[test]
fn turns_go_on_over_reloads() {
    for balance in TURNS {
        // A member comes and goes at the end of the list, before each pick.
        let mut selector = Selector::new(balance, 0);
        let mut members = "abc";
        let mut taken = [0; 4];
        for _ in 0..30 {
            let after = if members == "abc" { "abcd" } else { "abc" };
            selector = reloaded(&selector, balance, members, after);
            members = after;
            let chosen = Pool(&vec![weighted(1); members.len()]).pick(&mut selector).unwrap();
            taken[chosen] += 1;
        }
        assert!(taken[..3].iter().all(|taken| (7..=11).contains(taken)), "{balance:?}: {taken:?}");
    }
}

/// A tool that writes the configuration may put the members in another order each time.
#[test]
fn turns_go_on_where_members_change_places() {
    for balance in TURNS {
        for other in ["acb", "bac", "bca", "cab", "cba"] {
            let mut selector = Selector::new(balance, 0);
            let mut members = "abc";
            let mut taken = String::new();
            for _ in 0..30 {
                let chosen = Pool(&[weighted(1); 3]).pick(&mut selector).unwrap();
                taken.push(members.chars().nth(chosen).unwrap());
                let after = if members == "abc" { other } else { "abc" };
                selector = reloaded(&selector, balance, members, after);
                members = after;
            }
            for member in ["a", "b", "c"] {
                assert_eq!(taken.matches(member).count(), 10, "{balance:?} {other}: {taken}");
            }
        }
    }
}

#[test]
fn the_next_member_is_next_wherever_it_is_then() {
    let three = [weighted(1); 3];
    for balance in TURNS {
        for (taken, before, after, next) in [
            ("", "abc", "abc", "abc"),
            ("a", "abc", "abc", "bca"),
            ("a", "abc", "bca", "bca"),
            ("ab", "abc", "cab", "cab"),
            // The next one is gone.
            ("a", "abc", "adc", "cad"),
        ] {
            let mut selector = Selector::new(balance, 0);
            picks(&mut selector, &three, taken.len());
            let mut selector = reloaded(&selector, balance, before, after);
            let letters: Vec<char> = after.chars().collect();
            let picked: String = (0..3).map(|_| letters[Pool(&three).pick(&mut selector).unwrap()]).collect();
            let first = next.chars().next();
            assert_eq!(picked.chars().next(), first, "{balance:?} {taken:?} {before} {after}: {picked}");
        }
    }
}

/// Weights that become equal or unequal change the balance of a pool that does not say which it has.
#[test]
fn turns_go_on_when_the_balance_changes() {
    for from in TURNS {
        for to in TURNS {
            let mut selector = Selector::new(from, 0);
            let mut taken = [0; 3];
            let mut balance = from;
            for _ in 0..30 {
                taken[Pool(&[weighted(1); 3]).pick(&mut selector).unwrap()] += 1;
                balance = if balance == from { to } else { from };
                selector = selector.next(balance, 0, 3, Some);
            }
            assert_eq!(taken, [10; 3], "{from:?} {to:?}");
        }
    }
}

proptest! {
    /// Whatever came and went, shares follow the weights within a few rounds.
    #[test]
    fn shares_are_right_after_any_reloads(
        reloads in proptest::collection::vec((proptest::collection::vec((0u8..12, 1u32..9), 1..8), 0usize..30, 0..TURNS.len()), 1..8),
    ) {
        let mut selector = Selector::new(TURNS[0], 0);
        let mut before: Vec<u8> = Vec::new();
        for (mut members, count, balance) in reloads {
            members.sort_by_key(|(letter, _)| *letter);
            members.dedup_by_key(|(letter, _)| *letter);
            let place = |place: usize| before.iter().position(|it| *it == members[place].0);
            selector = selector.next(TURNS[balance], 0, members.len(), place);
            before = members.iter().map(|(letter, _)| *letter).collect();
            let candidates: Vec<_> = members.iter().map(|(_, weight)| weighted(*weight)).collect();
            for _ in 0..count {
                Pool(&candidates).pick(&mut selector);
            }
            let mut after = selector.clone();
            let weights: Vec<u32> = match TURNS[balance] {
                Balance::RoundRobin => vec![1; members.len()],
                _ => members.iter().map(|(_, weight)| *weight).collect(),
            };
            let round: u32 = weights.iter().sum();
            let mut taken = vec![0; weights.len()];
            for _ in 0..10 * round {
                taken[Pool(&candidates).pick(&mut after).unwrap()] += 1;
            }
            for (taken, weight) in taken.iter().zip(&weights) {
                prop_assert!((10 * weight).abs_diff(*taken) <= 2 * round, "{:?} of {:?}", taken, weights);
            }
        }
    }

    /// A member is asked about once per pick, so that one choice sees one state.
    #[test]
    fn each_candidate_is_asked_once(members in 1usize..20, tried in 0usize..20) {
        struct Asked(Vec<Cell<u32>>, usize);
        impl Members for Asked {
            fn count(&self) -> usize {
                self.0.len()
            }
            fn candidate(&self, place: usize) -> Candidate {
                self.0[place].set(self.0[place].get() + 1);
                Candidate { usable: place != self.1, ..weighted(1) }
            }
            fn endpoint(&self, place: usize) -> Endpoint {
                address(place).into()
            }
            fn serves_bound(&self, _: usize) -> bool {
                false
            }
            fn place(&self, _: SocketAddr) -> Option<usize> {
                None
            }
        }
        for balance in all() {
            let asked = Asked(vec![Cell::new(0); members], tried);
            Selector::new(balance, 0).pick(&ends(1, 2), &asked);
            prop_assert!(asked.0.iter().all(|count| count.get() <= 1), "{:?}", balance);
        }
    }
}
