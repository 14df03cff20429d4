//! What this worker counted, for whoever adds it up.

use std::sync::Arc;

use crate::datapath::Datapath;
use crate::datapath::model::index::{PoolIndex, VirtualIndex};
use crate::datapath::state::counters::{Counters, VirtualCounters};

impl Datapath {
    /// What this worker counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let places = 0..self.snapshot.virtuals().len();
        let seats = places.filter_map(|place| self.seats.of_virtual(VirtualIndex(place)));
        let virtuals = seats.filter_map(|seat| self.seats.virtual_(seat)).map(|seat| {
            let counters = VirtualCounters { carried: seat.carried, refused: seat.refused };
            (Arc::clone(&seat.virtual_.name), counters)
        });
        let members = (0..).zip(self.snapshot.pools()).flat_map(|(pool, settings)| {
            let places = 0..settings.members.len();
            places.filter_map(move |place| self.seats.of_member(PoolIndex(pool), place))
        });
        let members = members
            .filter_map(|seat| self.seats.member(seat))
            .map(|seat| ((Arc::clone(&seat.pool), seat.member.endpoint), seat.carried));
        Counters {
            virtuals: virtuals.collect(),
            translators: self.tally.translators.iter().cloned().collect(),
            members: members.collect(),
            modes: self.tally.modes,
            drops: self.tally.drops,
            snat: self.leases.occupancy_by_address(),
            leases: self.leases.counts(),
            flows: self.flows.len() as u64,
            memory: (self.flows.memory()
                + self.timers.memory()
                + self.leases.memory()
                + self.fragments.memory()) as u64,
            held: self.hold.len() as u64,
            fragments_held: self.fragments.held() as u64,
            received: self.tally.received,
            handed_over: self.tally.handed_over,
            answered: self.tally.answered,
            answers_withheld: self.tally.answers_withheld,
        }
    }
}
