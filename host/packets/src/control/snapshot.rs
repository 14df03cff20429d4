//! The configuration and its live parts, as the engine takes them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use shunt_engine::datapath::{
    Conflict, Dscp, Hooks, Left, Limits, Member, Modes, OnEmpty, OnPath, PathHealth, Pool, PoolIndex,
    Snapshot, SnatPool, SnatPoolIndex, SourcePersistence, Translator, TunnelSources, Virtual, VirtualIndex,
};
use shunt_engine::demand::{Demand, Needs};
use shunt_engine::snat;
use shunt_rules::{Hook, HookSet};
use shunt_sys::xdp::Wanted;
use shunt_wire::Address;

use crate::control::ports::Named;
use shunt_config::model::{self, Persistence, WhenDown};
use shunt_config::persistence::PersistBy;
use shunt_runtime::PacketVirtual;

/// A snapshot as a worker takes it over.
pub(crate) struct Loaded {
    pub(crate) engine: Arc<Snapshot>,
    /// In the order of the engine's.
    pub(crate) virtuals: Vec<Arc<PacketVirtual>>,
    /// Addresses that packets are sent to.
    pub(crate) destinations: Vec<Address>,
    /// Frames that virtuals need beside those for Shunt's own addresses.
    pub(crate) demand: Demand,
    virtuals_by_name: HashMap<String, VirtualIndex>,
    pools_by_name: HashMap<String, PoolIndex>,
}

impl Loaded {
    pub(crate) fn virtual_(&self, name: &str) -> Option<VirtualIndex> {
        self.virtuals_by_name.get(name).copied()
    }

    pub(crate) fn pool(&self, name: &str) -> Option<PoolIndex> {
        self.pools_by_name.get(name).copied()
    }

    pub(crate) fn snat_pool(&self, name: &str) -> Option<SnatPoolIndex> {
        self.engine.snat_pools().iter().position(|pool| *pool.name == *name).map(SnatPoolIndex)
    }

    /// Whose frames are whose, but for the host's own addresses.
    pub(crate) fn wanted(&self) -> Wanted {
        let owned = self.engine.owned_addresses().map(|(address, _)| address);
        let Demand { return_endpoints, tunnels, whole } = self.demand.clone();
        Wanted { owned: owned.collect(), host: BTreeSet::new(), return_endpoints, tunnels, whole }
    }
}

/// Whether virtuals take new flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    NewFlows,
    /// Shunt is about to end. Clients get no reset: they try again, and come to the process that takes over.
    Nothing,
}

/// What workers take over is made of.
pub(crate) struct Parts<'a> {
    pub(crate) snapshot: &'a shunt_runtime::Snapshot,
    pub(crate) snat_pools: &'a [model::SnatPool],
    /// The interfaces by their names.
    pub(crate) links: &'a HashMap<String, Named>,
    /// The probe interface.
    pub(crate) probes: Option<u32>,
    pub(crate) takes: Takes,
}

