//! Priority groups: which members of a pool count, by their priority and by how many of them are usable.
//!
//! Members of one priority are a group. The groups in use are the highest that together have `min-members` usable
//! members (F5 calls it priority group activation). A group that had none and comes back waits for fail-back; one that
//! was in use all the time does not.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use shunt_wire::Endpoint;

use super::{Candidate, Members};

/// A member's priority; a higher one comes first.
pub type Priority = u16;

/// What a pool says of its groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Groups are in use until they have so many usable members together.
    pub min_members: u32,
    pub fail_back: FailBack,
}

impl Default for Policy {
    fn default() -> Self {
        Self { min_members: 1, fail_back: FailBack::Immediate }
    }
}

/// When groups of a higher priority are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailBack {
    /// As soon as they have enough usable members.
    Immediate,
    /// When they had enough for so many milliseconds without a break.
    After(u64),
    /// When the operator says so.
    Manual,
}

/// The groups in use, by the priority of the first and of the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InUse {
    pub highest: Priority,
    pub lowest: Priority,
}

impl InUse {
    #[must_use]
    pub const fn has(&self, priority: Priority) -> bool {
        self.lowest <= priority && priority <= self.highest
    }
}

/// Which groups of a pool are in use: one for all workers, kept over reloads.
///
/// Two workers that see a change at the same moment both write what they saw; the next choice puts right what one of
/// them saw too late.
#[derive(Debug, Default)]
pub struct Groups {
    /// Members differ in their priority.
    ranked: AtomicBool,
    /// An [`InUse`], [packed](pack); 0 before the first choice.
    in_use: AtomicU64,
    /// Since when higher groups could be used again, plus one; 0: they cannot.
    ready_since: AtomicU64,
    /// How often other groups came in use.
    changes: AtomicU32,
}

/// What a choice needs to know of the groups of its pool.
#[derive(Clone, Copy, Debug)]
pub struct Ranked<'a> {
    pub groups: &'a Groups,
    pub policy: Policy,
    /// In milliseconds.
    pub now: u64,
    /// Nothing comes of it: groups stay as they are.
    pub only_explains: bool,
}

impl Groups {
    /// Whether there is more than one group.
    #[must_use]
    pub fn are_ranked(&self) -> bool {
        self.ranked.load(Relaxed)
    }

    /// A copy, which goes its own way.
    #[must_use]
    pub fn apart(&self) -> Self {
        let number = |of: &AtomicU64| AtomicU64::new(of.load(Relaxed));
        Self {
            ranked: AtomicBool::new(self.are_ranked()),
            in_use: number(&self.in_use),
            ready_since: number(&self.ready_since),
            changes: AtomicU32::new(self.changes()),
        }
    }

    /// Takes in the priorities of all members. Where they are `new`, the next choice begins with the highest group,
    /// whatever fail-back says: the operator has changed them.
    pub fn rank(&self, priorities: impl IntoIterator<Item = Priority>, new: bool) {
        let mut priorities = priorities.into_iter();
        let first = priorities.next();
        self.ranked.store(priorities.any(|it| Some(it) != first), Relaxed);
        if new {
            self.fail_back();
        }
    }

    /// Has the highest groups used again that have enough usable members.
    pub fn fail_back(&self) {
        self.in_use.store(0, Relaxed);
        self.ready_since.store(0, Relaxed);
    }

    /// The groups that were in use at the last choice.
    #[must_use]
    pub fn in_use(&self) -> Option<InUse> {
        unpack(self.in_use.load(Relaxed))
    }

    /// How often other groups came in use.
    #[must_use]
    pub fn changes(&self) -> u32 {
        self.changes.load(Relaxed)
    }
}

