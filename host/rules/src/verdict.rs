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

/// How Shunt terminates TLS with a client. `None` means: as configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    pub target: Target,
    /// A name that a certificate serves. Whether one does is for the caller to know, as with [`Target::member`]; and so
    /// with what follows.
    pub certificate: Option<String>,
    /// Of ALPN, the preferred first.
    pub protocols: Option<Vec<String>>,
    pub client_certificate: Option<Demand>,
}

/// Whether a client is asked for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Demand {
    None,
    Optional,
    Required,
}

impl Demand {
    /// The name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Demand::None => "none",
            Demand::Optional => "optional",
            Demand::Required => "required",
        }
    }
}

/// With what a client is refused (RFC 8446 section 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alert {
    HandshakeFailure,
    AccessDenied,
    ProtocolVersion,
    UnrecognizedName,
    NoApplicationProtocol,
}

impl Alert {
    /// The name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Alert::HandshakeFailure => "handshake-failure",
            Alert::AccessDenied => "access-denied",
            Alert::ProtocolVersion => "protocol-version",
            Alert::UnrecognizedName => "unrecognized-name",
            Alert::NoApplicationProtocol => "no-application-protocol",
        }
    }
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
