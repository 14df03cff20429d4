//! By the address of the client: without a table of bindings it stays with one member, as long as that can be chosen.

use super::{Ends, Kind, Members, rendezvous};
use crate::hash;

#[derive(Clone, Debug)]
pub(super) struct SourceHash;

impl Kind for SourceHash {
    const BY_ADDRESSES: bool = true;

    fn new(_: usize) -> Self {
        Self
    }

    fn pick(&mut self, ends: &Ends, members: &impl Members) -> Option<usize> {
        rendezvous::choose_by_endpoint(&ends.client.octets(), members)
    }

    fn key(ends: &Ends) -> Option<u64> {
        Some(hash::stable(&ends.client.octets()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Pool, ends, weighted};
    use super::super::{Balance, Selector};

    #[test]
    fn a_client_stays_where_it_can() {
        let mut members = [weighted(1); 5];
        let mut selector = Selector::new(Balance::SourceHash, 0);
        let mut chosen = |client, members: &_| selector.pick(&ends(client, 1), &Pool(members)).unwrap();
        let before: Vec<usize> = (0..100).map(|client| chosen(client, &members)).collect();
        members[2].weight = 0;
        for (client, before) in (0..100).zip(&before) {
            let after = chosen(client, &members);
            assert!(after == *before || *before == 2, "{client}");
        }
        members[2].weight = 1;
        assert!((0..100).map(|client| chosen(client, &members)).eq(before));
    }

    /// Fixed: balancers of different versions stand in front of the same members.
    #[test]
    fn everyone_chooses_alike() {
        let members = [weighted(1); 3];
        let mut selector = Selector::new(Balance::SourceHash, 0);
        let places: Vec<_> =
            (0..12).map(|client| selector.pick(&ends(client, 1), &Pool(&members)).unwrap()).collect();
        assert_eq!(places, [2, 0, 1, 0, 1, 2, 0, 1, 1, 1, 0, 0]);
    }
}
