//! Members by name: names are looked up again when their answers expire, and pools get the members that they stand for.
//!
//! A start and a reload look up what is new first, so that a pool whose names resolve is never without members. They wait
//! no longer than for one server: a pool whose names do not resolve is empty until they do.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex as Locked, MutexGuard, PoisonError};
use std::time::Duration;

use shunt_engine::names::{Bounds, Held, Learnt, PlacedMember};
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::Control;
use super::next::with_members;
use crate::resolve::{LookUp, Resolver};
use shunt_api::status::NameStatus;
use shunt_config::model::{self, Config, MemberName};

/// The members of each name.
pub(super) type Sets = BTreeMap<MemberName, Vec<PlacedMember>>;

/// Look-ups at once.
const MOST_LOOK_UPS: usize = 32;

/// What is known of names.
#[derive(Debug)]
pub(super) struct Names {
    began: Instant,
    known: Locked<BTreeMap<MemberName, Known>>,
    /// There may be names that nobody follows yet.
    new: Notify,
}

#[derive(Debug, Default)]
struct Known {
    held: Held,
    error: Option<String>,
    lookups: u64,
    failed: u64,
}

impl Default for Names {
    fn default() -> Self {
        Names { began: Instant::now(), known: Locked::default(), new: Notify::new() }
    }
}

impl Names {
    fn known(&self) -> MutexGuard<'_, BTreeMap<MemberName, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn sets(&self) -> Sets {
        self.known().iter().map(|(name, known)| (name.clone(), known.held.members().to_vec())).collect()
    }

    /// When a name is to be looked up.
    fn due(&self, name: &MemberName) -> Instant {
        let known = self.known();
        self.began + Duration::from_millis(known.get(name).map_or(0, |known| known.held.next_ms()))
    }

    /// Takes what a look-up found, and logs what follows from it. Whether the members are others.
    fn learn(&self, name: &MemberName, looked_up: LookUp, bounds: Bounds) -> bool {
        let now = self.now_ms();
        let mut known = self.known();
        let known = known.entry(name.clone()).or_default();
        let LookUp { found, error } = looked_up;
        let (was_empty, left_out) = (known.held.members().is_empty(), known.held.left_out());
        let learnt = known.held.learn(now, &found, bounds);
        known.lookups += 1;
        known.failed += u64::from(error.is_some());
        let before = std::mem::replace(&mut known.error, error);
        tell(name, known, &learnt, (was_empty, before));
        if known.held.left_out() > 0 && left_out == 0 {
            let (members, left_out) = (known.held.members().len(), known.held.left_out());
            tracing::warn!(event = "name-too-many", %name, members, left_out, "the name has more addresses than members can be");
        }
        learnt.is_change()
    }

    /// Forgets names that the configuration does not have.
    pub(super) fn retain(&self, config: &Config) {
        let named = named(config);
        self.known().retain(|name, _| named.contains(name));
        self.new.notify_one();
    }

    pub(super) fn status(&self, name: &MemberName) -> NameStatus {
        let known = self.known();
        let none = Known::default();
        let Known { held, error, lookups, failed } = known.get(name).unwrap_or(&none);
        NameStatus {
            name: name.to_string(),
            addresses: held.members().iter().map(|it| it.address.to_string()).collect(),
            ttl_seconds: held.ttl(),
            held: held.stale(),
            left_out: held.left_out(),
            error: error.clone(),
            lookups: *lookups,
            lookups_failed: *failed,
        }
    }
}

/// Logs what a look-up changed.
fn tell(name: &MemberName, known: &Known, learnt: &Learnt, (was_empty, before): (bool, Option<String>)) {
    let Known { held, error, .. } = known;
    let list = |of: &[SocketAddr]| of.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let is_empty = held.members().is_empty();
    let error = error.as_deref();
    if is_empty && !was_empty {
        let removed = list(&learnt.removed);
        tracing::error!(event = "name-vanished", %name, removed, error, "the name has no members any more");
    } else if learnt.is_change() {
        let (added, removed) = (list(&learnt.added), list(&learnt.removed));
        tracing::info!(event = "name-changed", %name, added, removed, "the name has other members");
    }
    match error {
        Some(error) if before.is_none() && is_empty => {
            tracing::error!(event = "name-unresolved", %name, error, "the name has no members");
        }
        Some(error) if before.is_none() => {
            let held = held.stale();
            tracing::warn!(event = "name-unanswered", %name, error, held, "answers for the name are missing");
        }
        None if before.is_some() => {
            tracing::info!(event = "name-answered", %name, "the name is answered again");
        }
        _ => {}
    }
}

