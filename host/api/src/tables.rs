//! Tables of rules.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::counts::TableCounts;

/// A table of a rule that runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct TableStatus {
    /// `virtual/rule`.
    pub rule: String,
    pub name: String,
    /// What it is for, as the pack says.
    pub purpose: String,
    /// `values`, `counters`, `windows`, `buckets` or `distinct`.
    pub kind: String,
    /// How keys are shown and written: `text`, `address`, `number` or `bytes`.
    pub key: String,
    /// Entries at most.
    pub most_entries: u64,
    /// Bytes at most.
    pub most_bytes: u64,
    /// How long an entry is kept after its last use; `null`: for good.
    pub idle_ms: Option<u64>,
    /// How long an entry is kept after it was put there; `null`: for good.
    pub lifetime_ms: Option<u64>,
    #[serde(flatten)]
    pub counts: TableCounts,
}

/// The response to `GET /v1/tables`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Tables {
    pub tables: Vec<TableStatus>,
}

/// Entries of a table, in no order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TableEntries {
    pub entries: Vec<TableEntry>,
    /// What `after` of the next page is; `null`: this was the last. An entry that is there all the time is listed; one that
    /// comes meanwhile may be left out, and one may be listed twice.
    pub next: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct TableEntry {
    /// As the table has its keys; one that is not of that form as `0x` and its bytes.
    pub key: String,
    /// Text, or `0x` and bytes; a count; of `windows` what was let through, of `buckets` the milliseconds until it is full.
    pub value: String,
    /// Since its last use.
    pub idle_ms: u64,
    /// Until it ends if it is not used; `null`: it stays.
    pub ends_ms: Option<u64>,
}

/// A table that was cleared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ClearedTable {
    /// `virtual/rule`.
    pub rule: String,
    pub table: String,
    /// How many entries there were.
    pub cleared: u64,
}
