//! When a member counts as up or down, from what its monitor sees.

use std::num::NonZeroU32;

/// The rise and fall of one member under one monitor.
///
/// A member begins *up* and the first probe decides outright: a good one confirms it, a bad one
/// takes it down without waiting for `fall`. Up, because a restart of the balancer must not turn
/// a working service away until the probes have come round. The first probe decides, because before
/// it nothing is known, and `fall` is there to doubt a change, not to keep a guess alive.
/// After that, `rise` good probes in a row bring it up and `fall` bad ones in a row take it down.
#[derive(Clone, Debug)]
pub struct Health {
    rise: NonZeroU32,
    fall: NonZeroU32,
    up: bool,
    probed: bool,
    /// Probes in a row that speak against `up`.
    against: u32,
}

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
        Self { rise, fall, up: true, probed: false, against: 0 }
    }

    /// A member that continues under another monitor (a reload changed it): the side that it is on is
    /// kept, and only the new monitor's own probes move it.
    #[must_use]
    pub const fn resume(rise: NonZeroU32, fall: NonZeroU32, up: bool) -> Self {
        Self { rise, fall, up, probed: true, against: 0 }
    }

    /// A member that was watched in another way until now: it begins on the side that it had there, of which
    /// the first probe decides as of any guess.
    #[must_use]
    pub const fn guess(rise: NonZeroU32, fall: NonZeroU32, up: bool) -> Self {
        Self { rise, fall, up, probed: false, against: 0 }
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

    /// Takes the result of one probe; returns whether the member went up or down.
    pub fn observe(&mut self, good: bool) -> Option<Change> {
        let first = !std::mem::replace(&mut self.probed, true);
        if good == self.up {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let needed = if self.up { self.fall } else { self.rise };
        if !first && self.against < needed.get() {
            return None;
        }
        self.up = good;
        self.against = 0;
        Some(if good { Change::Up } else { Change::Down })
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

    proptest! {
        /// The model: after the first probe, a member changes sides exactly when the last `needed`
        /// probes since it last changed all say so.
        #[test]
        fn equals_the_model(rise in 1u32..5, fall in 1u32..5, probes in proptest::collection::vec(any::<bool>(), 1..80)) {
            let mut member = health(rise, fall);
            let mut up = true;
            let mut since: Vec<bool> = Vec::new();
            for (at, good) in probes.into_iter().enumerate() {
                since.push(good);
                let needed = if up { fall } else { rise } as usize;
                let run = since.iter().rev().take_while(|&&probe| probe != up).count();
                let turns = run >= needed || (at == 0 && good != up);
                if turns {
                    up = good;
                    since.clear();
                }
                prop_assert_eq!(member.observe(good).is_some(), turns);
                prop_assert_eq!(member.is_up(), up);
            }
        }
    }
}
