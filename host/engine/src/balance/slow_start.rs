//! A member that comes gets less than its share at first: its caches are cold, its pools of connections empty.
//!
//! Where the balance chooses such a member, it keeps only a part of what it would get, which grows. The rest goes to the
//! members that have started. What is hashed comes to it key by key, and no key goes back and forth.

use super::{Candidate, Members, Only};
use crate::{hash, limit};

/// How long a start takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SlowStart {
    /// So many milliseconds from the first request that it is chosen for.
    Time(u64),
    /// So many requests.
    Requests(u32),
}

impl SlowStart {
    /// What one of several workers sees of it: its share of the requests.
    #[must_use]
    pub fn share(self, worker: usize, workers: usize) -> Self {
        match self {
            Self::Time(_) => self,
            Self::Requests(requests) => {
                Self::Requests(limit::share(requests, worker as u32, workers as u32).max(1))
            }
        }
    }
}

/// All that a member would get.
const ALL: u64 = 256;
/// What it gets at first: less would not warm it.
const LEAST: u64 = ALL / 16;

/// The starts of the members of a pool.
#[derive(Clone, Debug)]
pub(super) struct Starts {
    takes: SlowStart,
    /// By place; empty before the first pick.
    members: Vec<Start>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Start {
    /// [`Candidate::came`] when it was last looked at; `None`: the member is new.
    came: Option<u32>,
    /// When it was first chosen, and for how many requests since; `None`: it has started.
    begun: Option<(u64, u32)>,
    /// What it has of a request by its part of them.
    credit: u64,
}

impl Starts {
    /// Goes on with the starts `before` a reload.
    pub(super) fn new(takes: SlowStart, before: Option<Self>) -> Self {
        Self { takes, members: before.map(|before| before.members).unwrap_or_default() }
    }

    /// The same where members came, went or changed places.
    pub(super) fn next(&self, members: usize, before: impl Fn(usize) -> Option<usize>) -> Self {
        let known =
            |place| before(place).and_then(|before| self.members.get(before)).copied().unwrap_or_default();
        let members = if self.members.is_empty() { Vec::new() } else { (0..members).map(known).collect() };
        Self { takes: self.takes, members }
    }

    /// Whether the member that was chosen starts, and this request is not for it; else the request counts. `key` is what
    /// was hashed.
    pub(super) fn passes_over(
        &mut self,
        place: usize,
        key: Option<u64>,
        now: u64,
        members: &impl Members,
    ) -> bool {
        if self.members.is_empty() {
            // Those that are there from the beginning have started.
            let started = |place| Start { came: Some(members.candidate(place).came), ..Start::default() };
            self.members = (0..members.count()).map(started).collect();
        }
        self.members.resize(members.count(), Start::default());
        let takes = self.takes;
        let Some(start) = self.members.get_mut(place) else { return false };
        let came = members.candidate(place).came;
        if start.came != Some(came) {
            *start = Start { came: Some(came), begun: Some((now, 0)), credit: 0 };
        }
        let Some(part) = start.part(takes, now) else {
            start.begun = None;
            return false;
        };
        let is_for_it = match key {
            Some(key) => hash::stable_of(&[b"start", &key.to_be_bytes()]) % ALL < part,
            None => {
                start.credit += part;
                let whole = start.credit >= ALL;
                start.credit -= if whole { ALL } else { 0 };
                whole
            }
        };
        if is_for_it {
            self.taken(place);
        }
        !is_for_it
    }

    /// The member gets a request.
    pub(super) fn taken(&mut self, place: usize) {
        if let Some((_, taken)) = self.members.get_mut(place).and_then(|start| start.begun.as_mut()) {
            *taken = taken.saturating_add(1);
        }
    }

    /// The members that have started.
    pub(super) fn others<'a, M: Members>(
        &'a self,
        members: &'a M,
    ) -> Only<'a, M, impl Fn(usize, &Candidate) -> bool> {
        let has_started = |place: usize, candidate: &Candidate| {
            let start = self.members.get(place);
            start.is_some_and(|start| start.begun.is_none() && start.came == Some(candidate.came))
        };
        Only { members, may: has_started }
    }
}

impl Start {
    /// Its part of what it would get; `None`: all of it.
    fn part(&self, takes: SlowStart, now: u64) -> Option<u64> {
        let (at, taken) = self.begun?;
        let (done, of) = match takes {
            SlowStart::Time(time) => (now.saturating_sub(at), time),
            SlowStart::Requests(requests) => (taken.into(), requests.into()),
        };
        (done < of).then(|| (done.saturating_mul(ALL) / of).max(LEAST))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Pool, ends, weighted};
    use super::super::{Balance, Candidate, Ends, Selector};
    use super::*;

