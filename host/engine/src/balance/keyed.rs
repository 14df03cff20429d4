//! By a key of a request, for requests that may not have it: a header field, such as one that says which customer asks, or
//! a cookie, such as the session that an application gives its clients. The balances differ in what is the key alone.

use super::weighted_round_robin::Turns;
use super::{Ends, Kind, Members, Needs, rendezvous};

/// Equal keys go to equal members; requests without a key take weighted turns, for else one member would get all of
/// them.
#[derive(Clone, Debug)]
pub(super) struct KeyOrTurn(Turns);

impl Kind for KeyOrTurn {
    const NEEDS: Needs = Needs::Requests;

    fn new(ahead: usize) -> Self {
        Self(Turns::new(ahead))
    }

    fn pick(&mut self, ends: &Ends, members: &impl Members) -> Option<usize> {
        match ends.key {
            Some(key) => rendezvous::choose_by_endpoint(&key.to_be_bytes(), members),
            None => {
                self.0.look(members);
                self.0.take()
            }
        }
    }

    fn key(ends: &Ends) -> Option<u64> {
        ends.key
    }

    fn owed(&self) -> Vec<i64> {
        self.0.owed()
    }

    fn resume(&mut self, owed: &[i64], arrives: &[bool]) {
        self.0.resume(owed, arrives);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Pool, ends, weighted};
    use super::super::{Balance, Ends, Selector};

    #[test]
    fn equal_keys_go_to_equal_members_and_none_take_turns() {
        let members = [weighted(1), weighted(1), weighted(2)];
        let pick = |selector: &mut Selector, key| {
            selector.pick(&Ends { key, ..ends(1, 1) }, &Pool(&members)).unwrap()
        };
        for balance in [Balance::HeaderHash, Balance::CookieHash] {
            let mut selectors = [0, 1].map(|ahead| Selector::new(balance, ahead));
            for key in 0..100 {
                let [one, other] = selectors.each_mut().map(|selector| pick(selector, Some(key)));
                assert_eq!(one, other);
            }
            let mut taken = [0; 3];
            (0..40).for_each(|_| taken[pick(&mut selectors[0], None)] += 1);
            assert_eq!(taken, [10, 10, 20]);
        }
    }
}
