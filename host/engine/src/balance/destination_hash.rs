//! By the address that packets go to, as caches want it: what is asked of one address is with one member.

use super::{Ends, Kind, Members, Needs, rendezvous};
use crate::hash;

/// Members are known by their own addresses, so that balancers of one configuration agree and a change of it moves
/// few.
#[derive(Clone, Debug)]
pub(super) struct DestinationHash;

impl Kind for DestinationHash {
    const BY_ADDRESSES: bool = true;
    const NEEDS: Needs = Needs::Packets;

    fn new(_: usize) -> Self {
        Self
    }

    fn pick(&mut self, ends: &Ends, members: &impl Members) -> Option<usize> {
        rendezvous::choose_by_endpoint(&ends.destination.octets(), members)
    }

    fn key(ends: &Ends) -> Option<u64> {
        Some(hash::stable(&ends.destination.octets()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Pool, ends, weighted};
    use super::super::{Balance, Selector};

    #[test]
    fn equal_destinations_go_to_equal_members() {
        let members = [weighted(1); 5];
        let mut used = std::collections::BTreeSet::new();
        for destination in 0..50 {
            let chosen = |client| {
                // Whoever asks, at whichever worker.
                let mut selector = Selector::new(Balance::DestinationHash, client as usize);
                selector.pick(&ends(client, destination), &Pool(&members)).unwrap()
            };
            assert_eq!(chosen(1), chosen(2));
            used.insert(chosen(1));
        }
        assert_eq!(used.len(), members.len());
    }
}
