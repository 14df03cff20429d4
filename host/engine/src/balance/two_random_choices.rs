//! Of two members that chance chooses, the one with fewer requests in flight. Chance keeps balancers that know nothing
//! of each other from all choosing the same one (Mitzenmacher, "The power of two choices", 2001).

use super::{Candidate, Ends, Kind, Members};

#[derive(Clone, Debug)]
pub(super) struct TwoRandomChoices {
    random: Random,
    /// As the last pick found them; kept for its memory.
    candidates: Vec<Candidate>,
}

impl Kind for TwoRandomChoices {
    fn new(ahead: usize) -> Self {
        Self { random: Random(ahead as u64), candidates: Vec::new() }
    }

    fn pick(&mut self, _: &Ends, members: &impl Members) -> Option<usize> {
        self.candidates.clear();
        self.candidates.extend((0..members.count()).map(|place| members.candidate(place)));
        let total =
            self.candidates.iter().filter(|it| it.may_be_chosen()).map(|it| u64::from(it.weight)).sum();
        let (first, one) = self.draw(total, None)?;
        let rest = total - u64::from(one.weight);
        let Some((second, other)) = self.draw(rest, Some(first)) else { return Some(first) };
        let cross = |active: u32, weight: u32| u64::from(active) * u64::from(weight);
        let is_less = cross(other.active, one.weight) < cross(one.active, other.weight);
        Some(if is_less { second } else { first })
    }
}

impl TwoRandomChoices {
    /// One of those that may be chosen but `not` this one, each as likely as its weight says; `total` is the sum of the
    /// weights.
    fn draw(&mut self, total: u64, not: Option<usize>) -> Option<(usize, Candidate)> {
        let mut at = self.random.below(total)?;
        let eligible = |(place, it): &(usize, &Candidate)| it.may_be_chosen() && Some(*place) != not;
        for (place, candidate) in self.candidates.iter().enumerate().filter(eligible) {
            let weight = u64::from(candidate.weight);
            if at < weight {
                return Some((place, *candidate));
            }
            at -= weight;
        }
        None
    }
}

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): the same numbers for the same worker in each process. Nothing is at
/// stake where somebody guesses them.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    /// None is below 0.
    fn below(&mut self, limit: u64) -> Option<u64> {
        if limit == 0 {
            return None;
        }
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let bits = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bits = bits ^ bits >> 31;
        Some(((u128::from(bits) * u128::from(limit)) >> 64) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Pool, weighted};
    use super::super::{Balance, Candidate, Selector};
    use super::Random;
    use proptest::prelude::*;

    /// The first numbers of the reference implementation for the seed 1234567.
    #[test]
    fn the_numbers_are_the_published_ones() {
        let mut random = Random(1_234_567);
        let whole = |random: &mut Random| random.below(u64::MAX).unwrap() >> 32;
        for number in [6_457_827_717_110_365_317_u64, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423] {
            assert_eq!(whole(&mut random), number >> 32);
        }
        assert_eq!(random.below(0), None);
    }

    #[test]
    fn the_most_loaded_of_all_is_never_taken() {
        let members =
            [(3, 1), (9, 1), (40, 8)].map(|(active, weight)| Candidate { active, ..weighted(weight) });
        let mut selector = Selector::new(Balance::TwoRandomChoices, 0);
        for _ in 0..1_000 {
            assert_ne!(Pool(&members).pick(&mut selector), Some(1));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        /// Connections that stay fill the members in proportion to their weights.
        #[test]
        fn shares_follow_the_weights(weights in proptest::collection::vec(0u32..9, 1..8), worker in 0usize..9) {
            let total: u32 = weights.iter().sum();
            prop_assume!(total > 0);
            let mut members: Vec<_> = weights.iter().map(|weight| weighted(*weight)).collect();
            let mut selector = Selector::new(Balance::TwoRandomChoices, worker);
            for _ in 0..200 * total {
                let place = Pool(&members).pick(&mut selector).unwrap();
                members[place].active += 1;
            }
            for (member, weight) in members.iter().zip(&weights) {
                let expected = 200 * weight;
                prop_assert!(member.active.abs_diff(expected) <= 10 + expected / 10, "{:?}", members);
            }
        }
    }
}
