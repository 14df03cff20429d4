//! What a configuration asks for, made as far as it can fail and before anything is touched.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::Serialize;
use shunt_rules::trust::Source;
use shunt_rules::{Attachment, Digest, Environment, Pack, Rule, RuleHost, RuleStats, Tables};
use tokio::sync::mpsc;

use super::ApplyError;
use super::compile::{compile, compile_aside};
use super::environment::DaemonEnvironment;
use super::guard::{Allow, Before};
use super::highest::Highest;
use super::history::Running;
use super::names::{self, Sets};
use super::next::PlannedTls;
use super::packs::{Loaded, Packs, play_cases};
use super::rules::{self, Bound, Histories, LoadError, RuleName, Using, lines};
use super::sets::{self, Fresh};
use super::{cookie_keys, pages};
use shunt_config::{Document, Fingerprint, PoolWatch, Remark, Report, RuleOwner, model, pool_watches};
use shunt_engine::persistence::TagKeys;
use shunt_runtime::Snapshot;
use shunt_runtime::pages::Pages;
use shunt_runtime::tls::members::PoolTls;
use shunt_runtime::tls::{Invalid, Problem, Tls};

/// What `shunt check` found to be right.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Summary {
    pub virtuals: usize,
    pub pools: usize,
    pub rules: usize,
    /// How the members of each pool are watched.
    #[serde(skip)]
    pub watches: Vec<PoolWatch>,
    /// What is right, and most likely not meant.
    #[serde(skip)]
    pub warnings: Report,
}

/// Checks a configuration as far as that goes without binding anything: files, certificates, and each
/// rule through compilation, slots, settings and `on-load`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check(path: &Path) -> Result<Summary, ApplyError> {
    let document = Document::read(path).map_err(ApplyError::Config)?;
    let nothing = Arc::new(ArcSwap::from_pointee(Snapshot::empty()));
    let Plan { config, warnings, .. } = apart(&nothing)?.plan(document, &mut Compiled::default())?;
    let virtuals = config.virtuals.len() + config.packet_virtuals.len() + config.translators.len();
    let watches = pool_watches(&config);
    Ok(Summary {
        virtuals,
        pools: config.pools.len(),
        rules: rules::uses(&config).count(),
        watches,
        warnings,
    })
}

/// The basis of what is not to run; rules are shown the pools of `shown`.
pub(super) fn apart(shown: &Arc<ArcSwap<Snapshot>>) -> Result<Basis, ApplyError> {
    let host = RuleHost::new().map_err(|error| ApplyError::System(error.to_string()))?;
    let environment = Arc::new(DaemonEnvironment::new(Arc::clone(shown), mpsc::unbounded_channel().0));
    Ok(Basis {
        before: Arc::new(Snapshot::empty()),
        rules: Histories::new(),
        stats: HashMap::new(),
        tables: Arc::default(),
        host,
        environment,
        highest: Highest::default(),
        names: Sets::new(),
        asked: Asked::Check,
    })
}

/// What a configuration is planned against: all that runs, at one moment.
pub(super) struct Basis {
    pub(super) before: Arc<Snapshot>,
    pub(super) rules: Histories,
    pub(super) stats: HashMap<String, Arc<RuleStats>>,
    pub(super) tables: Arc<Tables>,
    pub(super) host: Arc<RuleHost>,
    pub(super) environment: Arc<DaemonEnvironment>,
    pub(super) highest: Highest,
    pub(super) names: Sets,
    pub(super) asked: Asked,
}

/// What a plan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Nothing is to run, and nothing of this host is changed.
    Check,
    /// Nothing is to run; packs are kept.
    Lock,
    /// A start runs what is configured: there is nothing that could run on.
    Start,
    Change(Allow),
}

/// What a configuration asks for, ready but for what planes have to make.
pub(super) struct Plan {
    /// Of the snapshot that it was planned against.
    epoch: u64,
    pub(super) config: Arc<model::Config>,
    /// What its files were.
    pub(super) files: Fingerprint,
    /// What is right, and most likely not meant.
    pub(super) warnings: Report,
    pub(super) rules: BTreeMap<RuleName, RulePlan>,
    pub(super) packs: Packs,
    /// What ran before it.
    pub(super) highest: Highest,
    pub(super) asked: Asked,
    pub(super) tls: PlannedTls,
    /// The pages of each virtual, in their order.
    pub(super) pages: Vec<Arc<Pages>>,
    /// The keys of cookies of each virtual, in their order.
    pub(super) cookie_keys: Vec<Arc<TagKeys>>,
    /// Of rules that are new.
    pub(super) stats: HashMap<String, Arc<RuleStats>>,
}

/// Packs that were compiled for a plan that did not come to be.
#[derive(Default)]
pub(super) struct Compiled(HashMap<Digest, Arc<Rule>>);

impl Compiled {
    fn rule(&mut self, host: &Arc<RuleHost>, pack: &Pack, asked: Asked) -> Result<Arc<Rule>, LoadError> {
        if let Some(rule) = self.0.get(&pack.digest()) {
            return Ok(Arc::clone(rule));
        }
        let rule = match asked {
            Asked::Change(_) => compile_aside(host, pack)?,
            // Nothing is served yet.
            Asked::Check | Asked::Lock | Asked::Start => compile(host, pack)?,
        };
        self.0.insert(pack.digest(), Arc::clone(&rule));
        Ok(rule)
    }
}

