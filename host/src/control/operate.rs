//! What operators and breakers ask for while the process runs: other versions of rules, members in and
//! out.
//!
//! What takes long (a pack is compiled, `on-load` runs) is done without holding anything up. If what it was done for
//! changed meanwhile, it is done for what is there then.

use std::net::SocketAddr;
use std::sync::Arc;

use shunt_config::model;
use shunt_engine::member::Admin;
use shunt_rules::artefact::Reference;
use shunt_rules::trust::Source;
use shunt_rules::{Attachment, Environment, OnFault, Pack, Rule, RuleHost, RuleStats, Shipped};
use tokio::sync::{Mutex, mpsc};

use super::apply::{keep, unix_ms};
use super::guard::{Allow, Before};
use super::history::{History, Running, Version};
use super::next::with_rules;
use super::packs::{Loaded, play_cases};
use super::rules::{self, Histories, LoadError, RuleName, Using};
use super::{Actor, Control, ENDING, off_thread};
use shunt_api::rules::LoadedRule;
use shunt_api::status::MemberStatus;

/// Something that a command names does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFound {
    pub what: String,
    /// What there is instead.
    pub known: Vec<String>,
}

/// What an attachment is made with.
struct Bench {
    name: RuleName,
    using: Using,
    host: Arc<RuleHost>,
    environment: Arc<dyn Environment>,
    stats: Arc<RuleStats>,
}

impl Bench {
    fn attach(&self, rule: &Arc<Rule>) -> Result<Arc<Attachment>, LoadError> {
        rules::attach(rule, &self.name, &self.using, Arc::clone(&self.environment), Arc::clone(&self.stats))
    }
}

/// A pack that is to run at a rule.
#[derive(Debug)]
pub struct Load {
    pub source: Source,
    pub shipped: Shipped,
    pub allow: Allow,
}

/// Loads a version of a rule and puts it in force for the next flow and the next request. In this order: the policies, what
/// ran before, compilation, `on-load`, and the cases that it was shipped with.
///
/// # Errors
/// Whatever is wrong with it; the version that runs continues.
pub async fn load_rule(
    control: &Mutex<Control>,
    name: &RuleName,
    load: Load,
    by: &Actor,
) -> Result<LoadedRule, LoadError> {
    let load = Arc::new(load);
    let mut compiled = None;
    loop {
        let (bench, packs, before) = {
            let mut control = control.lock().await;
            compiled = compiled.or_else(|| control.compiled(name, load.shipped.pack()));
            (control.bench(name)?, Arc::clone(&control.packs), control.before(name, load.shipped.pack()))
        };
        let (known, judged_by) = (compiled.clone(), Arc::clone(&packs));
        let loading = Arc::clone(&load);
        let made = off_thread(move || {
            let Load { source, shipped, allow } = &*loading;
            let provenance = Arc::new(packs.judge(source, shipped)?);
            before.check(shipped.pack().manifest(), source, *allow)?;
            packs.keep(source, shipped)?;
            let rule = match known {
                Some(rule) => rule,
                None => rules::compile(&bench.host, shipped.pack())?,
            };
            let attachment = bench.attach(&rule)?;
            play_cases(&rule, shipped)?;
            Ok::<_, LoadError>((Loaded { rule, provenance }, attachment, bench.using))
        });
        let (loaded, attachment, using) = made.await?;
        let mut control = control.lock().await;
        if control.using(name)? == using && Arc::ptr_eq(&control.packs, &judged_by) {
            // Another may have been quicker.
            let before = control.before(name, load.shipped.pack());
            let grown = before.check(load.shipped.pack().manifest(), &load.source, load.allow)?;
            let rule = Arc::clone(&loaded.rule);
            let run = |history: &mut History| {
                let number = history.add(loaded, unix_ms());
                history.run(Running { number, attachment, using });
            };
            let (answer, from, to) = control.run_rule(name, run).await?;
            control.highest.runs(name, rule.manifest());
            let highest = control.highest.clone();
            drop(control);
            keep(highest).await;
            tracing::info!(by = by.to_string(), rule = %name, from, to, source = %load.source, "rule loaded");
            return Ok(LoadedRule { grants: grown, ..answer });
        }
        compiled = Some(loaded.rule);
    }
}

/// Gets a pack from its registry, or from the cache where a digest is written, and loads it.
///
/// # Errors
/// As [`load_rule`], and whatever the registry says.
pub async fn load_reference(
    control: &Mutex<Control>,
    name: &RuleName,
    reference: Reference,
    allow: Allow,
    by: &Actor,
) -> Result<LoadedRule, LoadError> {
    let packs = {
        let control = control.lock().await;
        // A name that does not exist is not worth a transfer.
        control.using(name)?;
        Arc::clone(&control.packs)
    };
    let fetched = off_thread(move || Ok::<_, LoadError>((packs.fetch(&reference)?, reference)));
    let (artefact, reference) = fetched.await?;
    let source = Source::Registry(reference.with_digest(artefact.digest()));
    load_rule(control, name, Load { source, shipped: Shipped::Artefact(Box::new(artefact)), allow }, by).await
}

/// Goes back to the version that ran before the one that runs, or to a version that is named.
///
/// # Errors
/// There is none, or it does not fit the configuration any more.
pub async fn rollback_rule(
    control: &Mutex<Control>,
    name: &RuleName,
    to: Option<u64>,
    by: &Actor,
) -> Result<LoadedRule, LoadError> {
    // A version that is named is a step of its own, which can be undone.
    let step = if to.is_some() { History::run } else { History::go_back };
    run_kept(control, name, |control| control.kept(name, to).map(Some), step, by).await?.ok_or_else(|| {
        // A version was found each time, so that it is never so.
        LoadError::NoEarlierVersion(name.clone())
    })
}

