//! What operators set of rules while they run: their flags, and which of their lines are written.

use shunt_api::flags::{FlagStatus, FlagValue as Shown};
use shunt_api::rules::RuleLog;
use shunt_rules::flags::{FlagError, FlagValue, LiveFlag};
use shunt_rules::{Attachment, Level};
use thiserror::Error;

use super::operate::NotFound;
use super::rules::RuleName;
use super::{Actor, Control};

/// Why a flag was not set.
#[derive(Debug, Error)]
pub enum FlagRefusal {
    #[error("there is no {}", .0.what)]
    NotFound(NotFound),
    #[error(transparent)]
    Value(#[from] FlagError),
}

impl Control {
    /// Has a flag hold a value from the next call of its rule on, or its default again.
    ///
    /// # Errors
    /// There is no such flag, or it is of another type.
    pub fn set_flag(
        &self,
        name: &RuleName,
        flag: &str,
        value: Option<Shown>,
        by: &Actor,
    ) -> Result<FlagStatus, FlagRefusal> {
        let attached = self.running(name).map_err(FlagRefusal::NotFound)?;
        let found = attached.flag(flag).ok_or_else(|| {
            FlagRefusal::NotFound(NotFound {
                what: format!("flag {flag} in the rule {name}"),
                known: attached.flags().iter().map(|flag| flag.name().to_owned()).collect(),
            })
        })?;
        let from = found.value();
        match value {
            Some(value) => found.set(read(value))?,
            None => found.reset(),
        }
        let to = found.value();
        tracing::info!(
            event = "flag-set",
            by = by.to_string(),
            rule = %name,
            flag,
            from = from.to_string(),
            to = to.to_string(),
            default = !found.is_set(),
            "flag set"
        );
        Ok(status(attached, found))
    }
}

impl Control {
    /// Has lines of a rule written from a level on, whatever holds for others; `None`: as for others.
    ///
    /// # Errors
    /// There is no such rule, or it does not run.
    pub fn set_rule_log(
        &self,
        name: &RuleName,
        level: Option<Level>,
        by: &Actor,
    ) -> Result<RuleLog, NotFound> {
        let log = self.running(name)?.log();
        let told = |level: Option<Level>| level.map_or("default", Level::name);
        let (from, to) = (told(log.get()), told(level));
        log.set(level);
        tracing::info!(event = "rule-log-set", by = by.to_string(), rule = %name, from, to, "log level of a rule set");
        Ok(RuleLog { name: name.to_string(), level: level.map(|level| level.name().to_owned()) })
    }
}

/// The flags of a rule that runs.
pub(super) fn statuses(attachment: &Attachment) -> Vec<FlagStatus> {
    attachment.flags().iter().map(|flag| status(attachment, flag)).collect()
}

fn status(attachment: &Attachment, flag: &LiveFlag) -> FlagStatus {
    let declared = attachment.rule().manifest().flags.get(flag.name());
    FlagStatus {
        name: flag.name().to_owned(),
        value: shown(flag.value()),
        default: shown(flag.default().clone()),
        set: flag.is_set(),
        purpose: declared.map(|it| it.purpose.clone()).unwrap_or_default(),
    }
}

fn shown(value: FlagValue) -> Shown {
    match value {
        FlagValue::Boolean(value) => Shown::Boolean(value),
        FlagValue::Integer(value) => Shown::Integer(value),
        FlagValue::Text(value) => Shown::Text(value),
    }
}

fn read(value: Shown) -> FlagValue {
    match value {
        Shown::Boolean(value) => FlagValue::Boolean(value),
        Shown::Integer(value) => FlagValue::Integer(value),
        Shown::Text(value) => FlagValue::Text(value),
    }
}
