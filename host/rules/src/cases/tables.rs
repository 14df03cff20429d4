//! What a case says of tables: what is in them before it and after it, and what came earlier.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::file::{RequestCase, ResponseCase};
use crate::manifest::advice::number;
use crate::suggest::hint;
use crate::tables::{TableUse, Value};
use crate::{Attachment, Manifest};

/// By table and key, as [`KeyForm`](crate::KeyForm) shows it.
pub(crate) type Contents<T> = BTreeMap<String, BTreeMap<String, T>>;

/// What is in an entry.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Written {
    Number(i64),
    Text(String),
}

/// What is expected of an entry: what is in it, or whether it is there.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum EntryExpect {
    Present(bool),
    Is(Written),
}

/// The same rule, called before.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct EarlierCase {
    /// Default: the request of the case.
    pub request: Option<RequestCase>,
    /// Default: that of the case.
    pub response: Option<ResponseCase>,
    pub times: u32,
    /// Passes after each.
    #[serde(deserialize_with = "time")]
    pub after: Duration,
}

/// Calls of one case: each takes some microseconds.
const MOST_TIMES: u32 = 100_000;

impl Default for EarlierCase {
    fn default() -> EarlierCase {
        EarlierCase { request: None, response: None, times: 1, after: Duration::ZERO }
    }
}

/// `1500ms`, as in the configuration.
pub(crate) fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let ms = number(deserializer, &units, 0..=365 * 86_400_000, "a time, as in \"1500ms\"")?;
    Ok(Duration::from_millis(ms))
}

impl Written {
    fn text(&self) -> String {
        match self {
            Written::Number(number) => number.to_string(),
            Written::Text(text) => text.clone(),
        }
    }
}

/// Checks what names tables: that the pack declares them, and that keys can be keys.
pub(crate) fn check<T>(contents: &Contents<T>, manifest: &Manifest) -> Result<(), String> {
    for (table, entries) in contents {
        let Some(declared) = manifest.tables.get(table) else {
            let hint = hint(table, manifest.tables.keys().map(String::as_str));
            return Err(format!("the pack has no table {table:?}{hint}"));
        };
        for key in entries.keys() {
            declared.key.parse(key).map_err(|error| format!("table {table:?}: {error}"))?;
        }
    }
    Ok(())
}

pub(crate) fn check_earlier(earlier: &[EarlierCase]) -> Result<(), String> {
    let times = earlier.iter().map(|it| u64::from(it.times)).sum::<u64>();
    if times > MOST_TIMES.into() {
        return Err(format!("{times} earlier calls; at most {MOST_TIMES} are allowed"));
    }
    Ok(())
}

/// Puts there what a case begins with.
///
/// # Errors
/// What cannot be there.
pub(crate) fn fill(contents: &Contents<Written>, attachment: &Attachment, now: u64) -> Result<(), String> {
    for (name, entries) in contents {
        let Some(table) = find(attachment, name) else { continue };
        for (key, value) in entries {
            let of = |error| format!("tables.{name}.{key}: {error}");
            let bytes = table.declared().key.parse(key).map_err(of)?;
            table.write(&bytes, &value.text(), now).map_err(of)?;
        }
    }
    Ok(())
}

/// Where tables differ from what is expected: key, what is expected, what is found.
pub(crate) fn differences(
    expected: &Contents<EntryExpect>,
    attachment: &Attachment,
    now: u64,
) -> Vec<(String, String, String)> {
    let mut all = Vec::new();
    for (name, entries) in expected {
        let Some(table) = find(attachment, name) else { continue };
        for (key, expect) in entries {
            let found = table.declared().key.parse(key).ok().and_then(|key| table.look(&key, now));
            let found = found.map(|it| it.value);
            let (holds, wanted) = match expect {
                EntryExpect::Present(present) => {
                    (found.is_some() == *present, if *present { "present" } else { "absent" }.to_owned())
                }
                EntryExpect::Is(written) => {
                    (found.as_ref().map(Value::show) == Some(written.text()), written.text())
                }
            };
            if !holds {
                let found = found.map_or("absent".to_owned(), |found| found.show());
                all.push((format!("tables.{name}.{key}"), wanted, found));
            }
        }
    }
    all
}

fn find<'a>(attachment: &'a Attachment, name: &str) -> Option<&'a TableUse> {
    attachment.tables().iter().find(|it| it.name() == name)
}
