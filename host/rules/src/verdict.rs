//! What rules decide: the verdicts of `wit/hooks.wit` in the host's types, already checked.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

/// Where to send it. `None` means: as configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Index into [`Attachment::slots`](crate::Attachment::slots).
    pub pool: Option<usize>,
    /// Whether that pool has such a member is for the caller to know; one that it has not
    /// is a fault, see [`Runner::refuse_verdict`](crate::Runner::refuse_verdict).
    pub member: Option<SocketAddr>,
    pub mode: Option<Mode>,
    /// Index into [`Attachment::slots`](crate::Attachment::slots).
    pub snat_pool: Option<usize>,
    pub persist: Option<PersistKey>,
}

/// How the balancer carries the flow to the chosen member; see `mode` in `wit/types.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    Proxy,
    Nat,
    Snat,
    L2dsr,
    L3dsrDscp,
    L3dsrIpip,
    L3dsrGre,
    L3dsrGue,
}

/// Equal keys go to the same member while it is usable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PersistKey {
    /// At most 256 bytes.
    pub key: Vec<u8>,
    /// How long the entry outlives its last use; `None`: as the virtual is configured.
    pub timeout: Option<Duration>,
}

/// A complete answer, made by a rule. Status and fields are such as HTTP allows, and no
/// field decides framing: the host adds that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 200 to 599.
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowVerdict {
    Next,
    To(Target),
    Reject,
    Drop,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestVerdict {
    Next,
    To(Target),
    Respond(Answer),
    /// Collect so many bytes of the body, then call `on-request-body`.
    NeedBody(u32),
    Reject,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyVerdict {
    Next,
    /// Send these bytes in place of those that were shown.
    Replace(Bytes),
    To(Target),
    Respond(Answer),
    Reject,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectFailedVerdict {
    Next,
    Retry,
    To(Target),
    Respond(Answer),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseVerdict {
    Next,
    Replace(Answer),
    Retry,
}

/// The name of a verdict in the contract, for logs, traces and cases.
macro_rules! names {
    ($($verdict:ident { $($case:ident => $name:literal),* })*) => {$(
        impl $verdict {
            /// The name in the contract.
            pub fn name(&self) -> &'static str {
                match self { $($verdict::$case { .. } => $name),* }
            }
        }
    )*};
}

names! {
    FlowVerdict { Next => "next", To => "to", Reject => "reject", Drop => "drop" }
    RequestVerdict { Next => "next", To => "to", Respond => "respond", NeedBody => "need-body", Reject => "reject" }
    BodyVerdict { Next => "next", Replace => "replace", To => "to", Respond => "respond", Reject => "reject" }
    ConnectFailedVerdict { Next => "next", Retry => "retry", To => "to", Respond => "respond" }
    ResponseVerdict { Next => "next", Replace => "replace", Retry => "retry" }
}
