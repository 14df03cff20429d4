//! What runs: the snapshot, which a reload replaces as a whole, and what it keeps by identity.

use std::net::SocketAddr;
use std::sync::Arc;

use shunt_engine::at_once::AtOnce;
use shunt_engine::balance::groups::Groups;
use shunt_engine::member::{MemberState, PoolState};
use shunt_engine::persistence::{PersistenceTable, TagKeys};
use shunt_rules::Attachment;

use crate::counters::{MemberCounters, Sharded, VirtualCounters};
use crate::pages::Pages;
use crate::tls::Tls;
use crate::tls::members::PoolTls;
use shunt_config::{RuleOwner, model};

/// A configuration in force. Never changed: a reload, or a rule that is loaded, makes the next one.
#[derive(Debug)]
pub struct Snapshot {
    /// One more than that of the snapshot before it.
    pub epoch: u64,
    pub virtuals: Vec<Arc<Virtual>>,
    pub packet_virtuals: Vec<Arc<PacketVirtual>>,
    /// Packet virtuals of mode `siit`.
    pub translators: Vec<Arc<model::Translator>>,
    pub pools: Vec<Arc<Pool>>,
}

/// A virtual server with all that it needs to serve.
pub struct Virtual {
    pub settings: model::Virtual,
    /// `None`: no TLS.
    pub tls: Option<Arc<Tls>>,
    pub pages: Arc<Pages>,
    /// What cookies that bind clients are computed with.
    pub cookie_keys: Arc<TagKeys>,
    /// In the order in which they are called.
    pub rules: Vec<Arc<Attachment>>,
    pub counters: Arc<Sharded<VirtualCounters>>,
    pub load: Arc<VirtualLoad>,
}

/// What is in flight of a virtual that has limits. It outlives reloads.
#[derive(Debug, Default)]
pub struct VirtualLoad {
    pub connections: Arc<AtOnce>,
    pub requests: Arc<AtOnce>,
}

/// A packet virtual. What it counts is counted by the packet workers.
pub struct PacketVirtual {
    pub settings: model::PacketVirtual,
    /// In the order in which they are called.
    pub rules: Vec<Arc<Attachment>>,
    /// Pools whose members are probed on the service path.
    pub on_path: Vec<PathPool>,
}

/// A pool as the clients of one virtual find it.
#[derive(Clone)]
pub struct PathPool {
    pub pool: String,
    /// In which mode.
    pub mode: model::PathMode,
    /// In the order of the pool's. Each is a view of the pool's own state.
    pub members: Vec<(SocketAddr, Arc<MemberState>)>,
    /// Which priority groups are in use by these.
    pub groups: Arc<Groups>,
}

impl PathPool {
    /// Whether it is the same pool with the very same states.
    pub fn is(&self, other: &PathPool) -> bool {
        let pairs = || self.members.iter().zip(&other.members);
        self.pool == other.pool
            && self.mode == other.mode
            && self.members.len() == other.members.len()
            && pairs().all(|((left, a), (right, b))| left == right && Arc::ptr_eq(a, b))
    }
}

pub struct Pool {
    pub settings: model::Pool,
    /// `None`: no TLS with its members.
    pub tls: Option<Arc<PoolTls>>,
    pub members: Vec<Member>,
    /// Keys bound to members, from source addresses and from rules. Shared by all workers.
    pub bindings: Arc<PersistenceTable<SocketAddr>>,
    /// Which priority groups are in use, for all workers.
    pub groups: Arc<Groups>,
    pub state: Arc<PoolState>,
}

pub struct Member {
    pub settings: model::Member,
    pub state: Arc<MemberState>,
    pub counters: Arc<Sharded<MemberCounters>>,
}

impl Snapshot {
    /// Before the first configuration.
    pub fn empty() -> Self {
        Snapshot {
            epoch: 0,
            virtuals: Vec::new(),
            packet_virtuals: Vec::new(),
            translators: Vec::new(),
            pools: Vec::new(),
        }
    }

    pub fn pool(&self, name: &str) -> Option<&Arc<Pool>> {
        self.pools.iter().find(|pool| pool.settings.name == name)
    }

    pub fn virtual_named(&self, name: &str) -> Option<&Arc<Virtual>> {
        self.virtuals.iter().find(|it| it.settings.name == name)
    }

    pub fn packet_virtual(&self, name: &str) -> Option<&Arc<PacketVirtual>> {
        self.packet_virtuals.iter().find(|it| it.settings.name == name)
    }

    /// Every rule of a virtual that runs; monitors have theirs from the control.
    pub fn attachments(&self) -> impl Iterator<Item = &Arc<Attachment>> {
        let packets = self.packet_virtuals.iter().flat_map(|it| &it.rules);
        self.virtuals.iter().flat_map(|it| &it.rules).chain(packets)
    }

    /// Whether a virtual of either kind, or a monitor of a pool, is configured with a rule.
    pub fn has_rule(&self, owner: RuleOwner<'_>, rule: &str) -> bool {
        match owner {
            RuleOwner::Virtual(name) => {
                let packets = || self.packet_virtual(name).map(|it| it.settings.rules.as_slice());
                let rules = self.virtual_named(name).map(|it| it.settings.rules.as_slice()).or_else(packets);
                rules.is_some_and(|rules| rules.iter().any(|it| it.name == rule))
            }
            RuleOwner::Pool(name) => self.pool(name).is_some_and(|pool| {
                let mut rules = pool.settings.monitors.iter().filter_map(|it| it.probe.rule());
                rules.any(|it| it.rule.name == rule)
            }),
        }
    }
}

impl std::fmt::Debug for Virtual {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Virtual").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for PacketVirtual {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PacketVirtual").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("settings", &self.settings).finish_non_exhaustive()
    }
}
