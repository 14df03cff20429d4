//! What is configured, as the datapath sees it: one value, replaced as a whole.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use shunt_wire::{Address, Endpoint};

use super::lookup::{NoListener, VirtualLookup};
use super::model::conflict::Conflict;
use super::model::flow::FlowProtocol;
use super::model::index::{PoolIndex, SnatPoolIndex, TranslatorIndex, VirtualIndex};
use super::model::pool::{Pool, SnatPool};
use super::model::translation::Translator;
use super::model::virtual_::{OnPath, Virtual};
use crate::hash::Keyed;

/// Packet virtuals, and the pools that they use. Everything that an index in it names is there.
#[derive(Debug)]
pub struct Snapshot {
    virtuals: Vec<Virtual>,
    pools: Vec<Pool>,
    snat_pools: Vec<SnatPool>,
    lookup: VirtualLookup,
    owned: HashMap<Address, Owned, Keyed>,
    /// The probe interface.
    probes: Option<u32>,
    /// Endpoints that members send from; with port 0, from any port.
    members: HashSet<Endpoint, Keyed>,
    member_addresses: HashSet<Address, Keyed>,
    translators: Vec<Translator>,
    /// By link.
    translating: HashMap<u32, TranslatorIndex, Keyed>,
}

/// Why an address is Shunt's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owned {
    /// Virtuals listen on it.
    Vip,
    /// It is of a SNAT pool.
    Snat(SnatPoolIndex),
    /// Probes come from it.
    Probe,
    /// Tunnels start there.
    TunnelSource,
}

impl Snapshot {
    /// # Errors
    /// The first thing that contradicts another.
    pub fn new(
        virtuals: Vec<Virtual>,
        pools: Vec<Pool>,
        snat_pools: Vec<SnatPool>,
    ) -> Result<Self, Conflict> {
        // Untrusted senders look keys up, but only the operator inserts any.
        let hasher = Keyed::new([0, 0]);
        let mut owned = HashMap::with_hasher(hasher);
        for (place, pool) in snat_pools.iter().enumerate() {
            for address in pool.ports.addresses() {
                if owned.insert(*address, Owned::Snat(SnatPoolIndex(place))).is_some() {
                    return Err(Conflict::Address(*address));
                }
            }
        }
        for (place, virtual_) in virtuals.iter().enumerate() {
            virtual_.check(&virtuals[..place], pools.len(), snat_pools.len())?;
            if !virtual_.is_wildcard()
                && let Some(Owned::Snat(_) | Owned::Probe) = owned.insert(virtual_.listen.address, Owned::Vip)
            {
                return Err(Conflict::Address(virtual_.listen.address));
            }
            if let Some(OnPath { from, .. }) = &virtual_.on_path
                && owned.insert(*from, Owned::Probe).is_some_and(|before| before != Owned::Probe)
            {
                return Err(Conflict::Address(*from));
            }
        }
        for address in virtuals.iter().flat_map(|it| it.tunnel_sources.addresses()) {
            if owned.insert(address, Owned::TunnelSource).is_some_and(|before| before != Owned::TunnelSource)
            {
                return Err(Conflict::Address(address));
            }
        }
        let (mut members, mut member_addresses) =
            (HashSet::with_hasher(hasher), HashSet::with_hasher(hasher));
        for member in pools.iter().flat_map(|pool| &pool.members) {
            members.insert(member.endpoint);
            member_addresses.insert(member.endpoint.address);
        }
        let lookup = VirtualLookup::new(&virtuals)?;
        let probes = virtuals.iter().find_map(|virtual_| Some(virtual_.on_path.as_ref()?.link));
        let (translators, translating) = (Vec::new(), HashMap::with_hasher(hasher));
        Ok(Self {
            virtuals,
            pools,
            snat_pools,
            lookup,
            owned,
            probes,
            members,
            member_addresses,
            translators,
            translating,
        })
    }

    /// The same with virtuals of mode `siit`.
    ///
    /// # Errors
    /// Two have one name or one link.
    pub fn with_translators(mut self, translators: Vec<Translator>) -> Result<Self, Conflict> {
        for (place, translator) in translators.iter().enumerate() {
            let mut names =
                self.virtuals.iter().map(|it| &it.name).chain(translators[..place].iter().map(|it| &it.name));
            if names.any(|name| *name == translator.name) {
                return Err(Conflict::Name(Arc::clone(&translator.name)));
            }
            for link in &translator.interfaces {
                if self.translating.insert(*link, TranslatorIndex(place)).is_some() {
                    return Err(Conflict::Link(*link));
                }
            }
        }
        self.translators = translators;
        Ok(self)
    }

