//! Bindings of clients to members, in the shapes that the admin interface sends.

use std::net::SocketAddr;
use std::sync::Arc;

use shunt_api::bindings::{BindingStatus, Bindings};
use shunt_api::counts::BindingCounts;
use shunt_config::model::Persistence;
use shunt_engine::persistence::{Counts, Listed, PersistenceTable, shown};
use shunt_runtime::{Pool, Snapshot, clock};

use super::operate::NotFound;
use super::{Actor, Control};

/// A binding, and the virtual or group that it is of.
type Found = Listed<SocketAddr>;

impl Control {
    /// Bindings of a pool, `most` at most, of one member or of any.
    ///
    /// # Errors
    /// There is no such pool.
    pub fn bindings(
        &self,
        pool: &str,
        member: Option<SocketAddr>,
        most: usize,
    ) -> Result<Bindings, NotFound> {
        let snapshot = self.snapshot.load_full();
        let table = table(&snapshot, pool)?;
        let want = |_: &[u8], of: &SocketAddr| member.is_none_or(|member| member == *of);
        let (found, more) = table.list(clock::monotonic_ms(), most, want);
        Ok(Bindings { bindings: shown_all(&snapshot, found), more })
    }

    /// The bindings that a text may mean, one of each virtual or group that has it.
    ///
    /// # Errors
    /// There is no such pool, or none of them.
    pub fn binding(&self, pool: &str, key: &str) -> Result<Bindings, NotFound> {
        let snapshot = self.snapshot.load_full();
        let found = found(&snapshot, pool, key)?;
        Ok(Bindings { bindings: shown_all(&snapshot, found), more: false })
    }

    /// Deletes the bindings that a text may mean, and says which.
    ///
    /// # Errors
    /// There is no such pool, or none of them.
    pub fn delete_binding(&self, pool: &str, key: &str, by: &Actor) -> Result<Vec<BindingStatus>, NotFound> {
        let snapshot = self.snapshot.load_full();
        let found = found(&snapshot, pool, key)?;
        let table = table(&snapshot, pool)?;
        let deleted: Vec<_> = found.into_iter().filter(|it| table.forget(&it.key)).collect();
        let deleted = shown_all(&snapshot, deleted);
        for BindingStatus { of, key, member, .. } in &deleted {
            tracing::info!(by = by.to_string(), pool, of, key, member, "binding deleted");
        }
        Ok(deleted)
    }
}

/// What a pool's table has counted.
pub(super) fn counts(pool: &Pool) -> BindingCounts {
    let Counts { hits, misses, expired, evicted, refused } = pool.bindings.counts();
    BindingCounts { entries: pool.bindings.len() as u64, hits, misses, expired, evicted, refused }
}

fn table<'a>(snapshot: &'a Snapshot, pool: &str) -> Result<&'a Arc<PersistenceTable<SocketAddr>>, NotFound> {
    let names = || snapshot.pools.iter().map(|pool| pool.settings.name.clone()).collect();
    let found = snapshot.pool(pool).map(|pool| &pool.bindings);
    found.ok_or_else(|| NotFound { what: format!("pool {pool}"), known: names() })
}

fn found(snapshot: &Snapshot, pool: &str, key: &str) -> Result<Vec<Found>, NotFound> {
    let table = table(snapshot, pool)?;
    let meanings = shown::meanings(key, |text| table.digest(text));
    let now = clock::monotonic_ms();
    // Those whose virtual left the configuration have a prefix that cannot be told: every key is looked at.
    let wanted = |bound: &[u8], _: &SocketAddr| {
        bound.get(8..).is_some_and(|rest| meanings.iter().any(|meaning| meaning == rest))
    };
    match table.list(now, usize::MAX, wanted).0 {
        none if none.is_empty() => {
            Err(NotFound { what: format!("binding of {key} in pool {pool}"), known: Vec::new() })
        }
        found => Ok(found),
    }
}

fn shown_all(snapshot: &Snapshot, mut found: Vec<Found>) -> Vec<BindingStatus> {
    found.sort_by_key(|it| it.idle);
    let owners = owners(snapshot);
    let status = |it: Found| {
        let (prefix, key) = shown::shown(&it.key);
        let of = owners.iter().find(|(of, _)| Some(*of) == prefix).map(|(_, name)| name.clone());
        BindingStatus {
            of: of.unwrap_or_default(),
            key,
            member: it.value.to_string(),
            idle_ms: it.idle,
            expires_ms: it.expires_in,
        }
    };
    found.into_iter().map(status).collect()
}

/// What the keys of each virtual or group begin with.
fn owners(snapshot: &Snapshot) -> Vec<([u8; 8], String)> {
    let proxies = snapshot.virtuals.iter().map(|it| (&it.settings.name, it.settings.persistence.as_ref()));
    let packets =
        snapshot.packet_virtuals.iter().map(|it| (&it.settings.name, it.settings.persistence.as_ref()));
    proxies
        .chain(packets)
        .map(|(name, settings)| {
            let owner = match settings.and_then(|it| it.group.as_ref()) {
                Some(group) => format!("group {group}"),
                None => format!("virtual {name}"),
            };
            (Persistence::prefix(settings, name), owner)
        })
        .collect()
}
