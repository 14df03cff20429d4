//! Bindings of clients to members, in the shapes that the admin interface sends.

use std::net::SocketAddr;
use std::sync::Arc;

use shunt_api::bindings::{BindingStatus, Bindings, LargeKey};
use shunt_api::counts::BindingCounts;
use shunt_config::model::Persistence;
use shunt_engine::persistence::{Counts, Listed, PersistenceTable, Share, shown};
use shunt_runtime::{Pool, Snapshot, clock};
use tokio::sync::Mutex;

use super::operate::NotFound;
use super::{Aborted, Actor, Control, off_thread};

type Found = Listed<SocketAddr>;

/// Keys with a large part of the look-ups that are shown at most.
const MOST_LARGE: usize = 5;

/// Why bindings are not listed.
#[derive(Debug)]
pub enum Unlisted {
    NotFound(NotFound),
    /// As an [`ApplyError::System`](super::ApplyError).
    System(String),
}

impl From<Aborted> for Unlisted {
    fn from(Aborted(why): Aborted) -> Self {
        Self::System(why)
    }
}

/// Bindings of a pool, `most` at most, of one member or of any. Nothing waits for the walk through the table.
///
/// # Errors
/// There is no such pool.
pub async fn bindings(
    control: &Mutex<Control>,
    pool: &str,
    member: Option<SocketAddr>,
    most: usize,
) -> Result<Bindings, Unlisted> {
    let snapshot = control.lock().await.snapshot.load_full();
    let table = Arc::clone(table(&snapshot, pool).map_err(Unlisted::NotFound)?);
    off_thread(move || {
        let want = |_: &[u8], of: &SocketAddr| member.is_none_or(|member| member == *of);
        let (found, more) = table.list(clock::monotonic_ms(), most, want);
        Ok(Bindings { bindings: shown_all(&snapshot, found), more, largest: largest(&snapshot, &table) })
    })
    .await
}

impl Control {
    /// The bindings that a text may mean, one of each virtual or group that has it.
    ///
    /// # Errors
    /// There is no such pool, or none of them.
    pub fn binding(&self, pool: &str, key: &str) -> Result<Bindings, NotFound> {
        let snapshot = self.snapshot.load_full();
        let found = found(&snapshot, pool, key)?;
        Ok(Bindings { bindings: shown_all(&snapshot, found), ..Bindings::default() })
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
    let largest = pool.bindings.largest(1).first().map_or(0, |it| it.thousandths / 10);
    let (entries, largest_percent) = (pool.bindings.len() as u64, largest.into());
    BindingCounts { entries, hits, misses, expired, evicted, refused, largest_percent }
}

/// The keys that are looked up most often.
pub(super) fn largest(snapshot: &Snapshot, table: &PersistenceTable<SocketAddr>) -> Vec<LargeKey> {
    let owners = owners(snapshot);
    let shown = |it: Share| {
        let (of, key) = shown_key(&owners, &it.key);
        let member = table.look(&it.key, clock::monotonic_ms()).map(|it| it.to_string());
        LargeKey { of, key, member, percent: it.thousandths / 10 }
    };
    table.largest(MOST_LARGE).into_iter().map(shown).filter(|it| it.percent > 0).collect()
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
    let mut prefixes: Vec<_> = owners(snapshot).into_iter().map(|(prefix, _)| prefix).collect();
    // Virtuals of a group have one.
    prefixes.sort_unstable();
    prefixes.dedup();
    let keys =
        prefixes.iter().flat_map(|prefix| meanings.iter().map(move |rest| [prefix, &rest[..]].concat()));
    let found: Vec<_> = keys.filter_map(|key| table.entry(&key, now)).collect();
    match found.is_empty() {
        true => Err(NotFound { what: format!("binding of {key} in pool {pool}"), known: Vec::new() }),
        false => Ok(found),
    }
}

fn shown_all(snapshot: &Snapshot, mut found: Vec<Found>) -> Vec<BindingStatus> {
    found.sort_by_key(|it| it.idle);
    let owners = owners(snapshot);
    let status = |it: Found| {
        let (of, key) = shown_key(&owners, &it.key);
        BindingStatus { of, key, member: it.value.to_string(), idle_ms: it.idle, expires_ms: it.expires_in }
    };
    found.into_iter().map(status).collect()
}

/// The virtual or group that a key is of, empty where that left the configuration, and what it says.
fn shown_key(owners: &[Owner], key: &[u8]) -> (String, String) {
    let (prefix, key) = shown::shown(key);
    let of = owners.iter().find(|(of, _)| Some(*of) == prefix).map(|(_, name)| name.clone());
    (of.unwrap_or_default(), key)
}

/// What the keys of a virtual or group begin with, and which that is.
type Owner = ([u8; 8], String);

fn owners(snapshot: &Snapshot) -> Vec<Owner> {
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
