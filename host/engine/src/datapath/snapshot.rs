//! What is configured, as the datapath sees it: one value, replaced as a whole.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use shunt_wire::{Address, Endpoint};

use super::lookup::{NoListener, VirtualLookup};
use super::model::conflict::Conflict;
use super::model::flow::FlowProtocol;
use super::model::id::EntryId;
use super::model::index::{PoolIndex, SnatPoolIndex, TranslatorIndex, VirtualIndex};
use super::model::numbers::Numbers;
use super::model::pool::{Member, Pool, SnatPool};
use super::model::translation::{Translation, Translator};
use super::model::virtual_::{OnPath, Transport, Virtual};
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
    /// Every way of its virtuals to give an IPv6 address one of IPv4.
    translations: Vec<Arc<Translation>>,
    numbers: AllNumbers,
    /// Endpoints of members that left: flows may still have answers of them, and each worker must know whose.
    former: HashSet<Endpoint, Keyed>,
    /// It takes away what flows may need: a virtual, or a SNAT address.
    takes_away: bool,
}

/// The numbers by which workers keep what they count.
#[derive(Debug, Default)]
pub(super) struct AllNumbers {
    pub(super) virtuals: Numbers<(Arc<str>, Endpoint, Transport), Virtual>,
    /// Of all pools, one after the other.
    pub(super) members: Numbers<(Arc<str>, Endpoint), (Arc<str>, Member)>,
    /// Where the members of each pool begin.
    first_members: Vec<usize>,
    /// Those of each pool, in its order; the very same as in the snapshot before where they are equal.
    of_pools: Vec<Arc<[EntryId]>>,
    /// Nothing outlives the snapshot that refers to them.
    pub(super) pools: Numbers<Arc<str>, ()>,
    pub(super) translators: Numbers<Arc<str>, ()>,
}

/// Virtuals and members that left the configuration, and whose numbers flows may still have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    pub(super) virtuals: Vec<u32>,
    pub(super) members: Vec<u32>,
}

