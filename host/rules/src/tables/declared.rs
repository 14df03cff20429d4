//! `[tables.NAME]` of `pack.toml`: what a table is for, of which kind it is, and how large it may become.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use super::key::KeyForm;
use crate::manifest::advice::number;

/// Tables of a pack.
pub(crate) const MOST_TABLES: usize = 16;
/// Bytes of all tables of a pack.
pub(crate) const MOST_MEMORY: u64 = 1 << 30;
/// Entries of a table.
const MOST_ENTRIES: u32 = 1 << 24;
const MOST_TIME_MS: u64 = 30 * 24 * 3600 * 1000;

/// A table, as its pack declares it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Declared {
    /// What it is for, in a few words.
    pub purpose: String,
    pub kind: Kind,
    /// How its keys are shown and written.
    #[serde(default)]
    pub key: KeyForm,
    /// Entries at most.
    #[serde(default = "entries", deserialize_with = "read_entries")]
    pub entries: u32,
    /// Bytes at most.
    #[serde(default = "memory", deserialize_with = "read_memory")]
    pub memory: u64,
    /// How long an entry is kept after its last use.
    #[serde(default, deserialize_with = "read_time")]
    pub idle: Option<Duration>,
    /// How long an entry is kept after it was put there.
    #[serde(default, deserialize_with = "read_time")]
    pub lifetime: Option<Duration>,
}

/// What the entries of a table hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Bytes.
    Values,
    /// Integers of 64 bits.
    Counters,
    /// What was let through in a sliding window.
    Windows,
    /// Token buckets.
    Buckets,
    /// How many different items were seen.
    Distinct,
}

impl Kind {
    /// The name in `pack.toml`.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Values => "values",
            Kind::Counters => "counters",
            Kind::Windows => "windows",
            Kind::Buckets => "buckets",
            Kind::Distinct => "distinct",
        }
    }

    /// Whether entries end when they say nothing any more.
    const fn ends_by_itself(self) -> bool {
        matches!(self, Kind::Windows | Kind::Buckets)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Declared {
    /// What types alone do not say: what is wrong, and what to do.
    pub(crate) fn problem(&self) -> Option<String> {
        (self.kind.ends_by_itself() && (self.idle.is_some() || self.lifetime.is_some())).then(|| {
            format!(
                "entries of kind {:?} end when they limit nothing any more; remove idle and lifetime",
                self.kind.name()
            )
        })
    }
}

fn entries() -> u32 {
    10_000
}

fn memory() -> u64 {
    16 << 20
}

fn read_entries<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let entries = u64::deserialize(deserializer)?;
    let few = u32::try_from(entries).ok().filter(|entries| (1..=MOST_ENTRIES).contains(entries));
    few.ok_or_else(|| serde::de::Error::custom(format!("entries = {entries}: write 1 to {MOST_ENTRIES}")))
}

fn read_memory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    number(deserializer, &units, 64 << 10..=MOST_MEMORY, "64KiB to 1GiB, as in \"16MiB\"")
}

fn read_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let milliseconds = number(deserializer, &units, 1..=MOST_TIME_MS, "1ms to 30d, as in \"10m\"")?;
    Ok(Some(Duration::from_millis(milliseconds)))
}
