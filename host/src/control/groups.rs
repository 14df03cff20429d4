//! Priority groups of pools: the operator's priorities, and what becomes of groups and of ejected members by time
//! alone.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use shunt_api::status::PoolStatus;
use shunt_engine::balance::groups::{Groups, InUse, Priority, Ranked};
use shunt_engine::balance::{Candidate, Members};
use shunt_runtime::clock;
use shunt_runtime::registry::rank_groups;
use shunt_runtime::{Pool, Snapshot};
use shunt_wire::Endpoint;
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::operate::NotFound;
use super::{Actor, Control};

/// Between two looks at the groups.
const EVERY: Duration = Duration::from_secs(1);

impl Control {
    /// Moves members to other priority groups: all of them, or none.
    ///
    /// # Errors
    /// There is no such pool, or it has no such member.
    pub async fn set_priorities(
        &mut self,
        pool: &str,
        priorities: &[(SocketAddr, Priority)],
        by: &Actor,
    ) -> Result<PoolStatus, NotFound> {
        let snapshot = self.snapshot.load_full();
        let found = pool_named(&snapshot, pool)?;
        let mut changes = Vec::new();
        for (address, priority) in priorities {
            let member = found.members.iter().find(|it| it.settings.address == *address);
            let member = member.ok_or_else(|| NotFound {
                what: format!("member {address} in pool {pool}"),
                known: found.members.iter().map(|it| it.settings.address.to_string()).collect(),
            })?;
            changes.push((member, *priority));
        }
        for (member, priority) in changes {
            let (from, address) = (member.state.priority(), member.settings.address);
            member.state.set_priority(priority);
            tracing::info!(by = by.to_string(), pool, member = %address, from, to = priority, "priority set");
        }
        rank_groups(&snapshot, found, true);
        let packets = self.packet_status().await;
        Ok(self.pool_status(found, packets.as_ref()))
    }

    /// Gives all members of a pool their configured priorities.
    ///
    /// # Errors
    /// There is no such pool.
    pub async fn reset_priorities(&mut self, pool: &str, by: &Actor) -> Result<PoolStatus, NotFound> {
        let snapshot = self.snapshot.load_full();
        let found = pool_named(&snapshot, pool)?;
        found.members.iter().for_each(|it| it.state.reset_priority(it.settings.priority));
        rank_groups(&snapshot, found, true);
        tracing::info!(by = by.to_string(), pool, "priorities as configured");
        let packets = self.packet_status().await;
        Ok(self.pool_status(found, packets.as_ref()))
    }

    /// Has the highest groups of a pool used again that have enough usable members.
    ///
    /// # Errors
    /// There is no such pool.
    pub async fn fail_back(&mut self, pool: &str, by: &Actor) -> Result<PoolStatus, NotFound> {
        let snapshot = self.snapshot.load_full();
        let found = pool_named(&snapshot, pool)?;
        shunt_runtime::registry::groups_of(&snapshot, found).for_each(|groups| groups.fail_back());
        tracing::info!(by = by.to_string(), pool, "failed back");
        let packets = self.packet_status().await;
        Ok(self.pool_status(found, packets.as_ref()))
    }
}

