//! The one seam through which capabilities reach the world.

use std::net::SocketAddr;
use std::time::Duration;

/// What the daemon, or the case runner, lends to rules. Called on the worker's thread in
/// the middle of a hook call: nothing here may block.
pub trait Environment: Send + Sync {
    /// Whether a line of that level would be written.
    fn log_enabled(&self, level: Level) -> bool;
    /// Writes a line, also one of a level that would else not be; `rule` is the attachment's name. At most 4,096 bytes of
    /// `message`.
    fn log(&self, rule: &str, level: Level, message: &str);
    /// Milliseconds since 1970-01-01 00:00 UTC.
    fn unix_ms(&self) -> u64;
    /// Microseconds since some moment; never runs back.
    fn monotonic_us(&self) -> u64;
    /// From a cryptographically secure generator.
    fn fill_random(&self, bytes: &mut [u8]);
    /// The live state of a pool, by its name in the configuration.
    fn pool(&self, pool: &str) -> Option<PoolState>;
    /// Those that wait for a member of a pool, by its name in the configuration.
    fn queue(&self, pool: &str) -> Option<QueueState>;
    /// The members of a pool in the order of the configuration; empty if there is no such pool.
    fn members(&self, pool: &str) -> Vec<MemberState>;
    /// The member that a key of a rule's virtual is bound to in a pool; `rule` is the attachment's name. That is a use.
    fn bound(&self, rule: &str, pool: &str, key: &[u8]) -> Option<SocketAddr>;
    /// Binds a key so, for as long as the virtual says where no time is given; whether it is bound.
    fn bind(&self, rule: &str, pool: &str, key: &[u8], member: SocketAddr, timeout: Option<Duration>)
    -> bool;
    /// Deletes the binding of a key; whether there was one.
    fn unbind(&self, rule: &str, pool: &str, key: &[u8]) -> bool;
    /// How many bindings a pool has.
    fn bindings(&self, pool: &str) -> u64;
    /// The breaker of an attachment opened: the rule had too many faults and is not called for a while.
    fn breaker_opened(&self, rule: &str);
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

impl Level {
    /// From the one that matters most.
    pub const ALL: [Level; 4] = [Level::Error, Level::Warn, Level::Info, Level::Debug];

    pub fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

/// A pool, summed over its members and all workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolState {
    pub members: u32,
    /// Up, enabled and not draining.
    pub usable: u32,
    /// Requests and connections in flight.
    pub active: u32,
}

/// The queue of a pool, over all workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueState {
    pub waiting: u32,
    /// How long the first has waited; zero when none waits.
    pub oldest: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberState {
    pub address: SocketAddr,
    pub status: MemberStatus,
    pub weight: u32,
    /// Requests and connections in flight, over all workers.
    pub active: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemberStatus {
    Up,
    /// Its monitor says so.
    Down,
    /// Takes no new clients.
    Draining,
    /// Taken out by the operator.
    Disabled,
}
