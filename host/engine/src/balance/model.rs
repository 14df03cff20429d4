//! Every balance against a plain reference, while members flap, weights change and pools are reloaded; and the shares
//! that each reaches, measured against the weights.

use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;

use super::rendezvous;
use super::tests::{Pool, ends};
use super::*;
use crate::hash;

/// A member by its number, whichever place it has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) number: u8,
    now: Candidate,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// So many picks for clients and requests that follow from the number.
    Picks(u8, u8),
    /// The oldest requests in flight end.
    Ends(u8),
    /// A member goes down or comes up.
    Flaps(u8),
    /// A reload gives a member another weight.
    Weighs(u8, u32),
    /// A reload takes a member out, or adds it, and turns the others' places around.
    Reloads(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u8..20, any::<u8>()).prop_map(|(count, of)| Step::Picks(count, of)),
        5 => change(),
    ]
}

/// A step without picks.
pub(crate) fn change() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (1u8..20).prop_map(Step::Ends),
        1 => (0u8..6).prop_map(Step::Flaps),
        1 => (0u8..6, 0u32..7).prop_map(|(member, weight)| Step::Weighs(member, weight)),
        1 => (0u8..6).prop_map(Step::Reloads),
    ]
}

/// The members as [`Members`] that are known by their numbers, wherever they are.
pub(crate) struct Numbered<'a>(&'a [Member]);

impl Members for Numbered<'_> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn candidate(&self, place: usize) -> Candidate {
        self.0[place].now
    }

    fn endpoint(&self, place: usize) -> Endpoint {
        self.0[place].address().into()
    }

    fn serves_bound(&self, place: usize) -> bool {
        self.0[place].serves_bound()
    }

    fn place(&self, member: SocketAddr) -> Option<usize> {
        (0..self.0.len()).find(|place| SocketAddr::from(self.endpoint(*place)) == member)
    }
}

impl Member {
    pub(crate) fn address(&self) -> SocketAddr {
        ([10, 0, 0, self.number], 80).into()
    }

    /// Those who are bound to it stay, whatever its weight.
    pub(crate) fn serves_bound(&self) -> bool {
        self.now.usable
    }
}

/// The pool, what is in flight, and what the reference remembers.
pub(crate) struct World {
    balance: Balance,
    selector: Selector,
    pub(crate) members: Vec<Member>,
    in_flight: VecDeque<u8>,
    /// Members that came and have not been as loaded as any other since.
    came: BTreeSet<u8>,
    /// Since the last change, by number: what each should have got, and what it got.
    ledger: Vec<(f64, f64)>,
    /// Of members that are all up and idle: where clients are at home.
    homes: Selector,
}

impl World {
    pub(crate) fn new(balance: Balance) -> Self {
        let member = |number| {
            let weight = u32::from(number) % 3 + 1;
            // Times of about the weight, and one that is not known.
            Member {
                number,
                now: Candidate {
                    usable: true,
                    weight,
                    time: u32::from(number) * 100,
                    ..Candidate::default()
                },
            }
        };
        let homes = Selector::new(Balance::Maglev, 0);
        let mut world = Self {
            balance,
            selector: Selector::new(balance, 1),
            members: (0..4).map(member).collect(),
            in_flight: VecDeque::new(),
            came: BTreeSet::new(),
            ledger: Vec::new(),
            homes,
        };
        world.changed();
        world
    }

    fn changed(&mut self) {
        self.ledger = vec![(0.0, 0.0); 6];
    }

    /// After a reload; `before` is how the members were.
    fn reloaded(&mut self, before: &[Member]) {
        let place = |at: usize| before.iter().position(|it| it.number == self.members[at].number);
        self.selector = self.selector.next(self.balance, 1, self.members.len(), place);
        self.homes = Selector::new(Balance::Maglev, 0);
        self.changed();
    }

    fn of(&mut self, number: u8) -> Option<&mut Member> {
        self.members.iter_mut().find(|it| it.number == number)
    }