/// Makes what workers take over that have `before`, and what flows need no more of what had left before that.
///
/// # Errors
/// A contradiction, which a configuration that was checked does not hold.
pub(crate) fn load(parts: &Parts<'_>, before: Option<(&Loaded, &Left)>) -> Result<Loaded, Conflict> {
    let Parts { snapshot, snat_pools, links, probes, takes } = *parts;
    let (virtuals, pools) = (&snapshot.packet_virtuals, &pools_of_packets(snapshot));
    let names = Names { pools, snat_pools, links, probes, takes };
    let engine = Snapshot::new(
        virtuals.iter().map(|it| names.virtual_(it)).collect::<Result<_, _>>()?,
        pools.iter().map(|it| pool(it, pools)).collect(),
        snat_pools.iter().map(snat_pool).collect(),
    )?
    .with_translators(snapshot.translators.iter().map(|it| names.translator(it)).collect())?;
    let engine = match before {
        Some((before, released)) => engine.after(&before.engine, released),
        None => engine,
    };
    let virtuals_by_name =
        (0..).zip(virtuals).map(|(place, it)| (it.settings.name.clone(), VirtualIndex(place))).collect();
    let pools_by_name =
        (0..).zip(pools).map(|(place, it)| (it.settings.name.clone(), PoolIndex(place))).collect();
    let reached =
        |it: &PacketVirtual| pools.iter().filter(|pool| reaches(&it.settings, &pool.settings.name)).collect();
    let mut destinations = BTreeSet::new();
    let mut demand = Demand::default();
    for translator in &snapshot.translators {
        let named = translator.interfaces.iter().filter_map(|name| links.get(name));
        demand.whole.extend(named.map(|named| named.segment));
    }
    for virtual_ in virtuals {
        let settings = &virtual_.settings;
        let needs = needs(settings);
        for name in &settings.interfaces {
            if let Some(named) = links.get(name) {
                demand.add_segment(&needs, named.segment, settings.client_interfaces.contains(name));
            }
        }
        let reached: Vec<&Arc<shunt_runtime::Pool>> = reached(virtual_);
        for member in reached.iter().flat_map(|pool| &pool.members) {
            destinations.insert(Address::from(member.settings.address.ip()));
            demand.add_member(&needs, member.settings.address.into());
        }
    }
    Ok(Loaded {
        engine: Arc::new(engine),
        virtuals: virtuals.clone(),
        destinations: destinations.into_iter().collect(),
        demand,
        virtuals_by_name,
        pools_by_name,
    })
}

/// The pools that flows of packet virtuals can go to, in the order of the snapshot.
pub(crate) fn pools_of_packets(snapshot: &shunt_runtime::Snapshot) -> Vec<Arc<shunt_runtime::Pool>> {
    let is_reached = |pool: &&Arc<shunt_runtime::Pool>| {
        snapshot.packet_virtuals.iter().any(|it| reaches(&it.settings, &pool.settings.name))
    };
    snapshot.pools.iter().filter(is_reached).cloned().collect()
}

/// Whether flows of a virtual can go to a pool: by configuration, by a rule, or by its fault.
pub(crate) fn reaches(virtual_: &model::PacketVirtual, pool: &str) -> bool {
    virtual_.reaches(pool)
}

/// What a virtual says of the frames that it needs.
pub(crate) fn needs(virtual_: &model::PacketVirtual) -> Needs {
    Needs {
        listen: virtual_.listen.into(),
        transport: virtual_.transport,
        mode: virtual_.mode,
        has_rules: !virtual_.rules.is_empty(),
        gue_port: virtual_.gue_port,
    }
}

/// What names of the configuration mean to the engine.
struct Names<'a> {
    pools: &'a [Arc<shunt_runtime::Pool>],
    snat_pools: &'a [model::SnatPool],
    links: &'a HashMap<String, Named>,
    /// The probe interface.
    probes: Option<u32>,
    takes: Takes,
}

