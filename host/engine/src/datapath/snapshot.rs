//! What is configured, as the datapath sees it: one value, replaced as a whole.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use shunt_wire::{Address, Endpoint};

use super::listening::{Deaf, Listening};
use super::mode::{Mode, ModeName, Modes};
use super::tunnels::TunnelSources;
use super::world::FlowProtocol;
use crate::hash::Keyed;
use crate::mapping::Mapping;
use crate::member::MemberState;
use crate::persistence::PersistenceTable;
use crate::selection::Balance;
use crate::snat;

/// The place of a virtual in a [`Snapshot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VirtualIndex(pub usize);

/// The place of a pool in a [`Snapshot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolIndex(pub usize);

/// The place of a SNAT pool in a [`Snapshot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnatPoolIndex(pub usize);

/// The place of a virtual of mode `siit` in a [`Snapshot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TranslatorIndex(pub usize);

/// Packet virtuals, and the pools that they use. Everything that an index in it names is there.
#[derive(Debug)]
pub struct Snapshot {
    virtuals: Vec<Virtual>,
    pools: Vec<Pool>,
    snat_pools: Vec<SnatPool>,
    listening: Listening,
    owned: HashMap<Address, Owned, Keyed>,
    /// The link of probes.
    probes: Option<u32>,
    /// Endpoints that members answer from; with port 0, from any port.
    members: HashSet<Endpoint, Keyed>,
    member_addresses: HashSet<Address, Keyed>,
    translators: Vec<Translator>,
    /// By link.
    translating: HashMap<u32, TranslatorIndex, Keyed>,
}

/// A virtual server whose packets Shunt carries.
///
/// Its name, address and transport are its identity: flows outlive a reload that leaves these three as
/// they are.
#[derive(Clone, Debug)]
pub struct Virtual {
    pub name: Arc<str>,
    /// The unspecified address of a family is any address that is nobody's here: neither Shunt's nor the
    /// host's. Port 0 is any port.
    pub listen: Endpoint,
    pub transport: Transport,
    /// The links that clients come in by, by the kernel's numbers; a VLAN has a number of its own.
    pub interfaces: Vec<u32>,
    /// Where flows go that no rule sent elsewhere. Without it such flows are refused; on any address, in the
    /// modes `route` and `snat`, they go to the destination itself.
    pub pool: Option<PoolIndex>,
    pub modes: Modes,
    /// The UDP port that members take GUE on.
    pub gue_port: u16,
    /// Where tunnels to members start. Of a family of which it has none: at the address of the interface.
    pub tunnel_sources: TunnelSources,
    /// What SYNs may announce at most, in bytes.
    pub mss: Option<u16>,
    /// Between IPv4 and IPv6, where client and member are of different families.
    pub translation: Option<Arc<Translation>>,
    pub persistence: Option<SourcePersistence>,
    /// Answers go to the MAC and the link that the client's last packet came from, whatever the routes say.
    pub return_to_sender: bool,
    /// How long a flow may be silent, in milliseconds: of open TCP connections, and of flows of any
    /// other kind. `None`: [`DEFAULT_TCP_IDLE`](super::DEFAULT_TCP_IDLE) and
    /// [`DEFAULT_IDLE`](super::DEFAULT_IDLE).
    pub idle: Option<u64>,
    pub limits: Limits,
    pub hooks: Hooks,
    /// Members are probed on the way that its clients take; `None`: their health is that of the pool.
    pub on_path: Option<OnPath>,
}

/// How members are probed on the way that a virtual's clients take.
#[derive(Clone, Debug)]
pub struct OnPath {
    /// Where probes come from. Shunt owns it, and members must have a way back to it.
    pub from: Address,
    /// The link that probes come in by and answers leave by: nothing but probes comes in there.
    pub link: u32,
    /// The members' health as it was found on this way, in the order of each pool's members. Pools without a
    /// monitor are not there.
    pub health: Vec<(PoolIndex, Vec<Arc<MemberState>>)>,
}

/// Translation between IPv4 and IPv6, as a virtual does it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Translation {
    pub mapping: Mapping,
    /// The longest IPv6 datagram that comes of an IPv4 packet that may be fragmented, in bytes (RFC 7915 section 4.1).
    pub lowest_ipv6_mtu: u16,
}

/// A virtual of mode `siit`: translates every packet that comes in by its links, whoever's it is. Its name is its
/// identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translator {
    pub name: Arc<str>,
    /// By the kernel's numbers; a VLAN has a number of its own.
    pub interfaces: Vec<u32>,
    pub translation: Arc<Translation>,
}

/// What a virtual carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    Tcp,
    Udp,
    /// TCP and UDP on its port, and ICMP echo.
    Any,
    /// The same, and every other IP protocol.
    All,
}

/// A client address stays with its member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourcePersistence {
    /// After its last new flow, in milliseconds.
    pub timeout: u64,
}

/// What one virtual may take, over all workers. `None`: as much as there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Flows at once.
    pub flows: Option<u32>,
    /// New flows per second.
    pub flow_rate: Option<u32>,
    /// New TCP connections per second.
    pub syn_rate: Option<u32>,
}

/// What the rules of a virtual take part in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    pub on_flow: bool,
    pub on_done: bool,
}

/// Members among which one is chosen. Its name is its identity.
#[derive(Clone)]
pub struct Pool {
    pub name: Arc<str>,
    pub balance: Balance,
    pub members: Vec<Member>,
    /// Which client is bound to which member; the same table that proxies of the pool use.
    pub bindings: Arc<PersistenceTable<SocketAddr>>,
}

