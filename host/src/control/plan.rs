//! What a configuration asks for, made as far as it can fail and before anything is touched.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::Serialize;
use shunt_rules::{Attachment, Digest, Environment, Pack, Rule, RuleHost, RuleStats};
use tokio::sync::mpsc;

use super::ApplyError;
use super::environment::DaemonEnvironment;
use super::history::{History, Running};
use super::rules::{self, Histories, LoadError, RuleName, Using};
use shunt_config::{Document, Remark, Report, model};
use shunt_runtime::Snapshot;
use shunt_runtime::registry::Registry;
use shunt_runtime::tls::Tls;

/// What `shunt check` found to be right.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Summary {
    pub virtuals: usize,
    pub pools: usize,
    pub rules: usize,
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
    document.verify_files().map_err(ApplyError::Config)?;
    let host = RuleHost::new().map_err(|error| ApplyError::System(error.to_string()))?;
    let environment = Arc::new(DaemonEnvironment::new(
        Arc::new(ArcSwap::from_pointee(Snapshot::empty())),
        mpsc::unbounded_channel().0,
    ));
    let mut registry = Registry::new(1, [0; 2]);
    let planned = plan_rules(&document, &Histories::new(), &host, &environment, &mut registry)?;
    plan_tls(&document, &Snapshot::empty())?;
    let config = &document.config;
    let virtuals = config.virtuals.len() + config.packet_virtuals.len() + config.translators.len();
    Ok(Summary { virtuals, pools: config.pools.len(), rules: planned.len(), warnings: document.warnings() })
}

/// What a configuration asks of one rule.
pub(super) struct RulePlan {
    pub(super) configured: Digest,
    /// What is to run from now on; `None`: what runs, or nothing while it is unloaded.
    pub(super) run: Option<(Arc<Rule>, Arc<Attachment>, Using)>,
}

/// Reads, compiles and attaches what is new; everything that is wrong with any of the rules is told.
pub(super) fn plan_rules(
    document: &Document,
    histories: &Histories,
    host: &Arc<RuleHost>,
    environment: &Arc<DaemonEnvironment>,
    registry: &mut Registry,
) -> Result<BTreeMap<RuleName, RulePlan>, ApplyError> {
    let mut planned = BTreeMap::new();
    let mut remarks = Vec::new();
    for rules::RuleUse { name, written, using } in rules::uses(&document.config) {
        let stats = registry.rule_stats(&name.to_string());
        let environment = Arc::clone(environment) as Arc<dyn Environment>;
        match plan_rule(&name, written, using, histories.get(&name), host, environment, stats) {
            Ok(plan) => drop(planned.insert(name, plan)),
            Err(error) => remarks.extend(remark(&name, &error)),
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
    stats: Arc<RuleStats>,
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
    let run = match (history.running(), history.running_version()) {
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
                    Problem::UnknownSlot { .. } | Problem::MissingSlot { .. } | Problem::SlotTwice(_) => {
                        "slots"
                    }
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
pub(super) fn plan_tls(document: &Document, before: &Snapshot) -> Result<Vec<Option<Arc<Tls>>>, ApplyError> {
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
