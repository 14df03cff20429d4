//! From a configuration to a snapshot in force: plan, make what can fail, swap, release.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use shunt_rules::{Compilations, Environment};
use tokio::sync::{Mutex, mpsc, watch};

use super::environment::DaemonEnvironment;
use super::guard::Allow;
use super::highest::Highest;
use super::history::Running;
use super::names;
use super::next::Builder;
use super::operate::shown;
use super::plan::{Asked, Basis, Compiled, Plan};
use super::rules::{self, Histories, RuleName};
use super::{Actor, ApplyError, Control, Drain, Planes, off_thread, packs, unless_ending};
use crate::monitor::Monitors;
use shunt_api::status::ReloadSummary;
use shunt_config::Document;
use shunt_config::model::Config;
use shunt_packets::{PacketPlane, Probes};
use shunt_proxy::change::ProxyPlane;
use shunt_proxy::worker::Worker;
use shunt_runtime::Snapshot;
use shunt_runtime::plane::{self, Next};
use shunt_runtime::registry::Registry;

/// What a list without names is shown as.
const NOTHING: &str = "nothing";

/// What came of a reload that failed.
const UNCHANGED: &str = "nothing was changed";

impl Control {
    /// Reads the configuration, starts workers and listeners, and serves.
    ///
    /// # Errors
    /// Whatever keeps it from that; nothing is left running then.
    pub async fn start(path: PathBuf) -> Result<Control, ApplyError> {
        let system = |error: std::io::Error| ApplyError::System(error.to_string());
        let document = Document::read(&path).map_err(ApplyError::Config)?;
        let cores = shunt_sys::cores::usable().map_err(system)?;
        let count = document.config.process.workers.map_or(cores.len(), NonZeroUsize::get);
        let host = packs::rule_host(&document)?;
        let snapshot = Arc::new(ArcSwap::from_pointee(Snapshot::empty()));
        let (breakers, opened) = mpsc::unbounded_channel();
        let environment = Arc::new(DaemonEnvironment::new(Arc::clone(&snapshot), breakers));
        let random_key = || {
            let mut key = [0; 16];
            environment.fill_random(&mut key);
            let (high, low) = key.split_at(8);
            [high, low].map(|half| half.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
        };
        let workers = (0..count)
            // Pinned only where each has a core of its own: elsewhere the scheduler knows better.
            .map(|number| Worker::start(number, (count == cores.len()).then(|| cores[number])))
            .collect::<Result<Vec<_>, _>>()
            .map_err(system)?;
        let probes = Arc::<Probes>::default();
        let planes = Planes {
            proxies: ProxyPlane::new(workers),
            packets: PacketPlane::new(count, random_key(), Arc::clone(&probes)),
        };
        let mut control = Control {
            planes,
            path,
            config: Arc::new(document.config.clone()),
            registry: Registry::new(count, random_key()),
            host,
            environment,
            rules: Histories::new(),
            packs: Arc::default(),
            names: Arc::default(),
            ports: Arc::default(),
            highest: Highest::default(),
            snapshot,
            monitors: Monitors::new(probes),
            started: Instant::now(),
            ending: watch::Sender::new(false),
            files: document.fingerprint().clone(),
            opened: Some(opened),
        };
        names::learn_new(&control.names, &document.config).await;
        let basis = control.basis(Asked::Start);
        let plan = off_thread(move || basis.plan(document, &mut Compiled::default())).await?;
        control.put_in_force(plan, None).await?;
        if let Some(Compilations { compiled, cached }) = control.host.compilations() {
            tracing::info!(compiled, cached, "rules compiled, and taken from the cache");
        }
        keep(control.highest.clone()).await;
        Ok(control)
    }

    /// What a configuration is planned against.
    fn basis(&self, asked: Asked) -> Basis {
        Basis {
            before: self.snapshot.load_full(),
            rules: self.rules.clone(),
            stats: self.registry.all_rule_stats().clone(),
            tables: Arc::clone(self.registry.tables()),
            host: Arc::clone(&self.host),
            environment: Arc::clone(&self.environment),
            highest: self.highest.clone(),
            names: self.names.sets(),
            asked,
        }
    }

    /// Takes no changes from now on, and gives up those that are being prepared.
    pub fn refuse_changes(&self) {
        self.ending.send_replace(true);
    }

    /// Stops accepting, and takes no changes from now on.
    pub async fn begin_drain(&mut self) -> Drain {
        self.refuse_changes();
        let mut workers = Vec::new();
        for plane in self.planes.list() {
            workers.extend(plane.drain().await);
        }
        Drain { workers, most: self.config.process.drain }
    }

    pub fn is_draining(&self) -> bool {
        *self.ending.borrow()
    }

    /// Whether packet flows are left that a drain waits for.
    pub async fn has_open_flows(&self) -> bool {
        match self.planes.packets.running() {
            Some(packets) => packets.has_open_flows().await,
            None => false,
        }
    }

    /// Puts a configuration in force, or changes nothing. `by`: who asked for it; `None` at the start.
    async fn put_in_force(&mut self, plan: Plan, by: Option<&Actor>) -> Result<ReloadSummary, ApplyError> {
        let Plan {
            config,
            files,
            warnings,
            rules: planned,
            packs,
            mut highest,
            asked,
            tls,
            pages,
            cookie_keys,
            stats,
            ..
        } = plan;
        let mut rules = self.rules.clone();
        let (mut changes, mut grown) = (Vec::new(), Vec::new());
        for (name, plan) in planned {
            let history = rules.entry(name.clone()).or_default();
            history.configured = Some(plan.configured);
            let Some((loaded, attachment, using)) = plan.run else { continue };
            let from = shown(history);
            grown.extend(plan.grown.into_iter().map(|it| format!("{name}: {it}")));
            // A rule that only runs with other options stays the version that it is.
            let same = history
                .running_version()
                .filter(|it| Arc::ptr_eq(&it.content.rule, &loaded.rule))
                .map(|it| it.number);
            let manifest = loaded.rule.manifest();
            match asked {
                _ if same.is_some() => {}
                Asked::Change(_) => highest.runs(&name, manifest),
                Asked::Start | Asked::Check | Asked::Lock => highest.runs_at_start(&name, manifest),
            }
            let number = same.unwrap_or_else(|| history.add(loaded, unix_ms()));
            history.run(Running { number, attachment, using });
            let what = if same.is_some() { "rule settings changed" } else { "rule loaded" };
            changes.push((name, what, from, shown(history)));
        }
        let named: BTreeSet<RuleName> = rules::uses(&config).map(|rule| rule.name).collect();
        rules.retain(|name, _| named.contains(name));

        let before = self.snapshot.load_full();
        let (snapshot, mut summary) =
            Builder::new(&before, &rules, &mut self.registry).build(&config, tls, pages, cookie_keys);
        if let Err(problems) = self.change(&config, snapshot).await {
            // What the next snapshot would have had is forgotten again.
            self.registry.retain(&before);
            return Err(ApplyError::Resources(problems));
        }
        for (name, what, from, to) in changes {
            if let Some(by) = by {
                tracing::info!(by = by.to_string(), rule = %name, from, to, "{what} by a reload");
            }
        }
        self.warn_of_next_start(&config);
        self.config = config;
        self.rules = rules;
        match &packs.folder {
            Some(folder) => highest.keep_in(folder),
            None => highest.forget_folder(),
        }
        (self.packs, self.highest) = (Arc::new(packs), highest);
        let snapshot = self.snapshot.load_full();
        self.monitors.judge_by(&rules::of_monitors(&self.config, &self.rules));
        self.monitors.apply(&snapshot);
        self.names.retain(&self.config);
        self.registry.adopt_rule_stats(stats);
        self.registry.retain(&snapshot);
        self.files = files;
        summary.warnings = warnings.lines();
        summary.grants = grown;
        if !warnings.is_empty() {
            tracing::warn!(
                "the configuration is in force, and has something that is most likely not meant\n{}",
                warnings.render(false).trim_end()
            );
        }
        Ok(summary)
    }

    /// The one step in which a change takes effect: on every plane, or on none.
    pub(super) async fn change(
        &mut self,
        config: &Arc<Config>,
        snapshot: Snapshot,
    ) -> Result<(), Vec<String>> {
        let (before, snapshot) = (self.snapshot.load_full(), Arc::new(snapshot));
        let next = Next { before: &before, snapshot: &snapshot, config };
        let put = || self.snapshot.store(Arc::clone(&snapshot));
        plane::change(self.planes.list(), next, put).await
    }

    /// Of settings that are only taken over when Shunt starts.
    fn warn_of_next_start(&self, config: &Config) {
        let asked = config.process.workers.map(NonZeroUsize::get);
        if asked.is_some_and(|asked| asked != self.planes.proxies.workers()) {
            tracing::warn!("process.workers changes at the next start only: restart Shunt");
        }
        if config.admin != self.config.admin {
            tracing::warn!("admin.socket changes at the next start only: restart Shunt");
        }
        if config.packs.cache != self.config.packs.cache {
            tracing::warn!("where compiled rules are kept changes with packs.cache at the next start only");
        }
    }
}

/// Reads the configuration again and puts it in force. What takes long, files and the compilation of packs, is done
/// without holding anything up; if something else changed meanwhile, it is planned again.
///
/// # Errors
/// Whatever is wrong with it; everything continues as before.
pub async fn reload(control: &Mutex<Control>, allow: Allow, by: &Actor) -> Result<ReloadSummary, ApplyError> {
    let reloaded = read_again(control, allow, by).await;
    match &reloaded {
        Ok(summary) => {
            let ReloadSummary { epoch, added, changed, removed, .. } = summary;
            let list =
                |names: &[String]| if names.is_empty() { NOTHING.to_owned() } else { names.join(", ") };
            let [added, changed, removed] = [added, changed, removed].map(|it| list(it));
            tracing::info!(by = by.to_string(), epoch, added, changed, removed, "reloaded");
        }
        Err(error) => {
            tracing::error!("the reload by {by} is refused\n{}", error.told(UNCHANGED));
        }
    }
    reloaded
}

async fn read_again(control: &Mutex<Control>, allow: Allow, by: &Actor) -> Result<ReloadSummary, ApplyError> {
    let mut compiled = Compiled::default();
    loop {
        let (path, names, ending) = {
            let control = control.lock().await;
            (control.path.clone(), Arc::clone(&control.names), control.ending.subscribe())
        };
        let read = unless_ending(ending.clone(), move || Document::read(&path).map_err(ApplyError::Config));
        let document = read.await?;
        names::learn_new(&names, &document.config).await;
        let basis = control.lock().await.basis(Asked::Change(allow));
        let planned = unless_ending(ending, move || {
            let plan = basis.plan(document, &mut compiled)?;
            Ok::<_, ApplyError>((plan, compiled))
        });
        let plan;
        (plan, compiled) = planned.await?;
        let mut control = control.lock().await;
        if control.is_draining() {
            return Err(ApplyError::System(super::ENDING.to_owned()));
        }
        if plan.stands(&control.snapshot.load()) {
            let summary = control.put_in_force(plan, Some(by)).await?;
            let highest = control.highest.clone();
            drop(control);
            keep(highest).await;
            return Ok(summary);
        }
    }
}

/// Writes what ran, which may wait for the disk.
pub(super) async fn keep(highest: Highest) {
    let written: Result<(), ApplyError> = off_thread(move || {
        highest.write();
        Ok(())
    })
    .await;
    if let Err(error) = written {
        tracing::error!(%error, "cannot keep the versions that ran");
    }
}

pub(super) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
