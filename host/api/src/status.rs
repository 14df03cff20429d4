//! The process, its proxies, pools and members.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::counts::{MemberCounts, VirtualCounts};
use crate::packets::PacketStatus;
use crate::rules::RuleStatus;

/// What `GET /v1/status` answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct Status {
    pub version: String,
    /// Of the snapshot in force; one more with every change.
    pub epoch: u64,
    pub uptime_seconds: u64,
    pub workers: usize,
    /// It has been told to end: it accepts nothing, takes no changes, and waits for what is open.
    pub draining: bool,
    /// What a restart would change: made by commands, or changed in the files since.
    pub differences: Vec<Difference>,
    /// Lines of the log that could not be written.
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
    pub tls: bool,
    pub pool: Option<String>,
    pub rules: Vec<RuleStatus>,
    #[serde(flatten)]
    pub counts: VirtualCounts,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct PoolStatus {
    pub name: String,
    pub balance: String,
    pub usable: usize,
    pub members: Vec<MemberStatus>,
}

/// A member of a pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct MemberStatus {
    pub address: String,
    pub weight: u32,
    /// What its monitor says: `up` or `down`; `up` without a monitor.
    pub health: String,
    /// Why it is down, or what the last probe said that went straight to it.
    pub reason: Option<String>,
    /// How it is found on the service path, by each virtual that probes there.
    pub on_path: Vec<OnPathStatus>,
    /// What the operator wants: `enabled`, `draining` or `disabled`.
    pub admin: String,
    /// Requests and flows in flight.
    pub active: u32,
    /// Flows of packet virtuals among them; `null`: no packet worker knows the member.
    pub flows: Option<u64>,
    #[serde(flatten)]
    pub counts: MemberCounts,
}

/// A member as the clients of one virtual find it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct OnPathStatus {
    #[serde(rename = "virtual")]
    pub virtual_name: String,
    /// `up` or `down`.
    pub health: String,
    /// Why it is down, or what the last probe said.
    pub reason: Option<String>,
}

/// One thing that runs otherwise than a start of the process would have it.
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
    /// What is right, and most likely not meant, a line each.
    pub warnings: Vec<String>,
}

/// What `GET /v1/pools` answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Pools {
    pub pools: Vec<PoolStatus>,
}

impl Status {
    /// The rules of all virtuals.
    pub fn rules(&self) -> impl Iterator<Item = &RuleStatus> {
        let packets = self.packets.iter().flat_map(|packets| &packets.virtuals);
        self.virtuals.iter().flat_map(|it| &it.rules).chain(packets.flat_map(|it| &it.rules))
    }
}
