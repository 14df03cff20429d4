//! Which worker a packet belongs to: the same one in both directions.

use std::hash::{BuildHasher, Hash};

use shunt_wire::{Endpoint, FlowKey, Frame};

use super::reason::DropReason;
use super::snapshot::Owned;
use super::verdict::Verdict;
use super::world::World;
use super::{Arrival, Datapath};
use crate::fragment::PacketId;
use crate::packet::Kind;

impl Datapath {
    /// The worker that a frame belongs to; `None` where any worker will do.
    pub(super) fn owner(&self, arrival: &Arrival<'_>) -> Option<usize> {
        if self.options.workers < 2 {
            return None;
        }
        if let Some(part) = &arrival.part {
            return Some(self.owner_of(&part.flow));
        }
        match &arrival.packet.kind {
            Kind::Flow(flow) => Some(self.owner_of(&flow.key)),
            // It is about a packet that travelled the other way.
            Kind::IcmpError(error) => Some(self.owner_of(&error.embedded.reversed())),
            // Only the first fragment names the flow: all of them meet at one worker, which hands them on.
            Kind::Fragment(fragment) => Some(self.worker_of(PacketId::of(fragment))),
            Kind::Arp(_) | Kind::NeighbourSolicitation(_) | Kind::Other(_) => None,
        }
    }

    /// Hands a frame to the worker that it belongs to, with what it is a part of where that is known.
    pub(super) fn hand_over(
        &self,
        worker: usize,
        arrival: &Arrival<'_>,
        frame: &Frame<'_>,
        world: &mut impl World,
    ) -> Verdict {
        // Workers take a new snapshot one after the other, and two that have different ones could pass a
        // frame on for ever.
        if arrival.handed_over || !world.hand_over(worker, arrival.ingress, frame.bytes(), arrival.part) {
            return Verdict::Drop(DropReason::HandOverFull);
        }
        Verdict::HandOver { worker }
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
        self.worker_of(client)
    }

    /// One of the workers, always the same for the same thing.
    fn worker_of(&self, it: impl Hash) -> usize {
        // The upper half of a product: no division.
        let hash = self.options.key.hash_one(it) >> 32;
        ((hash * self.options.workers as u64) >> 32) as usize
    }
}
