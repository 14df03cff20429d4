//! The way back: to what ran before, by an operator or by a breaker.
//!
//! As in [`load`](super::load), what takes long is done without holding anything up.

use tokio::sync::{Mutex, mpsc};

use super::history::{History, Running, Version};
use super::operate::shown;
use super::rules::{LoadError, RuleName};
use super::{Actor, Control, off_thread};
use shunt_api::rules::LoadedRule;

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
}
