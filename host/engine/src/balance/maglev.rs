//! By the address of the client, through the table of Maglev (Eisenbud and others, NSDI 2016, section 3.4), and past
//! members that have much more in flight than their share (Mirrokni and others, "Consistent hashing with bounded loads",
//! 2016).
//!
//! The table has all members with a weight, whether they are up or not: where one is down, only its clients go to
//! others. A change of members or weights makes a new table, in which few clients have moved.

use super::{Candidate, Ends, Kind, Members, Only, rendezvous};
use crate::hash;

#[derive(Clone, Debug)]
pub(super) struct Maglev {
    /// By slot the place of its member; empty before the first pick.
    table: Vec<u32>,
    /// What the table was made for.
    weights: Vec<u32>,
    /// As the last pick found them; kept for its memory.
    candidates: Vec<Candidate>,
}

impl Kind for Maglev {
    fn new(_: usize) -> Self {
        Self { table: Vec::new(), weights: Vec::new(), candidates: Vec::new() }
    }

    fn pick(&mut self, ends: &Ends, members: &impl Members) -> Option<usize> {
        self.candidates.clear();
        self.candidates.extend((0..members.count()).map(|place| members.candidate(place)));
        if !self.candidates.iter().map(|it| it.weight).eq(self.weights.iter().copied()) {
            self.weights.clear();
            self.weights.extend(self.candidates.iter().map(|it| it.weight));
            fill(&mut self.table, &self.weights, members);
        }
        let bound = Bound::of(&self.candidates)?;
        let candidates = self.candidates.as_slice();
        let may =
            |place: usize| candidates.get(place).is_some_and(|it| it.may_be_chosen() && bound.has_room(it));
        let key = hash::stable(&ends.client.octets());
        let slots = self.table.len();
        let first = usize::try_from(key).unwrap_or_default().checked_rem(slots)?;
        let slot = |step| self.table.get((first + step) % slots).map(|place| *place as usize);
        (0..NEAR).filter_map(slot).find(|place| may(*place)).or_else(|| {
            // Few may be chosen.
            let only =
                Only { members: &Known { members, candidates }, may: |place, _: &Candidate| may(place) };
            rendezvous::choose_by_endpoint(&key.to_be_bytes(), &only)
        })
    }

    fn key(ends: &Ends) -> Option<u64> {
        Some(hash::stable(&ends.client.octets()))
    }
}

/// Slots that are looked at before another way is taken.
const NEAR: usize = 64;

/// A prime number of slots (section 5.3 of the paper). More of them bring shares nearer to the weights in large pools, and
/// take a time to fill at which requests wait. A number that grew with the pool would move all clients where it grows.
const SLOTS: usize = 131_071;

/// Members up to which each takes a slot in each of its turns, as in the paper: shares are exact. In a pool of 500 seven
/// times as many slots would change as must.
const MOST_EXACT: usize = 50;

/// Slots that a member of a larger pool looks at in a turn. One that finds none has lost the turn, so that a change leaves
/// the turns of the others where they are: with one look no slot changes that need not, as in rendezvous hashing, and
/// with each further look shares come nearer to the weights.
const LOOKS: usize = 3;

/// How much more than its share a member may take there, for one that is much heavier than the others loses fewer turns: a
/// tenth.
const MOST_SHARE: (u64, u64) = (11, 10);

/// How much more than its share a member may have in flight: a quarter.
const BOUND: (u64, u64) = (5, 4);

/// What members may have in flight.
struct Bound {
    active: u64,
    weight: u64,
}

impl Bound {
    /// `None`: none may be chosen.
    fn of(candidates: &[Candidate]) -> Option<Self> {
        let mut bound = Self { active: 0, weight: 0 };
        for candidate in candidates.iter().filter(|it| it.may_be_chosen()) {
            bound.active += u64::from(candidate.active);
            bound.weight += u64::from(candidate.weight);
        }
        (bound.weight > 0).then_some(bound)
    }

