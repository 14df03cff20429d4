//! The control thread's side: what turns a configuration into a snapshot, and everything that changes
//! one. Nothing here is on the way of a request.
//!
//! A change is a plan first, a value that is made without holding anything up: files are read, packs compiled,
//! certificates loaded. If what it was planned against still stands, each [plane](shunt_runtime::plane) makes what can
//! fail; only when all have is it put in force, and what is not needed any more released. A change that fails leaves
//! everything as it was.

mod actor;
mod apply;
mod bindings;
mod compile;
mod cookie_keys;
mod differences;
mod environment;
mod explain;
mod explain_http;
mod flags;
mod flows;
mod follow;
mod groups;
mod guard;
mod highest;
mod history;
mod large_keys;
mod load;
mod lock;
mod memory;
mod names;
mod next;
mod operate;
mod packet_status;
mod packs;
mod pages;
mod plan;
mod ports;
mod rollback;
mod rules;
mod sets;
mod status;
mod tables;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use shunt_rules::RuleHost;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

use crate::monitor::Monitors;
use environment::DaemonEnvironment;
use shunt_config::model::Config;
use shunt_config::{Fingerprint, Report};
use shunt_packets::PacketPlane;
use shunt_proxy::change::ProxyPlane;
use shunt_runtime::Snapshot;
use shunt_runtime::plane::Plane;
use shunt_runtime::registry::Registry;

pub use actor::Actor;
pub use apply::reload;
pub use bindings::{Unlisted, bindings};
pub use explain::Unexplained;
pub use explain_http::{explain_http, explain_http_of};
pub use flags::FlagRefusal;
pub use flows::FlowQuery;
pub use follow::follow_tls;
pub use groups::follow_groups;
pub use guard::Allow;
pub use large_keys::follow_large_keys;
pub use load::{Load, load_reference, load_rule};
pub use lock::{Change, Locked, lock};
pub use memory::follow_memory;
pub use names::follow_names;
pub use operate::NotFound;
pub use plan::{Summary, check};
pub use ports::{follow_ports, look_at_ports};
pub use rollback::{breaker_opened, rollback_rule};
pub use rules::{LoadError, RuleName};
pub use sets::{SetLoadError, load_set};
pub use tables::{EntryError, OperatedTable, follow_tables};

/// The running process, as the admin interface sees it. One change at a time.
pub struct Control {
    /// Dropped first: their threads use the rest.
    planes: Planes,
    path: PathBuf,
    /// The one in force.
    config: Arc<Config>,
    host: Arc<RuleHost>,
    environment: Arc<DaemonEnvironment>,
    registry: Registry,
    rules: rules::Histories,
    packs: Arc<packs::Packs>,
    /// What members by name are.
    names: Arc<names::Names>,
    ports: Arc<ports::Ports>,
    highest: highest::Highest,
    snapshot: Arc<ArcSwap<Snapshot>>,
    monitors: Monitors,
    started: std::time::Instant,
    /// What the files of the configuration were when it was put in force.
    files: Fingerprint,
    /// Whether it takes no changes any more; then it waits for what is open.
    ending: watch::Sender<bool>,
    /// Names of rules whose breaker opened; taken by the task that acts on them.
    opened: Option<mpsc::UnboundedReceiver<String>>,
}

/// Why a change that was planned is not put in force.
const ENDING: &str = "this Shunt is draining and accepts no changes; change its successor instead";

/// Everything that serves traffic.
struct Planes {
    proxies: ProxyPlane,
    packets: PacketPlane,
}

impl Planes {
    /// In the order in which a change goes through them.
    fn list(&mut self) -> [&mut dyn Plane; 2] {
        let Planes { proxies, packets } = self;
        [proxies, packets]
    }
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

/// Work that takes the processor for a while could not be done: it panicked, or the process ends.
#[derive(Debug)]
struct Aborted(String);

impl From<Aborted> for ApplyError {
    fn from(Aborted(why): Aborted) -> ApplyError {
        ApplyError::System(why)
    }
}

/// As [`off_thread`], and does not wait for it any more once this Shunt ends: a registry may take its time.
async fn unless_ending<T: Send + 'static, E: From<Aborted> + Send + 'static>(
    mut ending: watch::Receiver<bool>,
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    tokio::select! {
        biased;
        Ok(_) = ending.wait_for(|ending| *ending) => Err(Aborted(ENDING.to_owned()).into()),
        done = off_thread(work) => done,
    }
}

/// Runs what takes the processor for a while on another thread, so that monitors and the admin interface continue.
async fn off_thread<T: Send + 'static, E: From<Aborted> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Aborted(error.to_string()).into()),
    }
}
