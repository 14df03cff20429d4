//! Flags of rules: switches that operators set.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a flag is: true or false, a whole number, or a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FlagValue {
    Boolean(bool),
    Integer(i64),
    Text(String),
}

impl Default for FlagValue {
    fn default() -> Self {
        FlagValue::Boolean(false)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct FlagStatus {
    pub name: String,
    pub value: FlagValue,
    /// What the pack says.
    pub default: FlagValue,
    /// An operator has set it, if only to its default.
    pub set: bool,
    /// What the pack says that it is for.
    pub purpose: String,
}

/// What a flag is to hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlagChange {
    pub value: FlagValue,
}
