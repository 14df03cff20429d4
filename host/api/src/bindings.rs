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
