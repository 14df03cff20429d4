//! From a configuration to a snapshot in force: plan, make what can fail, swap, release.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use shunt_rules::{Attachment, Environment, RuleHost};
use tokio::sync::{mpsc, oneshot};

use super::environment::DaemonEnvironment;
use super::history::Running;
use super::operate::shown;
use super::packets::translator;
use super::plan::{plan_rules, plan_tls};
use super::rules::{self, Histories, RuleName};
use super::{Actor, ApplyError, Control, Drain};
use crate::monitor::Monitors;
use shunt_api::status::ReloadSummary;
use shunt_config::{Document, model};
use shunt_packets::Probes;
use shunt_proxy::worker::{Command, Worker};
use shunt_runtime::registry::Registry;
use shunt_runtime::{Pool, Snapshot, Virtual};

/// What a list without names is shown as.
const NOTHING: &str = "nothing";

/// What came of a reload that failed.
const UNCHANGED: &str = "nothing was changed";

/// Connections that the kernel holds for a listener until they are accepted.
const BACKLOG: u32 = 8192;

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
        let host = RuleHost::new().map_err(|error| ApplyError::System(error.to_string()))?;
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
        let mut control = Control {
            path,
            config: document.config.clone(),
            host,
            registry: Registry::new(count, random_key()),
            flow_key: random_key(),
            environment,
            rules: Histories::new(),
            snapshot,
            workers,
            packets: None,
            monitors: Monitors::new(Arc::clone(&probes)),
            probes,
            started: Instant::now(),
            draining: false,
            files: document.fingerprint().clone(),
            opened: Some(opened),
        };
        control.put_in_force(document, None).await?;
        Ok(control)
    }

    /// Reads the configuration again and puts it in force.
    ///
    /// # Errors
    /// Whatever is wrong with it; everything goes on as before.
    pub async fn reload(&mut self, by: &Actor) -> Result<ReloadSummary, ApplyError> {
        let reloaded = self.read_again(by).await;
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

    async fn read_again(&mut self, by: &Actor) -> Result<ReloadSummary, ApplyError> {
        let document = Document::read(&self.path).map_err(ApplyError::Config)?;
        let asked = document.config.process.workers.map(NonZeroUsize::get);
        if asked.is_some_and(|asked| asked != self.workers.len()) {
            tracing::warn!("process.workers is taken over at the next start only");
        }
        if document.config.admin != self.config.admin {
            tracing::warn!("admin.socket is taken over at the next start only");
        }
        self.put_in_force(document, Some(by)).await
    }

    /// Stops accepting, and takes no changes from now on.
    pub async fn begin_drain(&mut self) -> Drain {
        self.draining = true;
        let mut workers = Vec::new();
        for worker in &self.workers {
            let (done, drained) = oneshot::channel();
            if worker.send(Command::Drain { done }) {
                workers.push(drained);
            }
        }
        if let Some(packets) = &mut self.packets {
            packets.close(&self.snapshot.load_full(), &self.config.snat_pools).await;
        }
        Drain { workers, most: self.config.process.drain }
    }

    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// Whether packet flows are left that a drain waits for.
    pub async fn has_open_flows(&self) -> bool {
        match &self.packets {
            Some(packets) => packets.has_open_flows().await,
            None => false,
        }
    }

    /// Puts a configuration in force, or changes nothing. `by`: who asked for it; `None` at the start.
    async fn put_in_force(
        &mut self,
        document: Document,
        by: Option<&Actor>,
    ) -> Result<ReloadSummary, ApplyError> {
        document.verify_files().map_err(ApplyError::Config)?;
        let before = self.snapshot.load_full();
        let config = document.config.clone();
        let files = document.fingerprint().clone();
        let warnings = document.warnings();

        // What can fail.
        let planned = plan_rules(&document, &self.rules, &self.host, &self.environment, &mut self.registry)?;
        let tls = plan_tls(&document, &before)?;
        let sockets = self.bind(&config, &before)?;
        let mut summary = ReloadSummary { epoch: before.epoch + 1, ..ReloadSummary::default() };
        let pools: Vec<_> = config.pools.iter().map(|it| self.pool(it, &before, &mut summary)).collect();
        let packets = self.plan_packets(&config)?;

        // What cannot.
        for (name, plan) in planned {
            let rule_name = name.clone();
            let history = self.rules.entry(name).or_default();
            history.configured = Some(plan.configured);
            let Some((rule, attachment, using)) = plan.run else { continue };
            let from = shown(history);
            // A rule that only runs with other options stays the version that it is.
            let same =
                history.running_version().filter(|it| Arc::ptr_eq(&it.rule, &rule)).map(|it| it.number);
            let number = same.unwrap_or_else(|| history.add(rule, unix_ms()));
            history.run(Running { number, attachment, using });
            if let Some(by) = by {
                let (what, to) =
                    (if same.is_some() { "rule set anew" } else { "rule loaded" }, shown(history));
                tracing::info!(by = by.to_string(), rule = %rule_name, from, to, "{what} by a reload");
            }
        }
        let named: BTreeSet<RuleName> = rules::uses(&config).map(|rule| rule.name).collect();
        self.rules.retain(|name, _| named.contains(name));
        let virtuals = config.virtuals.iter().zip(tls).map(|(settings, tls)| {
            let rules = running(&self.rules, &settings.name, &settings.rules);
            let old = before.virtual_named(&settings.name);
            if let Some(old) = old
                && old.settings == *settings
                && same_rules(&rules, &old.rules)
                && old.tls.as_ref().map(Arc::as_ptr) == tls.as_ref().map(Arc::as_ptr)
            {
                summary.unchanged += 1;
                return Arc::clone(old);
            }
            let list = if old.is_some() { &mut summary.changed } else { &mut summary.added };
            list.push(format!("virtual {}", settings.name));
            let counters = self.registry.virtual_counters(&settings.name);
            Arc::new(Virtual { settings: settings.clone(), tls, rules, counters })
        });
        let virtuals: Vec<_> = virtuals.collect();
        let packet_virtuals =
            config.packet_virtuals.iter().map(|it| self.packet_virtual(it, &before, &pools, &mut summary));
        let packet_virtuals: Vec<_> = packet_virtuals.collect();
        let translators = config.translators.iter().map(|it| translator(it, &before, &mut summary));
        let translators: Vec<_> = translators.collect();
        let gone = |kind: &str, names: Vec<&String>, stays: &dyn Fn(&str) -> bool| -> Vec<String> {
            names.into_iter().filter(|name| !stays(name)).map(|name| format!("{kind} {name}")).collect()
        };
        let proxies = before.virtuals.iter().map(|it| &it.settings.name);
        let of_packets = before.packet_virtuals.iter().map(|it| &it.settings.name);
        let names = proxies.chain(of_packets).chain(before.translators.iter().map(|it| &it.name)).collect();
        let stays = |name: &str| {
            let packets = || config.packet_virtuals.iter().any(|it| it.name == name);
            let translators = || config.translators.iter().any(|it| it.name == name);
            config.virtuals.iter().any(|it| it.name == name) || packets() || translators()
        };
        summary.removed = gone("virtual", names, &stays);
        let names = before.pools.iter().map(|it| &it.settings.name).collect();
        summary.removed.extend(gone("pool", names, &|name| config.pools.iter().any(|it| it.name == name)));

        let snapshot = Snapshot { epoch: summary.epoch, virtuals, packet_virtuals, translators, pools };
        self.config = config;
        self.swap(snapshot, sockets).await;
        self.swap_packets(packets).await;
        let snapshot = self.snapshot.load_full();
        self.monitors.apply(&snapshot);
        self.registry.retain(&snapshot);
        self.files = files;
        summary.warnings = warnings.lines();
        if !warnings.is_empty() {
            tracing::warn!(
                "the configuration is most likely not what was meant\n{}",
                warnings.render(false).trim_end()
            );
        }
        Ok(summary)
    }

    fn pool(&mut self, settings: &model::Pool, before: &Snapshot, summary: &mut ReloadSummary) -> Arc<Pool> {
        let old = before.pool(&settings.name);
        match old {
            Some(old) if old.settings == *settings => {
                summary.unchanged += 1;
                return Arc::clone(old);
            }
            Some(_) => summary.changed.push(format!("pool {}", settings.name)),
            None => summary.added.push(format!("pool {}", settings.name)),
        }
        Arc::new(self.registry.pool(settings))
    }

    /// Opens the listeners that are new: one socket per worker.
    fn bind(
        &self,
        config: &model::Config,
        before: &Snapshot,
    ) -> Result<BTreeMap<SocketAddr, Vec<TcpListener>>, ApplyError> {
        let held: Vec<SocketAddr> =
            before.virtuals.iter().flat_map(|it| it.settings.listen.iter().copied()).collect();
        let mut sockets = BTreeMap::new();
        let mut problems = Vec::new();
        let wanted =
            config.virtuals.iter().flat_map(|it| it.listen.iter().map(move |address| (it, *address)));
        for (virtual_, address) in wanted.filter(|(_, address)| !held.contains(address)) {
            let count = self.workers.len();
            // An address that one of our own covers is not in use by someone else.
            let ours = held.iter().any(|it| it.port() == address.port());
            let opened = if ours {
                (0..count).map(|_| shunt_sys::listen::tcp_join(address, BACKLOG)).collect()
            } else {
                shunt_sys::listen::tcp_group(address, count, BACKLOG)
            };
            match opened {
                Ok(group) => drop(sockets.insert(address, group)),
                Err(error) => problems.push(format!("virtual {}: {error}", virtual_.name)),
            }
        }
        if problems.is_empty() { Ok(sockets) } else { Err(ApplyError::Resources(problems)) }
    }

    /// The one step in which a change takes effect. Returns when every worker has it.
    pub(super) async fn swap(
        &mut self,
        snapshot: Snapshot,
        mut sockets: BTreeMap<SocketAddr, Vec<TcpListener>>,
    ) {
        let snapshot = Arc::new(snapshot);
        self.snapshot.store(Arc::clone(&snapshot));
        let mut waits = Vec::new();
        for worker in &self.workers {
            let (done, applied) = oneshot::channel();
            let sockets = sockets.iter_mut().filter_map(|(address, group)| Some((*address, group.pop()?)));
            let command =
                Command::Apply { snapshot: Arc::clone(&snapshot), sockets: sockets.collect(), done };
            if worker.send(command) {
                waits.push(applied);
            } else {
                tracing::error!("a worker has ended; restart Shunt");
            }
        }
        for applied in waits {
            let _ = applied.await;
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        for worker in self.workers.drain(..) {
            worker.join();
        }
    }
}

/// What runs at a virtual, in the order of its configuration.
pub(super) fn running(
    histories: &Histories,
    virtual_: &str,
    rules: &[model::RuleUse],
) -> Vec<Arc<Attachment>> {
    let attachment = |rule: &model::RuleUse| {
        let name = RuleName { virtual_name: virtual_.to_owned(), rule: rule.name.clone() };
        Some(Arc::clone(&histories.get(&name)?.running()?.attachment))
    };
    rules.iter().filter_map(attachment).collect()
}

pub(super) fn same_rules(left: &[Arc<Attachment>], right: &[Arc<Attachment>]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(left, right)| Arc::ptr_eq(left, right))
}

pub(super) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
