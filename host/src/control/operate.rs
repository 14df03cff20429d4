//! What operators and breakers ask for while the process runs: other versions of rules, members in and
//! out.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use shunt_engine::member::Admin;
use shunt_rules::{Environment, Pack, RuleHost, RuleStats};
use tokio::sync::mpsc;

use super::Control;
use super::apply::{running, same_rules, unix_ms};
use super::packets::PacketPlan;
use super::rules::{self, History, LoadError, LoadedRule, RuleName, Running, Using};
use super::status::MemberStatus;
use crate::live::{PacketVirtual, Snapshot, Virtual};

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
    pub async fn load_rule(&mut self, name: &RuleName, pack: Pack) -> Result<LoadedRule, LoadError> {
        let using = self.using(name)?;
        let same = self.rules.get(name).and_then(|history| {
            history
                .versions
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
            Ok(loaded) => {
                let to = loaded.running;
                tracing::warn!(rule = %name, from = number, to, "rolled back to the last good version");
            }
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
    pub fn set_member(
        &mut self,
        pool: &str,
        address: SocketAddr,
        admin: Admin,
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
        member.state.set_admin(admin);
        tracing::info!(pool, member = %address, %admin, "set by the operator");
        Ok(self.member_status(found, member))
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
