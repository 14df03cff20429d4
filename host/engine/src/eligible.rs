//! Why a member gets no new clients: the same for requests, connections, sessions and flows.

use crate::balance::groups::InUse;
use crate::member::{Admin, MemberState};

/// What keeps a member from being chosen, whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ineligible {
    /// Its monitor finds it down.
    Down,
    Disabled,
    Draining,
    /// Requests at it failed.
    Ejected,
    /// It or its pool has as many connections as it may.
    Full,
    WeightZero,
    GroupNotInUse,
}

impl Ineligible {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Disabled => "disabled",
            Self::Draining => "draining",
            Self::Ejected => "ejected",
            Self::Full => "full",
            Self::WeightZero => "weight-zero",
            Self::GroupNotInUse => "group-not-in-use",
        }
    }
}

impl MemberState {
    /// Why it gets no new clients by itself; `weight` is the configured one.
    #[must_use]
    pub fn ineligible(&self, weight: u32) -> Option<Ineligible> {
        Some(match self.limits() {
            _ if !self.is_up() => Ineligible::Down,
            Admin::Disabled => Ineligible::Disabled,
            Admin::Draining => Ineligible::Draining,
            Admin::Enabled if self.ejection().is_ejected() => Ineligible::Ejected,
            Admin::Enabled if !self.has_room() => Ineligible::Full,
            Admin::Enabled if self.weight(weight) == 0 => Ineligible::WeightZero,
            Admin::Enabled => return None,
        })
    }

    /// The same, with what the groups of its pool have to do with it; `None` for those: no member is usable.
    #[must_use]
    pub fn ineligible_among(&self, weight: u32, in_use: Option<InUse>) -> Option<Ineligible> {
        let is_out = || in_use.is_some_and(|in_use| !in_use.has(self.priority()));
        self.ineligible(weight).or_else(|| is_out().then_some(Ineligible::GroupNotInUse))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ejection::Policy;
    use crate::member::PoolState;

    #[test]
    fn each_reason_and_the_first_of_several() {
        let pool = Arc::<PoolState>::default();
        let member = MemberState::of(&pool);
        let high = Some(InUse { highest: 9, lowest: 9 });
        let why = |weight| member.ineligible_among(weight, high).map(Ineligible::as_str);
        member.set_priority(9);
        assert_eq!((why(1), member.usable_for_new()), (None, true));
        member.set_priority(1);
        assert_eq!(why(1), Some("group-not-in-use"));
        assert_eq!(why(0), Some("weight-zero"));
        member.limit(1, 0);
        let held = member.try_begin();
        assert_eq!((why(0), held.is_some()), (Some("full"), true));
        let policy = Policy { failures: 1, time: 10, most_time: 10, most_share: 100 };
        assert_eq!(member.ejection().observe(false, &policy, 1_000, || (0, 1)), Some(10));
        assert_eq!(why(0), Some("ejected"));
        member.set_admin(Admin::Draining);
        assert_eq!(why(0), Some("draining"));
        member.set_admin(Admin::Disabled);
        assert_eq!(why(0), Some("disabled"));
        member.set_up(false);
        assert_eq!(why(0), Some("down"));
    }
}