fn bounds(settings: &model::Resolver) -> Bounds {
    let ms = |it: Duration| u64::try_from(it.as_millis()).unwrap_or(u64::MAX);
    let model::Resolver { min_ttl, max_ttl, hold, .. } = settings;
    Bounds { min_ttl_ms: ms(*min_ttl), max_ttl_ms: ms(*max_ttl), hold_ms: ms(*hold) }
}

/// Names of a configuration, each once.
fn named(config: &Config) -> BTreeSet<MemberName> {
    config.pools.iter().flat_map(|pool| &pool.names).map(|it| it.name.clone()).collect()
}

/// Gives pools the members that their names stand for.
pub(super) fn give_members(config: &mut Config, sets: &Sets) {
    for pool in config.pools.iter_mut().filter(|pool| !pool.names.is_empty()) {
        *pool = pool.with_names(|name| sets.get(name).map_or(&[], Vec::as_slice));
    }
}

/// Looks up the names that nothing is known of, for no longer than one server may take.
pub(super) async fn learn_new(names: &Names, config: &Config) {
    let mut new: Vec<MemberName> = {
        let known = names.known();
        named(config).into_iter().filter(|name| !known.contains_key(name)).collect()
    };
    if new.is_empty() {
        return;
    }
    let resolver = Resolver::new(&config.resolver);
    let mut asked = JoinSet::new();
    let all = async {
        loop {
            while asked.len() < MOST_LOOK_UPS
                && let Some(name) = new.pop()
            {
                look_up(&mut asked, &resolver, name);
            }
            let Some(done) = asked.join_next().await else { return };
            if let Ok((name, found)) = done {
                names.learn(&name, found, bounds(&config.resolver));
            }
        }
    };
    // What is late is looked up by whoever follows names.
    let _ = timeout(config.resolver.timeout, all).await;
}

fn look_up(asked: &mut JoinSet<(MemberName, LookUp)>, resolver: &Arc<Resolver>, name: MemberName) {
    let resolver = Arc::clone(resolver);
    asked.spawn(async move {
        let found = resolver.look_up(&name).await;
        (name, found)
    });
}

/// Looks names up whenever their answers expire, for ever, and changes the members of pools.
pub async fn follow_names(control: &Mutex<Control>) {
    let names = Arc::clone(&control.lock().await.names);
    let mut asked = JoinSet::new();
    let mut busy = BTreeSet::new();
    loop {
        let config = Arc::clone(&control.lock().await.config);
        let (now, mut next) = (Instant::now(), None::<Instant>);
        let mut resolver = None;
        for name in named(&config).into_iter().filter(|name| !busy.contains(name)).collect::<Vec<_>>() {
            let due = names.due(&name);
            if due > now {
                next = Some(next.map_or(due, |next| next.min(due)));
            } else if asked.len() < MOST_LOOK_UPS {
                busy.insert(name.clone());
                let resolver = resolver.get_or_insert_with(|| Resolver::new(&config.resolver));
                look_up(&mut asked, resolver, name);
            }
        }
        let mut due = pin!(async {
            match next {
                Some(next) => sleep_until(next).await,
                None => std::future::pending().await,
            }
        });
        tokio::select! {
            Some(done) = asked.join_next() => {
                let Ok((name, found)) = done else {
                    // One panicked, and does not say which.
                    busy.clear();
                    asked.abort_all();
                    continue;
                };
                busy.remove(&name);
                if names.learn(&name, found, bounds(&config.resolver)) {
                    control.lock().await.give_members().await;
                }
            }
            () = names.new.notified() => {}
            () = &mut due => {}
        }
    }
}

impl Control {
    /// Gives pools the members that their names stand for by now. Nothing else changes.
    async fn give_members(&mut self) {
        if self.is_draining() {
            return;
        }
        let mut config = (*self.config).clone();
        give_members(&mut config, &self.names.sets());
        if config == *self.config {
            return;
        }
        let config = Arc::new(config);
        let before = self.snapshot.load_full();
        let next = with_members(&before, &config.pools, &mut self.registry);
        if let Err(problems) = self.change(&config, next).await {
            self.registry.retain(&before);
            let problems = problems.join("; ");
            tracing::error!(event = "names-refused", problems, "members by name stay as they are");
            return;
        }
        self.config = config;
        let snapshot = self.snapshot.load_full();
        self.monitors.apply(&snapshot);
        self.registry.retain(&snapshot);
    }
}
