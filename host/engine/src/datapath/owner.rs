//! Which worker a packet belongs to: the same one in both directions.

use std::hash::BuildHasher;

use shunt_wire::{Endpoint, FlowKey};

use super::Datapath;
use super::snapshot::Owned;
use crate::packet::{Kind, Packet};

impl Datapath {
    /// The worker that owns the flow of a packet; `None` where any worker will do.
    pub(super) fn owner(&self, packet: &Packet) -> Option<usize> {
        if self.options.workers < 2 {
            return None;
        }
        match &packet.kind {
            Kind::Flow(flow) => Some(self.owner_of(&flow.key)),
            // It is about a packet that travelled the other way.
            Kind::IcmpError(error) => Some(self.owner_of(&error.embedded.reversed())),
            Kind::Arp(_) | Kind::NeighbourSolicitation(_) | Kind::Fragment(_) | Kind::Other(_) => None,
        }
    }

    /// The client's endpoint stands in both directions of a flow, except in what a member sends to a
    /// SNAT address: there the port tells, for each worker leases those of its own blocks.
    fn owner_of(&self, key: &FlowKey) -> usize {
        match self.snapshot.owned(key.destination().address) {
            Some(Owned::Vip | Owned::TunnelSource) => self.owner_of_client(key.source()),
            Some(Owned::Snat(_)) => usize::from(self.leases.blocks().owner(key.destination().port)),
            // A probe's address stands where a client's does.
            Some(Owned::Probe) | None => self.owner_of_client(key.destination()),
        }
    }

    fn owner_of_client(&self, client: Endpoint) -> usize {
        // The upper half of a product: no division.
        let hash = self.options.key.hash_one(client) >> 32;
        ((hash * self.options.workers as u64) >> 32) as usize
    }
}
