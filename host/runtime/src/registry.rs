//! Live state by identity: what a reload must not forget.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use shunt_engine::balance::groups::Groups;
use shunt_engine::member::{MemberState, PoolState};
use shunt_engine::persistence::PersistenceTable;
use shunt_rules::{RuleStats, Tables};

use crate::counters::{MemberCounters, Sharded, VirtualCounters};
use crate::snapshot::{Member, PathPool, Pool, Snapshot, VirtualLoad};
use shunt_config::{RuleOwner, model};

/// Bindings that a pool remembers at most. An entry is about 150 bytes, and only those in use exist.
const MOST_BINDINGS: usize = 1 << 20;

/// What is kept of a member.
type LiveMember = (Arc<MemberState>, Arc<Sharded<MemberCounters>>);

/// A virtual, a pool, and the mode in which the virtual's flows go there.
type PathKey = (String, String, model::PathMode);

/// Who is who: virtuals, pools and rules by their name, members by their pool and address.
pub struct Registry {
    workers: usize,
    hash_key: [u64; 2],
    virtuals: HashMap<String, Arc<Sharded<VirtualCounters>>>,
    loads: HashMap<String, Arc<VirtualLoad>>,
    bindings: HashMap<String, Arc<PersistenceTable<SocketAddr>>>,
    groups: HashMap<String, Arc<Groups>>,
    pools: HashMap<String, Arc<PoolState>>,
    members: HashMap<(String, SocketAddr), LiveMember>,
    /// Views of members.
    on_path: HashMap<(PathKey, SocketAddr), Arc<MemberState>>,
    groups_on_path: HashMap<PathKey, Arc<Groups>>,
    rules: HashMap<String, Arc<RuleStats>>,
    tables: Arc<Tables>,
}

impl Registry {
    /// `hash_key` is drawn at random: clients choose the keys of the tables.
    pub fn new(workers: usize, hash_key: [u64; 2]) -> Self {
        Registry {
            workers,
            hash_key,
            virtuals: HashMap::new(),
            loads: HashMap::new(),
            bindings: HashMap::new(),
            groups: HashMap::new(),
            pools: HashMap::new(),
            members: HashMap::new(),
            on_path: HashMap::new(),
            groups_on_path: HashMap::new(),
            rules: HashMap::new(),
            tables: Arc::default(),
        }
    }

    pub fn virtual_counters(&mut self, name: &str) -> Arc<Sharded<VirtualCounters>> {
        let workers = self.workers;
        Arc::clone(self.virtuals.entry(name.to_owned()).or_insert_with(|| Sharded::new(workers)))
    }

    pub fn virtual_load(&mut self, name: &str) -> Arc<VirtualLoad> {
        Arc::clone(self.loads.entry(name.to_owned()).or_default())
    }

    /// `name` is `virtual/rule`.
    pub fn rule_stats(&mut self, name: &str) -> Arc<RuleStats> {
        Arc::clone(self.rules.entry(name.to_owned()).or_default())
    }

    /// Of every rule, by `virtual/rule`.
    pub fn all_rule_stats(&self) -> &HashMap<String, Arc<RuleStats>> {
        &self.rules
    }

    /// Keeps those of rules that were made where a configuration was planned.
    pub fn adopt_rule_stats(&mut self, stats: HashMap<String, Arc<RuleStats>>) {
        for (name, stats) in stats {
            self.rules.entry(name).or_insert(stats);
        }
    }

    /// What rules remember.
    pub fn tables(&self) -> &Arc<Tables> {
        &self.tables
    }

    /// Forgets the tables that no rule of a snapshot has.
    pub fn retain_tables(&self, snapshot: &Snapshot) {
        self.tables.retain(|name| is_configured(snapshot, name), snapshot.attachments());
    }

    /// A pool without TLS.
    pub fn pool(&mut self, settings: &model::Pool) -> Pool {
        let (name, workers) = (&settings.name, self.workers);
        let new_table = || Arc::new(PersistenceTable::new(MOST_BINDINGS, self.hash_key));
        let bindings = Arc::clone(self.bindings.entry(name.clone()).or_insert_with(new_table));
        let pool_state = Arc::clone(self.pools.entry(name.clone()).or_default());
        let members = settings.members.iter().map(|member| {
            let key = (name.clone(), member.address);
            let new_member = || {
                let state = MemberState::of(&pool_state);
                state.configure_priority(member.priority);
                limit(settings, member, &state);
                (state, Sharded::new(workers))
            };
            let (state, counters) = self.members.entry(key).or_insert_with(new_member);
            Member { settings: member.clone(), state: Arc::clone(state), counters: Arc::clone(counters) }
        });
        let members: Vec<Member> = members.collect();
        let new_groups = || {
            let groups = Groups::default();
            groups.rank(members.iter().map(|it| it.state.priority()), false);
            Arc::new(groups)
        };
        let groups = Arc::clone(self.groups.entry(name.clone()).or_insert_with(new_groups));
        Pool { members, settings: settings.clone(), tls: None, bindings, groups, state: pool_state }
    }

