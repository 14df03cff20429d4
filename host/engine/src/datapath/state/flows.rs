//! The flows of a worker, and what they hold of its own.

use crate::datapath::state::config::Options;
use crate::datapath::state::flow::FlowState;
use crate::flow::{Cursor, FlowId, Table};
use crate::snat::{Blocks, Ports};
use crate::timer::Wheel;

/// Flows, when each is over if nothing more comes, and the SNAT ports that they lease.
pub(in crate::datapath) struct Flows {
    pub(in crate::datapath) table: Table<FlowState>,
    pub(in crate::datapath) timers: Wheel,
    pub(in crate::datapath) leases: Ports,
    /// How far the search for flows of virtuals that are gone has come.
    pub(in crate::datapath) sweep: Option<Cursor>,
}

impl Flows {
    pub(in crate::datapath) fn new(now: u64, options: &Options) -> Self {
        let Options { worker, workers, key, flows } = *options;
        Self {
            table: Table::new(worker as u16, flows, key),
            timers: Wheel::new(now),
            leases: Ports::new(Blocks::new(worker as u16, workers as u16), key, now),
            sweep: None,
        }
    }

    /// What a flow is remembered as.
    #[inline]
    pub(in crate::datapath) fn get(&self, id: FlowId) -> Option<&FlowState> {
        self.table.get(id).map(|flow| &flow.value)
    }

    /// Bytes that they take.
    pub(in crate::datapath) fn memory(&self) -> usize {
        self.table.memory() + self.timers.memory() + self.leases.memory()
    }
}