/// A rule faulted too often: goes back to the version that ran before and was not found faulty, if there is one.
pub async fn breaker_opened(control: &Mutex<Control>, name: &RuleName) {
    if !control.lock().await.find_faulty(name) {
        return;
    }
    // An operator may have been quicker: what runs then is not what was found faulty.
    let good = |control: &Control| Ok(control.good(name));
    if let Err(error) = run_kept(control, name, good, History::go_back, &Actor::Breaker).await {
        tracing::error!(rule = %name, %error, "cannot roll back");
    }
}

/// Runs a version that is kept by this step; `which` says which, as long as there is one to run.
async fn run_kept(
    control: &Mutex<Control>,
    name: &RuleName,
    which: impl Fn(&Control) -> Result<Option<Version>, LoadError>,
    step: fn(&mut History, Running),
    by: &Actor,
) -> Result<Option<LoadedRule>, LoadError> {
    loop {
        let (bench, version, from) = {
            let mut control = control.lock().await;
            let bench = control.bench(name)?;
            let Some(version) = which(&control)? else { return Ok(None) };
            (bench, version, control.running_number(name))
        };
        let (number, rule) = (version.number, version.content.rule);
        let made = off_thread(move || Ok::<_, LoadError>((bench.attach(&rule)?, bench.using)));
        let (attachment, using) = made.await?;
        let mut control = control.lock().await;
        let stands = control.running_number(name) == from
            && which(&control)?.is_some_and(|version| version.number == number)
            && control.using(name)? == using;
        if stands {
            let run = |history: &mut History| step(history, Running { number, attachment, using });
            let (loaded, from, to) = control.run_rule(name, run).await?;
            tracing::info!(by = by.to_string(), rule = %name, from, to, "rule rolled back");
            return Ok(Some(loaded));
        }
    }
}

impl Control {
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

    /// Notes that the running version of a rule faulted too often. False where there is none to go back to, or the news
    /// is of a version that was replaced in the meantime.
    fn find_faulty(&mut self, name: &RuleName) -> bool {
        let Some(history) = self.rules.get_mut(name) else { return false };
        if !history.running().is_some_and(|running| running.attachment.breaker_is_open()) {
            return false;
        }
        history.found_faulty();
        let is_there = history.good_before().is_some();
        if !is_there {
            tracing::warn!(rule = %name, version = shown(history), "the rule has no earlier good version to go back to");
        }
        is_there
    }

    /// The version to go back to while a faulty one runs.
    fn good(&self, name: &RuleName) -> Option<Version> {
        let history = self.rules.get(name)?;
        history.running_version().filter(|version| version.faulty)?;
        history.good_before().cloned()
    }

    /// The version that ran before the one that runs, or one that is named.
    fn kept(&self, name: &RuleName, to: Option<u64>) -> Result<Version, LoadError> {
        let history = self.rules.get(name).ok_or_else(|| LoadError::NoEarlierVersion(name.clone()))?;
        let version = match to {
            None => history.before().ok_or_else(|| LoadError::NoEarlierVersion(name.clone())),
            Some(number) => history.version(number).ok_or_else(|| LoadError::NoSuchVersion {
                name: name.clone(),
                number,
                known: history.versions().iter().map(|it| it.number).collect(),
            }),
        };
        version.cloned()
    }

    /// The names of rules whose breaker opens, to be given to [`breaker_opened`]. Once.
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

    fn bench(&mut self, name: &RuleName) -> Result<Bench, LoadError> {
        Ok(Bench {
            using: self.using(name)?,
            name: name.clone(),
            host: Arc::clone(&self.host),
            environment: Arc::clone(&self.environment) as Arc<dyn Environment>,
            stats: self.registry.rule_stats(&name.to_string()),
        })
    }

    /// A pack that is among the versions of a rule is not compiled again.
    fn compiled(&self, name: &RuleName, pack: &Pack) -> Option<Arc<Rule>> {
        let mut versions = self.rules.get(name)?.versions().iter();
        versions.find(|it| it.content.rule.digest() == pack.digest()).map(|it| Arc::clone(&it.content.rule))
    }

    /// What a pack would follow at a rule.
    fn before(&self, name: &RuleName, pack: &Pack) -> Before {
        Before::of(name, pack.manifest(), self.rules.get(name), &self.highest)
    }

    fn running_number(&self, name: &RuleName) -> Option<u64> {
        Some(self.rules.get(name)?.running()?.number)
    }

    /// Has `run` choose the version of a rule that runs from now on. Gives what ran and what runs as the log shows them,
    /// too.
    async fn run_rule(
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
        if self.draining {
            return Err(LoadError::System(ENDING.to_owned()));
        }
        let next = with_rules(&self.snapshot.load(), &rules);
        let config = Arc::clone(&self.config);
        self.change(&config, next).await.map_err(|problems| LoadError::System(problems.join("; ")))?;
        self.rules = rules;
        Ok(())
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
        [only] => format!("skip rule {only} and "),
        several => format!("skip rules {} and ", several.join(", ")),
    };
    let goal = match pool {
        Some(pool) => format!("go to pool {pool}"),
        None if what == "requests" => "get 503, because the virtual has no pool".to_owned(),
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
