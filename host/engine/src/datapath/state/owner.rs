//! Which worker a packet belongs to: the same one in both directions.

use std::hash::{BuildHasher, Hash};

use shunt_wire::{Endpoint, FlowKey};

use super::config::Config;
use crate::datapath::model::arrival::Arrival;
use crate::datapath::model::flow::FlowProtocol;
use crate::datapath::model::mode::ModeName;
use crate::datapath::snapshot::Owned;
use crate::fragment::PacketId;
use crate::packet::Kind;
use crate::snat::Blocks;

impl Config {
    /// The worker that a frame belongs to; `None` where any worker will do.
    pub(in crate::datapath) fn owner(&self, blocks: Blocks, arrival: &Arrival<'_>) -> Option<usize> {
        if self.options.workers < 2 {
            return None;
        }
        if let Some(part) = &arrival.part {
            return Some(self.owner_of(&part.flow, blocks, arrival));
        }
        match &arrival.packet.kind {
            Kind::Flow(flow) => Some(self.owner_of(&flow.key, blocks, arrival)),
            Kind::Other(other) => Some(self.owner_of(&other.flow()?.key, blocks, arrival)),
            // It is about a packet that travelled the other way.
            Kind::IcmpError(error) => Some(self.owner_of(&error.embedded.reversed(), blocks, arrival)),
            // Only the first fragment names the flow: all of them meet at one worker, which hands them on.
            Kind::Fragment(fragment) => Some(self.worker_of(PacketId::of(fragment))),
            Kind::Arp(_) | Kind::NeighbourSolicitation(_) => None,
        }
    }

    /// The client's endpoint stands in both directions of a flow, except in what a member sends to a
    /// SNAT address: there the port decides, for each worker leases those of its own blocks.
    fn owner_of(&self, key: &FlowKey, blocks: Blocks, arrival: &Arrival<'_>) -> usize {
        let (source, destination) = (key.source(), key.destination());
        match (self.snapshot.owned(source.address), self.snapshot.owned(destination.address)) {
            (_, Some(Owned::Snat(_))) => usize::from(blocks.owner(destination.port)),
            // A probe's address stands where a client's does.
            (Some(Owned::Probe), _) | (_, Some(Owned::Vip | Owned::TunnelSource)) => {
                self.owner_of_client(source)
            }
            // Return traffic has the VIP as its source where packets were only routed to the member.
            (_, Some(Owned::Probe)) | (Some(_), None) => self.owner_of_client(destination),
            (None, None) => {
                self.owner_between(source, destination, FlowProtocol::of(key.protocol()), arrival)
            }
        }
    }

    /// Neither end is Shunt's own. Return traffic names its client; where a virtual on any address
    /// gives flows to members in mode `nat`, their clients stand in the source. All else looks the same both
    /// ways, so both ends count alike.
    fn owner_between(
        &self,
        source: Endpoint,
        destination: Endpoint,
        protocol: FlowProtocol,
        arrival: &Arrival<'_>,
    ) -> usize {
        let is_member =
            |endpoint| self.snapshot.is_member(endpoint, protocol) || self.snapshot.was_member(endpoint);
        match (is_member(source), is_member(destination)) {
            (true, false) => return self.owner_of_client(destination),
            (false, true) => return self.owner_of_client(source),
            (true, true) | (false, false) => {}
        }
        let link = arrival.link(&self.network);
        let wildcard = self.snapshot.lookup_wildcard(destination, protocol, link);
        let wildcard = wildcard.and_then(|index| self.snapshot.virtual_(index));
        if wildcard.is_some_and(|virtual_| virtual_.may_use(ModeName::Nat)) {
            return self.owner_of_client(source);
        }
        self.worker_of(if source <= destination { (source, destination) } else { (destination, source) })
    }

    fn owner_of_client(&self, client: Endpoint) -> usize {
        self.worker_of(self.snapshot.canonical_client(client))
    }

    /// One of the workers, always the same for the same thing.
    fn worker_of(&self, it: impl Hash) -> usize {
        // The upper half of a product: no division.
        let hash = self.options.key.hash_one(it) >> 32;
        ((hash * self.options.workers as u64) >> 32) as usize
    }
}
