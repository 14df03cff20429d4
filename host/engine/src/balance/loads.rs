//! The least loaded member, where one that came is not flooded.
//!
//! A member that comes has nothing in flight, and would get every request until it has as many as the others. So it
//! begins as loaded as they are on average. A half of a request of that is forgiven with each one that it gets: until it
//! has caught up, it gets about twice its share. It never counts as more loaded than they are.

use super::weighted_round_robin::Turns;
use super::{Candidate, Members};

#[derive(Clone, Debug)]
pub(super) struct Loads {
    /// Among equals.
    turns: Turns,
    /// By place, in halves of a request: what a member counts as having in flight beside what it has.
    ahead: Vec<u64>,
    /// Some of them are more than 0.
    is_any_ahead: bool,
}

impl Loads {
    pub(super) fn new(ahead: usize) -> Self {
        Self { turns: Turns::new(ahead), ahead: Vec::new(), is_any_ahead: false }
    }

    /// Takes in what the candidates are now.
    pub(super) fn look(&mut self, members: &impl Members) {
        if self.turns.look(members) || self.is_any_ahead {
            self.settle();
        }
    }

    /// The candidates that [`look`](Self::look) saw, of which some may be chosen.
    pub(super) fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.turns.candidates()
    }

    /// The place of the least loaded in proportion to its weight; `load` gets what a candidate counts as having in
    /// flight, in halves.
    pub(super) fn take_least(&mut self, load: impl Fn(&Candidate, u64) -> u64) -> Option<usize> {
        let ahead = &self.ahead;
        let place = self.turns.take_least(|place, candidate| {
            let ahead = ahead.get(place).copied().unwrap_or(0);
            load(candidate, 2 * u64::from(candidate.active) + ahead)
        })?;
        if let Some(ahead) = self.ahead.get_mut(place) {
            *ahead = ahead.saturating_sub(1);
        }
        Some(place)
    }

    pub(super) fn owed(&self) -> Vec<i64> {
        self.turns.owed()
    }

    pub(super) fn is_arriving(&self, place: usize) -> bool {
        self.ahead.get(place).is_some_and(|ahead| *ahead > 0)
    }

    pub(super) fn resume(&mut self, owed: &[i64], arrives: &[bool]) {
        self.turns.resume(owed, arrives);
    }

    /// Some came, or came a while ago.
    fn settle(&mut self) {
        let Self { turns, ahead, is_any_ahead } = self;
        ahead.resize(turns.candidates().count(), 0);
        let (mut active, mut weight) = (0, 0);
        for ((place, candidate), ahead) in turns.candidates().enumerate().zip(ahead.iter()) {
            if candidate.may_be_chosen() && !turns.came(place) && *ahead == 0 {
                active += u64::from(candidate.active);
                weight += u64::from(candidate.weight);
            }
        }
        *is_any_ahead = false;
        for ((place, candidate), ahead) in turns.candidates().enumerate().zip(ahead.iter_mut()) {
            let mean = (2 * active * u64::from(candidate.weight)).checked_div(weight).unwrap_or(0);
            let lacks = mean.saturating_sub(2 * u64::from(candidate.active));
            *ahead = if turns.came(place) { lacks } else { lacks.min(*ahead) };
            *is_any_ahead |= *ahead > 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Pool, weighted};
    use super::super::{Balance, Candidate, Selector};

    /// Takes so many picks of connections that stay.
    fn fill(selector: &mut Selector, members: &mut [Candidate], count: usize) -> Vec<u32> {
        let before: Vec<u32> = members.iter().map(|member| member.active).collect();
        for _ in 0..count {
            let place = Pool(members).pick(selector).unwrap();
            members[place].active += 1;
        }
        members.iter().zip(before).map(|(member, before)| member.active - before).collect()
    }

    #[test]
    fn a_member_that_comes_begins_at_the_mean() {
        for balance in [Balance::LeastConnections, Balance::LeastResponseTime, Balance::Fastest] {
            let mut members = [weighted(1); 4];
            members[3].usable = false;
            let mut selector = Selector::new(balance, 0);
            assert_eq!(fill(&mut selector, &mut members, 300), [100, 100, 100, 0]);
            members[3].usable = true;
            let taken = fill(&mut selector, &mut members, 50);
            assert!((14..=24).contains(&taken[3]), "{balance:?}: about twice its share of 12: {taken:?}");
            // In the end it has as many.
            fill(&mut selector, &mut members, 1_000);
            let [first, .., last] = members.map(|member| member.active);
            assert!(last.abs_diff(first) <= 1, "{balance:?}: {members:?}");
        }
    }

    #[test]
    fn so_does_one_of_a_reload_also_over_the_next() {
        let mut members = vec![weighted(1); 2];
        let mut selector = Selector::new(Balance::LeastConnections, 0);
        fill(&mut selector, &mut members, 200);
        members.push(weighted(2));
        let mut selector =
            selector.next(Balance::LeastConnections, 0, 3, |place| (place < 2).then_some(place));
        let taken = fill(&mut selector, &mut members, 20);
        assert!((8..=16).contains(&taken[2]), "{taken:?}");
        let mut selector = selector.next(Balance::LeastConnections, 0, 3, Some);
        let taken = fill(&mut selector, &mut members, 20);
        assert!((8..=16).contains(&taken[2]), "{taken:?}");
    }

    #[test]
    fn it_is_not_passed_over_once_the_others_are_idle() {
        let mut members = [weighted(1); 3];
        members[2].usable = false;
        let mut selector = Selector::new(Balance::LeastConnections, 0);
        fill(&mut selector, &mut members, 200);
        members[2].usable = true;
        fill(&mut selector, &mut members, 1);
        members.iter_mut().for_each(|member| member.active = 0);
        let mut taken = [0; 3];
        (0..30).for_each(|_| taken[Pool(&members).pick(&mut selector).unwrap()] += 1);
        assert_eq!(taken, [10; 3]);
    }
}