/// Takes members back whose ejection is over, and looks at the groups of pools, each second: the time of a fail-back passes
/// without traffic too. Logs which groups came in use. For ever.
pub async fn follow_groups(control: &Mutex<Control>) {
    let mut told: HashMap<String, InUse> = HashMap::new();
    loop {
        sleep(EVERY).await;
        let snapshot = control.lock().await.snapshot.load_full();
        let now = clock::monotonic_ms();
        for (pool, member) in
            snapshot.pools.iter().flat_map(|pool| pool.members.iter().map(move |it| (pool, it)))
        {
            if member.state.end_ejection(now) {
                let (pool, member) = (&pool.settings.name, member.settings.address);
                tracing::info!(event = "member-back", pool, %member, "the member's ejection is over");
            }
        }
        told.retain(|name, _| snapshot.pool(name).is_some());
        for pool in snapshot.pools.iter().filter(|it| it.groups.are_ranked()) {
            let Some(now) = ranked(pool, &pool.groups, false).settle(&Plain(pool)) else { continue };
            let before = told.insert(pool.settings.name.clone(), now);
            if let Some(before) = before.filter(|before| *before != now) {
                tracing::warn!(
                    event = "pool-groups",
                    pool = pool.settings.name,
                    from = shown(before),
                    to = shown(now),
                    "other priority groups are in use"
                );
            }
        }
        for virtual_ in &snapshot.packet_virtuals {
            for path in virtual_.on_path.iter().filter(|it| it.groups.are_ranked()) {
                let Some(pool) = snapshot.pool(&path.pool) else { continue };
                let _ = ranked(pool, &path.groups, false).settle(&OnPath(pool, path));
            }
        }
    }
}

/// The groups of a pool that would be in use now; `None`: no member is usable.
pub(super) fn in_use(pool: &Pool) -> Option<InUse> {
    ranked(pool, &pool.groups, true).settle(&Plain(pool))
}

fn ranked<'a>(pool: &Pool, groups: &'a Groups, only_explains: bool) -> Ranked<'a> {
    Ranked { groups, policy: pool.settings.groups, now: clock::monotonic_ms(), only_explains }
}

fn shown(in_use: InUse) -> String {
    match in_use {
        InUse { highest, lowest } if highest == lowest => highest.to_string(),
        InUse { highest, lowest } => format!("{highest} to {lowest}"),
    }
}

fn pool_named<'a>(snapshot: &'a Snapshot, name: &str) -> Result<&'a Pool, NotFound> {
    snapshot.pool(name).map(|pool| &**pool).ok_or_else(|| NotFound {
        what: format!("pool {name}"),
        known: snapshot.pools.iter().map(|pool| pool.settings.name.clone()).collect(),
    })
}

/// The members of a pool by themselves.
struct Plain<'a>(&'a Pool);

impl Members for Plain<'_> {
    fn count(&self) -> usize {
        self.0.members.len()
    }

    fn candidate(&self, place: usize) -> Candidate {
        let member = self.0.members.get(place);
        member.map_or_else(Candidate::default, |member| Candidate {
            usable: member.state.usable_for_new(),
            weight: member.settings.weight,
            active: member.state.active(),
            ..Candidate::default()
        })
    }

    fn endpoint(&self, place: usize) -> Endpoint {
        self.0.members.get(place).map(|member| member.settings.address.into()).unwrap_or_default()
    }

    fn serves_bound(&self, place: usize) -> bool {
        self.0.members.get(place).is_some_and(|member| member.state.usable_for_persistent())
    }

    fn place(&self, member: SocketAddr) -> Option<usize> {
        self.0.members.iter().position(|it| it.settings.address == member)
    }

    fn priority(&self, place: usize) -> Priority {
        self.0.members.get(place).map_or(0, |member| member.state.priority())
    }
}

/// The same, as clients of one virtual find them.
struct OnPath<'a>(&'a Pool, &'a shunt_runtime::PathPool);

impl Members for OnPath<'_> {
    fn count(&self) -> usize {
        Plain(self.0).count()
    }

    fn candidate(&self, place: usize) -> Candidate {
        let usable = self.1.members.get(place).is_some_and(|(_, state)| state.usable_for_new());
        Candidate { usable, ..Plain(self.0).candidate(place) }
    }

    fn endpoint(&self, place: usize) -> Endpoint {
        Plain(self.0).endpoint(place)
    }

    fn serves_bound(&self, place: usize) -> bool {
        Plain(self.0).serves_bound(place)
    }

    fn place(&self, member: SocketAddr) -> Option<usize> {
        Plain(self.0).place(member)
    }

    fn priority(&self, place: usize) -> Priority {
        Plain(self.0).priority(place)
    }
}