impl Ranked<'_> {
    /// The groups that are in use from now on; `None`: no member is usable.
    #[must_use]
    pub fn settle(&self, members: &impl Members) -> Option<InUse> {
        let Groups { in_use, ready_since, changes, .. } = self.groups;
        let packed = in_use.load(Relaxed);
        let since = ready_since.load(Relaxed);
        let (next, ready) = self.next(unpack(packed), since.checked_sub(1), members)?;
        if self.only_explains {
            return Some(next);
        }
        let ready = ready.map_or(0, |since| since + 1);
        if ready != since {
            ready_since.store(ready, Relaxed);
        }
        // Most choices write nothing that other workers read.
        if pack(next) != packed {
            in_use.store(pack(next), Relaxed);
            if packed != 0 {
                changes.fetch_add(1, Relaxed);
            }
        }
        Some(next)
    }

    /// What is in use after `before`, and since when higher groups could be.
    fn next(
        &self,
        before: Option<InUse>,
        since: Option<u64>,
        members: &impl Members,
    ) -> Option<(InUse, Option<u64>)> {
        let wanted = wanted(self.policy.min_members, members)?;
        let usable = |within: InUse| available(members).filter(|it| within.has(*it)).count();
        let enough = usable(wanted).min(self.policy.min_members.try_into().unwrap_or(usize::MAX));
        // A group in use that has no usable member left is not in use any more.
        let left = before.and_then(|before| {
            let highest = available(members).filter(|it| before.has(*it)).max()?;
            Some(InUse { highest, ..before })
        });
        let held = left.filter(|left| *left != wanted && usable(*left) >= enough);
        let Some(held) = held else { return Some((wanted, None)) };
        match self.policy.fail_back {
            FailBack::Immediate => Some((wanted, None)),
            FailBack::Manual => Some((held, None)),
            FailBack::After(time) => {
                let since = since.unwrap_or(self.now);
                if self.now.saturating_sub(since) >= time {
                    Some((wanted, None))
                } else {
                    Some((held, Some(since)))
                }
            }
        }
    }
}

/// The priorities of the usable members.
fn available(members: &impl Members) -> impl Iterator<Item = Priority> {
    (0..members.count()).filter(|place| members.is_available(*place)).map(|place| members.priority(place))
}

/// The highest groups that have so many usable members; all, where there are not so many.
fn wanted(min_members: u32, members: &impl Members) -> Option<InUse> {
    let highest = available(members).max()?;
    let (mut lowest, mut count) = (highest, 0);
    // A step a group, so that nothing is sorted or kept: pools have few.
    loop {
        count += available(members).filter(|it| *it == lowest).count();
        if count >= min_members as usize {
            break;
        }
        let Some(next) = available(members).filter(|it| *it < lowest).max() else { break };
        lowest = next;
    }
    Some(InUse { highest, lowest })
}

/// The members of the groups in use.
pub(super) struct OfGroups<'a, M> {
    pub(super) members: &'a M,
    pub(super) in_use: InUse,
}

impl<M: Members> Members for OfGroups<'_, M> {
    fn count(&self) -> usize {
        self.members.count()
    }

    fn candidate(&self, place: usize) -> Candidate {
        let candidate = self.members.candidate(place);
        Candidate { usable: candidate.usable && self.in_use.has(self.members.priority(place)), ..candidate }
    }

    fn endpoint(&self, place: usize) -> Endpoint {
        self.members.endpoint(place)
    }

    fn serves_bound(&self, place: usize) -> bool {
        self.members.serves_bound(place)
    }

    fn place(&self, member: SocketAddr) -> Option<usize> {
        self.members.place(member)
    }
}

const USED: u64 = 1 << 32;

const fn pack(in_use: InUse) -> u64 {
    USED | (in_use.highest as u64) << 16 | in_use.lowest as u64
}

const fn unpack(packed: u64) -> Option<InUse> {
    if packed & USED == 0 {
        return None;
    }
    Some(InUse { highest: (packed >> 16) as Priority, lowest: packed as Priority })
}

#[cfg(test)]
mod tests;
