//! The control thread's side: what turns a configuration into a snapshot, and everything that changes
//! one. Nothing here is on the way of a request.
//!
//! A change is a plan first: what can fail (reading, binding, compiling, certificates) is done before
//! anything is touched; then the workers get the new snapshot in one message; then what is not needed
//! any more is released. A change that fails leaves everything as it was.

mod actor;
mod apply;
mod differences;
mod environment;
mod explain;
mod flows;
mod history;
mod operate;
mod packet_status;
mod packets;
mod plan;
mod rules;
mod status;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use shunt_rules::RuleHost;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::monitor::Monitors;
use environment::DaemonEnvironment;
use shunt_config::model::Config;
use shunt_config::{Fingerprint, Report};
use shunt_packets::{Packets, Probes};
use shunt_proxy::worker::Worker;
use shunt_runtime::Snapshot;
use shunt_runtime::registry::Registry;

pub use actor::Actor;
pub use explain::Unexplained;
pub use flows::FlowQuery;
pub use operate::NotFound;
pub use plan::{Summary, check};
pub use rules::{LoadError, RuleName};

/// The running process, as the admin interface sees it. One change at a time.
pub struct Control {
    path: PathBuf,
    config: Config,
    host: Arc<RuleHost>,
    environment: Arc<DaemonEnvironment>,
    registry: Registry,
    rules: rules::Histories,
    snapshot: Arc<ArcSwap<Snapshot>>,
    workers: Vec<Worker>,
    /// While there are packet virtuals.
    packets: Option<Packets>,
    /// Drawn at random: decides which packet worker owns a flow.
    flow_key: [u64; 2],
    monitors: Monitors,
    /// What monitors have sent on the way of clients.
    probes: Arc<Probes>,
    started: std::time::Instant,
    /// What the files of the configuration were when it was put in force.
    files: Fingerprint,
    /// It takes no changes any more, and waits for what is open.
    draining: bool,
    /// Names of rules whose breaker opened; taken by whoever acts on them.
    opened: Option<mpsc::UnboundedReceiver<String>>,
}

/// What a drain waits for, besides packet flows.
pub struct Drain {
    /// Each ends when a worker's last connection has ended.
    pub workers: Vec<oneshot::Receiver<()>>,
    /// How long it waits at most.
    pub most: Duration,
}

impl ApplyError {
    /// All that is wrong, and what came of it.
    pub fn told(&self, outcome: &str) -> String {
        match self {
            ApplyError::Config(report) => format!("{}{}", report.render(false), report.summary(outcome)),
            ApplyError::Resources(_) | ApplyError::System(_) => format!("{self}\n{outcome}"),
        }
    }
}

/// Why a configuration cannot be put in force. Nothing was changed.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// Problems in the text of the configuration.
    #[error("{}", .0.render(false))]
    Config(Report),
    /// What the text names cannot be used: one line each, with the key that names it.
    #[error("{}", .0.join("\n"))]
    Resources(Vec<String>),
    #[error("{0}")]
    System(String),
}
