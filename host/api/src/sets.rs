//! Sets of rules: entries that operators keep.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The response to `GET /v1/sets`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Sets {
    pub sets: Vec<SetStatus>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct SetStatus {
    /// `virtual/rule`.
    pub rule: String,
    pub name: String,
    /// `addresses`, `exact`, `prefix`, `suffix` or `regex`.
    pub kind: String,
    /// What the pack says that it is for.
    pub purpose: String,
    pub entries: u64,
    /// Of memory.
    pub bytes: u64,
    /// The file that its lines came from, as who loaded it named it; `sets.NAME`: a list in the configuration.
    pub source: String,
    /// SHA-256 of its lines, in hexadecimal.
    pub digest: String,
    /// It was loaded in place of what the configuration has.
    pub loaded: bool,
}

/// What is found in a set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct SetMatch {
    /// The entry that matches; `null`: none does.
    pub matched: Option<String>,
    /// Empty where the entry has none.
    pub value: String,
}
