//! What the authors of a pack suggest to operators, who decide.

use std::time::Duration;

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};

use crate::Budget;

/// What a rule needs, and what is best done when it fails. `None`: its authors do not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advice {
    /// Processor time of a hook call.
    pub time: Option<Duration>,
    /// Bytes of an instance.
    pub memory: Option<u64>,
    pub on_fault: Option<FaultAdvice>,
}

/// What is best done in the place of a call that failed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "FaultForm", rename_all = "kebab-case")]
pub enum FaultAdvice {
    Reject,
    Continue,
    /// To the pool of this slot.
    Slot(String),
}

#[derive(Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "on-fault is \"reject\", \"continue\" or { slot = \"…\" }"
)]
enum FaultForm {
    Word(String),
    Slot { slot: String },
}

impl TryFrom<FaultForm> for FaultAdvice {
    type Error = String;

    fn try_from(form: FaultForm) -> Result<FaultAdvice, String> {
        match form {
            FaultForm::Word(word) if word == "reject" => Ok(FaultAdvice::Reject),
            FaultForm::Word(word) if word == "continue" => Ok(FaultAdvice::Continue),
            FaultForm::Word(word) => {
                Err(format!("{word:?}: write \"reject\", \"continue\" or {{ slot = \"…\" }}"))
            }
            FaultForm::Slot { slot } => Ok(FaultAdvice::Slot(slot)),
        }
    }
}

/// `continue`, `slot primary`
impl std::fmt::Display for FaultAdvice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FaultAdvice::Reject => f.write_str("reject"),
            FaultAdvice::Continue => f.write_str("continue"),
            FaultAdvice::Slot(slot) => write!(f, "to the pool of slot {slot}"),
        }
    }
}

impl Advice {
    /// Where an operator gives a rule less than it needs.
    pub fn warnings(&self, budget: Budget) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(time) = self.time.filter(|time| budget.time < *time) {
            warnings.push(format!(
                "a call of the rule may need {time:?}, as its pack says, and gets {:?}",
                budget.time
            ));
        }
        if let Some(memory) = self.memory.filter(|memory| budget.memory < *memory) {
            warnings.push(format!(
                "an instance of the rule may need {} KiB, as its pack says, and gets {} KiB",
                memory >> 10,
                budget.memory >> 10
            ));
        }
        warnings
    }
}

/// `2ms` or `1s`, as in the configuration.
pub(super) fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let units = [("ms", 1), ("s", 1000)];
    let milliseconds = number(deserializer, &units, 1..=1000, "1ms to 1s, as in \"10ms\"")?;
    Ok(Some(Duration::from_millis(milliseconds)))
}

/// `512KiB` or `4MiB`, as in the configuration.
pub(super) fn memory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20)];
    number(deserializer, &units, 64 << 10..=256 << 20, "64KiB to 256MiB, as in \"16MiB\"").map(Some)
}

pub(crate) fn number<'de, D: Deserializer<'de>>(
    deserializer: D,
    units: &[(&str, u64)],
    range: std::ops::RangeInclusive<u64>,
    expected: &str,
) -> Result<u64, D::Error> {
    let text = match toml::Value::deserialize(deserializer)? {
        toml::Value::String(text) => text,
        other => return Err(D::Error::custom(format!("{other}: write {expected}"))),
    };
    let read = units.iter().find_map(|(unit, worth)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(*worth)
    });
    read.filter(|number| range.contains(number))
        .ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_than_is_needed_is_told() {
        let advice = Advice { time: Some(Duration::from_millis(5)), memory: Some(4 << 20), on_fault: None };
        let of = |time, memory| advice.warnings(Budget { time: Duration::from_millis(time), memory });
        assert!(of(5, 4 << 20).is_empty());
        assert_eq!(
            of(2, 1 << 20),
            [
                "a call of the rule may need 5ms, as its pack says, and gets 2ms",
                "an instance of the rule may need 4096 KiB, as its pack says, and gets 1024 KiB"
            ]
        );
        assert!(Advice::default().warnings(Budget { time: Duration::ZERO, memory: 0 }).is_empty());
    }
}
