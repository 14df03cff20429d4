//! From a configuration to a snapshot in force: plan, make what can fail, swap, release.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use serde::Serialize;
use shunt_engine::member::Admin;
use shunt_rules::{Attachment, Digest, Environment, Pack, RuleHost};
use tokio::sync::{mpsc, oneshot};

use super::environment::DaemonEnvironment;
use super::rules::{self, Histories, History, LoadError, LoadedRule, RuleName, Running, Using};
use super::status::{MemberStatus, ReloadSummary};
use super::{ApplyError, Control};
use crate::config::{Document, Remark, model};
use crate::live::registry::Registry;
use crate::live::{Pool, Snapshot, Virtual};
use crate::monitor::Monitors;
use crate::tls::Tls;
use crate::worker::{Command, Worker};

/// Connections that the kernel holds for a listener until they are accepted.
const BACKLOG: u32 = 8192;

/// Something that a command names does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFound {
    pub what: String,
    /// What there is instead.
    pub known: Vec<String>,
}

/// What `shunt check` found to be right.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Summary {
    pub virtuals: usize,
    pub pools: usize,
    pub rules: usize,
}

/// Checks a configuration as far as that goes without binding anything: files, certificates, and each
/// rule through compilation, slots, settings and `on-load`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check(path: &Path) -> Result<Summary, ApplyError> {
    let document = Document::read(path).map_err(ApplyError::Config)?;
    document.verify_files().map_err(ApplyError::Config)?;
    let host = RuleHost::new().map_err(|error| ApplyError::System(error.to_string()))?;
    let environment = Arc::new(DaemonEnvironment::new(Arc::new(ArcSwap::from_pointee(nothing())), mpsc::unbounded_channel().0));
    let mut registry = Registry::new(1, [0; 2]);
    let planned = plan_rules(&document, &Histories::new(), &host, &environment, &mut registry)?;
    plan_tls(&document, &nothing())?;
    let config = &document.config;
    Ok(Summary { virtuals: config.virtuals.len(), pools: config.pools.len(), rules: planned.len() })
}

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
        let snapshot = Arc::new(ArcSwap::from_pointee(nothing()));
        let (breakers, opened) = mpsc::unbounded_channel();
        let environment = Arc::new(DaemonEnvironment::new(Arc::clone(&snapshot), breakers));
        let mut hash_key = [0; 16];
        environment.fill_random(&mut hash_key);
        let (high, low) = hash_key.split_at(8);
        let half = |bytes: &[u8]| bytes.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        let workers = (0..count)
            // Pinned only where each has a core of its own: elsewhere the scheduler knows better.
            .map(|number| Worker::start(number, (count == cores.len()).then(|| cores[number])))
            .collect::<Result<Vec<_>, _>>()
            .map_err(system)?;
        let mut control = Control {
            path,
            config: document.config.clone(),
            host,
            environment,
            registry: Registry::new(count, [half(high), half(low)]),
            rules: Histories::new(),
            snapshot,
            workers,
            monitors: Monitors::new(),
            started: Instant::now(),
            opened: Some(opened),
        };
        control.put_in_force(document).await?;
        Ok(control)
    }

    /// Reads the configuration again and puts it in force.
    ///
    /// # Errors
    /// Whatever is wrong with it; everything goes on as before.
    pub async fn reload(&mut self) -> Result<ReloadSummary, ApplyError> {
        let document = Document::read(&self.path).map_err(ApplyError::Config)?;
        let asked = document.config.process.workers.map(NonZeroUsize::get);
        if asked.is_some_and(|asked| asked != self.workers.len()) {
            tracing::warn!("process.workers is taken over at the next start only");
        }
        if document.config.admin != self.config.admin {
            tracing::warn!("admin.socket is taken over at the next start only");
        }
        self.put_in_force(document).await
    }

    /// Loads a version of a rule and puts it in force for the next flow and the next request.
    ///
    /// # Errors
    /// Whatever is wrong with it; the version that runs goes on.
    pub async fn load_rule(&mut self, name: &RuleName, pack: Pack) -> Result<LoadedRule, LoadError> {
        let using = self.using(name)?;
        let same = self.rules.get(name).and_then(|history| {
            history.versions.iter().find(|it| it.rule.digest() == pack.digest()).map(|it| Arc::clone(&it.rule))
        });
        let (host, environment, stats) = self.rule_parts(name);
        let target = name.clone();
        let (rule, attachment, using) = off_thread(move || {
            let rule = match same {
                Some(rule) => rule,
                None => rules::compile(&host, &pack)?,
            };
            let attachment = rules::attach(&rule, &target, &using, environment, stats)?;
            Ok((rule, attachment, using))
        })
        .await?;
        let number = self.rules.entry(name.clone()).or_default().add(rule, unix_ms());
        self.run_rule(name, Running { number, attachment, using }).await
    }

    /// Goes back to the version before the one that runs.
    ///
    /// # Errors
    /// There is none, or it does not fit the configuration any more.
    pub async fn rollback_rule(&mut self, name: &RuleName) -> Result<LoadedRule, LoadError> {
        let using = self.using(name)?;
        let earlier = self.rules.get(name).and_then(History::earlier);
        let earlier = earlier.ok_or_else(|| LoadError::NoEarlierVersion(name.clone()))?;
        let (number, rule) = (earlier.number, Arc::clone(&earlier.rule));
        let (_, environment, stats) = self.rule_parts(name);
        let target = name.clone();
        let (attachment, using) = off_thread(move || {
            let attachment = rules::attach(&rule, &target, &using, environment, stats)?;
            Ok((attachment, using))
        })
        .await?;
        self.run_rule(name, Running { number, attachment, using }).await
    }

    /// Takes a rule out of its virtual; `rollback` and `load` bring it back.
    ///
    /// # Errors
    /// It is not there, or not loaded.
    pub async fn unload_rule(&mut self, name: &RuleName) -> Result<(), LoadError> {
        self.using(name)?;
        let history = self.rules.get_mut(name).filter(|history| history.running.is_some());
        let history = history.ok_or_else(|| LoadError::NotLoaded(name.clone()))?;
        history.running = None;
        self.swap_rules().await;
        Ok(())
    }

    /// A rule faulted too often: goes back to the last version that did not, if there is one.
    pub async fn breaker_opened(&mut self, name: &RuleName) {
        let Some(history) = self.rules.get_mut(name) else { return };
        let Some(running) = &history.running else { return };
        // The news may be of a version that was replaced in the meantime.
        if !running.attachment.breaker_is_open() || history.earlier().is_none() {
            return;
        }
        let number = running.number;
        for version in history.versions.iter_mut().filter(|it| it.number == number) {
            version.faulty = true;
        }
        match self.rollback_rule(name).await {
            Ok(loaded) => tracing::warn!(rule = %name, from = number, to = loaded.running, "rolled back to the last good version"),
            Err(error) => tracing::error!(rule = %name, %error, "cannot roll back"),
        }
    }

    /// The names of rules whose breaker opens, to be given to [`Control::breaker_opened`]. Once.
    pub fn opened_breakers(&mut self) -> Option<mpsc::UnboundedReceiver<String>> {
        self.opened.take()
    }

    /// Enables, drains or disables a member.
    ///
    /// # Errors
    /// There is no such pool, or it has no such member.
    pub fn set_member(&mut self, pool: &str, address: SocketAddr, admin: Admin) -> Result<MemberStatus, NotFound> {
        let snapshot = self.snapshot.load_full();
        let names = || snapshot.pools.iter().map(|pool| pool.settings.name.clone()).collect();
        let found = snapshot.pool(pool);
        let found = found.ok_or_else(|| NotFound { what: format!("pool {pool}"), known: names() })?;
        let member = found.members.iter().find(|it| it.settings.address == address);
        let member = member.ok_or_else(|| NotFound {
            what: format!("member {address} in pool {pool}"),
            known: found.members.iter().map(|it| it.settings.address.to_string()).collect(),
        })?;
        member.state.set_admin(admin);
        tracing::info!(pool, member = %address, %admin, "set by the operator");
        Ok(self.member_status(found, member))
    }

    /// Stops accepting and waits until every connection has ended, at most for the configured time.
    pub async fn drain(&mut self) {
        let mut waits = Vec::new();
        for worker in &self.workers {
            let (done, drained) = oneshot::channel();
            if worker.send(Command::Drain { done }) {
                waits.push(drained);
            }
        }
        let all = async {
            for drained in waits {
                let _ = drained.await;
            }
        };
        if tokio::time::timeout(self.config.process.drain, all).await.is_err() {
            tracing::warn!("connections were still open after the drain time and are cut");
        }
    }

    fn using(&self, name: &RuleName) -> Result<Using, LoadError> {
        let virtual_ = self.config.virtuals.iter().find(|it| it.name == name.virtual_name);
        let rule = virtual_.and_then(|it| it.rules.iter().find(|rule| rule.name == name.rule));
        match (virtual_, rule) {
            (Some(virtual_), Some(rule)) => Ok(Using::new(virtual_, rule)),
            _ => {
                let names = |it: &model::Virtual| {
                    let (of, rules) = (it.name.clone(), it.rules.clone());
                    rules.into_iter().map(move |rule| format!("{of}/{}", rule.name))
                };
                let known = self.config.virtuals.iter().flat_map(names).collect();
                Err(LoadError::NoSuchRule { name: name.clone(), known })
            }
        }
    }

    fn rule_parts(&mut self, name: &RuleName) -> (Arc<RuleHost>, Arc<dyn Environment>, Arc<shunt_rules::RuleStats>) {
        let stats = self.registry.rule_stats(&name.to_string());
        (Arc::clone(&self.host), Arc::clone(&self.environment) as Arc<dyn Environment>, stats)
    }

    async fn run_rule(&mut self, name: &RuleName, running: Running) -> Result<LoadedRule, LoadError> {
        let history = self.rules.entry(name.clone()).or_default();
        let replaced = history.running.as_ref().map(|running| running.number);
        let rule = running.attachment.rule();
        let loaded = LoadedRule {
            name: name.to_string(),
            running: running.number,
            pack: rule.manifest().name.clone(),
            version: rule.manifest().version.clone(),
            digest: rule.digest().to_string(),
            hooks: rule.hooks().iter().map(|hook| hook.to_string()).collect(),
            replaced,
        };
        history.running = Some(running);
        self.swap_rules().await;
        tracing::info!(rule = %name, version = %loaded.version, number = loaded.running, "loaded");
        Ok(loaded)
    }

    /// Puts the next snapshot in force: the same but for the rules.
    async fn swap_rules(&mut self) {
        let before = self.snapshot.load_full();
        let virtuals = before.virtuals.iter().map(|virtual_| {
            let rules = running(&self.rules, &virtual_.settings);
            if same_rules(&rules, &virtual_.rules) {
                return Arc::clone(virtual_);
            }
            let (settings, tls) = (virtual_.settings.clone(), virtual_.tls.clone());
            Arc::new(Virtual { settings, tls, rules, counters: Arc::clone(&virtual_.counters) })
        });
        let snapshot = Snapshot {
            epoch: before.epoch + 1,
            virtuals: virtuals.collect(),
            pools: before.pools.clone(),
        };
        self.swap(snapshot, BTreeMap::new()).await;
    }

    /// Puts a configuration in force, or changes nothing.
    async fn put_in_force(&mut self, document: Document) -> Result<ReloadSummary, ApplyError> {
        document.verify_files().map_err(ApplyError::Config)?;
        let before = self.snapshot.load_full();
        let config = document.config.clone();

        // What can fail.
        let planned = plan_rules(&document, &self.rules, &self.host, &self.environment, &mut self.registry)?;
        let tls = plan_tls(&document, &before)?;
        let sockets = self.bind(&config, &before)?;

        // What cannot.
        for (name, plan) in planned {
            let history = self.rules.entry(name).or_default();
            history.configured = Some(plan.configured);
            if let Some((rule, attachment, using)) = plan.run {
                // A rule that only runs with other options stays the version that it is.
                let same = history.running_version().filter(|it| Arc::ptr_eq(&it.rule, &rule)).map(|it| it.number);
                let number = same.unwrap_or_else(|| history.add(rule, unix_ms()));
                history.running = Some(Running { number, attachment, using });
            }
        }
        self.rules.retain(|name, _| {
            let virtual_ = config.virtuals.iter().find(|it| it.name == name.virtual_name);
            virtual_.is_some_and(|it| it.rules.iter().any(|rule| rule.name == name.rule))
        });
        let mut summary = ReloadSummary { epoch: before.epoch + 1, ..ReloadSummary::default() };
        let pools: Vec<_> = config.pools.iter().map(|it| self.pool(it, &before, &mut summary)).collect();
        let virtuals = config.virtuals.iter().zip(tls).map(|(settings, tls)| {
            let rules = running(&self.rules, settings);
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
        let gone = |kind: &str, names: Vec<&String>, stays: &dyn Fn(&str) -> bool| -> Vec<String> {
            names.into_iter().filter(|name| !stays(name)).map(|name| format!("{kind} {name}")).collect()
        };
        let names = before.virtuals.iter().map(|it| &it.settings.name).collect();
        summary.removed = gone("virtual", names, &|name| config.virtuals.iter().any(|it| it.name == name));
        let names = before.pools.iter().map(|it| &it.settings.name).collect();
        summary.removed.extend(gone("pool", names, &|name| config.pools.iter().any(|it| it.name == name)));

        self.swap(Snapshot { epoch: summary.epoch, virtuals, pools }, sockets).await;
        self.config = config;
        let snapshot = self.snapshot.load_full();
        self.monitors.apply(&snapshot);
        self.registry.retain(&snapshot);
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
        let held: Vec<SocketAddr> = before.virtuals.iter().map(|it| it.settings.listen).collect();
        let mut sockets = BTreeMap::new();
        let mut problems = Vec::new();
        for virtual_ in config.virtuals.iter().filter(|it| !held.contains(&it.listen)) {
            let (address, count) = (virtual_.listen, self.workers.len());
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
    async fn swap(&mut self, snapshot: Snapshot, mut sockets: BTreeMap<SocketAddr, Vec<TcpListener>>) {
        let snapshot = Arc::new(snapshot);
        self.snapshot.store(Arc::clone(&snapshot));
        let mut waits = Vec::new();
        for worker in &self.workers {
            let (done, applied) = oneshot::channel();
            let sockets = sockets.iter_mut().filter_map(|(address, group)| Some((*address, group.pop()?)));
            let command = Command::Apply { snapshot: Arc::clone(&snapshot), sockets: sockets.collect(), done };
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

/// What a configuration asks of one rule.
struct RulePlan {
    configured: Digest,
    /// What is to run from now on; `None`: what runs, or nothing while it is unloaded.
    run: Option<(Arc<shunt_rules::Rule>, Arc<Attachment>, Using)>,
}

/// Reads, compiles and attaches what is new; everything that is wrong with any of the rules is told.
fn plan_rules(
    document: &Document,
    histories: &Histories,
    host: &Arc<RuleHost>,
    environment: &Arc<DaemonEnvironment>,
    registry: &mut Registry,
) -> Result<BTreeMap<RuleName, RulePlan>, ApplyError> {
    let mut planned = BTreeMap::new();
    let mut remarks = Vec::new();
    for virtual_ in &document.config.virtuals {
        for rule in &virtual_.rules {
            let name = RuleName { virtual_name: virtual_.name.clone(), rule: rule.name.clone() };
            let stats = registry.rule_stats(&name.to_string());
            let environment = Arc::clone(environment) as Arc<dyn Environment>;
            let using = Using::new(virtual_, rule);
            match plan_rule(&name, rule, using, histories.get(&name), host, environment, stats) {
                Ok(plan) => drop(planned.insert(name, plan)),
                Err(error) => remarks.extend(remark(&name, &error)),
            }
        }
    }
    if remarks.is_empty() { Ok(planned) } else { Err(ApplyError::Config(document.refuse(remarks))) }
}

fn plan_rule(
    name: &RuleName,
    rule: &model::RuleUse,
    using: Using,
    history: Option<&History>,
    host: &RuleHost,
    environment: Arc<dyn Environment>,
    stats: Arc<shunt_rules::RuleStats>,
) -> Result<RulePlan, LoadError> {
    let pack = Pack::read(&rule.pack)?;
    let configured = pack.digest();
    let attach = |compiled| rules::attach(compiled, name, &using, environment, stats);
    let kept = history.filter(|history| history.configured == Some(configured));
    let Some(history) = kept else {
        let compiled = rules::compile(host, &pack)?;
        let attachment = attach(&compiled)?;
        return Ok(RulePlan { configured, run: Some((compiled, attachment, using)) });
    };
    let run = match (&history.running, history.running_version()) {
        (Some(Running { using: before, .. }), Some(version)) if *before != using => {
            let attachment = attach(&version.rule)?;
            Some((Arc::clone(&version.rule), attachment, using))
        }
        _ => None,
    };
    Ok(RulePlan { configured, run })
}

/// An error of a rule, at the key of the configuration that it is about.
fn remark(name: &RuleName, error: &LoadError) -> Vec<Remark> {
    use shunt_rules::AttachProblem as Problem;
    let at = |key: &str, message: String| Remark {
        key: ["virtual", &name.virtual_name, "rule", &name.rule, key].map(str::to_owned).to_vec(),
        message,
        help: None,
    };
    match error {
        LoadError::Attach(problems) => problems
            .0
            .iter()
            .map(|problem| {
                let key = match problem {
                    Problem::UnknownSlot { .. } | Problem::MissingSlot { .. } | Problem::SlotTwice(_) => "slots",
                    Problem::Settings(_) | Problem::Refused(_) => "settings",
                    Problem::Memory(_) => "budget",
                    Problem::NeverFires(_) | Problem::OnLoad(_) | Problem::Contract { .. } => "pack",
                };
                at(key, problem.to_string())
            })
            .collect(),
        other => vec![at("pack", other.to_string())],
    }
}

/// The certificates of each virtual, in their order.
fn plan_tls(document: &Document, before: &Snapshot) -> Result<Vec<Option<Arc<Tls>>>, ApplyError> {
    let mut remarks = Vec::new();
    let planned = document.config.virtuals.iter().map(|virtual_| {
        if virtual_.tls.is_empty() {
            return None;
        }
        let old = before.virtual_named(&virtual_.name).and_then(|it| it.tls.as_ref());
        match Tls::load(&virtual_.tls, old) {
            Ok(tls) => Some(tls),
            Err(error) => {
                let key = ["virtual", &virtual_.name, "tls"].map(str::to_owned).to_vec();
                remarks.push(Remark { key, message: error.to_string(), help: None });
                None
            }
        }
    });
    let planned: Vec<_> = planned.collect();
    if remarks.is_empty() { Ok(planned) } else { Err(ApplyError::Config(document.refuse(remarks))) }
}

/// What runs at a virtual, in the order of its configuration.
fn running(histories: &Histories, virtual_: &model::Virtual) -> Vec<Arc<Attachment>> {
    let attachment = |rule: &model::RuleUse| {
        let name = RuleName { virtual_name: virtual_.name.clone(), rule: rule.name.clone() };
        Some(Arc::clone(&histories.get(&name)?.running.as_ref()?.attachment))
    };
    virtual_.rules.iter().filter_map(attachment).collect()
}

fn same_rules(left: &[Arc<Attachment>], right: &[Arc<Attachment>]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(left, right)| Arc::ptr_eq(left, right))
}

/// Runs what takes the processor for a while on another thread, so that monitors and the admin
/// interface go on.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LoadError> + Send + 'static,
) -> Result<T, LoadError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(LoadError::System(error.to_string())),
    }
}

fn nothing() -> Snapshot {
    Snapshot { epoch: 0, virtuals: Vec::new(), pools: Vec::new() }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
