//! Pools: members, and addresses whose ports are leased.

use std::net::SocketAddr;
use std::sync::Arc;

use shunt_wire::Endpoint;

use super::index::PoolIndex;
use crate::balance::groups::{Groups, Policy};
use crate::balance::{Balance, SlowStart};
use crate::member::MemberState;
use crate::persistence::PersistenceTable;
use crate::snat;

/// Members among which one is chosen. Its name is its identity.
#[derive(Clone)]
pub struct Pool {
    pub name: Arc<str>,
    pub balance: Balance,
    /// How members that come start, over all workers.
    pub slow_start: Option<SlowStart>,
    pub members: Vec<Member>,
    /// Which client is bound to which member; the same table that proxies of the pool use.
    pub bindings: Arc<PersistenceTable<SocketAddr>>,
    pub policy: Policy,
    /// Which priority groups are in use; the same that proxies of the pool use.
    pub groups: Arc<Groups>,
    pub on_empty: OnEmpty,
}

/// Where flows go that find no member of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnEmpty {
    #[default]
    Nowhere,
    Pool(PoolIndex),
    /// To their own destination, where they have one: of virtuals on any address, in the modes `route` and `snat`.
    Route,
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

impl Pool {
    /// The pool that stands in for it.
    #[must_use]
    pub const fn stand_in(&self) -> Option<PoolIndex> {
        match self.on_empty {
            OnEmpty::Pool(pool) => Some(pool),
            OnEmpty::Nowhere | OnEmpty::Route => None,
        }
    }

    /// The place of the member with this endpoint.
    #[must_use]
    pub fn position(&self, endpoint: Endpoint) -> Option<usize> {
        self.members.iter().position(|member| member.endpoint == endpoint)
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