impl Names<'_> {
    /// The kernel's numbers of interfaces.
    fn numbers(&self, names: &[String]) -> Vec<u32> {
        names.iter().filter_map(|name| self.links.get(name)).map(|named| named.link).collect()
    }

    fn translator(&self, translator: &model::Translator) -> Translator {
        Translator {
            name: translator.name.as_str().into(),
            interfaces: self.numbers(&translator.interfaces),
            translation: Arc::clone(&translator.translation),
        }
    }

    fn virtual_(&self, virtual_: &PacketVirtual) -> Result<Virtual, Conflict> {
        let settings = &virtual_.settings;
        let name: Arc<str> = settings.name.as_str().into();
        let pool = |name: &String| self.pools.iter().position(|it| it.settings.name == *name).map(PoolIndex);
        let snat_pool_of =
            |name: &String| self.snat_pools.iter().position(|it| it.name == *name).map(SnatPoolIndex);
        let snat_pool = settings.snat_pool.as_ref().and_then(snat_pool_of);
        let modes = Modes::new(settings.mode, snat_pool, settings.dscp.and_then(Dscp::new));
        let modes = modes.map_err(|_| Conflict::SnatPool(Arc::clone(&name)))?;
        let health = |it: &shunt_runtime::PathPool| {
            let snat_pool = it.mode.snat_pool.as_ref().and_then(&snat_pool_of);
            let mode = modes.choose(Some(it.mode.mode), snat_pool).ok()?;
            let members = it.members.iter().map(|(_, state)| Arc::clone(state)).collect();
            Some(PathHealth { pool: pool(&it.pool)?, mode, members, groups: Arc::clone(&it.groups) })
        };
        let hooks = virtual_.rules.iter().fold(HookSet::EMPTY, |all, rule| all.union(rule.hooks()));
        let flow_rate = if self.takes == Takes::Nothing { Some(0) } else { settings.limits.flow_rate };
        Ok(Virtual {
            listen: settings.listen.into(),
            transport: settings.transport,
            interfaces: self.numbers(&settings.client_interfaces),
            pool: settings.pool.as_ref().and_then(pool),
            modes,
            gue_port: settings.gue_port,
            tunnel_sources: TunnelSources::new(settings.tunnel_sources.iter().copied().map(Address::from)),
            mss: settings.mss,
            translation: settings.translation.clone(),
            persistence: settings.persistence.as_ref().and_then(|it| source(it, &settings.name)),
            return_to_sender: settings.return_to_sender,
            idle: settings.timeouts.idle.map(milliseconds),
            limits: Limits { flow_rate, ..settings.limits },
            hooks: Hooks { on_flow: hooks.contains(Hook::OnFlow), on_done: hooks.contains(Hook::OnDone) },
            on_path: settings.probe_from.zip(self.probes).map(|(from, link)| OnPath {
                from: from.into(),
                link,
                health: virtual_.on_path.iter().filter_map(health).collect(),
            }),
            name,
        })
    }
}

/// How a client is bound by its address, of a virtual.
fn source(settings: &Persistence, virtual_: &str) -> Option<SourcePersistence> {
    match (&settings.by, settings.timeout) {
        (PersistBy::Source(source), Some(timeout)) => Some(SourcePersistence {
            source: *source,
            prefix: Persistence::prefix(Some(settings), virtual_),
            timeout: milliseconds(timeout),
            refuses_when_down: settings.when_down == WhenDown::Refuse,
        }),
        _ => None,
    }
}

fn pool(pool: &shunt_runtime::Pool, all: &[Arc<shunt_runtime::Pool>]) -> Pool {
    let place = |name: &str| all.iter().position(|it| it.settings.name == name).map(PoolIndex);
    let member = |member: &shunt_runtime::Member| Member {
        endpoint: member.settings.address.into(),
        weight: member.settings.weight,
        state: Arc::clone(&member.state),
    };
    Pool {
        name: pool.settings.name.as_str().into(),
        balance: pool.settings.balance,
        slow_start: pool.settings.slow_start,
        members: pool.members.iter().map(member).collect(),
        bindings: Arc::clone(&pool.bindings),
        policy: pool.settings.groups,
        groups: Arc::clone(&pool.groups),
        on_empty: match &pool.settings.on_empty {
            model::OnEmpty::Pool(name) => place(name).map_or(OnEmpty::Nowhere, OnEmpty::Pool),
            model::OnEmpty::Route => OnEmpty::Route,
            model::OnEmpty::Answer | model::OnEmpty::Reset | model::OnEmpty::Queue { .. } => OnEmpty::Nowhere,
        },
    }
}

fn snat_pool(pool: &model::SnatPool) -> SnatPool {
    let addresses: Vec<Address> = pool.addresses.iter().map(|address| Address::from(*address)).collect();
    let ports = snat::Pool::new(&addresses, pool.ports.clone(), milliseconds(pool.time_wait));
    SnatPool { name: pool.name.as_str().into(), ports }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