impl Left {
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.virtuals.is_empty() && self.members.is_empty()
    }
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
        stand_ins_end(&pools)?;
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
        let mut translations: Vec<Arc<Translation>> = Vec::new();
        for translation in virtuals.iter().filter_map(|it| it.translation.as_ref()) {
            if translations.iter().all(|other| other.mapping != translation.mapping) {
                translations.push(Arc::clone(translation));
            }
        }
        let former = HashSet::with_hasher(hasher);
        let snapshot = Self {
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
            translations,
            numbers: AllNumbers::default(),
            former,
            takes_away: false,
        };
        let numbers = snapshot.numbered(None, &Left::default());
        Ok(Self { numbers, ..snapshot })
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
        self.numbers = self.numbered(None, &Left::default());
        Ok(self)
    }

    /// The same as the successor of another: virtuals and members that are in both keep their numbers, and with
    /// them what workers counted. Of what `before` had [left](Self::left) over from those before it, `released` is
    /// forgotten.
    #[must_use]
    pub fn after(mut self, before: &Self, released: &Left) -> Self {
        self.numbers = self.numbered(Some(before), released);
        let gone = self.numbers.members.gone().map(|(_, (_, member))| member.endpoint);
        self.former.extend(gone.filter(|endpoint| !self.members.contains(endpoint)));
        let is_gone = |number: u32| matches!(self.numbers.virtuals.place(number), Some(Err(_)));
        let mut virtuals = (0..before.virtuals.len()).filter_map(|place| before.numbers.virtuals.at(place));
        let is_leased = |address: &Address| matches!(self.owned(*address), Some(Owned::Snat(_)));
        let mut leased = before.snat_pools.iter().flat_map(|pool| pool.ports.addresses());
        self.takes_away = virtuals.any(is_gone) || leased.any(|address| !is_leased(address));
        self
    }

    fn numbered(&self, before: Option<&Self>, released: &Left) -> AllNumbers {
        let none = AllNumbers::default();
        let (old, virtuals, pools) = match before {
            Some(before) => (&before.numbers, &before.virtuals[..], &before.pools[..]),
            None => (&none, &[][..], &[][..]),
        };
        let key = |it: &Virtual| (Arc::clone(&it.name), it.listen, it.transport);
        let keys: Vec<_> = self.virtuals.iter().map(key).collect();
        let gone = released.virtuals.iter().copied().collect();
        let virtuals = old.virtuals.next(&keys, &gone, |place| virtuals.get(place).cloned());
        let (mut members, mut first_members) = (Vec::new(), Vec::new());
        for pool in &self.pools {
            first_members.push(members.len());
            members.extend(pool.members.iter().map(|member| (Arc::clone(&pool.name), member.endpoint)));
        }
        let all: Vec<_> =
            pools.iter().flat_map(|pool| pool.members.iter().map(move |it| (&pool.name, it))).collect();
        let kept = |place: usize| all.get(place).map(|(pool, it)| (Arc::clone(pool), (*it).clone()));
        let gone = released.members.iter().copied().collect();
        let members = old.members.next(&members, &gone, kept);
        let keys: Vec<_> = self.pools.iter().map(|pool| Arc::clone(&pool.name)).collect();
        let pools = old.pools.next(&keys, &HashSet::new(), |_| None);
        let before: HashMap<u32, &Arc<[EntryId]>> =
            (0..).zip(&old.of_pools).filter_map(|(place, of)| Some((old.pools.at(place)?, of))).collect();
        let of_pools = self.pools.iter().zip(&first_members).enumerate().map(|(place, (pool, first))| {
            let places = *first..*first + pool.members.len();
            let now: Arc<[EntryId]> = places.filter_map(|place| members.at(place).map(EntryId)).collect();
            let known = pools.at(place).and_then(|number| before.get(&number));
            known.filter(|known| ***known == now).map_or(now, |known| Arc::clone(known))
        });
        let of_pools = of_pools.collect();
        let keys: Vec<_> = self.translators.iter().map(|it| Arc::clone(&it.name)).collect();
        let translators = old.translators.next(&keys, &HashSet::new(), |_| None);
        AllNumbers { virtuals, members, first_members, of_pools, pools, translators }
    }

    /// What left the configuration and still has numbers: see [`Datapath::released`](super::Datapath::released).
    #[must_use]
    pub fn left(&self) -> Left {
        Left {
            virtuals: self.numbers.virtuals.gone().map(|(number, _)| number).collect(),
            members: self.numbers.members.gone().map(|(number, _)| number).collect(),
        }
    }

    pub(super) const fn numbers(&self) -> &AllNumbers {
        &self.numbers
    }

    /// Does it take away what flows of the snapshot before may need?
    pub(super) const fn takes_away(&self) -> bool {
        self.takes_away
    }

    pub(super) fn virtual_entry(&self, index: VirtualIndex) -> Option<EntryId> {
        self.numbers.virtuals.at(index.0).map(EntryId)
    }

    /// Those of the members of a pool, in its order.
    pub(super) fn member_entries(&self, pool: PoolIndex) -> Option<&Arc<[EntryId]>> {
        self.numbers.of_pools.get(pool.0)
    }

    pub(super) fn member_entry(&self, pool: PoolIndex, place: usize) -> Option<EntryId> {
        self.member_entries(pool)?.get(place).copied()
    }

    pub(super) fn pool_number(&self, pool: PoolIndex) -> Option<u32> {
        self.numbers.pools.at(pool.0)
    }

    pub(super) fn translator_number(&self, index: TranslatorIndex) -> Option<u32> {
        self.numbers.translators.at(index.0)
    }

    /// The virtual that has an entry, and its place; none where it left the configuration.
    pub(super) fn entered(&self, entry: EntryId) -> Option<(&Virtual, Option<VirtualIndex>)> {
        match self.numbers.virtuals.place(entry.0)? {
            Ok(place) => Some((self.virtuals.get(place)?, Some(VirtualIndex(place)))),
            Err(gone) => Some((gone, None)),
        }
    }

    /// The member that has an entry, with the name of its pool.
    pub(super) fn entered_member(&self, entry: EntryId) -> Option<(&Arc<str>, &Member)> {
        match self.numbers.members.place(entry.0)? {
            Ok(place) => {
                let pool =
                    self.numbers.first_members.partition_point(|first| *first <= place).checked_sub(1)?;
                let within = place - self.numbers.first_members.get(pool)?;
                let pool = self.pools.get(pool)?;
                Some((&pool.name, pool.members.get(within)?))
            }
            Err((pool, member)) => Some((pool, member)),
        }
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
        let address = self.translations.iter().find_map(|it| it.mapping.to_v4(client.address));
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

    /// Is it an endpoint of a member that left, and of which flows may still have answers?
    pub(super) fn was_member(&self, endpoint: Endpoint) -> bool {
        self.former.contains(&endpoint)
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

/// Whoever goes from a pool to the one that stands in for it comes to an end.
fn stand_ins_end(pools: &[Pool]) -> Result<(), Conflict> {
    for pool in pools {
        let mut at = pool;
        for _ in 0..=pools.len() {
            let Some(next) = at.stand_in() else { break };
            at = pools.get(next.0).ok_or_else(|| Conflict::StandIn(Arc::clone(&pool.name)))?;
        }
        if at.stand_in().is_some() {
            return Err(Conflict::StandIn(Arc::clone(&pool.name)));
        }
    }
    Ok(())
}
