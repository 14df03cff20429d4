//! What operators ask for while the process runs, and is done at once: rules out, members in and out.

use std::net::SocketAddr;
use std::sync::Arc;

use shunt_config::model::Protocol;
use shunt_config::{RuleOwner, model};
use shunt_engine::member::Admin;
use shunt_rules::OnFault;

use super::history::History;
use super::next::with_rules;
use super::rules::{self, Histories, LoadError, RuleName, Using};
use super::{Actor, Control, ENDING};
use shunt_api::rules::LoadedRule;
use shunt_api::status::MemberStatus;

/// Something that a command names does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFound {
    pub what: String,
    /// What there is instead.
    pub known: Vec<String>,
}

impl Control {
    /// Whether there is such a virtual of protocol http.
    ///
    /// # Errors
    /// There is not.
    pub fn find_proxy(&self, name: &str) -> Result<(), NotFound> {
        let snapshot = self.snapshot.load();
        let all = snapshot.virtuals.iter().map(|it| &it.settings).filter(|it| it.protocol == Protocol::Http);
        let known: Vec<String> = all.map(|it| it.name.clone()).collect();
        match known.iter().any(|it| it == name) {
            true => Ok(()),
            false => Err(NotFound { what: format!("virtual {name} of protocol http"), known }),
        }
    }

    /// Takes a rule out of its virtual; `rollback` and `load` bring it back. Gives what is so without it.
    ///
    /// # Errors
    /// It is not there, or not loaded.
    pub async fn unload_rule(&mut self, name: &RuleName, by: &Actor) -> Result<String, LoadError> {
        self.using(name)?;
        let without = without(&self.config, &self.rules, name);
        let mut rules = self.rules.clone();
        let history = rules.get_mut(name).filter(|history| history.running().is_some());
        let history = history.ok_or_else(|| LoadError::NotLoaded(name.clone()))?;
        let from = shown(history);
        history.unload();
        self.put_rules_in_force(rules).await?;
        tracing::warn!(by = by.to_string(), rule = %name, from, to = NO_VERSION, without, "rule unloaded");
        Ok(without)
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
        Ok(self.member_status(found, member, super::groups::in_use(found), packets.as_ref()))
    }

    pub(super) fn using(&self, name: &RuleName) -> Result<Using, LoadError> {
        let mut known = Vec::new();
        for rule in rules::uses(&self.config) {
            if rule.name == *name {
                return Ok(rule.using);
            }
            known.push(rule.name.to_string());
        }
        Err(LoadError::NoSuchRule { name: name.clone(), known })
    }

    pub(super) fn running_number(&self, name: &RuleName) -> Option<u64> {
        Some(self.rules.get(name)?.running()?.number)
    }

    /// Has `run` choose the version of a rule that runs from now on. Gives what ran and what runs as the log shows them,
    /// too.
    pub(super) async fn run_rule(
        &mut self,
        name: &RuleName,
        run: impl FnOnce(&mut History),
    ) -> Result<(LoadedRule, String, String), LoadError> {
        let mut rules = self.rules.clone();
        let history = rules.entry(name.clone()).or_default();
        let (replaced, from) = (history.running().map(|running| running.number), shown(history));
        run(history);
        let to = shown(history);
        let running = history.running().ok_or_else(|| LoadError::NotLoaded(name.clone()))?;
        let rule = running.attachment.rule();
        let loaded = LoadedRule {
            name: name.to_string(),
            running: running.number,
            pack: rule.manifest().name.clone(),
            version: rule.manifest().version.to_string(),
            digest: rule.digest().to_string(),
            hooks: rule.hooks().iter().map(|hook| hook.to_string()).collect(),
            replaced,
            grants: Vec::new(),
            warnings: rule.manifest().advice.warnings(running.attachment.budget()),
        };
        self.put_rules_in_force(rules).await?;
        Ok((loaded, from, to))
    }

    /// Puts the next snapshot in force: the same but for the rules.
    async fn put_rules_in_force(&mut self, rules: Histories) -> Result<(), LoadError> {
        if self.is_draining() {
            return Err(LoadError::System(ENDING.to_owned()));
        }
        let next = with_rules(&self.snapshot.load(), &rules);
        let config = Arc::clone(&self.config);
        self.change(&config, next).await.map_err(|problems| LoadError::System(problems.join("; ")))?;
        self.rules = rules;
        self.registry.retain_tables(&self.snapshot.load());
        self.monitors.judge_by(&rules::of_monitors(&self.config, &self.rules));
        Ok(())
    }
}

/// What becomes of requests and flows of a virtual while a rule is unloaded.
fn without(config: &model::Config, histories: &Histories, name: &RuleName) -> String {
    if let RuleOwner::Pool(pool) = RuleOwner::of(&name.virtual_name) {
        return format!("the monitor decides nothing more, and members of pool {pool} stay as they are");
    }
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
        [only] => format!("skip rule {only} and "),
        several => format!("skip rules {} and ", several.join(", ")),
    };
    let goal = match pool {
        Some(pool) => format!("go to pool {pool}"),
        None if what == "requests" => "get 404, because the virtual has no pool".to_owned(),
        None => "are refused, or go to their own destination, because the virtual has no pool".to_owned(),
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
    let version = history.running_version().map(|it| (it.number, it.content.rule.manifest()));
    version.map_or_else(
        || NO_VERSION.to_owned(),
        |(number, pack)| format!("{number} ({} {})", pack.name, pack.version),
    )
}
