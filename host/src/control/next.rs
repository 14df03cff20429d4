//! The next snapshot: what a configuration asks for, with what runs and stays.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::rules::{Histories, running, same_rules};
use shunt_api::status::ReloadSummary;
use shunt_config::model::{self, Config};
use shunt_engine::persistence::TagKeys;
use shunt_runtime::pages::Pages;
use shunt_runtime::registry::Registry;
use shunt_runtime::tls::Tls;
use shunt_runtime::tls::members::PoolTls;
use shunt_runtime::{Member, PacketVirtual, Pool, Snapshot, Virtual};

/// Makes the parts of a snapshot, list by list; those that do not change are those that run.
pub(super) struct Builder<'a> {
    before: &'a Snapshot,
    rules: &'a Histories,
    registry: &'a mut Registry,
    summary: ReloadSummary,
}

impl<'a> Builder<'a> {
    pub(super) fn new(before: &'a Snapshot, rules: &'a Histories, registry: &'a mut Registry) -> Self {
        let summary = ReloadSummary { epoch: before.epoch + 1, ..ReloadSummary::default() };
        Builder { before, rules, registry, summary }
    }

    /// `pages` and `cookie_keys` have those of each proxy, in their order.
    pub(super) fn build(
        mut self,
        config: &Config,
        tls: PlannedTls,
        pages: Vec<Arc<Pages>>,
        cookie_keys: Vec<Arc<TagKeys>>,
    ) -> (Snapshot, ReloadSummary) {
        let pools: Vec<_> = config.pools.iter().zip(tls.pools).map(|(it, tls)| self.pool(it, tls)).collect();
        let files = tls.virtuals.into_iter().zip(pages).zip(cookie_keys);
        let virtuals = config.virtuals.iter().zip(files);
        let virtuals =
            virtuals.map(|(it, ((tls, pages), keys))| self.virtual_(it, tls, pages, keys)).collect();
        let packet_virtuals =
            config.packet_virtuals.iter().map(|it| self.packet_virtual(it, &pools)).collect();
        let translators = config.translators.iter().map(|it| self.translator(it)).collect();
        let epoch = self.summary.epoch;
        let snapshot = Snapshot { epoch, virtuals, packet_virtuals, translators, pools };
        self.summary.removed = removed(self.before, &snapshot);
        (snapshot, self.summary)
    }

    fn pool(&mut self, settings: &model::Pool, tls: Option<Arc<PoolTls>>) -> Arc<Pool> {
        let old = self.before.pool(&settings.name);
        let same = |old: &&Arc<Pool>| {
            old.settings == *settings && old.tls.as_ref().map(Arc::as_ptr) == tls.as_ref().map(Arc::as_ptr)
        };
        if let Some(old) = old.filter(same) {
            return self.unchanged(old);
        }
        self.note(old.is_some(), "pool", &settings.name);
        Arc::new(Pool { tls, ..self.registry.pool(settings) })
    }

    fn virtual_(
        &mut self,
        settings: &model::Virtual,
        tls: Option<Arc<Tls>>,
        pages: Arc<Pages>,
        cookie_keys: Arc<TagKeys>,
    ) -> Arc<Virtual> {
        let rules = running(self.rules, &settings.name, &settings.rules);
        let old = self.before.virtual_named(&settings.name);
        let same = |old: &&Arc<Virtual>| {
            old.settings == *settings
                && same_rules(&rules, &old.rules)
                && old.tls.as_ref().map(Arc::as_ptr) == tls.as_ref().map(Arc::as_ptr)
                && Arc::ptr_eq(&old.pages, &pages)
                && Arc::ptr_eq(&old.cookie_keys, &cookie_keys)
        };
        if let Some(old) = old.filter(same) {
            return self.unchanged(old);
        }
        self.note(old.is_some(), "virtual", &settings.name);
        let counters = self.registry.virtual_counters(&settings.name);
        let load = self.registry.virtual_load(&settings.name);
        Arc::new(Virtual { settings: settings.clone(), tls, pages, cookie_keys, rules, counters, load })
    }

    fn packet_virtual(&mut self, settings: &model::PacketVirtual, pools: &[Arc<Pool>]) -> Arc<PacketVirtual> {
        let rules = running(self.rules, &settings.name, &settings.rules);
        let on_path = self.registry.on_path(settings, pools);
        let old = self.before.packet_virtual(&settings.name);
        let same = |old: &&Arc<PacketVirtual>| old.settings == *settings && same_rules(&rules, &old.rules);
        if let Some(old) = old.filter(same) {
            let same_path = old.on_path.len() == on_path.len()
                && old.on_path.iter().zip(&on_path).all(|(old, new)| old.is(new));
            if same_path {
                return self.unchanged(old);
            }
            // Its pools are others, which are told as such.
            self.summary.unchanged += 1;
        } else {
            self.note(old.is_some(), "virtual", &settings.name);
        }
        Arc::new(PacketVirtual { settings: settings.clone(), rules, on_path })
    }

    /// The virtual of mode `siit`.
    fn translator(&mut self, settings: &model::Translator) -> Arc<model::Translator> {
        let old = self.before.translators.iter().find(|old| old.name == settings.name);
        if let Some(old) = old.filter(|old| ***old == *settings) {
            return self.unchanged(old);
        }
        self.note(old.is_some(), "virtual", &settings.name);
        Arc::new(settings.clone())
    }

    fn unchanged<T>(&mut self, old: &Arc<T>) -> Arc<T> {
        self.summary.unchanged += 1;
        Arc::clone(old)
    }

    fn note(&mut self, was_there: bool, kind: &str, name: &str) {
        let list = if was_there { &mut self.summary.changed } else { &mut self.summary.added };
        list.push(format!("{kind} {name}"));
    }
}

