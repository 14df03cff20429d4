//! Each member in turn, whatever its weight.

use super::{Ends, Kind, Members};

#[derive(Clone, Debug)]
pub(super) struct RoundRobin {
    ahead: usize,
    /// At which position of the order the search for the next member begins, and how many there were; `None` before
    /// the first turn.
    turn: Option<(usize, usize)>,
    /// The places by position, as a reload found their turns; without one the order is that of the places. By it
    /// the turns of members continue also where a reload puts them at other places.
    order: Vec<usize>,
}

impl Kind for RoundRobin {
    fn new(ahead: usize) -> Self {
        Self { ahead, turn: None, order: Vec::new() }
    }

    fn pick(&mut self, _: &Ends, members: &impl Members) -> Option<usize> {
        let count = members.count();
        let turn = match self.turn {
            Some((turn, _)) if turn < count => turn,
            Some(_) => 0,
            None => self.ahead.checked_rem(count)?,
        };
        let order = if self.order.len() == count { self.order.as_slice() } else { &[] };
        let place = |position: usize| (position, order.get(position).copied().unwrap_or(position));
        let chosen = (turn..count)
            .chain(0..turn)
            .map(place)
            .find(|(_, place)| members.candidate(*place).may_be_chosen());
        let next = chosen.map_or(turn, |(position, _)| if position + 1 == count { 0 } else { position + 1 });
        self.turn = Some((next, count));
        chosen.map(|(_, place)| place)
    }

    /// The next is owed as many turns as there are members, and each behind it one less.
    fn owed(&self) -> Vec<i64> {
        let Some((turn, count)) = self.turn else { return Vec::new() };
        let order = if self.order.len() == count { self.order.as_slice() } else { &[] };
        let mut owed = vec![0; count];
        for (position, turns) in (turn..count).chain(0..turn).zip((1..=count).rev()) {
            let place = order.get(position).copied().unwrap_or(position);
            if let Some(owed) = owed.get_mut(place) {
                *owed = i64::try_from(turns).unwrap_or(i64::MAX);
            }
        }
        owed
    }

    fn resume(&mut self, owed: &[i64], _: &[bool]) {
        let mut order: Vec<(usize, i64)> = owed.iter().copied().enumerate().collect();
        // Stable: among equals the order is that of the places.
        order.sort_by_key(|(_, owed)| std::cmp::Reverse(*owed));
        self.order = order.into_iter().map(|(place, _)| place).collect();
        self.turn = Some((0, owed.len()));
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
                usable.iter().map(|usable| Candidate { usable: *usable, ..weighted(1) }).collect();
            let mut taken = vec![0; usable.len()];
            for _ in 0..count * rounds {
                taken[Pool(&members).pick(&mut selector).unwrap()] += 1;
            }
            let expected: Vec<usize> = usable.iter().map(|usable| if *usable { rounds } else { 0 }).collect();
            prop_assert_eq!(taken, expected);
        }
    }
}
