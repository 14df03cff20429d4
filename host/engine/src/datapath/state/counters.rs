//! What was counted: plain numbers of one worker, or of several.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::Arc;

use shunt_wire::{Address, Endpoint, Family};

use crate::datapath::model::flow::Traffic;
use crate::datapath::model::mode::ModeName;
use crate::datapath::model::reason::DropReason;
use crate::datapath::model::verdict::Verdict;
use crate::datapath::snapshot::Snapshot;
use crate::flow::Direction;
use crate::packet::Routed;
use crate::snat::{self, AddressOccupancy};

/// A copy of everything that one worker counted. Those of several add up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Of the virtuals of the snapshot, by name.
    pub virtuals: BTreeMap<Arc<str>, VirtualCounters>,
    /// Of its virtuals of mode `siit`, by name.
    pub translators: BTreeMap<Arc<str>, TranslatorCounters>,
    /// Of the members of its pools, by pool and endpoint.
    pub members: BTreeMap<(Arc<str>, Endpoint), FlowCounters>,
    /// By [`ModeName`] as index.
    pub modes: [FlowCounters; ModeName::ALL.len()],
    /// By [`DropReason`] as index.
    pub drops: [u64; DropReason::ALL.len()],
    /// Of each SNAT address with ports that are leased or quarantined.
    pub snat: BTreeMap<Address, AddressOccupancy>,
    /// Leases ever, and refused ones.
    pub leases: snat::Counts,
    /// Flows in the table now.
    pub flows: u64,
    /// Bytes that flows, their timers and ports take, and fragments.
    pub memory: u64,
    /// Packets that are pending for their next hop now.
    pub pending: u64,
    /// Fragments that are pending for the first one of their packet now.
    pub fragments_pending: u64,
    pub frames: FrameCounters,
}

/// What was done with frames, whichever virtual they are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameCounters {
    /// Frames received.
    pub received: u64,
    /// Frames handed over to other workers.
    pub handed_over: u64,
    /// Replies to requests for Shunt's addresses: ARP, neighbour discovery, echo.
    pub answered: u64,
    /// Resets and ICMP errors that were not sent, because too many had been.
    pub answers_withheld: u64,
    /// Frames whose checksum the sender had left to its device, and that was completed here.
    pub checksums_finished: u64,
}

/// Flows, and what was received of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowCounters {
    /// Flows now.
    pub active: u64,
    /// Flows ever.
    pub flows: u64,
    pub to_server: Traffic,
    /// Only of modes in which return traffic passes through Shunt.
    pub to_client: Traffic,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VirtualCounters {
    pub traffic: FlowCounters,
    /// First packets that became no flow, whatever the reason.
    pub refused: u64,
    /// New flows of clients whose member was down: those that went to another, and those that were refused.
    pub persistence_down: [u64; 2],
}

/// What a virtual of mode `siit` translated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TranslatorCounters {
    /// Packets that became IPv4, as they came.
    pub to_v4: Traffic,
    /// Packets that became IPv6, as they came.
    pub to_v6: Traffic,
    /// Packets that were not translated, whatever the reason.
    pub refused: u64,
}

/// What is counted of the worker as a whole.
#[derive(Clone, Debug)]
pub(in crate::datapath) struct Tally {
    pub(in crate::datapath) frames: FrameCounters,
    pub(in crate::datapath) modes: [FlowCounters; ModeName::ALL.len()],
    /// Of virtuals of mode `siit`, by number.
    pub(in crate::datapath) translators: Vec<TranslatorCounters>,
    pub(in crate::datapath) drops: [u64; DropReason::ALL.len()],
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            frames: FrameCounters::default(),
            modes: [FlowCounters::default(); ModeName::ALL.len()],
            translators: Vec::new(),
            drops: [0; DropReason::ALL.len()],
        }
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            virtuals: BTreeMap::new(),
            translators: BTreeMap::new(),
            members: BTreeMap::new(),
            modes: [FlowCounters::default(); ModeName::ALL.len()],
            drops: [0; DropReason::ALL.len()],
            snat: BTreeMap::new(),
            leases: snat::Counts::default(),
            flows: 0,
            memory: 0,
            pending: 0,
            fragments_pending: 0,
            frames: FrameCounters::default(),
        }
    }
}

