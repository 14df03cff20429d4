//! What rules decide: the verdicts of `wit/hooks.wit` in the host's types, already checked.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

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

/// How Shunt forwards the flow to the chosen member; see `mode` in `wit/types.wit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
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

impl Mode {
    /// The name in the contract, in `pack.toml` and in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Proxy => "proxy",
            Mode::Nat => "nat",
            Mode::Snat => "snat",
            Mode::L2dsr => "l2dsr",
            Mode::L3dsrDscp => "l3dsr-dscp",
            Mode::L3dsrIpip => "l3dsr-ipip",
            Mode::L3dsrGre => "l3dsr-gre",
            Mode::L3dsrGue => "l3dsr-gue",
        }
    }
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