#[derive(Clone, Debug)]
pub struct Member {
    pub endpoint: Endpoint,
    pub weight: u32,
    /// Shared with monitors, operators and the other workers.
    pub state: Arc<MemberState>,
}

/// Addresses whose ports are leased. The identity of each is the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnatPool {
    pub name: Arc<str>,
    pub ports: snat::Pool,
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

/// Why a snapshot cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// Two virtuals of one name.
    Name(Arc<str>),
    /// Two virtuals take the same packets.
    Listen([Arc<str>; 2]),
    /// A virtual names a pool that is not there.
    Pool(Arc<str>),
    /// A virtual names a SNAT pool that is not there.
    SnatPool(Arc<str>),
    /// An address serves two ends: two SNAT pools, a virtual, probes, or tunnels. Probes and tunnels of several
    /// virtuals may share one.
    Address(Address),
    /// Two virtuals of mode `siit` take the packets of one link.
    Link(u32),
}

impl Snapshot {
    /// # Errors
    /// The first thing that contradicts another.
    pub fn new(
        virtuals: Vec<Virtual>,
        pools: Vec<Pool>,
        snat_pools: Vec<SnatPool>,
    ) -> Result<Self, Conflict> {
        // Strangers look keys up, but only the operator inserts any.
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
        let listening = Listening::new(&virtuals)?;
        let probes = virtuals.iter().find_map(|virtual_| Some(virtual_.on_path.as_ref()?.link));
        let (translators, translating) = (Vec::new(), HashMap::with_hasher(hasher));
        Ok(Self {
            virtuals,
            pools,
            snat_pools,
            listening,
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
    pub(super) fn one_name(&self, client: Endpoint) -> Endpoint {
        let mut mappings = self.virtuals.iter().filter_map(|it| Some(&it.translation.as_ref()?.mapping));
        let address = mappings.find_map(|mapping| mapping.to_v4(client.address));
        Endpoint { address: address.unwrap_or(client.address), ..client }
    }

    /// The virtual that takes packets to `destination` from a link; see [`Listening::find`].
    pub(super) fn listening(
        &self,
        destination: Endpoint,
        protocol: FlowProtocol,
        link: u32,
    ) -> Result<VirtualIndex, Deaf> {
        self.listening.find(&self.virtuals, destination, protocol, link)
    }

    /// The virtual on any address that takes packets to `destination` from a link.
    #[must_use]
    pub(super) fn listening_anywhere(
        &self,
        destination: Endpoint,
        protocol: FlowProtocol,
        link: u32,
    ) -> Option<VirtualIndex> {
        let anywhere = Endpoint { address: destination.address.family().unspecified(), ..destination };
        self.listening(anywhere, protocol, link).ok()
    }

    /// Does any virtual carry protocols other than TCP, UDP and ICMP?
    pub(super) const fn carries_all(&self) -> bool {
        self.listening.carries_all()
    }

    pub(super) fn members(&self) -> impl Iterator<Item = Endpoint> {
        self.members.iter().copied()
    }

    pub(super) fn has_member(&self, endpoint: Endpoint) -> bool {
        self.members.contains(&endpoint)
    }

    /// Is it an endpoint that members answer from? Protocols without ports have only the address.
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

impl Virtual {
    /// It takes packets to every address that is nobody's here.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.listen.address == self.listen.address.family().unspecified()
    }

    /// Can its flows be in a mode? A rule may choose any, but for `nat` in the place of `route` on any address:
    /// workers could not tell from an answer whose flow it belongs to.
    pub(super) fn may_use(&self, mode: ModeName) -> bool {
        let default = self.modes.default_mode().name();
        let kept = self.is_wildcard() && default == ModeName::Route && mode == ModeName::Nat;
        mode == default || self.hooks.on_flow && !kept
    }

    /// Whether flows of the one go on as flows of the other.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.listen == other.listen && self.transport == other.transport
    }

    /// The state of a member of a pool as this virtual's flows find it.
    #[must_use]
    pub fn state<'a>(&'a self, pool: PoolIndex, place: usize, member: &'a Member) -> &'a Arc<MemberState> {
        let on_path = self.on_path.iter().flat_map(|it| &it.health);
        let mut of_pool = on_path.filter(|(index, _)| *index == pool);
        of_pool.next().and_then(|(_, members)| members.get(place)).unwrap_or(&member.state)
    }

    fn check(&self, before: &[Self], pools: usize, snat_pools: usize) -> Result<(), Conflict> {
        if before.iter().any(|other| other.name == self.name) {
            return Err(Conflict::Name(Arc::clone(&self.name)));
        }
        if self.pool.is_some_and(|pool| pool.0 >= pools) {
            return Err(Conflict::Pool(Arc::clone(&self.name)));
        }
        let default = match self.modes.default_mode() {
            Mode::Snat(pool) => Some(pool),
            _ => None,
        };
        if [default, self.modes.snat_pool()].into_iter().flatten().any(|pool| pool.0 >= snat_pools) {
            return Err(Conflict::SnatPool(Arc::clone(&self.name)));
        }
        Ok(())
    }
}

impl Pool {
    /// The place of the member with this endpoint.
    #[must_use]
    pub fn position(&self, endpoint: Endpoint) -> Option<usize> {
        self.members.iter().position(|member| member.endpoint == endpoint)
    }
}

impl Transport {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Any => "any",
            Self::All => "all",
        }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("name", &self.name)
            .field("members", &self.members)
            .finish_non_exhaustive()
    }
}