    pub(crate) fn run(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Picks(count, of) => (0..count).try_for_each(|more| self.pick(of.wrapping_add(more)))?,
            Step::Ends(count) => {
                for _ in 0..count {
                    let Some(number) = self.in_flight.pop_front() else { break };
                    if let Some(member) = self.of(number) {
                        member.now.active -= 1;
                    }
                }
            }
            Step::Flaps(number) => {
                if let Some(member) = self.of(number) {
                    member.now.usable = !member.now.usable;
                    self.came.insert(number);
                    self.changed();
                }
            }
            Step::Weighs(number, weight) => {
                let before = self.members.clone();
                if let Some(member) = self.of(number) {
                    if member.now.weight == 0 && weight > 0 {
                        self.came.insert(number);
                    }
                    self.of(number).unwrap().now.weight = weight;
                    self.reloaded(&before);
                }
            }
            Step::Reloads(number) => {
                let before = self.members.clone();
                self.members.rotate_left(before.len().min(1));
                if self.of(number).is_some() {
                    self.members.retain(|it| it.number != number);
                    // What it has in flight is of no pool any more.
                    self.in_flight.retain(|it| *it != number);
                } else {
                    let now = Candidate { usable: true, weight: 2, ..Candidate::default() };
                    self.members.push(Member { number, now });
                    self.came.insert(number);
                }
                self.reloaded(&before);
            }
        }
        Ok(())
    }

    fn pick(&mut self, of: u8) -> Result<(), TestCaseError> {
        // Some requests have no key.
        let key = (!of.is_multiple_of(5)).then(|| hash::stable(&[of]));
        let ends = Ends { key, ..ends(of, of.wrapping_mul(3)) };
        self.ask(ends, |selector, members| Some((selector.pick(&ends, members)?, true))).map(drop)
    }

    /// Has a request get the member whose place `choose` gives, with whether it was that one's turn; then it is checked that
    /// it was. Gives the member's number.
    pub(crate) fn ask(
        &mut self,
        ends: Ends,
        choose: impl FnOnce(&mut Selector, &Numbered<'_>) -> Option<(usize, bool)>,
    ) -> Result<Option<u8>, TestCaseError> {
        let chosen = choose(&mut self.selector, &Numbered(&self.members));
        let may: Vec<Member> = self.members.iter().filter(|it| it.now.may_be_chosen()).copied().collect();
        let Some((place, in_turn)) = chosen else {
            prop_assert!(may.is_empty(), "{:?}: none of {:?}", self.balance, may);
            return Ok(None);
        };
        let chosen = self.members[place];
        if in_turn {
            prop_assert!(chosen.now.may_be_chosen(), "{:?}: {:?}", self.balance, chosen);
            self.check(&chosen, &may, &ends)?;
        }
        self.members[place].now.active += 1;
        self.in_flight.push_back(chosen.number);
        Ok(Some(chosen.number))
    }

    fn check(&mut self, chosen: &Member, may: &[Member], ends: &Ends) -> Result<(), TestCaseError> {
        let time_of = |it: &Member| {
            let known: Vec<u32> = may.iter().map(|it| it.now.time).filter(|time| *time > 0).collect();
            match it.now.time {
                0 => known.iter().sum::<u32>().checked_div(known.len() as u32).unwrap_or(1),
                time => time,
            }
        };
        let load = |it: &Member| {
            let (active, weight) = (f64::from(it.now.active), f64::from(it.now.weight));
            match self.balance {
                Balance::LeastResponseTime => f64::from(time_of(it)) * (active / weight + 1.0),
                // Rounded down to three bits.
                Balance::Fastest => {
                    let time = time_of(it);
                    let drop = time.checked_ilog2().unwrap_or(0).saturating_sub(2);
                    f64::from(time >> drop << drop) * (active / weight + 1.0)
                }
                _ => active / weight,
            }
        };
        match self.balance {
            Balance::RoundRobin | Balance::WeightedRoundRobin => self.check_turns(chosen, may)?,
            Balance::LeastConnections | Balance::LeastResponseTime | Balance::Fastest => {
                let by_weight = |it: &Member| f64::from(it.now.active) / f64::from(it.now.weight);
                let most = may.iter().map(by_weight).fold(0.0, f64::max);
                for other in may.iter().filter(|it| load(it) < load(chosen) * (1.0 - 1e-9)) {
                    prop_assert!(
                        self.came.contains(&other.number),
                        "{:?}: {:?} is less loaded",
                        chosen,
                        other
                    );
                }
                self.came.retain(|number| {
                    let member = self.members.iter().find(|it| it.number == *number);
                    member.is_none_or(|it| by_weight(it) < most)
                });
            }
            Balance::TwoRandomChoices => {
                let is_worst = may.iter().all(|it| it.number == chosen.number || load(it) < load(chosen));
                prop_assert!(may.len() == 1 || !is_worst, "{:?} is the most loaded of {:?}", chosen, may);
            }
            Balance::SourceHash => self.check_hash(chosen, may, &ends.client.octets())?,
            Balance::DestinationHash => self.check_hash(chosen, may, &ends.destination.octets())?,
            Balance::UrlHash => self.check_hash(chosen, may, &ends.key.unwrap_or(0).to_be_bytes())?,
            Balance::HeaderHash | Balance::CookieHash => match ends.key {
                Some(key) => self.check_hash(chosen, may, &key.to_be_bytes())?,
                None => self.check_turns(chosen, may)?,
            },
            Balance::SymmetricHash => {
                let Ends { client, destination, .. } = *ends;
                let back = Ends { client: destination, destination: client, ..*ends };
                let there = self.selector.pick(&back, &Numbered(&self.members));
                prop_assert_eq!(there.map(|place| self.members[place].number), Some(chosen.number));
            }
            Balance::Maglev => {
                let (active, weight) = may
                    .iter()
                    .fold((0, 0), |(active, weight), it| (active + it.now.active, weight + it.now.weight));
                let has_room = |it: &Member| {
                    let share = f64::from((active + 1) * it.now.weight) / f64::from(weight);
                    f64::from(it.now.active) < (1.25 * share).ceil()
                };
                prop_assert!(has_room(chosen), "{:?} of {:?}", chosen, may);
                let idle =
                    |it: &Member| Member { now: Candidate { usable: true, active: 0, ..it.now }, ..*it };
                let all: Vec<Member> = self.members.iter().map(idle).collect();
                let home = self.homes.pick(ends, &Numbered(&all)).map(|place| self.members[place]).unwrap();
                let at_home = home.now.may_be_chosen() && has_room(&home);
                prop_assert!(!at_home || chosen.number == home.number, "{:?} is at home at {:?}", ends, home);
            }
        }
        Ok(())
    }

    /// In any stretch without a change, each gets what its weight says, but for two turns.
    fn check_turns(&mut self, chosen: &Member, may: &[Member]) -> Result<(), TestCaseError> {
        let weight =
            |it: &Member| if self.balance == Balance::RoundRobin { 1.0 } else { f64::from(it.now.weight) };
        let sum: f64 = may.iter().map(weight).sum();
        for member in may {
            self.ledger[usize::from(member.number)].0 += weight(member) / sum;
        }
        self.ledger[usize::from(chosen.number)].1 += 1.0;
        for (due, got) in &self.ledger {
            prop_assert!((due - got).abs() <= 3.0, "{:?}: {:?}", self.balance, self.ledger);
        }
        Ok(())
    }

    /// The member with the least exponentially distributed number goes first, each key having its own.
    fn check_hash(&self, chosen: &Member, may: &[Member], key: &[u8]) -> Result<(), TestCaseError> {
        let key = hash::stable(key).to_be_bytes();
        let distance = |it: &Member| {
            let name = rendezvous::name(&Numbered(&[*it]), 0);
            let bits = hash::stable_of(&[&key, &name]);
            -(bits as f64 / 2f64.powi(64)).log2() / f64::from(it.now.weight)
        };
        let least = may.iter().map(distance).fold(f64::INFINITY, f64::min);
        prop_assert!(distance(chosen) <= least * (1.0 + 1e-6), "{:?} of {:?}", chosen, may);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_balance_does_as_its_reference(steps in proptest::collection::vec(step(), 1..40)) {
        for (_, balance) in Balance::ALL {
            let mut world = World::new(*balance);
            for step in &steps {
                world.run(step)?;
            }
        }
    }
}

/// Requests that stay in flight while 40 more come; the shares that the members get of `count`.
fn served(selector: &mut Selector, members: &mut [Candidate], count: u32) -> Vec<f64> {
    let mut taken = vec![0u32; members.len()];
    let mut in_flight = VecDeque::new();
    for number in 0..count {
        let octets = number.to_be_bytes();
        let [client, destination] = [[10, 1], [10, 2]].map(|net| [net[0], net[1], octets[2], octets[3]]);
        let address = |octets: [u8; 4]| std::net::IpAddr::from(octets).into();
        let ends =
            Ends { key: Some(hash::stable(&octets)), ..Ends::new(address(client), address(destination)) };
        let place = selector.pick(&ends, &Pool(members)).unwrap();
        members[place].active += 1;
        taken[place] += 1;
        in_flight.push_back(place);
        if in_flight.len() > 40 {
            members[in_flight.pop_front().unwrap()].active -= 1;
        }
    }
    in_flight.into_iter().for_each(|place: usize| members[place].active -= 1);
    taken.into_iter().map(|taken| f64::from(taken) / f64::from(count)).collect()
}

#[test]
fn shares_follow_the_weights_also_after_a_reload_and_a_recovery() {
    const COUNT: u32 = 12_000;
    for (name, balance) in Balance::ALL {
        let check = |shares: &[f64], members: &[Candidate], when: &str| {
            let weight = |it: &Candidate| match balance {
                _ if !it.usable => 0.0,
                Balance::RoundRobin => 1.0,
                _ => f64::from(it.weight),
            };
            let sum: f64 = members.iter().map(weight).sum();
            for (share, member) in shares.iter().zip(members) {
                let due = weight(member) / sum;
                assert!(
                    (share - due).abs() <= 0.01 + due / 10.0,
                    "{name} {when}: {share} for {due}: {shares:?}"
                );
            }
        };
        let with = |weights: [u32; 4]| {
            weights.map(|weight| Candidate { usable: true, weight, time: 300, ..Candidate::default() })
        };
        let mut members = with([1, 2, 5, 3]);
        let mut selector = Selector::new(*balance, 2);
        check(&served(&mut selector, &mut members, COUNT), &members, "at first");
        members = with([4, 1, 1, 0]);
        let mut selector = selector.next(*balance, 2, 4, Some);
        if *balance != Balance::RoundRobin {
            check(&served(&mut selector, &mut members, COUNT), &members, "after a reload");
        }
        members = with([4, 1, 3, 2]);
        members[0].usable = false;
        let mut selector = selector.next(*balance, 2, 4, Some);
        check(&served(&mut selector, &mut members, COUNT), &members, "with one down");
        members[0].usable = true;
        check(&served(&mut selector, &mut members, COUNT), &members, "after it recovered");
    }
}
