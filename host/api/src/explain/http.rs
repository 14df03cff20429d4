//! How a request would be handled.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ConsideredStatus;

/// How a request would be handled, and why.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct ExplainedRequest {
    /// The virtual that it comes to.
    #[serde(rename = "virtual")]
    pub virtual_name: String,
    /// Address and port of the client.
    pub client: String,
    /// The question did not name it.
    pub client_is_assumed: bool,
    /// Address and port that the client connects to.
    pub vip: String,
    /// The question did not say it.
    pub vip_is_assumed: bool,
    /// Of the running configuration, with its members and bindings as they are. Else of a file: every member counts as up,
    /// no client is bound, and nothing is in flight.
    pub live: bool,
    /// The head as the client sends it, a line each.
    pub request: Vec<String>,
    /// What it passes, in order.
    pub steps: Vec<RequestStep>,
    pub outcome: RequestOutcome,
}

/// A phase of a request or of its connection, or a call of a rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct RequestStep {
    /// `virtual`, `tls`, `head`, `persistence`, `selection`, `response`, or the hook.
    pub phase: String,
    /// What was found, a sentence each.
    pub found: Vec<String>,
    /// The rule that was called, at a hook.
    pub rule: Option<RuleCalled>,
    /// The members of the pool, at a selection.
    pub members: Vec<ConsideredStatus>,
}

/// A call of a rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct RuleCalled {
    /// `virtual/rule`.
    pub rule: String,
    /// The name of the verdict in the contract, or `fault`.
    pub verdict: String,
    /// The verdict in words.
    pub said: String,
    /// Nanoseconds.
    pub took: u64,
    /// What it asked of the host, in order.
    pub calls: Vec<HostCalled>,
    /// Further ones, which are not kept.
    pub more_calls: u32,
}

/// A call of a host function by a rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct HostCalled {
    /// As `request.header`, by its interface or resource.
    pub function: String,
    pub arguments: Vec<String>,
    /// `null`: it returns nothing.
    pub result: Option<String>,
    /// It changes something.
    pub changes: bool,
}

/// What becomes of the request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct RequestOutcome {
    /// `send`; `wait` for a member; `answer`, by Shunt or a rule; `reset` or `close`, of the connection.
    pub action: String,
    /// A sentence without its full stop.
    pub means: String,
    /// The pool of the member.
    pub pool: Option<String>,
    /// The member that gets it.
    pub member: Option<String>,
    /// The head as the member gets it, a line each.
    pub sent: Vec<String>,
    /// The status of the answer, where no member makes it.
    pub status: Option<u16>,
    /// Its fields, a line each.
    pub answer: Vec<String>,
}

/// A line of a trace: a request, or the end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct TraceLine {
    pub request: Option<TracedRequest>,
    pub end: Option<TraceEnd>,
}

/// A request that was served.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct TracedRequest {
    /// When its head had come: milliseconds of Unix time.
    pub at: u64,
    #[serde(rename = "virtual")]
    pub virtual_name: String,
    /// Address and port of the client.
    pub client: String,
    /// The head as the client sent it, a line each.
    pub request: Vec<String>,
    /// What it passed, in order.
    pub steps: Vec<RequestStep>,
    /// The status of the answer; `null`: there was none.
    pub status: Option<u16>,
    /// The member that served it.
    pub member: Option<String>,
    /// Nanoseconds until the head of the answer was there.
    pub took: u64,
}

/// The end of a trace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct TraceEnd {
    /// `count`: so many were shown; `time`: the time is up.
    pub reason: String,
    /// How many were shown.
    pub shown: u64,
    /// How many were served meanwhile and are not shown, because they came faster than they were read.
    pub missed: u64,
}
