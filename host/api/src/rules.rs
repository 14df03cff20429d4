//! Rules where they are attached.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::flags::FlagStatus;
use crate::tables::TableStatus;

/// A rule where it is attached.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct RuleStatus {
    /// `virtual/rule`.
    pub name: String,
    /// `null` while it is unloaded.
    pub running: Option<u64>,
    /// Every version that is kept, the oldest first.
    pub versions: Vec<RuleVersion>,
    pub hooks: Vec<HookStatus>,
    /// `closed`, or `open`: the rule had too many faults and is not called.
    pub breaker: Option<String>,
    /// What it tried to do and its pack does not ask for: the first few, each once.
    pub not_granted: Vec<String>,
    /// What it remembers.
    pub tables: Vec<TableStatus>,
    /// Of what runs.
    pub flags: Vec<FlagStatus>,
    /// The level from which its lines are written, where it has one of its own.
    pub log: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct RuleVersion {
    /// Counted from 1 for each rule, never used twice.
    pub number: u64,
    pub pack: String,
    pub version: String,
    /// SHA-256 of the component, in hexadecimal.
    pub digest: String,
    /// Where it came from: a reference, a path, `builtin:` and a name.
    pub source: String,
    /// SHA-256 of the pack as a whole, which signatures cover; `null`: it was in no pack file.
    pub pack_digest: Option<String>,
    /// What the policy matches that let it run; `null`: none was needed.
    pub policy: Option<String>,
    /// The keys of the policy that signed it.
    pub signers: Vec<Signer>,
    /// Milliseconds since 1970.
    pub loaded_unix_ms: u64,
    pub hooks: Vec<String>,
    /// It had so many faults that its breaker opened; a breaker does not roll back to it.
    pub faulty: bool,
}

/// A key that signed a pack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct Signer {
    /// The file that the policy names.
    pub file: String,
    /// SHA-256 of the public key, in hexadecimal.
    pub key: String,
}

/// Counted since the process began, over all versions of the rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct HookStatus {
    pub hook: String,
    pub calls: u64,
    /// Kind and count; kinds that never happened are left out.
    pub faults: BTreeMap<String, u64>,
    /// Of the calls that were timed: the upper bound of the bucket that the quantile falls into.
    pub p50_ns: Option<u64>,
    pub p99_ns: Option<u64>,
    /// Reads and changes that Shunt refused, because the pack does not ask for them.
    pub not_granted: u64,
    /// For the metrics, which have their own form for it.
    #[serde(skip)]
    pub times: Times,
}

/// A histogram of the calls that were timed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct Times {
    pub count: u64,
    pub seconds: f64,
    /// Upper bound in seconds, and how many calls took no more than that and more than the bound before.
    pub buckets: Vec<(f64, u64)>,
}

/// What is in force after a load or a rollback.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct LoadedRule {
    pub name: String,
    /// The number of the version that runs now.
    pub running: u64,
    pub pack: String,
    pub version: String,
    pub digest: String,
    pub hooks: Vec<String>,
    /// The number of the version that ran before.
    pub replaced: Option<u64>,
    /// What it may do that what ran before may not, a line each.
    pub grants: Vec<String>,
    /// Where it gets less than its authors say that it needs.
    pub warnings: Vec<String>,
}

/// The response to `GET /v1/rules`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Rules {
    pub rules: Vec<RuleStatus>,
}

/// Which lines of a rule are written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogChange {
    /// `error`, `warn`, `info` or `debug`; `null`: as of other lines.
    pub level: Option<String>,
}

/// Which lines of a rule are written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RuleLog {
    /// `virtual/rule`.
    pub name: String,
    /// `null`: as of other lines.
    pub level: Option<String>,
}

/// A rule that was taken out of its virtual.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Unloaded {
    /// `virtual/rule`.
    pub name: String,
    /// What happens to requests and flows without it.
    pub without: String,
}
