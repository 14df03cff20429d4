//! A rule apart from the one that serves: what its calls do is seen by nobody else.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::breaker::Breaker;
use crate::environment::{MemberState, PoolState, QueueState};
use crate::{Attachment, Environment, Level, RuleStats, TableUse};

impl Attachment {
    /// The same rule with the same choices. It counts for itself, has breakers that are open where those of this one
    /// are, writes no log, sees pools as they are, and finds what is in its tables, which it changes for itself. Its instances are made of the same code.
    #[must_use]
    pub fn apart(&self) -> Arc<Attachment> {
        Arc::new(Attachment {
            rule: Arc::clone(&self.rule),
            name: Arc::clone(&self.name),
            slots: self.slots.clone(),
            sets: self.sets.clone(),
            flags: self.flags.clone(),
            keys: self.keys.clone(),
            log: Arc::clone(&self.log),
            isolation: self.isolation,
            on_fault: self.on_fault.clone(),
            settings: self.settings.clone(),
            grants: self.grants.clone(),
            budget: self.budget,
            time: self.time,
            header_limit: self.header_limit,
            environment: Arc::new(Apart::of(&self.environment)),
            stats: RuleStats::new(),
            tables: self.tables().iter().map(TableUse::apart).collect(),
            way: self.way,
            breakers: self.breakers.each_ref().map(Breaker::apart),
        })
    }
}

/// What is lent to a rule that is apart.
struct Apart {
    of: Arc<dyn Environment>,
    /// The levels that are written elsewhere.
    levels: Vec<Level>,
    bindings: Mutex<Bindings>,
}

/// Those that a rule made and deleted, by pool and key.
type Bindings = BTreeMap<(String, Vec<u8>), Option<SocketAddr>>;

impl Apart {
    fn of(of: &Arc<dyn Environment>) -> Apart {
        let mut levels = vec![Level::Error, Level::Warn, Level::Info, Level::Debug];
        levels.retain(|level| of.log_enabled(*level));
        Apart { of: Arc::clone(of), levels, bindings: Mutex::default() }
    }
}

impl Environment for Apart {
    fn log_enabled(&self, level: Level) -> bool {
        self.levels.contains(&level)
    }

    /// A trace has the line.
    fn log(&self, _: &str, _: Level, _: &str) {}

    fn unix_ms(&self) -> u64 {
        self.of.unix_ms()
    }

    fn monotonic_us(&self) -> u64 {
        self.of.monotonic_us()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.of.fill_random(bytes);
    }

    fn pool(&self, pool: &str) -> Option<PoolState> {
        self.of.pool(pool)
    }

    fn queue(&self, pool: &str) -> Option<QueueState> {
        self.of.queue(pool)
    }

    fn members(&self, pool: &str) -> Vec<MemberState> {
        self.of.members(pool)
    }

    fn bound(&self, rule: &str, pool: &str, key: &[u8]) -> Option<SocketAddr> {
        let own = self.bindings.lock().unwrap_or_else(PoisonError::into_inner);
        match own.get(&(pool.to_owned(), key.to_vec())) {
            Some(own) => *own,
            None => self.of.bound(rule, pool, key),
        }
    }

    fn bind(&self, _: &str, pool: &str, key: &[u8], member: SocketAddr, _: Option<Duration>) -> bool {
        let has = self.of.members(pool).iter().any(|it| it.address == member);
        if has {
            let mut own = self.bindings.lock().unwrap_or_else(PoisonError::into_inner);
            own.insert((pool.to_owned(), key.to_vec()), Some(member));
        }
        has
    }

    fn unbind(&self, rule: &str, pool: &str, key: &[u8]) -> bool {
        let was = self.bound(rule, pool, key).is_some();
        let mut own = self.bindings.lock().unwrap_or_else(PoisonError::into_inner);
        own.insert((pool.to_owned(), key.to_vec()), None);
        was
    }

    fn bindings(&self, pool: &str) -> u64 {
        self.of.bindings(pool)
    }

    fn breaker_opened(&self, _: &str) {}
}
