//! The member with the fewest requests in flight, in proportion to its weight.

use std::cmp::Ordering;

use super::weighted_round_robin::Turns;
use super::{Candidate, Ends, Kind, Members};

/// Among equals, weighted turns.
#[derive(Clone, Debug)]
pub(super) struct LeastConnections(Turns);

impl Kind for LeastConnections {
    fn new(ahead: usize) -> Self {
        Self(Turns::new(ahead))
    }

    fn pick(&mut self, _: &Ends, members: &impl Members) -> Option<usize> {
        self.0.look(members);
        let least =
            self.0.candidates().filter(|it| it.may_be_chosen()).min_by(|a, b| by_load(a, b)).copied()?;
        self.0.take(|candidate| candidate.may_be_chosen() && by_load(candidate, &least).is_eq())
    }

    fn owed(&self) -> Vec<i64> {
        self.0.owed()
    }

    fn resume(&mut self, owed: &[i64]) {
        self.0.resume(owed);
    }
}

/// Compares `active / weight` without dividing.
fn by_load(a: &Candidate, b: &Candidate) -> Ordering {
    let cross = |active: u32, weight: u32| u64::from(active) * u64::from(weight);
    cross(a.active, b.weight).cmp(&cross(b.active, a.weight))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Pool, picks};
    use super::super::{Balance, Selector};
    use super::*;
    use proptest::prelude::*;

    fn loaded(active: u32, weight: u32) -> Candidate {
        Candidate { usable: true, weight, active }
    }

    #[test]
    fn load_is_weighed() {
        let mut selector = Selector::new(Balance::LeastConnections, 0);
        assert_eq!(picks(&mut selector, &[loaded(3, 1), loaded(2, 1), loaded(4, 1)], 3), "bbb");
        // 6 of 4 is less than 2 of 1.
        assert_eq!(picks(&mut selector, &[loaded(2, 1), loaded(6, 4)], 2), "bb");
        // At rest the shares follow the weights as well.
        let mut selector = Selector::new(Balance::LeastConnections, 0);
        assert_eq!(picks(&mut selector, &[loaded(0, 2), loaded(0, 1)], 6), "abaaba");
    }

    proptest! {
        /// Whatever happened before, the choice is usable and no usable member has a smaller load.
        #[test]
        fn a_worse_one_is_never_taken(
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
                match Pool(&members).pick(&mut selector) {
                    Some(chosen) => {
                        let chosen = &members[chosen];
                        prop_assert!(chosen.may_be_chosen());
                        prop_assert!(members.iter().filter(|it| it.may_be_chosen()).all(|it| load(chosen) <= load(it)));
                    }
                    None => prop_assert!(!members.iter().any(Candidate::may_be_chosen)),
                }
            }
        }
    }
}
