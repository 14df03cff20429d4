//! The sets of rules: what the configuration has in them, and what operators load.

use std::sync::Arc;

use shunt_api::sets::{SetMatch, SetStatus};
use shunt_config::model::{RuleUse, SetSource};
use shunt_rules::sets::{DeclaredSet, LiveSet, SetError, SetLines};
use shunt_rules::{AttachError, AttachProblem, Attachment, Rule, SetBinding, SetContent};
use thiserror::Error;
use tokio::sync::Mutex;

use super::operate::NotFound;
use super::rules::{self, LoadError, RuleName};
use super::{Aborted, Actor, Control, unless_ending};

/// When a set that runs gives way to the lines of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fresh {
    /// They changed: a reload takes them in.
    Changed,
    /// Never: another version of a rule has the sets of the one that runs.
    Never,
}

/// Why a set was not loaded. The one in force stays.
#[derive(Debug, Error)]
pub enum SetLoadError {
    #[error("there is no {}", .0.what)]
    NotFound(NotFound),
    #[error(transparent)]
    Lines(#[from] SetError),
    #[error("{0}")]
    System(String),
}

impl From<NotFound> for SetLoadError {
    fn from(missing: NotFound) -> SetLoadError {
        SetLoadError::NotFound(missing)
    }
}

impl From<Aborted> for SetLoadError {
    fn from(Aborted(why): Aborted) -> SetLoadError {
        SetLoadError::System(why)
    }
}

/// What is in the sets of a rule, where it is to be attached.
///
/// # Errors
/// A file cannot be read.
pub(super) fn bind(
    written: &RuleUse,
    rule: &Rule,
    running: Option<&Arc<Attachment>>,
    fresh: Fresh,
) -> Result<Vec<SetBinding>, LoadError> {
    let (mut bindings, mut problems) = (Vec::new(), Vec::new());
    for (set, source) in &written.sets {
        let declared = rule.manifest().sets.get(set);
        let live = running.and_then(|running| running.set(set));
        let live = live.filter(|live| declared.is_some_and(|it| it.kind == live.current().kind()));
        let content = match live {
            Some(live) if fresh == Fresh::Never => SetContent::Live(Arc::clone(live)),
            live => match (lines(set, source), live) {
                (Ok(lines), Some(live)) if live.configured() == lines.digest() => {
                    SetContent::Live(Arc::clone(live))
                }
                (Ok(lines), _) => SetContent::Lines(lines),
                (Err(error), _) => {
                    problems.push(AttachProblem::Set { set: set.clone(), error });
                    continue;
                }
            },
        };
        bindings.push(SetBinding { set: set.clone(), content });
    }
    if problems.is_empty() { Ok(bindings) } else { Err(AttachError(problems).into()) }
}

/// Whether any of them is to be built.
pub(super) fn any_new(bindings: &[SetBinding]) -> bool {
    bindings.iter().any(|it| matches!(it.content, SetContent::Lines(_)))
}

fn lines(set: &str, source: &SetSource) -> Result<SetLines, SetError> {
    match source {
        SetSource::File(path) => SetLines::of_file(path),
        SetSource::Lines(lines) => Ok(SetLines::of_list(format!("sets.{set}"), lines)),
    }
}

/// Builds a set from lines that an operator sends, and puts it in force for the next look-up.
///
/// # Errors
/// There is no such set, or its lines are wrong.
pub async fn load_set(
    control: &Mutex<Control>,
    name: &RuleName,
    set: &str,
    lines: SetLines,
    by: &Actor,
) -> Result<SetStatus, SetLoadError> {
    let lines = Arc::new(lines);
    loop {
        let (live, ending) = {
            let control = control.lock().await;
            (Arc::clone(control.live_set(name, set)?.1), control.ending.subscribe())
        };
        let (building, sent) = (Arc::clone(&live), Arc::clone(&lines));
        unless_ending(ending, move || Ok::<_, SetLoadError>(building.load(&sent)?)).await?;
        let control = control.lock().await;
        // Where the rule was attached anew meanwhile, its next set is to have them.
        if Arc::ptr_eq(control.live_set(name, set)?.1, &live) {
            let status = control.set(name, set)?;
            let SetStatus { entries, bytes, source, .. } = &status;
            tracing::info!(by = by.to_string(), rule = %name, set, entries, bytes, source, "set loaded");
            return Ok(status);
        }
    }
}

impl Control {
    /// Every set of the rules that run.
    pub fn sets(&self) -> Vec<SetStatus> {
        let names = rules::uses(&self.config).map(|rule| rule.name);
        let attached = names.filter_map(|name| Some((self.attached(&name)?, name)));
        attached
            .flat_map(|(attachment, name)| {
                let declared = attachment.rule().manifest().sets.iter();
                let status = declared
                    .filter_map(|(set, declared)| Some(status(&name, set, declared, attachment.set(set)?)));
                status.collect::<Vec<_>>()
            })
            .collect()
    }

