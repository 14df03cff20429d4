//! What this worker counted, to be added up over all workers.

use std::sync::Arc;

use crate::datapath::Datapath;
use crate::datapath::model::index::{PoolIndex, VirtualIndex};
use crate::datapath::state::counters::{Counters, VirtualCounters};

impl Datapath {
    /// What this worker counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let places = 0..self.config.snapshot.virtuals().len();
        let entries = places.filter_map(|place| self.accounting.entries.of_virtual(VirtualIndex(place)));
        let virtuals = entries.filter_map(|entry| self.accounting.entries.virtual_(entry)).map(|entry| {
            let counters = VirtualCounters { traffic: entry.traffic, refused: entry.refused };
            (Arc::clone(&entry.virtual_.name), counters)
        });
        let members = (0..).zip(self.config.snapshot.pools()).flat_map(|(pool, settings)| {
            let places = 0..settings.members.len();
            places.filter_map(move |place| self.accounting.entries.of_member(PoolIndex(pool), place))
        });
        let members = members
            .filter_map(|entry| self.accounting.entries.member(entry))
            .map(|entry| ((Arc::clone(&entry.pool), entry.member.endpoint), entry.traffic));
        Counters {
            virtuals: virtuals.collect(),
            translators: self.accounting.tally.translators.iter().cloned().collect(),
            members: members.collect(),
            modes: self.accounting.tally.modes,
            drops: self.accounting.tally.drops,
            snat: self.flows.leases.occupancy_by_address(),
            leases: self.flows.leases.counts(),
            flows: self.flows.table.len() as u64,
            memory: (self.flows.memory() + self.pending.fragments.memory()) as u64,
            pending: self.pending.next_hops.len() as u64,
            fragments_pending: self.pending.fragments.pending() as u64,
            received: self.accounting.tally.received,
            handed_over: self.accounting.tally.handed_over,
            answered: self.accounting.tally.answered,
            answers_withheld: self.accounting.tally.answers_withheld,
            checksums_finished: self.accounting.tally.checksums_finished,
        }
    }
}
