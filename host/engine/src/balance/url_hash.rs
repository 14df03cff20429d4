//! By the URL that a request asks for, as caches want it: what one of them has stored the others need not store.

use super::{Ends, Kind, Members, Needs, rendezvous};

#[derive(Clone, Debug)]
pub(super) struct UrlHash;

impl Kind for UrlHash {
    const NEEDS: Needs = Needs::Requests;

    fn new(_: usize) -> Self {
        Self
    }

    fn pick(&mut self, ends: &Ends, members: &impl Members) -> Option<usize> {
        rendezvous::choose_by_endpoint(&ends.key.unwrap_or_default().to_be_bytes(), members)
    }

    fn key(ends: &Ends) -> Option<u64> {
        ends.key
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::tests::{Pool, ends, weighted};
    use super::super::{Balance, Candidate, Ends, Selector};
    use crate::hash;

    fn asks(client: u8, url: u32) -> Ends {
        Ends { key: Some(hash::stable(format!("/{url}").as_bytes())), ..ends(client, 1) }
    }

    /// What a plain map from URLs to members says: an URL stays where it is while that member can be chosen, and comes
    /// back to it.
    #[derive(Default)]
    struct Model {
        /// By URL the member that each set of usable ones leads to.
        by_set: BTreeMap<(u32, Vec<bool>), usize>,
    }

    impl Model {
        fn check(&mut self, url: u32, usable: &[bool], found: Option<usize>) -> Result<(), TestCaseError> {
            let Some(found) = found else {
                prop_assert!(!usable.contains(&true));
                return Ok(());
            };
            prop_assert!(usable[found], "{} can be chosen", found);
            prop_assert_eq!(*self.by_set.entry((url, usable.to_vec())).or_insert(found), found);
            for ((other, set), at) in &self.by_set {
                // Fewer can be chosen now, and the one of before is among them.
                let is_less = set.iter().zip(usable).all(|(before, now)| *before || !now);
                if *other == url && is_less && usable[*at] {
                    prop_assert_eq!(*at, found, "it moved though its member can be chosen");
                }
            }
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn urls_stay_while_members_come_and_go(
            steps in prop::collection::vec((0..6u32, prop::collection::vec(any::<bool>(), 5), 0..8u8), 1..60),
        ) {
            let mut model = Model::default();
            // Whichever worker asks, and whoever the client is.
            let mut selectors: Vec<_> = (0..3).map(|ahead| Selector::new(Balance::UrlHash, ahead)).collect();
            for (url, usable, client) in steps {
                let members: Vec<_> =
                    usable.iter().map(|usable| Candidate { usable: *usable, ..weighted(1) }).collect();
                let selector = &mut selectors[usize::from(client) % 3];
                let found = selector.pick(&asks(client, url), &Pool(&members));
                model.check(url, &usable, found)?;
            }
        }
    }

    #[test]
    fn shares_follow_the_weights() {
        let members = [1, 2, 5].map(weighted);
        let mut selector = Selector::new(Balance::UrlHash, 0);
        let mut counts = [0; 3];
        for url in 0..16_000 {
            counts[selector.pick(&asks(1, url), &Pool(&members)).unwrap()] += 1;
        }
        for (count, weight) in counts.into_iter().zip([1, 2, 5]) {
            assert!(i64::abs(count - 2_000 * weight) < 200, "{counts:?}");
        }
    }

    /// Fixed: balancers of different versions stand in front of the same caches.
    #[test]
    fn everyone_chooses_alike() {
        let members = [weighted(1); 3];
        let mut selector = Selector::new(Balance::UrlHash, 0);
        let places: Vec<_> =
            (0..12).map(|url| selector.pick(&asks(1, url), &Pool(&members)).unwrap()).collect();
        assert_eq!(places, [2, 1, 2, 2, 1, 2, 2, 2, 0, 0, 2, 0]);
    }
}
