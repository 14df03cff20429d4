//! The member that will be done soonest, by a time that each is known to take.

use super::loads::Loads;
use super::{Candidate, Members};

/// The place of the member with the least `time × (1 + in flight / weight)`; `time` is of [`Candidate::time`]. One of
/// which nothing is known takes as long as the others do on average.
pub(super) fn pick(loads: &mut Loads, members: &impl Members, time: impl Fn(u32) -> u32) -> Option<usize> {
    loads.look(members);
    let known = |it: &&Candidate| it.may_be_chosen() && it.time > 0;
    let (sum, count) = loads
        .candidates()
        .filter(known)
        .fold((0, 0), |(sum, count), it| (sum + u64::from(it.time), count + 1));
    let mean = sum.checked_div(count).and_then(|mean| u32::try_from(mean).ok()).unwrap_or(1).max(1);
    loads.take_least(|candidate, halves| {
        let time = time(if candidate.time == 0 { mean } else { candidate.time });
        u64::from(time).saturating_mul(halves + 2 * u64::from(candidate.weight))
    })
}

/// A balance of its own that does so.
macro_rules! by_time {
    ($kind:ident, $time:expr, $of:expr) => {
        /// Among equals, weighted turns.
        #[derive(Clone, Debug)]
        pub(super) struct $kind($crate::balance::loads::Loads);

        impl $crate::balance::Kind for $kind {
            const NEEDS: $crate::balance::Needs = match $time {
                $crate::balance::Time::Answer => $crate::balance::Needs::Requests,
                $crate::balance::Time::Probe => $crate::balance::Needs::Nothing,
            };
            const TIME: Option<$crate::balance::Time> = Some($time);

            fn new(ahead: usize) -> Self {
                Self($crate::balance::loads::Loads::new(ahead))
            }

            fn pick(
                &mut self,
                _: &$crate::balance::Ends,
                members: &impl $crate::balance::Members,
            ) -> Option<usize> {
                $crate::balance::times::pick(&mut self.0, members, $of)
            }

            fn owed(&self) -> Vec<i64> {
                self.0.owed()
            }

            fn is_arriving(&self, place: usize) -> bool {
                self.0.is_arriving(place)
            }

            fn resume(&mut self, owed: &[i64], arrives: &[bool]) {
                self.0.resume(owed, arrives);
            }
        }
    };
}
pub(super) use by_time;
