//! By both addresses, whichever is the source, as firewalls want it: both directions of a flow pass one member.

use super::{Ends, Kind, Members, Needs, rendezvous};
use crate::hash;

/// Members are known by their places: the balancers on both sides of the same firewalls know these under different
/// addresses.
#[derive(Clone, Debug)]
pub(super) struct SymmetricHash;

impl Kind for SymmetricHash {
    const BY_ADDRESSES: bool = true;
    const NEEDS: Needs = Needs::Packets;

    fn new(_: usize) -> Self {
        Self
    }

    fn pick(&mut self, ends: &Ends, members: &impl Members) -> Option<usize> {
        rendezvous::choose(&pair(ends), members, |place| (place as u64).to_be_bytes())
    }

    fn key(ends: &Ends) -> Option<u64> {
        Some(hash::stable(&pair(ends)))
    }
}

/// Both addresses, the lower first.
fn pair(ends: &Ends) -> [u8; 32] {
    let Ends { client, destination, .. } = *ends;
    let (low, high) = if client <= destination { (client, destination) } else { (destination, client) };
    let mut pair = [0; 32];
    pair[..16].copy_from_slice(&low.octets());
    pair[16..].copy_from_slice(&high.octets());
    pair
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Pool, ends, weighted};
    use super::super::{Balance, Selector};

    #[test]
    fn both_directions_go_to_one_member() {
        let members = [weighted(1); 5];
        let mut selector = Selector::new(Balance::SymmetricHash, 0);
        let mut used = std::collections::BTreeSet::new();
        for peer in 0..50 {
            let there = selector.pick(&ends(1, peer), &Pool(&members)).unwrap();
            assert_eq!(selector.pick(&ends(peer, 1), &Pool(&members)), Some(there));
            used.insert(there);
        }
        assert_eq!(used.len(), members.len());
    }
}
