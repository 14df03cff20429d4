//! What the daemon lends to rules: its log, its clocks, its random source and the state of its pools.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use rustls::crypto::SecureRandom;
use shunt_config::model::Persistence;
use shunt_engine::member::Admin;
use shunt_engine::persistence::{Bound, Key};
use shunt_rules::{Environment, Level, MemberState, MemberStatus, PoolState, QueueState};
use tokio::sync::mpsc;

use shunt_runtime::clock;
use shunt_runtime::{Member, Pool, Snapshot};

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
        if !self.log_enabled(level) {
            // An operator wants to see it all the same.
            tracing::info!(target: "rule", rule, at = level.name(), "{message}");
            return;
        }
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

    fn queue(&self, pool: &str) -> Option<QueueState> {
        let snapshot = self.snapshot.load();
        let queue = &snapshot.pool(pool)?.state.queue;
        let waited = queue.oldest().map_or(0, |since| clock::monotonic_ms().saturating_sub(since));
        Some(QueueState { waiting: queue.waiting(), oldest: Duration::from_millis(waited) })
    }

    fn members(&self, pool: &str) -> Vec<MemberState> {
        let snapshot = self.snapshot.load();
        let members = snapshot.pool(pool).map(|pool| pool.members.iter().map(member).collect());
        members.unwrap_or_default()
    }

    fn bound(&self, rule: &str, pool: &str, key: &[u8]) -> Option<SocketAddr> {
        let snapshot = self.snapshot.load();
        let (pool, key) = binding(&snapshot, rule, pool, key, None)?;
        pool.bindings.find(key.bytes(), clock::monotonic_ms())
    }

    fn bind(
        &self,
        rule: &str,
        pool: &str,
        key: &[u8],
        member: SocketAddr,
        timeout: Option<Duration>,
    ) -> bool {
        let snapshot = self.snapshot.load();
        let Some((pool, key)) = binding(&snapshot, rule, pool, key, timeout) else { return false };
        if !pool.members.iter().any(|it| it.settings.address == member) {
            return false;
        }
        let bound = pool.bindings.bind(key.bytes(), member, key.timeout(), clock::monotonic_ms(), |_| false);
        !matches!(bound, Bound::Not(_))
    }

    fn unbind(&self, rule: &str, pool: &str, key: &[u8]) -> bool {
        let snapshot = self.snapshot.load();
        binding(&snapshot, rule, pool, key, None).is_some_and(|(pool, key)| pool.bindings.forget(key.bytes()))
    }

    fn bindings(&self, pool: &str) -> u64 {
        self.snapshot.load().pool(pool).map_or(0, |pool| pool.bindings.len() as u64)
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

/// A pool, and a key as a rule's virtual has it there.
fn binding<'s>(
    snapshot: &'s Snapshot,
    rule: &str,
    pool: &str,
    key: &[u8],
    timeout: Option<Duration>,
) -> Option<(&'s Pool, Key)> {
    let (virtual_, _) = rule.split_once('/')?;
    let of_packets = || snapshot.packet_virtual(virtual_).and_then(|it| it.settings.persistence.as_ref());
    let settings = snapshot.virtual_named(virtual_).and_then(|it| it.settings.persistence.as_ref());
    let settings = settings.or_else(of_packets);
    let timeout = timeout.or(settings.and_then(|it| it.timeout));
    let timeout = timeout.map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX));
    let key = Key::of_rule(Persistence::prefix(settings, virtual_), key, timeout);
    let pool: &Pool = snapshot.pool(pool)?;
    Some((pool, key))
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
