//! Versions of rules that operators load.
//!
//! What takes long (a pack is compiled, `on-load` runs) is done without holding anything up. If what it was done for
//! changed meanwhile, it is done for what is there then.

use std::sync::Arc;

use shunt_rules::artefact::Reference;
use shunt_rules::trust::Source;
use shunt_rules::{Attachment, Environment, Pack, Rule, RuleHost, RuleStats, Shipped, Tables};
use tokio::sync::Mutex;

use super::apply::{keep, unix_ms};
use super::compile::compile_aside;
use super::guard::{Allow, Before};
use super::history::{History, Running};
use super::packs::{Loaded, play_cases};
use super::rules::{self, Bound, LoadError, RuleName, Using};
use super::sets::{self, Fresh};
use super::{Actor, Control, unless_ending};
use shunt_api::rules::LoadedRule;

/// What an attachment is made with.
pub(super) struct Bench {
    name: RuleName,
    pub(super) using: Using,
    host: Arc<RuleHost>,
    environment: Arc<dyn Environment>,
    stats: Arc<RuleStats>,
    tables: Arc<Tables>,
    running: Option<Arc<Attachment>>,
}

impl Bench {
    pub(super) fn attach(&self, rule: &Arc<Rule>) -> Result<Arc<Attachment>, LoadError> {
        let Bench { name, using, environment, stats, tables, running, .. } = self;
        let sets = sets::bind(&using.rule, rule, running.as_ref(), Fresh::Never)?;
        let keys = rules::keys(&using.rule);
        let (environment, stats) = (Arc::clone(environment), Arc::clone(stats));
        let bound = Bound { sets, keys, running: running.as_ref() };
        rules::attach(rule, name, using, bound, environment, stats, Arc::clone(tables))
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
        let (bench, packs, before, ending) = {
            let mut control = control.lock().await;
            compiled = compiled.or_else(|| control.compiled(name, load.shipped.pack()));
            let before = control.before(name, load.shipped.pack());
            (control.bench(name)?, Arc::clone(&control.packs), before, control.ending.subscribe())
        };
        let (known, judged_by) = (compiled.clone(), Arc::clone(&packs));
        let loading = Arc::clone(&load);
        let made = unless_ending(ending, move || {
            let Load { source, shipped, allow } = &*loading;
            let provenance = Arc::new(packs.judge(source, shipped)?);
            before.check(shipped.pack().manifest(), source, *allow)?;
            let rule = match known {
                Some(rule) => rule,
                None => compile_aside(&bench.host, shipped.pack())?,
            };
            let attachment = bench.attach(&rule)?;
            play_cases(&rule, shipped)?;
            // What is refused is not kept.
            packs.keep(source, shipped)?;
            let loaded = Loaded { rule, provenance, shipped: shipped.digest() };
            Ok::<_, LoadError>((loaded, attachment, bench.using))
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
    let (packs, ending) = {
        let control = control.lock().await;
        // A name that does not exist is not worth a transfer.
        control.using(name)?;
        (Arc::clone(&control.packs), control.ending.subscribe())
    };
    let remedy = "use another tag, or another digest";
    let fetched =
        unless_ending(ending, move || Ok::<_, LoadError>((packs.fetch(&reference, remedy)?, reference)));
    let (artefact, reference) = fetched.await?;
    let source = Source::Registry(reference.with_digest(artefact.digest()));
    load_rule(control, name, Load { source, shipped: Shipped::Artefact(Box::new(artefact)), allow }, by).await
}

impl Control {
    pub(super) fn bench(&mut self, name: &RuleName) -> Result<Bench, LoadError> {
        Ok(Bench {
            using: self.using(name)?,
            name: name.clone(),
            host: Arc::clone(&self.host),
            environment: Arc::clone(&self.environment) as Arc<dyn Environment>,
            stats: self.registry.rule_stats(&name.to_string()),
            tables: Arc::clone(self.registry.tables()),
            running: self.attached(name).cloned(),
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
}