/// What one snapshot has and the next one does not.
fn removed(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let virtuals = |snapshot: &Snapshot| -> Vec<String> {
        let proxies = snapshot.virtuals.iter().map(|it| it.settings.name.clone());
        let packets = snapshot.packet_virtuals.iter().map(|it| it.settings.name.clone());
        proxies.chain(packets).chain(snapshot.translators.iter().map(|it| it.name.clone())).collect()
    };
    let pools = |snapshot: &Snapshot| -> Vec<String> {
        snapshot.pools.iter().map(|it| it.settings.name.clone()).collect()
    };
    let gone = |kind: &'static str, before: Vec<String>, after: Vec<String>| {
        let after: HashSet<String> = after.into_iter().collect();
        before.into_iter().filter(move |name| !after.contains(name)).map(move |name| format!("{kind} {name}"))
    };
    gone("virtual", virtuals(before), virtuals(after))
        .chain(gone("pool", pools(before), pools(after)))
        .collect()
}

/// TLS of each proxy and each pool, in their order.
pub(super) struct PlannedTls {
    pub(super) virtuals: Vec<Option<Arc<Tls>>>,
    pub(super) pools: Vec<Option<Arc<PoolTls>>>,
}

/// TLS settings made anew of files that have changed, by the names of what they are of.
#[derive(Default)]
pub(super) struct Renewed {
    pub(super) virtuals: BTreeMap<String, Arc<Tls>>,
    pub(super) pools: BTreeMap<String, Arc<PoolTls>>,
}

impl Renewed {
    pub(super) fn is_empty(&self) -> bool {
        self.virtuals.is_empty() && self.pools.is_empty()
    }
}

/// The next snapshot where nothing but material of TLS changes.
pub(super) fn with_tls(before: &Snapshot, renewed: &Renewed) -> Snapshot {
    let virtuals = before.virtuals.iter().map(|virtual_| {
        let Some(tls) = renewed.virtuals.get(&virtual_.settings.name) else { return Arc::clone(virtual_) };
        Arc::new(Virtual {
            settings: virtual_.settings.clone(),
            tls: Some(Arc::clone(tls)),
            pages: Arc::clone(&virtual_.pages),
            cookie_keys: Arc::clone(&virtual_.cookie_keys),
            rules: virtual_.rules.clone(),
            counters: Arc::clone(&virtual_.counters),
            load: Arc::clone(&virtual_.load),
        })
    });
    let pools = before.pools.iter().map(|pool| {
        let Some(tls) = renewed.pools.get(&pool.settings.name) else { return Arc::clone(pool) };
        let members = pool.members.iter().map(|it| Member {
            settings: it.settings.clone(),
            state: Arc::clone(&it.state),
            counters: Arc::clone(&it.counters),
        });
        Arc::new(Pool {
            settings: pool.settings.clone(),
            tls: Some(Arc::clone(tls)),
            members: members.collect(),
            bindings: Arc::clone(&pool.bindings),
            groups: Arc::clone(&pool.groups),
            state: Arc::clone(&pool.state),
        })
    });
    Snapshot {
        epoch: before.epoch + 1,
        virtuals: virtuals.collect(),
        packet_virtuals: before.packet_virtuals.clone(),
        translators: before.translators.clone(),
        pools: pools.collect(),
    }
}

/// The next snapshot where nothing but the members of these pools changes, in the order of the pools.
pub(super) fn with_members(before: &Snapshot, pools: &[model::Pool], registry: &mut Registry) -> Snapshot {
    let of = |old: &Arc<Pool>| {
        let settings = pools.iter().find(|it| it.name == old.settings.name);
        let Some(settings) = settings.filter(|it| it.members != old.settings.members) else {
            return Arc::clone(old);
        };
        let tls = old.tls.as_ref().map(|tls| tls.with_members(&settings.members));
        let settings = model::Pool { members: settings.members.clone(), ..old.settings.clone() };
        Arc::new(Pool { tls, ..registry.pool(&settings) })
    };
    Snapshot {
        epoch: before.epoch + 1,
        virtuals: before.virtuals.clone(),
        // No packets go to members by name.
        packet_virtuals: before.packet_virtuals.clone(),
        translators: before.translators.clone(),
        pools: before.pools.iter().map(of).collect(),
    }
}

/// The next snapshot where nothing but rules changes.
pub(super) fn with_rules(before: &Snapshot, rules: &Histories) -> Snapshot {
    let virtuals = before.virtuals.iter().map(|virtual_| {
        let rules = running(rules, &virtual_.settings.name, &virtual_.settings.rules);
        if same_rules(&rules, &virtual_.rules) {
            return Arc::clone(virtual_);
        }
        let (settings, tls) = (virtual_.settings.clone(), virtual_.tls.clone());
        let (pages, counters) = (Arc::clone(&virtual_.pages), Arc::clone(&virtual_.counters));
        let cookie_keys = Arc::clone(&virtual_.cookie_keys);
        let load = Arc::clone(&virtual_.load);
        Arc::new(Virtual { settings, tls, pages, cookie_keys, rules, counters, load })
    });
    let packet_virtuals = before.packet_virtuals.iter().map(|virtual_| {
        let settings = &virtual_.settings;
        let rules = running(rules, &settings.name, &settings.rules);
        if same_rules(&rules, &virtual_.rules) {
            return Arc::clone(virtual_);
        }
        Arc::new(PacketVirtual { settings: settings.clone(), rules, on_path: virtual_.on_path.clone() })
    });
    Snapshot {
        epoch: before.epoch + 1,
        virtuals: virtuals.collect(),
        packet_virtuals: packet_virtuals.collect(),
        translators: before.translators.clone(),
        pools: before.pools.clone(),
    }
}