    /// Whether it would have at most ⌈5/4 of its share⌉ of what would then be in flight. One always has room: together they
    /// have room for more than that.
    fn has_room(&self, candidate: &Candidate) -> bool {
        let (more, of) = BOUND;
        let share = u128::from(self.active + 1) * u128::from(candidate.weight) * u128::from(more);
        u128::from(candidate.active) < share.div_ceil(u128::from(self.weight) * u128::from(of))
    }
}

/// Members as they were looked at, so that each is asked once.
struct Known<'a, M> {
    members: &'a M,
    candidates: &'a [Candidate],
}

impl<M: Members> Members for Known<'_, M> {
    fn count(&self) -> usize {
        self.candidates.len()
    }

    fn candidate(&self, place: usize) -> Candidate {
        self.candidates.get(place).copied().unwrap_or_default()
    }

    fn endpoint(&self, place: usize) -> shunt_wire::Endpoint {
        self.members.endpoint(place)
    }

    fn serves_bound(&self, place: usize) -> bool {
        self.members.serves_bound(place)
    }

    fn place(&self, member: std::net::SocketAddr) -> Option<usize> {
        self.members.place(member)
    }
}

/// A member as it takes slots: in an order of its own, which goes through all of them because their number is prime.
struct Taker {
    place: u32,
    next: usize,
    skip: usize,
    weight: u32,
    /// What it has of a turn.
    credit: u32,
    /// Slots that it may still take.
    left: u64,
}

