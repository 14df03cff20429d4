//! How a packet, and a request, would be handled.

mod http;

pub use http::{
    ExplainedRequest, HostCalled, RequestOutcome, RequestStep, RuleCalled, TraceEnd, TraceLine, TracedRequest,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a packet would be handled, and why.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct Explained {
    /// The interface that receives it.
    pub interface: String,
    /// The question did not name it: it is the one with the route to the source.
    pub interface_is_a_guess: bool,
    /// The packet as received, a line for each header.
    pub packet: Vec<String>,
    /// The stages that it passes, in order.
    pub stages: Vec<StageStatus>,
    /// The verdict of each rule that was called.
    pub rules: Vec<RuleSaid>,
    /// The members of the pool that is chosen; empty where none is.
    pub members: Vec<ConsideredStatus>,
    /// The id of the flow that it belongs to, if there is one.
    pub flow: Option<String>,
    /// What is done to the packets of that flow, or of the one that it would begin.
    pub rewrite: Option<RewriteStatus>,
    pub verdict: VerdictStatus,
    /// The frames that leave, in order.
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
    /// Empty where replies do not come through Shunt.
    pub to_client: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct VerdictStatus {
    /// `send`, `answer`, `held`, `refuse`, `drop`, or `pass` where the kernel of this host gets it.
    pub action: String,
    /// A sentence without its full stop.
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