    /// What each member gets of so many requests.
    fn shares(selector: &mut Selector, members: &[Candidate], now: u64, count: u32) -> Vec<u32> {
        let mut taken = vec![0; members.len()];
        for _ in 0..count {
            taken[selector.pick(&Ends { now, ..ends(1, 2) }, &Pool(members)).unwrap()] += 1;
        }
        taken
    }

    /// A pool of four, of which the last has just come back.
    fn recovered(balance: Balance, slowly: SlowStart) -> (Selector, [Candidate; 4]) {
        let mut members = [weighted(1); 4];
        members[3].usable = false;
        let mut selector = Selector::new(balance, 0).starting(Some(slowly));
        assert!(selector.asks_the_time());
        assert_eq!(shares(&mut selector, &members, 500, 300), [100, 100, 100, 0]);
        members[3] = Candidate { came: 1, ..weighted(1) };
        (selector, members)
    }

    #[test]
    fn a_member_that_recovers_gets_more_with_time() {
        for balance in [Balance::RoundRobin, Balance::WeightedRoundRobin, Balance::LeastConnections] {
            let (mut selector, members) = recovered(balance, SlowStart::Time(10_000));
            for (now, least, most) in
                [(1_000, 10, 20), (6_000, 100, 150), (8_500, 165, 210), (11_000, 249, 251)]
            {
                let taken = shares(&mut selector, &members, now, 1_000)[3];
                assert!((least..=most).contains(&taken), "{balance:?} at {now}: {taken}");
            }
        }
    }

    #[test]
    fn or_with_the_requests_that_it_got() {
        let (mut selector, members) = recovered(Balance::RoundRobin, SlowStart::Requests(100));
        let taken: Vec<u32> = (0..20).map(|_| shares(&mut selector, &members, 0, 100)[3]).collect();
        assert!(taken.is_sorted() && taken[0] <= 3 && taken[19] == 25, "{taken:?}");
    }

    #[test]
    fn nobody_is_left_without_a_member() {
        let mut members = [weighted(1); 3];
        let mut selector = Selector::new(Balance::RoundRobin, 0).starting(Some(SlowStart::Time(10_000)));
        shares(&mut selector, &members, 0, 3);
        // All but one came back, then all did.
        members[1].came = 1;
        members[2].came = 1;
        let taken = shares(&mut selector, &members, 0, 320);
        assert!(taken[0] >= 280 && taken[1] > 0 && taken[2] > 0, "{taken:?}");
        members[0].came = 1;
        let taken = shares(&mut selector, &members, 0, 300);
        assert!(taken.iter().all(|taken| (80..=120).contains(taken)), "{taken:?}");
    }

    #[test]
    fn a_member_of_a_reload_starts_slowly_also_over_the_next() {
        let slowly = Some(SlowStart::Time(10_000));
        let mut selector = Selector::new(Balance::RoundRobin, 0).starting(slowly);
        shares(&mut selector, &[weighted(1); 2], 0, 2);
        let members = [weighted(1); 3];
        let after = |selector: &Selector| {
            selector.next(Balance::RoundRobin, 0, 3, |place| (place > 0).then(|| place - 1)).starting(slowly)
        };
        let mut selector = after(&selector);
        assert!(shares(&mut selector, &members, 1_000, 320)[0] <= 10);
        let mut selector = selector.next(Balance::RoundRobin, 0, 3, Some).starting(slowly);
        assert!(shares(&mut selector, &members, 1_500, 320)[0] <= 10);
        let mut selector = selector.next(Balance::RoundRobin, 0, 3, Some).starting(None);
        assert_eq!(shares(&mut selector, &members, 1_500, 30), [10; 3]);
    }

    #[test]
    fn keys_come_to_it_one_by_one_and_stay() {
        let mut members = [weighted(1); 2];
        let mut selector = Selector::new(Balance::SourceHash, 0).starting(Some(SlowStart::Time(10_000)));
        let mut all = |members: &[Candidate], now| -> Vec<usize> {
            let pick = |client| selector.pick(&Ends { now, ..ends(client, 2) }, &Pool(members)).unwrap();
            (0..=255).map(pick).collect()
        };
        let whole = all(&members, 0);
        members[1].came = 1;
        let mut before = vec![0; 256];
        for now in (0..=10_000).step_by(500) {
            let after = all(&members, now);
            assert!(before.iter().zip(&after).all(|(before, after)| before <= after), "{now}");
            before = after;
        }
        assert_eq!(before, whole);
    }
}
