//! A key of a request, for requests that may not have it.

use super::weighted_round_robin::Turns;
use super::{Ends, Kind, Members, rendezvous};

/// Equal keys go to equal members; requests without a key take weighted turns, for else one member would get all of
/// them.
#[derive(Clone, Debug)]
pub(super) struct KeyOrTurn(Turns);

impl Kind for KeyOrTurn {
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

/// A balance of its own that does the same by what it asks for of requests.
macro_rules! keyed {
    ($kind:ident) => {
        #[derive(Clone, Debug)]
        pub(super) struct $kind($crate::balance::keyed::KeyOrTurn);

        impl $crate::balance::Kind for $kind {
            const NEEDS: $crate::balance::Needs = $crate::balance::Needs::Requests;

            fn new(ahead: usize) -> Self {
                Self($crate::balance::Kind::new(ahead))
            }

            fn pick(
                &mut self,
                ends: &$crate::balance::Ends,
                members: &impl $crate::balance::Members,
            ) -> Option<usize> {
                self.0.pick(ends, members)
            }

            fn key(ends: &$crate::balance::Ends) -> Option<u64> {
                ends.key
            }

            fn owed(&self) -> Vec<i64> {
                self.0.owed()
            }

            fn resume(&mut self, owed: &[i64], arrives: &[bool]) {
                self.0.resume(owed, arrives);
            }
        }
    };
}
pub(super) use keyed;
