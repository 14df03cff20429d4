//! Bindings of clients to members.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct Bindings {
    /// Of those that are shown the one that was used last first.
    pub bindings: Vec<BindingStatus>,
    /// More of them match than were asked for.
    pub more: bool,
    /// The keys of the pool that are looked up most often, the one with the most first: five at most, each with a percent or
    /// more.
    pub largest: Vec<LargeKey>,
}

/// A key that is a large part of the look-ups.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct LargeKey {
    /// As of a binding.
    pub of: String,
    pub key: String,
    /// `null`: it is bound to none now.
    pub member: Option<String>,
    /// Of the last look-ups in the table of the pool, tens of thousands; rounded down.
    pub percent: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct BindingStatus {
    /// `virtual shop` or `group shop`; empty where its virtual left the configuration.
    pub of: String,
    /// An address, with a port where that counts; `session:` and the digest of a session; the text of a rule's key, or `0x` and
    /// its bytes.
    pub key: String,
    pub member: String,
    /// Since its last use.
    pub idle_ms: u64,
    /// Until it ends if it is not used.
    pub expires_ms: u64,
}

/// Bindings that were deleted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct DeletedBindings {
    /// One of each virtual or group that had the key.
    pub deleted: Vec<BindingStatus>,
}