impl AddAssign<&Counters> for Counters {
    fn add_assign(&mut self, more: &Counters) {
        // Named one by one, so that none is forgotten.
        let Counters {
            virtuals,
            translators,
            members,
            modes,
            drops,
            snat,
            leases,
            flows,
            memory,
            pending,
            fragments_pending,
            frames,
        } = more;
        for (name, more) in virtuals {
            *self.virtuals.entry(Arc::clone(name)).or_default() += *more;
        }
        for (name, more) in translators {
            *self.translators.entry(Arc::clone(name)).or_default() += *more;
        }
        for (member, more) in members {
            *self.members.entry(member.clone()).or_default() += *more;
        }
        for (total, more) in self.modes.iter_mut().zip(modes) {
            *total += *more;
        }
        for (total, more) in self.drops.iter_mut().zip(drops) {
            *total += more;
        }
        for (address, more) in snat {
            self.snat.entry(*address).and_modify(|it| it.join(*more)).or_insert(*more);
        }
        self.leases += *leases;
        self.flows += flows;
        self.memory += memory;
        self.pending += pending;
        self.fragments_pending += fragments_pending;
        self.frames += *frames;
    }
}

impl AddAssign for FrameCounters {
    fn add_assign(&mut self, more: FrameCounters) {
        let FrameCounters { received, handed_over, answered, answers_withheld, checksums_finished } = more;
        self.received += received;
        self.handed_over += handed_over;
        self.answered += answered;
        self.answers_withheld += answers_withheld;
        self.checksums_finished += checksums_finished;
    }
}

impl AddAssign for VirtualCounters {
    fn add_assign(&mut self, more: VirtualCounters) {
        let VirtualCounters { traffic, refused, persistence_down: [reselected, kept_out] } = more;
        self.traffic += traffic;
        self.refused += refused;
        self.persistence_down[0] += reselected;
        self.persistence_down[1] += kept_out;
    }
}

impl AddAssign for TranslatorCounters {
    fn add_assign(&mut self, more: TranslatorCounters) {
        self.to_v4 += more.to_v4;
        self.to_v6 += more.to_v6;
        self.refused += more.refused;
    }
}

impl AddAssign for FlowCounters {
    fn add_assign(&mut self, more: FlowCounters) {
        self.active += more.active;
        self.flows += more.flows;
        self.to_server += more.to_server;
        self.to_client += more.to_client;
    }
}

impl Tally {
    /// Counts what became of a frame.
    pub(in crate::datapath) const fn take(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::HandOver { .. } => self.frames.handed_over += 1,
            Verdict::Refuse { reason, .. } | Verdict::Drop(reason) => self.dropped(reason),
            Verdict::Answer { .. } => self.frames.answered += 1,
            Verdict::Send { .. } | Verdict::Sent | Verdict::Pending => {}
        }
    }

    /// Counts a packet of a virtual of mode `siit`. One that waits is counted when it continues.
    pub(in crate::datapath) fn translated(&mut self, number: Option<u32>, packet: &Routed, verdict: Verdict) {
        let counters = number.and_then(|number| self.translators.get_mut(number as usize));
        let Some(counters) = counters else { return };
        match (verdict, packet.layout.family) {
            (Verdict::Send { .. }, Family::V4) => counters.to_v6.add(packet.layout.datagram_len()),
            (Verdict::Send { .. }, Family::V6) => counters.to_v4.add(packet.layout.datagram_len()),
            (Verdict::Refuse { .. } | Verdict::Drop(_), _) => counters.refused += 1,
            _ => {}
        }
    }

    /// Keeps the counters of virtuals of mode `siit` by their numbers.
    pub(in crate::datapath) fn keep_translators(&mut self, snapshot: &Snapshot) {
        snapshot.numbers().translators.settle(&mut self.translators, |_| TranslatorCounters::default());
    }

    pub(in crate::datapath) const fn dropped(&mut self, reason: DropReason) {
        self.dropped_many(reason, 1);
    }

    pub(in crate::datapath) const fn dropped_many(&mut self, reason: DropReason, count: usize) {
        self.drops[reason as usize] += count as u64;
    }
}

impl FlowCounters {
    /// Counts one packet.
    pub(in crate::datapath) const fn count(&mut self, direction: Direction, bytes: u16) {
        match direction {
            Direction::ToServer => self.to_server.add(bytes),
            Direction::ToClient => self.to_client.add(bytes),
        }
    }

    /// Counts a flow that begins.
    pub(in crate::datapath) const fn begin(&mut self) {
        self.flows += 1;
        self.active += 1;
    }

    /// Counts a flow that ends.
    pub(in crate::datapath) const fn end(&mut self) {
        self.active -= 1;
    }
}
