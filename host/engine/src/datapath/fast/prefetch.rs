//! What a batch of frames will read is brought into the cache before the first is looked at.

use std::hint::black_box;

use shunt_wire::{Endpoint, FlowKey};

use crate::datapath::Datapath;
use crate::flow::BATCH;
use crate::packet::{Kind, dissect};

/// With fewer flows than this everything that packets read is in the cache anyway (a few hundred bytes each,
/// of a second-level cache of one or two megabytes), and prefetching costs more than it saves.
const WORTH_IT: usize = 4_096;

impl Datapath {
    /// Brings into the cache what the flows of these frames need, up to 64 of them.
    ///
    /// Among a million flows a packet waits for memory half a dozen times, which is most of what it costs.
    /// The processor waits for all reads of a batch at once if they are issued at once.
    pub fn prefetch<'f>(&self, frames: impl IntoIterator<Item = &'f [u8]>) {
        if self.flows.table.len() < WORTH_IT {
            return;
        }
        let none = FlowKey::new(Endpoint::default(), Endpoint::default(), 0);
        let mut keys = [none; BATCH];
        let of_flows = frames.into_iter().filter_map(|frame| match dissect(frame).ok()?.kind {
            Kind::Flow(packet) => Some(packet.key),
            _ => None,
        });
        let count = keys.iter_mut().zip(of_flows).map(|(place, key)| *place = key).count();
        let keys = keys.get(..count).unwrap_or_default();
        self.flows.table.prefetch(keys);
        // First all are found, then all are touched: between two reads that wait nothing else stands, so that
        // many wait together.
        let mut found = [None; BATCH];
        for (place, key) in found.iter_mut().zip(keys) {
            *place = self.flows.table.find(key);
        }
        // One word of each line that a hit touches; no branch depends on any.
        black_box(found.iter().flatten().fold(0, |all, (id, direction)| {
            let Some(flow) = self.flows.get(*id) else { return all };
            let (traffic, path) = (&flow.traffic, flow.path(*direction));
            let path = path.rewrite.epoch ^ u32::from(path.rewrite.mss) ^ u32::from(path.vlan.is_some());
            all ^ traffic[1].bytes ^ u64::from(path)
        }));
    }
}