impl Basis {
    /// Reads what a configuration names, compiles and attaches. Takes as long as that takes: call it off the control
    /// thread.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn plan(
        mut self,
        mut document: Document,
        compiled: &mut Compiled,
    ) -> Result<Plan, ApplyError> {
        document.verify_files().map_err(ApplyError::Config)?;
        names::give_members(&mut document.config, &self.names);
        let packs = Packs::of(&document, self.asked)?;
        if self.asked == Asked::Start {
            self.highest = Highest::read(packs.folder.as_ref());
        }
        let mut beside = Vec::new();
        let rules = self.rules(&document, &packs, compiled, &mut beside)?;
        let tls = plan_tls(&document, &self.before, self.asked)?;
        let pages = pages::plan(&document, &self.before)?;
        let cookie_keys = cookie_keys::plan(&document, &self.before)?;
        let Basis { before, stats, highest, asked, .. } = self;
        let new = rules.iter().filter_map(|(name, plan)| Some((name, &plan.run.as_ref()?.1)));
        beside.extend(new.flat_map(advice));
        let (files, warnings) = (document.fingerprint().clone(), document.warnings(beside));
        let config = Arc::new(document.config);
        let epoch = before.epoch;
        Ok(Plan {
            epoch,
            config,
            files,
            warnings,
            rules,
            packs,
            highest,
            asked,
            tls,
            pages,
            cookie_keys,
            stats,
        })
    }

    /// Reads, compiles and attaches what is new; everything that is wrong with any of the rules is told.
    fn rules(
        &mut self,
        document: &Document,
        packs: &Packs,
        compiled: &mut Compiled,
        beside: &mut Vec<Remark>,
    ) -> Result<BTreeMap<RuleName, RulePlan>, ApplyError> {
        let mut planned = BTreeMap::new();
        let mut remarks = Vec::new();
        for rules::RuleUse { name, written, using } in rules::uses(&document.config) {
            match self.rule(&name, written, using, packs, compiled) {
                Ok(plan) => drop(planned.insert(name, plan)),
                Err(error @ LoadError::NotCached { .. }) => beside.extend(remark(&name, &error)),
                Err(error) => remarks.extend(remark(&name, &error)),
            }
        }
        if remarks.is_empty() { Ok(planned) } else { Err(ApplyError::Config(document.refuse(remarks))) }
    }

    fn rule(
        &mut self,
        name: &RuleName,
        written: &model::RuleUse,
        using: Using,
        packs: &Packs,
        compiled: &mut Compiled,
    ) -> Result<RulePlan, LoadError> {
        let shipped = packs.read(&written.pack)?;
        // What runs already as well: a policy may be new.
        let provenance = packs.judge(&written.pack, &shipped)?;
        let configured = shipped.digest();
        let history = self.rules.get(name);
        let kept = history.filter(|history| history.configured == Some(configured));
        let grown = match kept {
            Some(_) => Vec::new(),
            None => self.may_follow(name, &written.pack, shipped.pack())?,
        };
        let stats = Arc::clone(self.stats.entry(name.to_string()).or_default());
        let environment = Arc::clone(&self.environment) as Arc<dyn Environment>;
        let tables = Arc::clone(&self.tables);
        let running = history.and_then(|history| history.running()).map(|running| &running.attachment);
        let bind = |rule: &Arc<Rule>| sets::bind(&using.rule, rule, running, Fresh::Changed);
        let keys = rules::keys(&using.rule);
        let keys_changed = running.is_some_and(|running| !running.has_keys(&keys));
        let attach = |rule, sets| {
            let bound = Bound { sets, keys, running };
            rules::attach(rule, name, &using, bound, environment, stats, tables)
        };
        let Some(history) = kept else {
            let rule = compiled.rule(&self.host, shipped.pack(), self.asked)?;
            let attachment = attach(&rule, bind(&rule)?)?;
            play_cases(&rule, &shipped)?;
            // What is refused is not kept.
            packs.keep(&written.pack, &shipped)?;
            let loaded = Loaded { rule, provenance: Arc::new(provenance), shipped: configured };
            return Ok(RulePlan { configured, grown, run: Some((loaded, attachment, using)) });
        };
        packs.keep(&written.pack, &shipped)?;
        let run = match (history.running(), history.running_version()) {
            (Some(Running { using: before, .. }), Some(version)) => {
                let rule = &version.content.rule;
                let sets = bind(rule)?;
                if *before != using || sets::any_new(&sets) || keys_changed {
                    let attachment = attach(rule, sets)?;
                    Some((version.content.clone(), attachment, using))
                } else {
                    None
                }
            }
            _ => None,
        };
        Ok(RulePlan { configured, grown, run })
    }

    /// Whether a pack may take the place of what ran at a rule; what it may do beyond that, a line each.
    fn may_follow(&self, name: &RuleName, source: &Source, pack: &Pack) -> Result<Vec<String>, LoadError> {
        let before = Before::of(name, pack.manifest(), self.rules.get(name), &self.highest);
        match self.asked {
            Asked::Change(allow) => before.check(pack.manifest(), source, allow),
            Asked::Check | Asked::Lock => Ok(Vec::new()),
            Asked::Start => {
                // It asks nobody.
                match before.check(pack.manifest(), source, Allow::default()) {
                    Ok(_) => {}
                    Err(LoadError::Older { name: pack, version, highest }) => tracing::warn!(
                        rule = %name,
                        "{pack} {version} is older than {highest}, which ran here before; it runs, because it is configured"
                    ),
                    Err(LoadError::Grown { name: pack, version, before, grown }) => tracing::warn!(
                        rule = %name,
                        "{pack} {version} asks for more than {before}; it runs, because it is configured{}", lines(&grown)
                    ),
                    Err(other) => tracing::warn!(rule = %name, "{other}"),
                }
                Ok(Vec::new())
            }
        }
    }
}

