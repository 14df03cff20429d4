//! What is remembered of a flow.

use std::num::NonZeroU32;
use std::sync::Arc;

use shunt_wire::FlowKey;

use crate::datapath::compile::plan::{Ends, NEVER, Path, Plan};
use crate::datapath::model::arrival::{Arrival, Sender};
use crate::datapath::model::flow::Traffic;
use crate::datapath::model::id::EntryId;
use crate::datapath::model::mode::ModeName;
use crate::flow::tcp::TcpTracker;
use crate::flow::{Direction, Ending, Flow};
use crate::member::MemberState;
use crate::snat::Lease;

/// A flow that is forwarded. What every packet touches stands first: behind the keys, in the same three cache
/// lines, and the path of its direction in the next ones.
#[repr(C)]
pub(in crate::datapath) struct FlowState {
    /// When its last packet came, in milliseconds.
    pub(in crate::datapath) last: u64,
    /// If it is TCP.
    pub(in crate::datapath) tracker: Option<TcpTracker>,
    pub(in crate::datapath) virtual_: EntryId,
    /// The member, which has entered this flow and leaves it when this is dropped.
    pub(in crate::datapath) busy: Arc<MemberState>,
    pub(in crate::datapath) member: EntryId,
    pub(in crate::datapath) mode: ModeName,
    /// A monitor's: it counts for no virtual and no member.
    pub(in crate::datapath) is_probe: bool,
    /// Return traffic goes to the station that the client's packets come from, which the path to the client holds.
    pub(in crate::datapath) returns: bool,
    /// It counts for the pool of the member too.
    pub(in crate::datapath) in_pool: bool,
    /// What was received in each direction, by [`Direction`].
    pub(in crate::datapath) traffic: [Traffic; 2],
    /// By [`Direction`]. Of a flow whose return traffic goes elsewhere only the first counts.
    pub(in crate::datapath) paths: [Path; 2],
    pub(in crate::datapath) plan: Plan,
    /// When its first packet came, in milliseconds.
    pub(in crate::datapath) begun: u64,
    /// How long after its first packet that of the member came, in milliseconds, and one more.
    pub(in crate::datapath) first_answer: Option<NonZeroU32>,
    /// The interface that its first packet came in by.
    pub(in crate::datapath) ingress: u32,
    /// The port that it has in mode `snat`.
    pub(in crate::datapath) lease: Option<Lease>,
}

/// What packets change of a flow.
#[derive(Clone, Copy, Debug)]
pub(in crate::datapath) struct Standing {
    last: u64,
    tracker: Option<TcpTracker>,
    traffic: [Traffic; 2],
    paths: [Path; 2],
    first_answer: Option<NonZeroU32>,
}

/// Between whom a flow is, and how.
pub(in crate::datapath) fn ends(flow: &Flow<FlowState>) -> Ends {
    let FlowState { mode, returns, .. } = &flow.value;
    let back = flow.value.path(Direction::ToClient);
    let sender = returns.then_some(Sender {
        interface: back.rewrite.interface,
        vlan: back.vlan,
        mac: back.rewrite.destination_mac,
    });
    let seen = flow.reverse().map(FlowKey::destination);
    Ends { forward: *flow.forward(), seen, mode: *mode, sender }
}

impl FlowState {
    /// How long it lives after its last packet, in milliseconds.
    pub(in crate::datapath) fn lifetime(&self) -> u64 {
        let idle = u64::from(self.plan.idle);
        self.tracker.map_or(idle, |tracker| tracker.lifetime(idle))
    }

    /// When it ends if nothing more comes.
    pub(in crate::datapath) fn deadline(&self) -> u64 {
        self.last.saturating_add(self.lifetime())
    }

    /// Notes when the member answered; true if it is the first time.
    pub(in crate::datapath) fn answered(&mut self, now: u64) -> bool {
        let first = self.first_answer.is_none();
        if first {
            let after = u32::try_from(now.saturating_sub(self.begun)).unwrap_or(u32::MAX);
            self.first_answer = Some(NonZeroU32::MIN.saturating_add(after));
        }
        first
    }

    /// How long its member took to answer, in milliseconds.
    pub(in crate::datapath) fn first_answer(&self) -> Option<u64> {
        self.first_answer.map(|after| u64::from(after.get() - 1))
    }

    /// How it ended, if it ends now because its time is up.
    pub(in crate::datapath) fn ending(&self) -> Ending {
        self.tracker.map_or(Ending::Idle, |tracker| tracker.ending())
    }

    /// May packets of this direction not continue because of the member? Packets of a member prove that it
    /// is up; only clients are turned away from it.
    pub(in crate::datapath) fn has_lost_member(&self, direction: Direction) -> bool {
        direction == Direction::ToServer && !self.busy.serves_on()
    }

    /// Where return traffic goes back to the sender, the last sender counts: the client's packets may have come to take another
    /// way.
    #[inline]
    pub(in crate::datapath) fn follow(&mut self, direction: Direction, arrival: &Arrival<'_>) {
        if !self.returns || direction == Direction::ToClient {
            return;
        }
        let (sender, back) = (arrival.sender(), &mut self.paths[Direction::ToClient as usize]);
        let known = (back.rewrite.interface, back.vlan, back.rewrite.destination_mac);
        if known != (sender.interface, sender.vlan, sender.mac) {
            (back.rewrite.interface, back.vlan) = (sender.interface, sender.vlan);
            (back.rewrite.destination_mac, back.rewrite.epoch) = (sender.mac, NEVER);
        }
    }

    /// All that a packet changes.
    pub(in crate::datapath) const fn standing(&self) -> Standing {
        let Self { last, tracker, traffic, paths, first_answer, .. } = *self;
        Standing { last, tracker, traffic, paths, first_answer }
    }

    /// As it was before a packet.
    pub(in crate::datapath) const fn restore(&mut self, before: Standing) {
        let Standing { last, tracker, traffic, paths, first_answer } = before;
        (self.last, self.tracker, self.first_answer) = (last, tracker, first_answer);
        (self.traffic, self.paths) = (traffic, paths);
    }

    /// Its state, as operators see it.
    pub(in crate::datapath) fn state(&self) -> &'static str {
        self.tracker.map_or("active", |tracker| tracker.state().as_str())
    }

    pub(in crate::datapath) const fn path(&self, direction: Direction) -> &Path {
        &self.paths[direction as usize]
    }
}

impl Drop for FlowState {
    fn drop(&mut self) {
        self.busy.leave(self.in_pool);
    }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    /// A flow fills eight cache lines with its keys. What a hit touches beside a path ends within the third.
    #[test]
    fn a_flow_has_eight_cache_lines() {
        let before = 16 + offset_of!(Flow<FlowState>, value);
        assert!(before + offset_of!(FlowState, paths) <= 3 * 64, "{}", before + offset_of!(FlowState, paths));
        assert!(16 + size_of::<Flow<FlowState>>() <= 8 * 64, "{}", 16 + size_of::<Flow<FlowState>>());
    }
}
