//! What bodies and queries of requests may say. Unlike answers they are refused where they say more.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator wants of a member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberChange {
    /// `enabled`, `draining` or `disabled`.
    pub admin: String,
}

/// Which priority groups members are in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrioritiesChange {
    /// By the address and port of the member. The others keep theirs.
    pub priorities: BTreeMap<String, u16>,
}

/// A pack that the daemon gets from a registry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LoadReference {
    /// `registry.example/team/canary:1.2.0`, or with a digest.
    pub pack: String,
    /// A version may be older than the highest that ran.
    #[serde(default)]
    pub allow_downgrade: bool,
    /// A version may ask for more than what ran.
    #[serde(default)]
    pub accept_grants: bool,
}

/// The body of a reload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Allowed {
    /// A version may be older than the highest that ran.
    pub allow_downgrade: bool,
    /// A version may ask for more than what ran.
    pub accept_grants: bool,
}

/// The query of a load of a pack that is sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct LoadQuery {
    /// Where the pack stands on this host, for policies of paths; without it, only the policy `*` is for it.
    pub path: Option<String>,
    /// A version may be older than the highest that ran.
    pub allow_downgrade: bool,
    /// A version may ask for more than what ran.
    pub accept_grants: bool,
}

/// The query of a load of a set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SetQuery {
    /// What the lines are called in errors and in the list of sets: the path of their file.
    pub source: Option<String>,
}

/// The query of what is looked up in a set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SetMatchQuery {
    /// A text, or an address.
    pub text: String,
}

/// Which version of a rule to go back to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rollback {
    /// The number of a version that is kept; without it, what ran before.
    pub to: Option<u64>,
}

/// The query of a list of bindings. What is not asked for does not matter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BindingsQuery {
    /// Address and port of the member.
    pub member: Option<String>,
    /// How many at most, from 1 to 10,000. Default 100.
    pub limit: Option<usize>,
}

/// The query of a list of the entries of a table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TableQuery {
    /// `next` of the page before.
    pub after: Option<String>,
    /// How many at most, from 1 to 10,000. Default 100.
    pub limit: Option<usize>,
}

/// What an entry of a table is to hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableChange {
    /// Of `values` text, or `0x` and bytes; of `counters` an integer.
    pub value: String,
}

/// The query of a list of flows. What is not asked for does not matter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FlowsQuery {
    /// Name of the virtual.
    #[serde(rename = "virtual")]
    pub virtual_name: Option<String>,
    /// IP address of the client.
    pub client: Option<String>,
    /// Address and port of the member.
    pub member: Option<String>,
    /// How they are forwarded.
    pub mode: Option<String>,
    /// Of TCP: as its handshake and end were seen. `active` for all else.
    pub state: Option<String>,
    /// How many at most, 1 to 10,000; 100 where nothing is said.
    pub limit: Option<usize>,
}

/// A request, as a client would make it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AskedRequest {
    /// `http://` or `https://`, with a host.
    pub url: String,
    /// GET where there is none, and POST with a body.
    pub method: Option<String>,
    /// Fields as `name: value`.
    pub headers: Vec<String>,
    pub body: Option<String>,
    /// `1.1` or `2`; without it by ALPN where there is TLS, else 1.1.
    pub version: Option<String>,
    /// The client: an address, or an address and port.
    pub from: Option<String>,
    /// Address and port that the client connects to; without it those of the URL, or what listens on its port.
    pub to: Option<String>,
}

/// The query of a trace. What is not asked for does not matter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TraceQuery {
    /// A path, in which each `*` stands for any text.
    pub path: Option<String>,
    /// The same of the host.
    pub host: Option<String>,
    /// As it is written: GET.
    pub method: Option<String>,
    /// An address of the client, or a prefix such as 192.0.2.0/24.
    pub client: Option<String>,
    /// How many requests at most, from 1 to 10,000. Default 100.
    pub count: Option<u32>,
    /// For how many seconds at most, from 1 to 3,600. Default 30.
    pub seconds: Option<u64>,
}

/// A packet: its ends, or its bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Packet {
    /// `tcp`, `udp` or `icmp`, which is an echo request.
    pub protocol: Option<String>,
    /// Address and port; of ICMP an address, or with the identifier as its port.
    pub source: Option<String>,
    /// Address and port; of ICMP an address.
    pub destination: Option<String>,
    /// Of TCP, a letter each, as in `SA`; a SYN where there are none.
    pub flags: Option<String>,
    /// In place of all these: a frame, or an IP datagram, in hexadecimal.
    pub hex: Option<String>,
    /// The interface that it comes in by; without it, the one by which packets go back to its source.
    pub interface: Option<String>,
}
