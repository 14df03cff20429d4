//! What the commands read of the daemon's answers. Fields that nothing shows are not named here, so
//! that the daemon may be another version.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Status {
    pub(super) version: String,
    pub(super) epoch: u64,
    pub(super) uptime_seconds: u64,
    pub(super) workers: usize,
    #[serde(default)]
    pub(super) draining: bool,
    #[serde(default)]
    pub(super) log_lines_lost: u64,
    pub(super) virtuals: Vec<Virtual>,
    pub(super) pools: Vec<Pool>,
    pub(super) packets: Option<Packets>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Virtual {
    pub(super) name: String,
    pub(super) listen: String,
    pub(super) tls: bool,
    pub(super) pool: Option<String>,
    pub(super) rules: Vec<Rule>,
    pub(super) connections: u64,
    pub(super) open: u64,
    pub(super) requests: u64,
    pub(super) answers: [u64; 5],
    pub(super) errors: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Pools {
    pub(super) pools: Vec<Pool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Pool {
    pub(super) name: String,
    pub(super) balance: String,
    pub(super) usable: usize,
    pub(super) members: Vec<Member>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Member {
    pub(super) address: String,
    pub(super) weight: u64,
    pub(super) health: String,
    pub(super) reason: Option<String>,
    pub(super) on_path: Vec<OnPath>,
    pub(super) admin: String,
    pub(super) active: u64,
    pub(super) requests: u64,
    pub(super) connects_failed: u64,
    pub(super) failures: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct OnPath {
    #[serde(rename = "virtual")]
    pub(super) virtual_: String,
    pub(super) health: String,
    pub(super) reason: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Rules {
    pub(super) rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) running: Option<u64>,
    pub(super) versions: Vec<RuleVersion>,
    pub(super) hooks: Vec<Hook>,
    pub(super) breaker: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct RuleVersion {
    pub(super) number: u64,
    pub(super) pack: String,
    pub(super) version: String,
    pub(super) digest: String,
    pub(super) loaded_unix_ms: u64,
    pub(super) hooks: Vec<String>,
    pub(super) faulty: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Hook {
    pub(super) hook: String,
    pub(super) calls: u64,
    pub(super) faults: BTreeMap<String, u64>,
    pub(super) p50_ns: Option<u64>,
    pub(super) p99_ns: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct LoadedRule {
    pub(super) name: String,
    pub(super) running: u64,
    pub(super) pack: String,
    pub(super) version: String,
    pub(super) digest: String,
    pub(super) hooks: Vec<String>,
    pub(super) replaced: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct ReloadSummary {
    pub(super) epoch: u64,
    pub(super) added: Vec<String>,
    pub(super) changed: Vec<String>,
    pub(super) removed: Vec<String>,
    pub(super) unchanged: usize,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Packets {
    pub(super) workers: usize,
    pub(super) flows: u64,
    pub(super) virtuals: Vec<PacketVirtual>,
    pub(super) translators: Vec<Translator>,
    pub(super) members: Vec<PacketMember>,
    pub(super) modes: Vec<Mode>,
    pub(super) drops: Vec<Drop>,
    pub(super) snat_pools: Vec<SnatPool>,
    pub(super) interfaces: Vec<Interface>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PacketVirtual {
    pub(super) name: String,
    pub(super) listen: String,
    pub(super) transport: String,
    pub(super) mode: String,
    pub(super) pool: Option<String>,
    pub(super) rules: Vec<Rule>,
    pub(super) refused: u64,
    #[serde(flatten)]
    pub(super) carried: Carried,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Translator {
    pub(super) name: String,
    pub(super) interfaces: Vec<String>,
    pub(super) bytes_to_v4: u64,
    pub(super) bytes_to_v6: u64,
    pub(super) refused: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct PacketMember {
    pub(super) pool: String,
    pub(super) member: String,
    #[serde(flatten)]
    pub(super) carried: Carried,
}

#[derive(Debug, Deserialize)]
pub(super) struct Mode {
    pub(super) mode: String,
    #[serde(flatten)]
    pub(super) carried: Carried,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Carried {
    pub(super) active: u64,
    pub(super) flows: u64,
    pub(super) bytes_to_server: u64,
    pub(super) bytes_to_client: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Drop {
    pub(super) reason: String,
    pub(super) count: u64,
    pub(super) remedy: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct SnatPool {
    pub(super) name: String,
    pub(super) addresses: usize,
    pub(super) leased: u64,
    pub(super) resting: u64,
    pub(super) least_free: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) mode: String,
    pub(super) queues: u64,
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) send_full: u64,
    pub(super) receive_full: u64,
    pub(super) no_buffer: u64,
    pub(super) dropped: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Flows {
    pub(super) flows: Vec<Flow>,
    pub(super) more: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Flow {
    pub(super) id: String,
    #[serde(rename = "virtual")]
    pub(super) virtual_name: String,
    pub(super) protocol: String,
    pub(super) client: String,
    pub(super) vip: String,
    pub(super) pool: String,
    pub(super) member: String,
    pub(super) mode: String,
    pub(super) snat: Option<String>,
    pub(super) state: String,
    pub(super) age_ms: u64,
    pub(super) idle_ms: u64,
    pub(super) expires_ms: u64,
    pub(super) packets_to_server: u64,
    pub(super) bytes_to_server: u64,
    pub(super) packets_to_client: u64,
    pub(super) bytes_to_client: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct FlowDetails {
    #[serde(flatten)]
    pub(super) flow: Flow,
    pub(super) to_server: Vec<String>,
    pub(super) to_client: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Explained {
    pub(super) interface: String,
    pub(super) interface_is_a_guess: bool,
    pub(super) packet: Vec<String>,
    pub(super) stages: Vec<FoundStage>,
    pub(super) rules: Vec<RuleSaid>,
    pub(super) members: Vec<Considered>,
    pub(super) flow: Option<String>,
    pub(super) rewrite: Option<Rewrite>,
    pub(super) verdict: Verdict,
    pub(super) leaves: Vec<Leaving>,
}

#[derive(Debug, Deserialize)]
pub(super) struct FoundStage {
    pub(super) stage: String,
    pub(super) found: Vec<String>,
}

/// What it said stands among what its stage found.
#[derive(Debug, Deserialize)]
pub(super) struct RuleSaid {}

#[derive(Debug, Deserialize)]
pub(super) struct Considered {
    pub(super) pool: String,
    pub(super) member: String,
    pub(super) weight: u64,
    pub(super) active: u64,
    pub(super) chosen: bool,
    pub(super) standing: String,
    pub(super) why: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Rewrite {
    #[serde(rename = "virtual")]
    pub(super) virtual_name: String,
    pub(super) pool: String,
    pub(super) member: String,
    pub(super) mode: String,
    pub(super) snat: Option<String>,
    pub(super) to_server: Vec<String>,
    pub(super) to_client: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Verdict {
    pub(super) action: String,
    pub(super) means: String,
    pub(super) reason: Option<String>,
    pub(super) stage: Option<String>,
    pub(super) remedy: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Leaving {
    pub(super) interface: String,
    pub(super) packet: Vec<String>,
}
