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
    pub(super) virtuals: Vec<Virtual>,
    pub(super) pools: Vec<Pool>,
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
    pub(super) admin: String,
    pub(super) active: u64,
    pub(super) requests: u64,
    pub(super) connects_failed: u64,
    pub(super) failures: u64,
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