    #[must_use]
    pub fn virtuals(&self) -> &[Virtual] {
        &self.virtuals
    }

    #[must_use]
    pub fn pools(&self) -> &[Pool] {
        &self.pools
    }

    #[must_use]
    pub fn snat_pools(&self) -> &[SnatPool] {
        &self.snat_pools
    }

    #[must_use]
    pub fn translators(&self) -> &[Translator] {
        &self.translators
    }

    #[must_use]
    pub fn translator(&self, index: TranslatorIndex) -> Option<&Translator> {
        self.translators.get(index.0)
    }

    /// The virtual of mode `siit` that translates what comes in by a link.
    #[must_use]
    pub fn translating(&self, link: u32) -> Option<TranslatorIndex> {
        self.translating.get(&link).copied()
    }

    #[must_use]
    pub fn virtual_(&self, index: VirtualIndex) -> Option<&Virtual> {
        self.virtuals.get(index.0)
    }

    #[must_use]
    pub fn pool(&self, index: PoolIndex) -> Option<&Pool> {
        self.pools.get(index.0)
    }

    #[must_use]
    pub fn snat_pool(&self, index: SnatPoolIndex) -> Option<&SnatPool> {
        self.snat_pools.get(index.0)
    }

    /// Why the address is Shunt's, if it is.
    #[must_use]
    pub fn owned(&self, address: Address) -> Option<Owned> {
        self.owned.get(&address).copied()
    }

    /// Is it a link that nothing but probes comes in by?
    #[must_use]
    pub fn is_for_probes(&self, link: u32) -> bool {
        self.probes == Some(link)
    }

    /// Every address that Shunt answers for.
    pub fn owned_addresses(&self) -> impl Iterator<Item = (Address, Owned)> {
        self.owned.iter().map(|(address, owned)| (*address, *owned))
    }

    /// A client under the one address that all workers know it by, whichever family its packets or those to it are
    /// of: where translation gives an IPv6 address one of IPv4, that.
    pub(super) fn canonical_client(&self, client: Endpoint) -> Endpoint {
        let mut mappings = self.virtuals.iter().filter_map(|it| Some(&it.translation.as_ref()?.mapping));
        let address = mappings.find_map(|mapping| mapping.to_v4(client.address));
        Endpoint { address: address.unwrap_or(client.address), ..client }
    }

    /// The virtual that takes packets to `destination` from a link; see [`VirtualLookup::find`].
    pub(super) fn lookup(
        &self,
        destination: Endpoint,
        protocol: FlowProtocol,
        link: u32,
    ) -> Result<VirtualIndex, NoListener> {
        self.lookup.find(&self.virtuals, destination, protocol, link)
    }

    /// The virtual on any address that takes packets to `destination` from a link.
    #[must_use]
    pub(super) fn lookup_wildcard(
        &self,
        destination: Endpoint,
        protocol: FlowProtocol,
        link: u32,
    ) -> Option<VirtualIndex> {
        let anywhere = Endpoint { address: destination.address.family().unspecified(), ..destination };
        self.lookup(anywhere, protocol, link).ok()
    }

    /// Does any virtual take protocols other than TCP, UDP and ICMP?
    pub(super) const fn forwards_every_protocol(&self) -> bool {
        self.lookup.forwards_every_protocol()
    }

    pub(super) fn members(&self) -> impl Iterator<Item = Endpoint> {
        self.members.iter().copied()
    }

    pub(super) fn has_member(&self, endpoint: Endpoint) -> bool {
        self.members.contains(&endpoint)
    }

    /// Is it an endpoint that members send from? Protocols without ports have only the address.
    pub(super) fn is_member(&self, endpoint: Endpoint, protocol: FlowProtocol) -> bool {
        match protocol {
            FlowProtocol::Tcp | FlowProtocol::Udp => {
                let any_port = Endpoint { port: 0, ..endpoint };
                self.members.contains(&endpoint) || self.members.contains(&any_port)
            }
            FlowProtocol::Icmp | FlowProtocol::Other(_) => self.member_addresses.contains(&endpoint.address),
        }
    }
}
