//! Why something was not done: one shape for every reason.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The body of every answer that is no success.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Refusal {
    pub error: Error,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Error {
    /// A stable name for programs.
    pub kind: String,
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Each mistake of a configuration, with its place. Absent where there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

/// A mistake of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Problem {
    /// A stable name of its kind.
    pub cause: String,
    pub file: String,
    /// From 1. `null` where the problem is the whole file.
    pub line: Option<usize>,
    /// From 1, in characters.
    pub column: Option<usize>,
    /// The key as it stands in this configuration: `virtual.shop.timeouts.head`.
    pub key: Option<String>,
    /// The same key in the reference: `virtual.timeouts.head`.
    pub entry: Option<String>,
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Other places that are part of it: where a name was used first.
    pub also: Vec<Also>,
}

/// Another place that a problem speaks of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Also {
    pub file: String,
    pub line: Option<usize>,
    pub column: Option<usize>,
    pub message: String,
}
