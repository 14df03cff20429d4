//! Which member a request or a flow goes to: the one that is named, else the one that its client is bound to, else
//! the one whose turn it is.

use std::net::SocketAddr;

use super::groups::{OfGroups, Ranked};
use super::{Ends, Members, Selector};
use crate::persistence::{Key, PersistenceTable};

/// What is asked for.
pub struct Ask<'a> {
    /// The place of the member that a rule named.
    pub named: Option<usize>,
    /// The place of the member that the client is bound to.
    pub bound: Option<usize>,
    /// Where a client is bound to the member that is chosen for it.
    pub bind: Option<Bind<'a>>,
    pub ends: Ends,
    /// Where members differ in their priority.
    pub groups: Option<Ranked<'a>>,
    /// The middle of a connection whose beginning was not seen here.
    pub is_mid_stream: bool,
}

/// A key that is to be bound.
#[derive(Clone, Copy)]
pub struct Bind<'a> {
    pub bindings: &'a PersistenceTable<SocketAddr>,
    pub key: &'a Key,
    /// As the table's other times.
    pub now: u64,
}

/// The place of the member, and what spoke for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    pub place: usize,
    pub why: Why,
}

/// Why a member was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Named,
    Bound,
    /// The balance of the pool chose it.
    Balanced,
}

/// Why none was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotChosen {
    /// Nothing says which member has the connection; another would know nothing of it.
    MidStream,
    NoMember,
}

/// Chooses a member.
///
/// One that is named or bound to serves as long as it [serves who is bound](Members::serves_bound); else the client is
/// bound to another. The middle of a connection goes where its beginning must have gone: to a member that is named or
/// bound to, that the addresses lead to, or that is the only one.
///
/// # Errors
/// See [`NotChosen`].
pub fn choose(ask: &Ask<'_>, members: &impl Members, selector: &mut Selector) -> Result<Chosen, NotChosen> {
    for (place, why) in [(ask.named, Why::Named), (ask.bound, Why::Bound)] {
        if let Some(place) = place.filter(|place| members.serves_bound(*place)) {
            return Ok(Chosen { place, why });
        }
    }
    if ask.is_mid_stream && members.count() != 1 && !selector.balance().is_hash() {
        return Err(NotChosen::MidStream);
    }
    let turn = match &ask.groups {
        None => selector.pick(&ask.ends, members),
        Some(ranked) => {
            ranked.settle(members).and_then(|in_use| selector.pick(&ask.ends, &OfGroups { members, in_use }))
        }
    };
    let turn = turn.ok_or(NotChosen::NoMember)?;
    let place = ask.bind.map_or(turn, |bind| bind.to(turn, members));
    Ok(Chosen { place, why: Why::Balanced })
}

impl Bind<'_> {
    /// Binds the key, unless another worker was quicker: then what that one chose is taken.
    fn to(&self, place: usize, members: &impl Members) -> usize {
        let offered = SocketAddr::from(members.endpoint(place));
        let keep =
            |bound: &SocketAddr| members.place(*bound).is_some_and(|place| members.serves_bound(place));
        let bound = self.bindings.bind(self.key.bytes(), offered, self.key.timeout(), self.now, keep);
        members.place(bound.into_inner()).unwrap_or(place)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Pool, address, ends, weighted};
    use super::super::{Balance, Candidate};
    use super::*;
    use crate::persistence::{Bound, Source, key_prefix};

    const DOWN: Candidate = Candidate { usable: false, weight: 1, active: 0, time: 0, came: 0 };

    fn ask<'a>(named: Option<usize>, bound: Option<usize>) -> Ask<'a> {
        Ask { named, bound, bind: None, ends: ends(1, 2), groups: None, is_mid_stream: false }
    }

    #[test]
    fn named_comes_before_bound_before_turn() {
        let up = weighted(1);
        let table = [
            ([up, up, up], Some(2), Some(1), (2, Why::Named)),
            ([up, up, up], None, Some(1), (1, Why::Bound)),
            ([up, up, up], None, None, (0, Why::Balanced)),
            ([up, up, DOWN], Some(2), Some(1), (1, Why::Bound)),
            ([up, DOWN, DOWN], Some(2), Some(1), (0, Why::Balanced)),
        ];
        for (members, named, bound, (place, why)) in table {
            let mut selector = Selector::new(Balance::RoundRobin, 0);
            let chosen = choose(&ask(named, bound), &Pool(&members), &mut selector);
            assert_eq!(chosen, Ok(Chosen { place, why }), "{named:?} {bound:?}");
        }
        let none = choose(&ask(Some(0), Some(0)), &Pool(&[DOWN]), &mut Selector::new(Balance::RoundRobin, 0));
        assert_eq!(none, Err(NotChosen::NoMember));
    }

    #[test]
    fn the_middle_of_a_connection_is_given_to_no_turn() {
        let up = weighted(1);
        let middle = |named, bound| Ask { is_mid_stream: true, ..ask(named, bound) };
        let table: [(Balance, &[Candidate], _, _); 5] = [
            (Balance::RoundRobin, &[up, up], middle(None, None), None),
            (Balance::RoundRobin, &[up, up], middle(None, Some(1)), Some(1)),
            (Balance::RoundRobin, &[up, up], middle(Some(1), None), Some(1)),
            (Balance::RoundRobin, &[up], middle(None, None), Some(0)),
            (Balance::RoundRobin, &[up, DOWN], middle(None, Some(1)), None),
        ];
        for (balance, members, ask, expected) in table {
            let chosen = choose(&ask, &Pool(members), &mut Selector::new(balance, 0));
            assert_eq!(chosen.map(|it| it.place), expected.ok_or(NotChosen::MidStream));
        }
        for balance in [Balance::DestinationHash, Balance::SymmetricHash] {
            let members = [up, up];
            let chosen = choose(&middle(None, None), &Pool(&members), &mut Selector::new(balance, 0));
            assert!(chosen.is_ok(), "{balance:?}");
        }
    }

    #[test]
    fn a_client_is_bound_where_its_turn_led() {
        let bindings = PersistenceTable::new(8, [1, 2]);
        let key = Source::ADDRESS.key(key_prefix("v"), "192.0.2.1:1".parse().unwrap(), Some(1_000));
        let members = [weighted(1); 2];
        let mut selector = Selector::new(Balance::RoundRobin, 0);
        let bind = Bind { bindings: &bindings, key: &key, now: 5 };
        let first = choose(&Ask { bind: Some(bind), ..ask(None, None) }, &Pool(&members), &mut selector);
        assert_eq!(first, Ok(Chosen { place: 0, why: Why::Balanced }));
        assert_eq!(bindings.find(key.bytes(), 1_004), Some(address(0)));
        // Another worker, which looked before it was bound.
        let late = choose(&Ask { bind: Some(bind), ..ask(None, None) }, &Pool(&members), &mut selector);
        assert_eq!(late.map(|it| it.place), Ok(0));
        // No client stays bound to a member that does not serve it any more.
        let members = [DOWN, weighted(1)];
        let moved = choose(&Ask { bind: Some(bind), ..ask(None, Some(0)) }, &Pool(&members), &mut selector);
        assert_eq!(moved, Ok(Chosen { place: 1, why: Why::Balanced }));
        assert_eq!(bindings.bind(key.bytes(), address(0), 1_000, 6, |_| true), Bound::Before(address(1)));
    }
}