    /// The pools that a virtual probes on the service path.
    pub fn on_path(&mut self, virtual_: &model::PacketVirtual, pools: &[Arc<Pool>]) -> Vec<PathPool> {
        let probed = pools.iter().filter(|pool| {
            virtual_.probe_from.is_some()
                && !pool.settings.monitors.is_empty()
                && virtual_.reaches(&pool.settings.name)
        });
        let mut view = |key: &PathKey, member: &Member| {
            let address = member.settings.address;
            let state = self.on_path.entry((key.clone(), address)).or_insert_with(|| member.state.view());
            (address, Arc::clone(state))
        };
        let modes = virtual_.path_modes();
        let probed = probed.flat_map(|pool| modes.iter().map(move |mode| (pool, mode)));
        probed
            .map(|(pool, mode)| {
                let name = &pool.settings.name;
                let key = (virtual_.name.clone(), name.clone(), mode.clone());
                let members: Vec<_> = pool.members.iter().map(|member| view(&key, member)).collect();
                let new_groups = || {
                    let groups = Groups::default();
                    groups.rank(members.iter().map(|(_, state)| state.priority()), false);
                    Arc::new(groups)
                };
                let groups = Arc::clone(self.groups_on_path.entry(key).or_insert_with(new_groups));
                PathPool { pool: name.clone(), mode: mode.clone(), members, groups }
            })
            .collect()
    }

    /// Takes in what a snapshot says of the members that it has, and forgets what is not in force any more.
    pub fn retain(&mut self, snapshot: &Snapshot) {
        for pool in &snapshot.pools {
            configure_priorities(snapshot, pool);
            pool.members.iter().for_each(|it| limit(&pool.settings, &it.settings, &it.state));
        }
        self.pools.retain(|name, _| snapshot.pool(name).is_some());
        self.virtuals.retain(|name, _| snapshot.virtual_named(name).is_some());
        self.loads.retain(|name, _| snapshot.virtual_named(name).is_some());
        let in_pools: HashMap<&str, HashSet<SocketAddr>> = snapshot.pools.iter().map(members_of).collect();
        let is_in = |pool: &str, address: &SocketAddr| {
            in_pools.get(pool).is_some_and(|members| members.contains(address))
        };
        // Of a million clients: only where it must be.
        let left = self
            .members
            .keys()
            .filter(|(pool, address)| !is_in(pool, address))
            .map(|(pool, _)| pool.as_str());
        let left: HashSet<&str> = left.collect();
        self.bindings.retain(|name, bindings| {
            let stays = in_pools.contains_key(name.as_str());
            if stays && left.contains(name.as_str()) {
                bindings.retain(|address| is_in(name, address));
            }
            stays
        });
        self.groups.retain(|name, _| snapshot.pool(name).is_some());
        let in_force = |(name, pool, mode): &PathKey| {
            let paths = snapshot.packet_virtual(name).into_iter().flat_map(|it| &it.on_path);
            paths.filter(|it| it.pool == *pool && it.mode == *mode).collect::<Vec<_>>()
        };
        self.groups_on_path.retain(|key, _| !in_force(key).is_empty());
        self.members.retain(|(pool, address), _| is_in(pool, address));
        self.on_path.retain(|(key, address), view| {
            let mut members = in_force(key).into_iter().flat_map(|it| &it.members);
            let stays = members.any(|(member, _)| member == address);
            if !stays {
                // Flows that began by it continue, and no monitor probes for it any more.
                view.follow();
            }
            stays
        });
        self.rules.retain(|name, _| is_configured(snapshot, name));
        self.retain_tables(snapshot);
    }
}

fn members_of(pool: &Arc<Pool>) -> (&str, HashSet<SocketAddr>) {
    (&pool.settings.name, pool.members.iter().map(|it| it.settings.address).collect())
}

/// Whether a rule is, `virtual/rule`.
fn is_configured(snapshot: &Snapshot, name: &str) -> bool {
    name.split_once('/').is_some_and(|(owner, rule)| snapshot.has_rule(RuleOwner::of(owner), rule))
}

fn limit(pool: &model::Pool, member: &model::Member, state: &MemberState) {
    state.limit(member.max_connections.unwrap_or(0), pool.max_connections.unwrap_or(0));
}

/// Has the groups of a pool follow the configured priorities.
fn configure_priorities(snapshot: &Snapshot, pool: &Pool) {
    let configure = |member: &Member| member.state.configure_priority(member.settings.priority);
    let changed = pool.members.iter().filter(|it| configure(it)).count() > 0;
    rank_groups(snapshot, pool, changed);
}

/// Has the groups of a pool follow the priorities of its members. Where they are `new`, groups begin anew.
pub fn rank_groups(snapshot: &Snapshot, pool: &Pool, new: bool) {
    for groups in groups_of(snapshot, pool) {
        groups.rank(pool.members.iter().map(|it| it.state.priority()), new);
    }
}

/// The groups of a pool: its own, and those of virtuals that probe it on the service path.
pub fn groups_of<'a>(snapshot: &'a Snapshot, pool: &'a Pool) -> impl Iterator<Item = &'a Arc<Groups>> {
    let on_path = snapshot.packet_virtuals.iter().flat_map(|it| &it.on_path);
    let on_path = on_path.filter(|it| it.pool == pool.settings.name).map(|it| &it.groups);
    std::iter::once(&pool.groups).chain(on_path)
}