/// Lets the members take slots in turns until none is free; a member of half the weight has half as many turns.
fn fill(table: &mut Vec<u32>, weights: &[u32], members: &impl Members) {
    table.clear();
    let Some(most) = weights.iter().copied().max().filter(|most| *most > 0) else { return };
    let looks = if weights.iter().filter(|weight| **weight > 0).count() > MOST_EXACT { LOOKS } else { SLOTS };
    let sum: u64 = weights.iter().copied().map(u64::from).sum();
    let (more, of) = MOST_SHARE;
    table.resize(SLOTS, 0);
    // One bit a slot: they are looked at far more often than slots are taken, and the table is larger than what a
    // processor has at hand.
    let mut taken = vec![0u64; SLOTS.div_ceil(64)];
    let mut takers: Vec<([u8; 18], Taker)> = (0..)
        .zip(weights)
        .filter(|(_, weight)| **weight > 0)
        .map(|(place, weight)| {
            let name = rendezvous::name(members, place as usize);
            let number =
                |of: &[u8], modulus: usize| (hash::stable_of(&[of, &name]) % modulus as u64) as usize;
            let (next, skip) = (number(b"offset", SLOTS), 1 + number(b"skip", SLOTS - 1));
            let left = (SLOTS as u64 * u64::from(*weight) * more).div_ceil(sum * of);
            (name, Taker { place, next, skip, weight: *weight, credit: 0, left })
        })
        .collect();
    // Balancers agree, whatever the order of the members is.
    takers.sort_unstable_by_key(|(name, _)| *name);
    let mut free = SLOTS;
    while free > 0 {
        for (_, taker) in &mut takers {
            taker.credit += taker.weight;
            if taker.credit < most || free == 0 {
                continue;
            }
            taker.credit -= most;
            for _ in 0..if taker.left > 0 { looks } else { 0 } {
                let at = taker.next;
                taker.next = (at + taker.skip) % SLOTS;
                let (bits, bit) = (&mut taken[at / 64], 1 << (at % 64));
                if *bits & bit == 0 {
                    *bits |= bit;
                    table[at] = taker.place;
                    taker.left -= 1;
                    free -= 1;
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Pool, ends, weighted};
    use super::super::{Balance, Candidate, Selector};
    use super::*;

    /// As many members as there are addresses.
    struct Many;

    impl Members for Many {
        fn count(&self) -> usize {
            usize::MAX
        }

        fn candidate(&self, _: usize) -> Candidate {
            Candidate::default()
        }

        fn endpoint(&self, place: usize) -> shunt_wire::Endpoint {
            std::net::SocketAddr::from(([10, 0, (place >> 8) as u8, place as u8], 80)).into()
        }

        fn serves_bound(&self, _: usize) -> bool {
            true
        }

        fn place(&self, _: std::net::SocketAddr) -> Option<usize> {
            None
        }
    }

    fn table(weights: &[u32]) -> Vec<u32> {
        let mut table = Vec::new();
        fill(&mut table, weights, &Many);
        table
    }

    #[test]
    fn slots_follow_the_weights() {
        let mixed: Vec<u32> = (0..120).map(|place| place % 3 + 1).collect();
        for weights in [&[1][..], &[1; 7], &[1, 2, 5], &[256, 1], &[3; 100], &[0, 4, 0, 1], &[3; 500], &mixed]
        {
            let table = table(weights);
            let sum: u32 = weights.iter().sum();
            for (place, weight) in (0..).zip(weights) {
                let expected = table.len() as f64 * f64::from(*weight) / f64::from(sum);
                let slots = table.iter().filter(|it| **it == place).count() as f64;
                let members = weights.len();
                // Beyond that it is as chance has it, and somewhat better.
                let most = if members > MOST_EXACT { 2.5 * expected.sqrt() } else { expected / 100.0 } + 1.0;
                assert!((slots - expected).abs() <= most, "{members}, {weight}: {slots} for {expected}");
            }
        }
        assert!(table(&[0, 0]).is_empty());
    }

    /// A pool that loses a member, or gives it another weight: at most half as many more slots change than must.
    #[test]
    fn a_change_moves_few() {
        for count in [2, 3, 10, 50, 51, 100, 200, 500] {
            let all = vec![4; count];
            for weight in [0, 2, 6] {
                let mut changed = all.clone();
                changed[count / 2] = weight;
                let (before, after) = (table(&all), table(&changed));
                let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
                let share =
                    |weights: &[u32]| f64::from(weights[count / 2]) / f64::from(weights.iter().sum::<u32>());
                let ideal = SLOTS as f64 * (share(&all) - share(&changed)).abs();
                assert!(moved as f64 <= 1.5 * ideal, "{count} {weight}: {moved} for {ideal}");
            }
        }
    }

    #[test]
    fn a_member_that_is_down_moves_only_its_clients() {
        let mut members = [weighted(1); 5];
        let mut selector = Selector::new(Balance::Maglev, 0);
        let mut all = |members: &[Candidate]| {
            (0..=255)
                .map(|client| selector.pick(&ends(client, 1), &Pool(members)).unwrap())
                .collect::<Vec<_>>()
        };
        let before = all(&members);
        members[3].usable = false;
        for (before, after) in before.iter().zip(all(&members)) {
            assert!(after == *before || (*before == 3 && after != 3));
        }
        members[3].usable = true;
        assert_eq!(all(&members), before);
        // Only one of many is left.
        let mut many = [Candidate { usable: false, ..weighted(1) }; 200];
        many[77].usable = true;
        assert_eq!(all(&many), [77; 256]);
    }

    #[test]
    fn no_member_has_much_more_than_its_share() {
        let mut members = [weighted(1), weighted(1), weighted(2)];
        let mut selector = Selector::new(Balance::Maglev, 0);
        // All from one client, and they stay.
        for _ in 0..400 {
            let place = selector.pick(&ends(7, 1), &Pool(&members)).unwrap();
            members[place].active += 1;
        }
        for (member, share) in members.iter().zip([100, 100, 200]) {
            assert!(member.active <= share * 5 / 4 + 1, "{members:?}");
        }
    }

    /// Fixed: balancers of different versions stand in front of the same members.
    #[test]
    fn everyone_chooses_alike() {
        let table = table(&[1, 1, 2]);
        assert_eq!(table[..12], [1, 2, 0, 2, 1, 1, 2, 0, 0, 1, 2, 2]);
    }
}
