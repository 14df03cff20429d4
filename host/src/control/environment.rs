//! What the daemon lends to rules: its log, its clocks, its random source and the state of its pools.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use rustls::crypto::SecureRandom;
use shunt_engine::member::Admin;
use shunt_rules::{Environment, Level, MemberState, MemberStatus, PoolState};
use tokio::sync::mpsc;

use shunt_runtime::clock;
use shunt_runtime::{Member, Snapshot};

pub(crate) struct DaemonEnvironment {
    snapshot: Arc<ArcSwap<Snapshot>>,
    random: &'static dyn SecureRandom,
    /// Names of rules whose breaker opened.
    breakers: mpsc::UnboundedSender<String>,
}

impl DaemonEnvironment {
    pub(crate) fn new(snapshot: Arc<ArcSwap<Snapshot>>, breakers: mpsc::UnboundedSender<String>) -> Self {
        let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
        DaemonEnvironment { snapshot, random, breakers }
    }
}

impl Environment for DaemonEnvironment {
    fn log_enabled(&self, level: Level) -> bool {
        match level {
            Level::Error => tracing::enabled!(target: "rule", tracing::Level::ERROR),
            Level::Warn => tracing::enabled!(target: "rule", tracing::Level::WARN),
            Level::Info => tracing::enabled!(target: "rule", tracing::Level::INFO),
            Level::Debug => tracing::enabled!(target: "rule", tracing::Level::DEBUG),
        }
    }

    fn log(&self, rule: &str, level: Level, message: &str) {
        // A rule's text is untrusted: line ends and control characters must not forge log lines.
        let message = message.escape_debug();
        match level {
            Level::Error => tracing::error!(target: "rule", rule, "{message}"),
            Level::Warn => tracing::warn!(target: "rule", rule, "{message}"),
            Level::Info => tracing::info!(target: "rule", rule, "{message}"),
            Level::Debug => tracing::debug!(target: "rule", rule, "{message}"),
        }
    }

    fn unix_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn monotonic_us(&self) -> u64 {
        clock::monotonic_us()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        if self.random.fill(bytes).is_err() {
            // The kernel's generator does not fail once it has been seeded; without it nothing is secret.
            tracing::error!("the system gives no random numbers");
        }
    }

    fn pool(&self, pool: &str) -> Option<PoolState> {
        let snapshot = self.snapshot.load();
        let pool = snapshot.pool(pool)?;
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Some(PoolState {
            members: count(pool.members.len()),
            usable: count(pool.members.iter().filter(|it| it.state.usable_for_new()).count()),
            active: pool.members.iter().map(|it| it.state.active()).sum(),
        })
    }

    fn members(&self, pool: &str) -> Vec<MemberState> {
        let snapshot = self.snapshot.load();
        let members = snapshot.pool(pool).map(|pool| pool.members.iter().map(member).collect());
        members.unwrap_or_default()
    }

    fn breaker_opened(&self, rule: &str) {
        tracing::warn!(
            rule,
            "the breaker has opened: the rule had too many faults and is not called for a while"
        );
        // Fails only while the process ends.
        let _ = self.breakers.send(rule.to_owned());
    }
}

fn member(member: &Member) -> MemberState {
    let address: SocketAddr = member.settings.address;
    let status = match (member.state.admin(), member.state.is_up()) {
        (Admin::Disabled, _) => MemberStatus::Disabled,
        (_, false) => MemberStatus::Down,
        _ if member.state.ejection().is_ejected() => MemberStatus::Down,
        (Admin::Draining, true) => MemberStatus::Draining,
        (Admin::Enabled, true) => MemberStatus::Up,
    };
    MemberState { address, status, weight: member.settings.weight, active: member.state.active() }
}
