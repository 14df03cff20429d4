//! Flows of packet virtuals.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct Flows {
    /// Of those that are shown the oldest first.
    pub flows: Vec<FlowStatus>,
    /// More of them match than were asked for.
    pub more: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct FlowStatus {
    pub id: String,
    #[serde(rename = "virtual")]
    pub virtual_name: String,
    /// `tcp`, `udp`, `icmp`, or the number of another IP protocol.
    pub protocol: String,
    pub client: String,
    pub vip: String,
    /// Empty where there is none: the flow goes to its own destination.
    pub pool: String,
    pub member: String,
    pub mode: String,
    /// The leased source, in mode `snat`.
    pub snat: Option<String>,
    pub state: String,
    pub age_ms: u64,
    pub idle_ms: u64,
    /// Until it ends if nothing more comes.
    pub expires_ms: u64,
    pub packets_to_server: u64,
    pub bytes_to_server: u64,
    /// 0 in modes in which replies do not come through Shunt.
    pub packets_to_client: u64,
    pub bytes_to_client: u64,
}

/// A flow, and what is done to its packets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct FlowDetails {
    #[serde(flatten)]
    pub flow: FlowStatus,
    pub to_server: Vec<String>,
    /// Empty where replies do not come through Shunt.
    pub to_client: Vec<String>,
}

/// A flow that was deleted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DeletedFlow {
    pub id: String,
}
