//! What operators and breakers ask for while the process runs: other versions of rules, members in and
//! out.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use shunt_config::model;
use shunt_engine::member::Admin;
use shunt_rules::{Environment, OnFault, Pack, RuleHost, RuleStats};
use tokio::sync::mpsc;

use super::apply::{running, same_rules, unix_ms};
use super::history::{History, Running, Version};
use super::packets::PacketPlan;
use super::rules::{self, Histories, LoadError, RuleName, Using};
use super::{Actor, Control};
use shunt_api::rules::LoadedRule;
use shunt_api::status::MemberStatus;
use shunt_runtime::{PacketVirtual, Snapshot, Virtual};

/// Something that a command names does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFound {
    pub what: String,
    /// What there is instead.
    pub known: Vec<String>,
}

impl Control {
    /// Loads a version of a rule and puts it in force for the next flow and the next request.
    ///
    /// # Errors
    /// Whatever is wrong with it; the version that runs goes on.
    pub async fn load_rule(
        &mut self,
        name: &RuleName,
        pack: Pack,
        by: &Actor,
    ) -> Result<LoadedRule, LoadError> {
        let using = self.using(name)?;
        let same = self.rules.get(name).and_then(|history| {
            history
                .versions()
                .iter()
                .find(|it| it.rule.digest() == pack.digest())
                .map(|it| Arc::clone(&it.rule))
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
        let (loaded, from, to) =
            self.run_rule(name, Running { number, attachment, using }, History::run).await;
        tracing::info!(by = by.to_string(), rule = %name, from, to, "rule loaded");
        Ok(loaded)
    }

    /// Goes back to the version that ran before the one that runs, or to a version that is named.
    ///
    /// # Errors
    /// There is none, or it does not fit the configuration any more.
    pub async fn rollback_rule(
        &mut self,
        name: &RuleName,
        to: Option<u64>,
        by: &Actor,
    ) -> Result<LoadedRule, LoadError> {
        let using = self.using(name)?;
        let history = self.rules.entry(name.clone()).or_default();
        let version = match to {
            None => history.before().ok_or_else(|| LoadError::NoEarlierVersion(name.clone())),
            Some(number) => history.version(number).ok_or_else(|| LoadError::NoSuchVersion {
                name: name.clone(),
                number,
                known: history.versions().iter().map(|it| it.number).collect(),
            }),
        }?
        .clone();
        // A version that is named is a step of its own, which can be undone.
        let step = if to.is_some() { History::run } else { History::go_back };
        self.run_kept(name, version, using, step, by).await
    }

    /// Takes a rule out of its virtual; `rollback` and `load` bring it back. Gives what is so without it.
    ///
    /// # Errors
    /// It is not there, or not loaded.
    pub async fn unload_rule(&mut self, name: &RuleName, by: &Actor) -> Result<String, LoadError> {
        self.using(name)?;
        let without = without(&self.config, &self.rules, name);
        let history = self.rules.get_mut(name).filter(|history| history.running().is_some());
        let history = history.ok_or_else(|| LoadError::NotLoaded(name.clone()))?;
        let from = shown(history);
        history.unload();
        self.swap_rules().await;
        tracing::warn!(by = by.to_string(), rule = %name, from, to = NO_VERSION, without, "rule unloaded");
        Ok(without)
    }

    /// A rule faulted too often: goes back to the version that ran before and was not found faulty, if there
    /// is one.
    pub async fn breaker_opened(&mut self, name: &RuleName) {
        let Some(history) = self.rules.get_mut(name) else { return };
        let Some(running) = history.running() else { return };
        // The news may be of a version that was replaced in the meantime.
        if !running.attachment.breaker_is_open() {
            return;
        }
        history.found_faulty();
        let Some(good) = history.good_before().cloned() else {
            tracing::warn!(rule = %name, version = shown(history), "no good version ran before it; it stays");
            return;
        };
        let Ok(using) = self.using(name) else { return };
        if let Err(error) = self.run_kept(name, good, using, History::go_back, &Actor::Breaker).await {
            tracing::error!(rule = %name, %error, "cannot roll back");
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
    pub async fn set_member(
        &mut self,
        pool: &str,
        address: SocketAddr,
        admin: Admin,
        by: &Actor,
    ) -> Result<MemberStatus, NotFound> {
        let snapshot = self.snapshot.load_full();
        let names = || snapshot.pools.iter().map(|pool| pool.settings.name.clone()).collect();
        let found = snapshot.pool(pool);
        let found = found.ok_or_else(|| NotFound { what: format!("pool {pool}"), known: names() })?;
        let member = found.members.iter().find(|it| it.settings.address == address);
        let member = member.ok_or_else(|| NotFound {
            what: format!("member {address} in pool {pool}"),
            known: found.members.iter().map(|it| it.settings.address.to_string()).collect(),
        })?;
        let from = member.state.admin();
        member.state.set_admin(admin);
        tracing::info!(by = by.to_string(), pool, member = %address, %from, to = %admin, "member set");
        let packets = self.packet_status().await;
        Ok(self.member_status(found, member, packets.as_ref()))
    }

    fn using(&self, name: &RuleName) -> Result<Using, LoadError> {
        let mut known = Vec::new();
        for rule in rules::uses(&self.config) {
            if rule.name == *name {
                return Ok(rule.using);
            }
            known.push(rule.name.to_string());
        }
        Err(LoadError::NoSuchRule { name: name.clone(), known })
    }

    fn rule_parts(&mut self, name: &RuleName) -> (Arc<RuleHost>, Arc<dyn Environment>, Arc<RuleStats>) {
        let stats = self.registry.rule_stats(&name.to_string());
        (Arc::clone(&self.host), Arc::clone(&self.environment) as Arc<dyn Environment>, stats)
    }

    /// Runs a version that is kept.
    async fn run_kept(
        &mut self,
        name: &RuleName,
        version: Version,
        using: Using,
        step: fn(&mut History, Running),
        by: &Actor,
    ) -> Result<LoadedRule, LoadError> {
        let (_, environment, stats) = self.rule_parts(name);
        let (number, target) = (version.number, name.clone());
        let (attachment, using) = off_thread(move || {
            let attachment = rules::attach(&version.rule, &target, &using, environment, stats)?;
            Ok((attachment, using))
        })
        .await?;
        let (loaded, from, to) = self.run_rule(name, Running { number, attachment, using }, step).await;
        tracing::info!(by = by.to_string(), rule = %name, from, to, "rule rolled back");
        Ok(loaded)
    }

    /// Runs a version by this step. Gives what ran and what runs as the log shows them, too.
    async fn run_rule(
        &mut self,
        name: &RuleName,
        running: Running,
        step: fn(&mut History, Running),
    ) -> (LoadedRule, String, String) {
        let history = self.rules.entry(name.clone()).or_default();
        let (replaced, from) = (history.running().map(|running| running.number), shown(history));
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
        step(history, running);
        let to = shown(history);
        self.swap_rules().await;
        (loaded, from, to)
    }

    /// Puts the next snapshot in force: the same but for the rules.
    async fn swap_rules(&mut self) {
        let before = self.snapshot.load_full();
        let virtuals = before.virtuals.iter().map(|virtual_| {
            let rules = running(&self.rules, &virtual_.settings.name, &virtual_.settings.rules);
            if same_rules(&rules, &virtual_.rules) {
                return Arc::clone(virtual_);
            }
            let (settings, tls) = (virtual_.settings.clone(), virtual_.tls.clone());
            Arc::new(Virtual { settings, tls, rules, counters: Arc::clone(&virtual_.counters) })
        });
        let packet_virtuals = before.packet_virtuals.iter().map(|virtual_| {
            let settings = &virtual_.settings;
            let rules = running(&self.rules, &settings.name, &settings.rules);
            if same_rules(&rules, &virtual_.rules) {
                return Arc::clone(virtual_);
            }
            Arc::new(PacketVirtual { settings: settings.clone(), rules, on_path: virtual_.on_path.clone() })
        });
        let snapshot = Snapshot {
            epoch: before.epoch + 1,
            virtuals: virtuals.collect(),
            packet_virtuals: packet_virtuals.collect(),
            translators: before.translators.clone(),
            pools: before.pools.clone(),
        };
        self.swap(snapshot, BTreeMap::new()).await;
        self.swap_packets(PacketPlan::Keep).await;
    }
}

/// What becomes of requests and flows of a virtual while a rule is unloaded.
fn without(config: &model::Config, histories: &Histories, name: &RuleName) -> String {
    let proxies = config.virtuals.iter().map(|it| (&it.name, &it.pool, &it.rules, "requests"));
    let packets = config.packet_virtuals.iter().map(|it| (&it.name, &it.pool, &it.rules, "flows"));
    let mut all = proxies.chain(packets);
    let Some((_, pool, rules, what)) = all.find(|(virtual_, ..)| **virtual_ == name.virtual_name) else {
        return String::new();
    };
    let runs = |rule: &&model::RuleUse| {
        let other = RuleName { virtual_name: name.virtual_name.clone(), rule: rule.name.clone() };
        other != *name && histories.get(&other).is_some_and(|it| it.running().is_some())
    };
    let others: Vec<&str> = rules.iter().filter(runs).map(|it| it.name.as_str()).collect();
    let first = match others.as_slice() {
        [] => String::new(),
        [only] => format!("pass rule {only} and "),
        several => format!("pass rules {} and ", several.join(", ")),
    };
    let goal = match pool {
        Some(pool) => format!("go to pool {pool}"),
        None if what == "requests" => "get 503, for the virtual has no pool".to_owned(),
        None => "are refused, or go where they are addressed, for the virtual has no pool".to_owned(),
    };
    let unloaded = rules.iter().find(|it| it.name == name.rule);
    let opened = match unloaded.map(|it| &it.on_fault) {
        Some(OnFault::Reject) => "; what the rule refused is let through",
        _ => "",
    };
    format!("{what} of {} {first}{goal}{opened}", name.virtual_name)
}

/// As the log names the version of a rule that is unloaded.
const NO_VERSION: &str = "none";

/// The version that runs, as the log shows it: `2 (canary 1.0.1)`.
pub(super) fn shown(history: &History) -> String {
    let version = history.running_version().map(|it| (it.number, it.rule.manifest()));
    version.map_or_else(
        || NO_VERSION.to_owned(),
        |(number, pack)| format!("{number} ({} {})", pack.name, pack.version),
    )
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
