//! When a member counts as up or down, from what its monitor sees.

use std::num::NonZeroU32;

/// The rise and fall of one member under one monitor.
///
/// A member begins *up* and the first probe decides outright: a good one confirms it, a bad one
/// takes it down without waiting for `fall`. Up, because a restart of the balancer must not turn
/// a working service away until the probes have come round. The first probe decides, because before
/// it nothing is known, and `fall` is there to doubt a change, not to keep a guess alive.
/// After that, `rise` good probes in a row bring it up and `fall` bad ones in a row take it down.
///
/// A member that goes down again and again soon after it came up flaps: from the third such relapse on each doubles
/// `rise`, up to sixteen times, until it stays up.
#[derive(Clone, Debug)]
pub struct Health {
    rise: NonZeroU32,
    fall: NonZeroU32,
    up: bool,
    probed: bool,
    /// Probes in a row that speak against `up`.
    against: u32,
    /// Probes since it came up; `None`: no probe has brought it up yet.
    since_up: Option<u32>,
    /// How often in a row it went down soon after it had come up.
    relapses: u32,
}

/// A member that goes down within so many probes after it came up has a relapse.
const SOON: u32 = 20;
/// So many relapses are a restart that failed at first, or the first moments under load.
const USUAL_RELAPSES: u32 = 2;
/// `rise` is doubled at most so often.
const MOST_DOUBLINGS: u32 = 4;

/// A member changed sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Up,
    Down,
}

impl Health {
    /// A member that no probe has seen yet.
    #[must_use]
    pub const fn new(rise: NonZeroU32, fall: NonZeroU32) -> Self {
        Self::guess(rise, fall, true)
    }

    /// A member that continues under another monitor (a reload changed it): the side that it is on is
    /// kept, and only the new monitor's own probes move it.
    #[must_use]
    pub fn resume(rise: NonZeroU32, fall: NonZeroU32, up: bool) -> Self {
        Self { probed: true, ..Self::guess(rise, fall, up) }
    }

    /// A member that was watched in another way until now: it begins on the side that it had there, of which
    /// the first probe decides as of any guess.
    #[must_use]
    pub const fn guess(rise: NonZeroU32, fall: NonZeroU32, up: bool) -> Self {
        Self { rise, fall, up, probed: false, against: 0, since_up: None, relapses: 0 }
    }

    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.up
    }

    /// Whether any probe has come back.
    #[must_use]
    pub const fn is_probed(&self) -> bool {
        self.probed
    }

    /// Whether the last probe spoke against the side that it is on.
    #[must_use]
    pub const fn is_changing(&self) -> bool {
        self.against > 0
    }

    /// Whether it went down so often soon after it had come up that it now takes more good probes to come up.
    #[must_use]
    pub const fn is_flapping(&self) -> bool {
        self.relapses > USUAL_RELAPSES
    }

    /// Good probes in a row that bring it up.
    #[must_use]
    pub fn rise_needed(&self) -> u32 {
        let doublings = self.relapses.saturating_sub(USUAL_RELAPSES).min(MOST_DOUBLINGS);
        self.rise.get().saturating_mul(1 << doublings)
    }

    /// Takes the result of one probe; returns whether the member went up or down.
    pub fn observe(&mut self, good: bool) -> Option<Change> {
        let first = !std::mem::replace(&mut self.probed, true);
        if self.up {
            self.since_up = self.since_up.map(|probes| probes.saturating_add(1));
            if self.since_up.is_none_or(|probes| probes > SOON) {
                self.relapses = 0;
            }
        }
        if good == self.up {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let needed = if self.up { self.fall.get() } else { self.rise_needed() };
        if !first && self.against < needed {
            return None;
        }
        self.up = good;
        self.against = 0;
        if good {
            self.since_up = Some(0);
            return Some(Change::Up);
        }
        if self.since_up.is_some_and(|probes| probes <= SOON) {
            self.relapses += 1;
        }
        Some(Change::Down)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn health(rise: u32, fall: u32) -> Health {
        Health::new(NonZeroU32::new(rise).unwrap(), NonZeroU32::new(fall).unwrap())
    }

    #[test]
    fn a_conversation() {
        let mut member = health(2, 3);
        assert!(member.is_up() && !member.is_probed());
        let story = [
            (true, None),
            (false, None),
            (false, None),
            (true, None), // the run is broken
            (false, None),
            (false, None),
            (false, Some(Change::Down)),
            (true, None),
            (false, None),
            (true, None),
            (true, Some(Change::Up)),
        ];
        for (at, (good, expected)) in story.into_iter().enumerate() {
            assert_eq!(member.observe(good), expected, "probe {at}");
        }
    }

    #[test]
    fn the_first_bad_probe_takes_a_new_member_down() {
        let mut member = health(2, 3);
        assert_eq!(member.observe(false), Some(Change::Down));
    }

    #[test]
    fn a_member_that_goes_on_is_not_new() {
        let two = NonZeroU32::new(2).unwrap();
        let mut member = Health::resume(two, two, true);
        assert_eq!(member.observe(false), None);
        assert_eq!(member.observe(false), Some(Change::Down));
    }

    /// Up and down in turn, each as soon as it can be: how many good probes each rise takes.
    fn rises(member: &mut Health, times: usize) -> Vec<u32> {
        let rise = |_| {
            member.observe(false);
            (1..).find(|_| member.observe(true).is_some()).unwrap()
        };
        (0..times).map(rise).collect()
    }

    #[test]
    fn a_member_that_flaps_takes_longer_and_longer_to_come_up() {
        let mut member = health(2, 1);
        assert_eq!(rises(&mut member, 4), [2, 2, 2, 4], "the first time down is no relapse");
        assert!(member.is_flapping());
        assert_eq!(rises(&mut member, 4), [8, 16, 32, 32]);
    }

    #[test]
    fn a_member_that_stayed_up_for_a_while_does_not_flap() {
        let mut member = health(2, 1);
        rises(&mut member, 6);
        for _ in 0..SOON {
            assert!(member.is_flapping() && member.observe(true).is_none());
        }
        member.observe(true);
        assert!(!member.is_flapping());
        assert_eq!(rises(&mut member, 4), [2, 2, 2, 4]);
    }

    proptest! {
        /// The model: after the first probe, a member changes sides exactly when the last `needed`
        /// probes since it last changed all say so; `rise` doubles with the last downs in a row that came soon.
        #[test]
        fn equals_the_model(rise in 1u32..5, fall in 1u32..5, probes in proptest::collection::vec(any::<bool>(), 1..80)) {
            let mut member = health(rise, fall);
            let mut up = true;
            let mut since: Vec<bool> = Vec::new();
            // Of each time down, whether it came soon after it was up.
            let mut downs: Vec<bool> = Vec::new();
            for (at, good) in probes.into_iter().enumerate() {
                since.push(good);
                let relapses = downs.iter().rev().take_while(|soon| **soon).count();
                let risen = rise << relapses.saturating_sub(2).min(4);
                let needed = if up { fall } else { risen } as usize;
                let run = since.iter().rev().take_while(|&&probe| probe != up).count();
                let turns = run >= needed || (at == 0 && good != up);
                let ever_rose = !downs.is_empty();
                if turns {
                    if up {
                        downs.push(ever_rose && since.len() <= 20);
                    }
                    up = good;
                    since.clear();
                }
                prop_assert_eq!(member.observe(good).is_some(), turns);
                prop_assert_eq!(member.is_up(), up);
            }
        }
    }
}
