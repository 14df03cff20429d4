//! What this worker counted, to be added up over all workers.

use std::sync::Arc;

use crate::datapath::Datapath;
use crate::datapath::model::index::{PoolIndex, TranslatorIndex, VirtualIndex};
use crate::datapath::state::accounting::Accounting;
use crate::datapath::state::counters::{Counters, VirtualCounters};
use crate::datapath::state::entries::VirtualEntry;

impl Datapath {
    /// What this worker counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let (snapshot, Accounting { entries, tally, .. }) = (&self.config.snapshot, &self.accounting);
        let virtuals = snapshot.virtuals().iter().enumerate().filter_map(|(place, virtual_)| {
            let entry = entries.virtual_(snapshot.virtual_entry(VirtualIndex(place))?)?;
            let VirtualEntry { traffic, refused, persistence_down, .. } = *entry;
            let counters = VirtualCounters { traffic, refused, persistence_down };
            Some((Arc::clone(&virtual_.name), counters))
        });
        let translators = snapshot.translators().iter().enumerate().filter_map(|(place, translator)| {
            let number = snapshot.translator_number(TranslatorIndex(place))?;
            Some((Arc::clone(&translator.name), *tally.translators.get(number as usize)?))
        });
        let members = snapshot.pools().iter().enumerate().flat_map(|(pool, settings)| {
            settings.members.iter().enumerate().filter_map(move |(place, member)| {
                let entry = entries.member(snapshot.member_entry(PoolIndex(pool), place)?)?;
                Some(((Arc::clone(&settings.name), member.endpoint), entry.traffic))
            })
        });
        Counters {
            virtuals: virtuals.collect(),
            translators: translators.collect(),
            members: members.collect(),
            modes: self.accounting.tally.modes,
            drops: self.accounting.tally.drops,
            snat: self.flows.leases.occupancy_by_address(),
            leases: self.flows.leases.counts(),
            flows: self.flows.table.len() as u64,
            memory: (self.flows.memory() + self.pending.fragments.memory()) as u64,
            pending: self.pending.next_hops.len() as u64,
            fragments_pending: self.pending.fragments.pending() as u64,
            frames: self.accounting.tally.frames,
        }
    }
}
