//! What a worker counts and limits.

use std::sync::Arc;

use super::config::Options;
use super::counters::Tally;
use super::entries::Entries;
use super::flow::FlowState;
use crate::datapath::model::id::EntryId;
use crate::datapath::snapshot::Snapshot;
use crate::flow::Direction;
use crate::limit::TokenBucket;
use crate::member::MemberState;

/// ICMP errors per second at most, of one worker (RFC 4443 section 2.4 f, RFC 1812 section 4.3.2.8). As many as
/// Linux sends in all (`icmp_msgs_per_sec`). Resets are not counted: each is smaller than what it answers.
const ERRORS_PER_SECOND: u32 = 1_000;

/// Counters and limits, of the worker as a whole and of each virtual and member.
pub(in crate::datapath) struct Accounting {
    pub(in crate::datapath) entries: Entries,
    pub(in crate::datapath) tally: Tally,
    /// ICMP errors that may be sent.
    pub(in crate::datapath) errors: TokenBucket,
    /// What flows that go to no member are counted on: it is always up.
    pub(in crate::datapath) no_member: Arc<MemberState>,
    /// Stands in for the members of probes: never down, and its flows count as no member's load.
    pub(in crate::datapath) probed: Arc<MemberState>,
}

impl Accounting {
    pub(in crate::datapath) fn new(now: u64, options: &Options, snapshot: &Snapshot) -> Self {
        let mut tally = Tally::default();
        tally.keep_translators(snapshot);
        Self {
            entries: Entries::new(options.worker, options.workers, snapshot),
            tally,
            errors: TokenBucket::new(ERRORS_PER_SECOND, ERRORS_PER_SECOND, now),
            no_member: MemberState::new(),
            probed: MemberState::new(),
        }
    }

    /// Continues with what is configured now.
    pub(in crate::datapath) fn apply(&mut self, snapshot: &Snapshot) {
        self.entries.apply(snapshot);
        self.tally.keep_translators(snapshot);
    }

    /// Counts a probe's flow on its virtual and member.
    pub(in crate::datapath) fn begin_probe(&mut self, virtual_: EntryId, member: EntryId) {
        if let Some(entry) = self.entries.virtual_mut(virtual_) {
            entry.probes += 1;
        }
        if let Some(entry) = self.entries.member_mut(member) {
            entry.probes += 1;
        }
    }

    /// Counts the end of a probe's flow.
    pub(in crate::datapath) fn end_probe(&mut self, state: &FlowState) {
        if let Some(entry) = self.entries.virtual_mut(state.virtual_) {
            entry.probes -= 1;
        }
        if let Some(entry) = self.entries.member_mut(state.member) {
            entry.probes -= 1;
        }
    }

    /// Counts a packet of a flow.
    #[inline]
    pub(in crate::datapath) fn count(
        &mut self,
        state: &mut FlowState,
        now: u64,
        direction: Direction,
        length: u16,
    ) {
        state.last = now;
        state.traffic[direction as usize].add(length);
        self.entries.count((state.virtual_, state.member), direction, length);
        self.tally.modes[state.mode as usize].count(direction, length);
    }
}
