//! Turns by weight, spread out: nginx's smooth weighted round robin.

use std::cmp::Ordering;

use super::{Candidate, Ends, Kind, Members};

#[derive(Clone, Debug)]
pub(super) struct WeightedRoundRobin(Turns);

impl Kind for WeightedRoundRobin {
    fn new(ahead: usize) -> Self {
        Self(Turns::new(ahead))
    }

    fn pick(&mut self, _: &Ends, members: &impl Members) -> Option<usize> {
        self.0.look(members);
        self.0.take()
    }

    fn owed(&self) -> Vec<i64> {
        self.0.owed()
    }

    fn resume(&mut self, owed: &[i64], arrives: &[bool]) {
        self.0.resume(owed, arrives);
    }
}

/// Weighted turns among any of the members.
#[derive(Clone, Debug)]
pub(super) struct Turns {
    ahead: usize,
    /// By place; empty before the first turn.
    members: Vec<Member>,
    /// They are as a reload found them, and not looked at since.
    resumed: bool,
}

/// What is remembered of a member between turns.
#[derive(Clone, Copy, Debug, Default)]
struct Member {
    candidate: Candidate,
    /// nginx's `current_weight`: how much the member is owed.
    owed: i64,
    /// What it was found to be loaded with when the least loaded was looked for.
    load: u64,
    /// It could not be chosen when it was last looked at.
    came: bool,
}

impl Turns {
    pub(super) const fn new(ahead: usize) -> Self {
        Self { ahead, members: Vec::new(), resumed: false }
    }

    /// Takes in what the candidates are now. Whether one came: it can be chosen, and could not.
    pub(super) fn look(&mut self, members: &impl Members) -> bool {
        let mut came = false;
        let begins = self.members.is_empty();
        let mut changed = self.members.len() != members.count() || std::mem::take(&mut self.resumed);
        self.members.resize(members.count(), Member::default());
        for (place, member) in self.members.iter_mut().enumerate() {
            let now = members.candidate(place);
            changed |= now.weight != member.candidate.weight;
            member.came = now.may_be_chosen() && !member.candidate.may_be_chosen();
            came |= member.came;
            member.candidate = now;
        }
        if begins {
            // The order repeats after the sum of the weights, so more than that is never needed.
            let round = usize::try_from(self.round()).unwrap_or(usize::MAX);
            for _ in 0..self.ahead.checked_rem(round).unwrap_or(0) {
                self.step(|member| member.candidate.weight > 0);
            }
        } else if changed {
            self.settle();
        }
        came && !begins
    }

    /// The candidates that [`look`](Self::look) saw.
    pub(super) fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.members.iter().map(|member| &member.candidate)
    }

    /// Whether the last [`look`](Self::look) found that this one came.
    pub(super) fn came(&self, place: usize) -> bool {
        self.members.get(place).is_some_and(|member| member.came)
    }

    /// Whose turn it is among those that may be chosen.
    pub(super) fn take(&mut self) -> Option<usize> {
        self.step(|member| member.candidate.may_be_chosen())
    }

    /// Whose turn it is among the least loaded in proportion to their weights.
    pub(super) fn take_least(&mut self, load: impl Fn(usize, &Candidate) -> u64) -> Option<usize> {
        let mut least: Option<Member> = None;
        for (place, member) in self.members.iter_mut().enumerate() {
            if member.candidate.may_be_chosen() {
                member.load = load(place, &member.candidate);
                if least.is_none_or(|least| member.by_load(&least).is_lt()) {
                    least = Some(*member);
                }
            }
        }
        let least = least?;
        self.step(|member| member.candidate.may_be_chosen() && member.by_load(&least).is_eq())
    }

    /// One step among the members that are `eligible`: each is owed its weight more, who is owed most is taken and
    /// pays the sum of the weights. Over a round of that many turns each is taken as often as its weight says.
    fn step(&mut self, eligible: impl Fn(&Member) -> bool) -> Option<usize> {
        let mut total = 0;
        let mut most: Option<(usize, i64)> = None;
        for (place, member) in self.members.iter_mut().enumerate().filter(|(_, it)| eligible(it)) {
            let weight = i64::from(member.candidate.weight);
            member.owed += weight;
            total += weight;
            if most.is_none_or(|(_, owed)| member.owed > owed) {
                most = Some((place, member.owed));
            }
        }
        let (place, _) = most?;
        self.members.get_mut(place)?.owed -= total;
        Some(place)
    }

    pub(super) fn owed(&self) -> Vec<i64> {
        self.members.iter().map(|member| member.owed).collect()
    }

    pub(super) fn resume(&mut self, owed: &[i64], arrives: &[bool]) {
        let member = |(owed, arrives): (&i64, &bool)| {
            // One that does not arrive could be chosen; its weight, which it may have lost, the first look settles.
            let candidate = Candidate { usable: !arrives, weight: 1, ..Candidate::default() };
            Member { owed: *owed, candidate, ..Member::default() }
        };
        self.members = owed.iter().zip(arrives).map(member).collect();
        self.resumed = true;
    }

    /// The sum of the weights.
    fn round(&self) -> i64 {
        self.members.iter().map(|member| i64::from(member.candidate.weight)).sum()
    }

    /// Members or weights are others: who was owed most still is, but nobody is owed more than a round of today,
    /// for that could keep the others from their turns for long.
    fn settle(&mut self) {
        let round = self.round();
        let count = i64::try_from(self.members.len()).unwrap_or(i64::MAX);
        let sum: i64 = self.members.iter().map(|member| member.owed).sum();
        // To take the same from all changes no turn.
        let average = sum.checked_div_euclid(count).unwrap_or(0);
        for member in &mut self.members {
            member.owed = (member.owed - average).clamp(-round, round);
        }
    }
}