    /// One of them.
    ///
    /// # Errors
    /// There is no such rule, or it does not run, or it has no such set.
    pub fn set(&self, name: &RuleName, set: &str) -> Result<SetStatus, NotFound> {
        let (declared, live) = self.live_set(name, set)?;
        Ok(status(name, set, declared, live))
    }

    /// What a text, or an address, finds in a set now.
    ///
    /// # Errors
    /// As [`Control::set`].
    pub fn find_in_set(&self, name: &RuleName, set: &str, text: &str) -> Result<SetMatch, NotFound> {
        let current = self.live_set(name, set)?.1.current();
        // What is too long for a rule is too long here.
        let found =
            Some(text).filter(|text| text.len() <= current.longest()).and_then(|text| current.find(text));
        Ok(SetMatch {
            matched: found.as_ref().map(|hit| hit.matched.to_string()),
            value: found.map(|hit| hit.value.to_owned()).unwrap_or_default(),
        })
    }

    /// Every rule that runs: of virtuals of both kinds, and of monitors.
    pub(super) fn attachments(&self) -> impl Iterator<Item = &Arc<Attachment>> {
        rules::uses(&self.config).filter_map(|rule| self.attached(&rule.name))
    }

    /// What runs at a rule.
    pub(super) fn attached(&self, name: &RuleName) -> Option<&Arc<Attachment>> {
        Some(&self.rules.get(name)?.running()?.attachment)
    }

    /// What runs at a rule.
    ///
    /// # Errors
    /// There is no such rule, or it does not run.
    pub(super) fn running(&self, name: &RuleName) -> Result<&Arc<Attachment>, NotFound> {
        self.attached(name).ok_or_else(|| {
            let names = rules::uses(&self.config).map(|rule| rule.name);
            let known = names.filter(|name| self.attached(name).is_some()).map(|name| name.to_string());
            NotFound { what: format!("rule {name} that runs"), known: known.collect() }
        })
    }

    fn live_set(&self, name: &RuleName, set: &str) -> Result<(&DeclaredSet, &Arc<LiveSet>), NotFound> {
        let attached = self.running(name)?;
        let found = attached.rule().manifest().sets.get(set).zip(attached.set(set));
        found.ok_or_else(|| NotFound {
            what: format!("set {set} in the rule {name}"),
            known: attached.sets().iter().map(|(set, _)| set.clone()).collect(),
        })
    }
}

fn status(name: &RuleName, set: &str, declared: &DeclaredSet, live: &LiveSet) -> SetStatus {
    let current = live.current();
    SetStatus {
        rule: name.to_string(),
        name: set.to_owned(),
        kind: current.kind().name().to_owned(),
        purpose: declared.purpose.clone(),
        entries: current.entries() as u64,
        bytes: current.bytes() as u64,
        source: current.source().to_owned(),
        digest: current.digest().to_string(),
        loaded: current.digest() != live.configured(),
    }
}
