//! What a worker decides by: what is configured, and what is known of the network.

use std::sync::Arc;

use crate::datapath::compile::plan::NEVER;
use crate::datapath::snapshot::Snapshot;
use crate::hash::Keyed;
use crate::network::Network;

/// What stays the same over the life of a worker.
#[derive(Clone, Copy)]
pub struct Options {
    /// Which worker this is, from 0.
    pub worker: usize,
    pub workers: usize,
    /// The same for all workers, from a random source: they must agree on who owns a flow.
    pub key: Keyed,
    /// Flows in this worker's table at most.
    pub flows: usize,
}

/// What decisions are made by. Packets change nothing of it.
pub(in crate::datapath) struct Config {
    pub(in crate::datapath) options: Options,
    pub(in crate::datapath) snapshot: Arc<Snapshot>,
    pub(in crate::datapath) network: Arc<Network>,
    /// Counts snapshots and networks: a rewrite that bears another number is checked before it is replayed.
    pub(in crate::datapath) epoch: u32,
}

impl Config {
    pub(in crate::datapath) fn new(options: Options, snapshot: Arc<Snapshot>, network: Arc<Network>) -> Self {
        Self { options, snapshot, network, epoch: NEVER + 1 }
    }

    /// Continues with what is configured now; gives back what was.
    pub(in crate::datapath) const fn apply(&mut self, snapshot: Arc<Snapshot>) -> Arc<Snapshot> {
        self.next_epoch();
        std::mem::replace(&mut self.snapshot, snapshot)
    }

    /// Every rewrite is checked before it is replayed again.
    pub(in crate::datapath) const fn next_epoch(&mut self) {
        self.epoch = match self.epoch.wrapping_add(1) {
            NEVER => NEVER + 1,
            epoch => epoch,
        };
    }
}