impl Member {
    /// Compares `load / weight` without dividing.
    fn by_load(&self, other: &Self) -> Ordering {
        let cross = |load: u64, weight: u32| u128::from(load) * u128::from(weight);
        cross(self.load, other.candidate.weight).cmp(&cross(other.load, self.candidate.weight))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Pool, picks, weighted};
    use super::super::{Balance, Selector};
    use super::*;
    use proptest::prelude::*;

    /// The order of the commit message with which nginx introduced the algorithm.
    #[test]
    fn turns_are_smooth() {
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
    }

    #[test]
    fn debts_of_larger_weights_are_forgiven() {
        let mut selector = Selector::new(Balance::WeightedRoundRobin, 0);
        let heavy = [weighted(256), weighted(1)];
        assert_eq!(picks(&mut selector, &heavy, 200), "a".repeat(128) + "b" + &"a".repeat(71));
        assert_eq!(picks(&mut selector, &[weighted(1), weighted(1)], 6), "aaabab");
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

    proptest! {
        /// Any window as long as the sum of the weights holds each member as often as its weight.
        #[test]
        fn turns_are_fair(
            weights in proptest::collection::vec(0u32..9, 1..8),
            ahead in 0usize..40,
            start in 0usize..60,
        ) {
            let total: u32 = weights.iter().sum();
            prop_assume!(total > 0);
            let members: Vec<_> = weights.iter().map(|weight| weighted(*weight)).collect();
            let mut selector = Selector::new(Balance::WeightedRoundRobin, ahead);
            for _ in 0..start {
                Pool(&members).pick(&mut selector);
            }
            let mut taken = vec![0; weights.len()];
            for _ in 0..total {
                taken[Pool(&members).pick(&mut selector).unwrap()] += 1;
            }
            prop_assert_eq!(taken, weights);
        }

        /// Debts stay within one round whatever comes and goes, so no member starves or is flooded.
        #[test]
        fn debts_are_bounded(steps in proptest::collection::vec(any::<u8>(), 1..300)) {
            let weights = [7u32, 3, 1, 1, 5];
            let round: i64 = weights.iter().map(|weight| i64::from(*weight)).sum();
            let mut turns = WeightedRoundRobin::new(0);
            for usable in steps {
                let member = |place: usize| Candidate { usable: usable & 1 << place != 0, ..weighted(weights[place]) };
                let members: Vec<_> = (0..weights.len()).map(member).collect();
                Pool(&members).ask(|ends, pool| turns.pick(ends, pool));
                let owed = turns.owed();
                prop_assert_eq!(owed.iter().sum::<i64>(), 0);
                prop_assert!(owed.iter().all(|owed| owed.abs() <= round));
            }
        }
    }
}
