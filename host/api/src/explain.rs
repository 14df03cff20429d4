//! How a packet would be handled.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What becomes of a packet, and why.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct Explained {
    /// The interface that it comes in by.
    pub interface: String,
    /// Nobody said so: packets go back to its source by that one.
    pub interface_is_a_guess: bool,
    /// The packet as it comes in, a line for each header.
    pub packet: Vec<String>,
    /// What it passes, in order.
    pub stages: Vec<StageStatus>,
    /// What each rule that was asked said.
    pub rules: Vec<RuleSaid>,
    /// The members of the pool that it comes to; empty where it comes to none.
    pub members: Vec<ConsideredStatus>,
    /// The id of the flow that it belongs to, if there is one.
    pub flow: Option<String>,
    /// What is done to the packets of that flow, or of the one that it would begin.
    pub rewrite: Option<RewriteStatus>,
    pub verdict: VerdictStatus,
    /// What leaves, in order.
    pub leaves: Vec<LeavingStatus>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct StageStatus {
    /// `frame`, `worker`, `fragments`, `flow-table` or `shunt`, or a stage of the slow path.
    pub stage: String,
    /// What it found, a sentence each.
    pub found: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct RuleSaid {
    /// `virtual/rule`.
    pub rule: String,
    pub said: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct ConsideredStatus {
    pub pool: String,
    pub member: String,
    pub weight: u32,
    /// Flows and requests in flight.
    pub active: u32,
    pub chosen: bool,
    /// A name for programs.
    pub standing: String,
    /// Why it was chosen, or was not.
    pub why: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct RewriteStatus {
    #[serde(rename = "virtual")]
    pub virtual_name: String,
    pub pool: String,
    pub member: String,
    pub mode: String,
    /// The leased source, in mode `snat`.
    pub snat: Option<String>,
    pub to_server: Vec<String>,
    /// Empty where answers do not come through Shunt.
    pub to_client: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct VerdictStatus {
    /// `send`, `answer`, `held`, `refuse`, `drop`, or `pass` where Shunt leaves it to this host's kernel.
    pub action: String,
    /// In a sentence without its end.
    pub means: String,
    /// Why it was dropped.
    pub reason: Option<String>,
    /// The stage of the slow path that gave the reason.
    pub stage: Option<String>,
    /// What the operator can do about it.
    pub remedy: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct LeavingStatus {
    pub interface: String,
    /// A line for each header.
    pub packet: Vec<String>,
    /// The frame, in hexadecimal.
    pub hex: String,
}