impl Plan {
    /// Is what runs still what it was planned against?
    pub(super) fn stands(&self, now: &Snapshot) -> bool {
        self.epoch == now.epoch
    }
}

/// What a configuration asks of one rule.
pub(super) struct RulePlan {
    pub(super) configured: Digest,
    /// What it may do that what ran before may not, a line each.
    pub(super) grown: Vec<String>,
    /// What is to run from now on; `None`: what runs, or nothing while it is unloaded.
    pub(super) run: Option<(Loaded, Arc<Attachment>, Using)>,
}

/// Where a rule gets less than its authors say that it needs.
fn advice((name, attachment): (&RuleName, &Arc<Attachment>)) -> Vec<Remark> {
    let warnings = attachment.rule().manifest().advice.warnings(attachment.budget());
    let remark = |message| Remark { key: key(name, "budget"), message, help: None };
    warnings.into_iter().map(remark).collect()
}

/// A key of a rule.
fn key(name: &RuleName, key: &str) -> Vec<String> {
    RuleOwner::of(&name.virtual_name).key(&name.rule, key)
}

/// An error of a rule, at the key of the configuration that it is about.
fn remark(name: &RuleName, error: &LoadError) -> Vec<Remark> {
    use shunt_rules::AttachProblem as Problem;
    let at = |at: &str, message: String| Remark { key: key(name, at), message, help: None };
    match error {
        LoadError::Attach(problems) => problems
            .0
            .iter()
            .map(|problem| {
                let key = match problem {
                    Problem::UnknownSlot { .. }
                    | Problem::MissingSlot { .. }
                    | Problem::SlotTwice(_)
                    | Problem::SlotKind { .. } => "slots",
                    Problem::UnknownSet { .. } | Problem::MissingSet { .. } | Problem::Set { .. } => "sets",
                    Problem::UnknownKey { .. } | Problem::MissingKey { .. } | Problem::Key(_) => "keys",
                    Problem::Settings(_) | Problem::Refused(_) => "settings",
                    Problem::Memory(_) => "budget",
                    Problem::NeverFires(_)
                    | Problem::NotOfMonitor(_)
                    | Problem::OnLoad(_)
                    | Problem::Contract { .. } => "pack",
                };
                at(key, problem.to_string())
            })
            .collect(),
        other => vec![at("pack", other.to_string())],
    }
}

/// Makes what TLS needs of the files that the configuration names; all that is wrong with them is told.
fn plan_tls(document: &Document, before: &Snapshot, asked: Asked) -> Result<PlannedTls, ApplyError> {
    let mut remarks = Vec::new();
    // One certificate of many must not keep a daemon from starting again.
    let invalid = if asked == Asked::Start { Invalid::Served } else { Invalid::Refused };
    let mut refuse = |table: &str, name: &str, problems: Vec<Problem>| {
        remarks.extend(problems.into_iter().map(|problem| {
            let key = [table, name, "tls"].into_iter().chain(problem.key.iter().copied());
            Remark { key: key.map(str::to_owned).collect(), message: problem.error.to_string(), help: None }
        }));
    };
    let mut planned = PlannedTls { virtuals: Vec::new(), pools: Vec::new() };
    for it in &document.config.virtuals {
        let old = before.virtual_named(&it.name).and_then(|it| it.tls.as_ref());
        let tls = it.tls.as_ref().map(|settings| Tls::load(settings, old, invalid)).transpose();
        planned.virtuals.push(tls.unwrap_or_else(|problems| {
            refuse("virtual", &it.name, problems);
            None
        }));
    }
    for it in &document.config.pools {
        let old = before.pool(&it.name).and_then(|it| it.tls.as_ref());
        let load = |settings| PoolTls::load(settings, &it.members, it.protocol, old, invalid);
        let tls = it.tls.as_ref().map(load).transpose();
        planned.pools.push(tls.unwrap_or_else(|problems| {
            refuse("pool", &it.name, problems);
            None
        }));
    }
    if remarks.is_empty() { Ok(planned) } else { Err(ApplyError::Config(document.refuse(remarks))) }
}
