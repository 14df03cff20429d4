//! The process, its proxies, pools and members.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::counts::{BindingCounts, MemberCounts, VirtualCounts};
use crate::packets::PacketStatus;
use crate::rules::RuleStatus;

/// The response to `GET /v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct Status {
    pub version: String,
    /// Of the snapshot in force; one more with every change.
    pub epoch: u64,
    pub uptime_seconds: u64,
    pub workers: usize,
    /// A signal has ended it: it accepts nothing new, refuses changes, and waits for what is open.
    pub draining: bool,
    /// What a restart would change: made by commands, or changed in the files since.
    pub differences: Vec<Difference>,
    /// Log lines that were lost.
    pub log_lines_lost: u64,
    /// Proxies.
    pub virtuals: Vec<VirtualStatus>,
    pub pools: Vec<PoolStatus>,
    /// `null`: there are no packet virtuals.
    pub packets: Option<PacketStatus>,
}

/// A virtual of the proxy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct VirtualStatus {
    pub name: String,
    /// Address and port; several with commas between them.
    pub listen: String,
    /// `http` or `tcp`.
    pub protocol: String,
    pub tls: bool,
    /// The first serves clients that ask for no known name; empty without TLS.
    pub certificates: Vec<CertificateStatus>,
    /// Lists of revoked certificates and OCSP responses that expire.
    pub revocation: Vec<RevocationStatus>,
    pub pool: Option<String>,
    pub rules: Vec<RuleStatus>,
    #[serde(flatten)]
    pub counts: VirtualCounts,
}

/// A certificate that clients can get.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct CertificateStatus {
    pub file: String,
    /// The server names that it is served for.
    pub names: Vec<String>,
    /// When it expires: `2027-01-31T23:59:59Z`.
    pub not_after: String,
    /// The same in seconds of Unix time.
    pub not_after_seconds: u64,
}

/// A file that says whether certificates are revoked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct RevocationStatus {
    /// `crl` or `ocsp`.
    pub kind: String,
    pub file: String,
    /// When it expires: `2027-01-31T23:59:59Z`.
    pub next_update: String,
    /// The same in seconds of Unix time.
    pub next_update_seconds: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct PoolStatus {
    pub name: String,
    pub balance: String,
    pub usable: usize,
    /// Requests and connections in flight that count for its `max-connections`; 0 without limits.
    pub active: u32,
    /// `null`: any number at once.
    pub max_connections: Option<u32>,
    pub queue: QueueStatus,
    /// Members by their priority, the highest first.
    pub groups: Vec<GroupStatus>,
    pub members: Vec<MemberStatus>,
    /// Members that are written by name.
    pub names: Vec<NameStatus>,
    pub persistence: PersistenceStatus,
    /// Those of its monitors.
    pub rules: Vec<RuleStatus>,
}

/// A name that members are written with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct NameStatus {
    /// `app.internal:8080`, `_http._tcp.app.internal`.
    pub name: String,
    /// Addresses and ports of its members.
    pub addresses: Vec<String>,
    /// How long the last answer said that it is valid; `null`: it had no addresses.
    pub ttl_seconds: Option<u32>,
    /// Addresses that the last answers lack, and that are held for a while.
    pub held: usize,
    /// Addresses that are no members because there are too many.
    pub left_out: usize,
    /// What the last look-up lacked.
    pub error: Option<String>,
    pub lookups: u64,
    /// Of these, those that lacked an answer or found nothing.
    pub lookups_failed: u64,
}

/// The table of bindings of a pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct PersistenceStatus {
    #[serde(flatten)]
    pub counts: BindingCounts,
}

/// Requests and connections that waited for a member of a pool (`on-empty = { queue = … }`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct QueueStatus {
    /// They wait now.
    pub waiting: u32,
    /// They waited and got a member.
    pub served: u64,
    /// How long those waited together, in milliseconds.
    pub waited_ms: u64,
    /// They were refused, because as many waited as may.
    pub full: u64,
    /// They were refused after they had waited.
    pub timed_out: u64,
}

/// The members of a pool that have one priority.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct GroupStatus {
    pub priority: u16,
    pub members: usize,
    pub usable: usize,
    /// Its members can be chosen.
    pub in_use: bool,
}

/// A member of a pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct MemberStatus {
    pub address: String,
    pub weight: u32,
    /// Its priority group: the operator's, else as configured.
    pub priority: u16,
    /// The state by its monitor: `up` or `down`; `up` without a monitor.
    pub health: String,
    /// Why it is down, or the result of the last probe to its own address.
    pub reason: Option<String>,
    /// Its state on the service path, for each virtual that probes there.
    pub on_path: Vec<OnPathStatus>,
    /// The state by the operator: `enabled`, `draining` or `disabled`.
    pub admin: String,
    /// Requests and flows in flight.
    pub active: u32,
    /// `null`: any number at once.
    pub max_connections: Option<u32>,
    /// Requests at it failed: it gets none for a while.
    pub ejected: bool,
    /// Why it gets no new clients: `down`, `disabled`, `draining`, `ejected`, `full`, `weight-zero` or
    /// `group-not-in-use`; `null`: it can be chosen.
    pub ineligible: Option<String>,
    /// Flows of packet virtuals among them; `null`: no packet worker knows the member.
    pub flows: Option<u64>,
    /// The name that it is written with; `null`: its address.
    pub name: Option<String>,
    /// Ports for connections of proxies over TCP, by the address that these come from: each of `source` of the pool, else
    /// those that connections come from now.
    pub ports: Vec<PortsStatus>,
    #[serde(flatten)]
    pub counts: MemberCounts,
}

/// Ports of one address toward one member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct PortsStatus {
    pub source: String,
    /// By connections of any process, those in TIME-WAIT among them.
    pub in_use: u32,
    /// Of `net.ipv4.ip_local_port_range`.
    pub left: u32,
}

/// A member on the service path of one virtual.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct OnPathStatus {
    #[serde(rename = "virtual")]
    pub virtual_name: String,
    /// The mode of the flows that find it so, with the name of the SNAT pool in mode `snat`.
    pub mode: String,
    /// `up` or `down`.
    pub health: String,
    /// Why it is down, or the result of the last probe.
    pub reason: Option<String>,
}

/// A difference between what runs and what a start of the process would run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Difference {
    /// `rule`, `member` or `file`.
    pub kind: String,
    /// Which: `shop/canary`, `10.0.0.1:80 in pool web`, a path.
    pub what: String,
    /// How it runs, and what the configuration says.
    pub how: String,
}

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct ReloadSummary {
    pub epoch: u64,
    pub added: Vec<String>,
    pub changed: Vec<String>,
    pub removed: Vec<String>,
    pub unchanged: usize,
    /// What can be used and is most likely not meant, a line each.
    pub warnings: Vec<String>,
    /// What rules may do now that may not before, a line each.
    pub grants: Vec<String>,
}

/// The response to `GET /v1/pools`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Pools {
    pub pools: Vec<PoolStatus>,
}

impl Status {
    /// The rules of all virtuals, and of monitors.
    pub fn rules(&self) -> impl Iterator<Item = &RuleStatus> {
        let packets = self.packets.iter().flat_map(|packets| &packets.virtuals);
        let of_virtuals =
            self.virtuals.iter().flat_map(|it| &it.rules).chain(packets.flat_map(|it| &it.rules));
        of_virtuals.chain(self.pools.iter().flat_map(|it| &it.rules))
    }
}
