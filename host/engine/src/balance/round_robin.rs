//! Each member in turn, whatever its weight.

use super::{Ends, Kind, Members};

#[derive(Clone, Debug)]
pub(super) struct RoundRobin {
    ahead: usize,
    /// Where the search for the next member begins, and how many there were; `None` before the first turn.
    turn: Option<(usize, usize)>,
}

impl Kind for RoundRobin {
    fn new(ahead: usize) -> Self {
        Self { ahead, turn: None }
    }

    fn pick(&mut self, _: &Ends, members: &impl Members) -> Option<usize> {
        let count = members.count();
        let turn = match self.turn {
            Some((turn, _)) if turn < count => turn,
            Some(_) => 0,
            None => self.ahead.checked_rem(count)?,
        };
        let order = (turn..count).chain(0..turn);
        let chosen = order.into_iter().find(|place| members.candidate(*place).may_be_chosen());
        self.turn =
            Some((chosen.map_or(turn, |chosen| if chosen + 1 == count { 0 } else { chosen + 1 }), count));
        chosen
    }

    /// Who has not had a turn in this round is owed one.
    fn owed(&self) -> Vec<i64> {
        let Some((turn, count)) = self.turn else { return Vec::new() };
        let turns = i64::try_from(count).unwrap_or(i64::MAX);
        (0..count).map(|place| if place >= turn { turns } else { 0 }).collect()
    }

    fn resume(&mut self, owed: &[i64]) {
        let most = owed.iter().max();
        let turn = owed.iter().position(|it| Some(it) == most).unwrap_or(0);
        self.turn = Some((turn, owed.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Pool, picks, weighted};
    use super::super::{Balance, Candidate, Selector};
    use proptest::prelude::*;

    #[test]
    fn what_is_not_usable_is_passed_over() {
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

    proptest! {
        #[test]
        fn the_usable_are_served_alike(usable in proptest::collection::vec(any::<bool>(), 1..20), rounds in 1usize..5) {
            let count = usable.iter().filter(|usable| **usable).count();
            let mut selector = Selector::new(Balance::RoundRobin, 7);
            let members: Vec<_> =
                usable.iter().map(|usable| Candidate { usable: *usable, weight: 1, active: 0 }).collect();
            let mut taken = vec![0; usable.len()];
            for _ in 0..count * rounds {
                taken[Pool(&members).pick(&mut selector).unwrap()] += 1;
            }
            let expected: Vec<usize> = usable.iter().map(|usable| if *usable { rounds } else { 0 }).collect();
            prop_assert_eq!(taken, expected);
        }
    }
}
