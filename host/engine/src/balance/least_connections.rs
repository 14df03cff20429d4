//! The member with the fewest requests in flight, in proportion to its weight.

use super::loads::Loads;
use super::{Ends, Kind, Members};

/// Among equals, weighted turns.
#[derive(Clone, Debug)]
pub(super) struct LeastConnections(Loads);

impl Kind for LeastConnections {
    fn new(ahead: usize) -> Self {
        Self(Loads::new(ahead))
    }

    fn pick(&mut self, _: &Ends, members: &impl Members) -> Option<usize> {
        self.0.look(members);
        self.0.take_least(|_, halves| halves)
    }

    fn owed(&self) -> Vec<i64> {
        self.0.owed()
    }

    fn is_arriving(&self, place: usize) -> bool {
        self.0.is_arriving(place)
    }

    fn resume(&mut self, owed: &[i64], arrives: &[bool]) {
        self.0.resume(owed, arrives);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Pool, picks};
    use super::super::{Balance, Candidate, Selector};
    use proptest::prelude::*;

    fn loaded(active: u32, weight: u32) -> Candidate {
        Candidate { usable: true, weight, active, ..Candidate::default() }
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
        /// Whatever happened before, no usable member has a smaller load than the one that is taken.
        #[test]
        fn a_worse_one_is_never_taken(
            usable in proptest::collection::vec(any::<bool>(), 8),
            steps in proptest::collection::vec(
                proptest::collection::vec((1u32..6, prop_oneof![0u32..20, Just(u32::MAX)]), 8),
                1..12,
            ),
        ) {
            let mut selector = Selector::new(Balance::LeastConnections, 1);
            for step in steps {
                let member = |((weight, active), usable): ((u32, u32), &bool)| {
                    Candidate { usable: *usable, ..loaded(active, weight) }
                };
                let members: Vec<Candidate> = step.into_iter().zip(&usable).map(member).collect();
                let load = |member: &Candidate| f64::from(member.active) / f64::from(member.weight);
                match Pool(&members).pick(&mut selector) {
                    Some(chosen) => {
                        let chosen = &members[chosen];
                        prop_assert!(chosen.usable);
                        prop_assert!(members.iter().filter(|it| it.usable).all(|it| load(chosen) <= load(it)));
                    }
                    None => prop_assert!(!members.iter().any(|it| it.usable)),
                }
            }
        }
    }
}
