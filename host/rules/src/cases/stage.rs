//! The environment of a case: pools as it says, a clock that moves as it says, randomness with a seed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::file::{Case, PoolCase};
use crate::{Environment, Level, Manifest, MemberState, MemberStatus, PoolState, QueueState};

/// 2026-01-01 00:00 UTC.
const NOW_UNIX_MS: u64 = 1_767_225_600_000;
const NOW_MONOTONIC_US: u64 = 1_000_000;

/// Pools have the names of their slots here.
pub(super) struct Stage {
    pools: Vec<(String, PoolCase)>,
    log: Mutex<Vec<String>>,
    random: AtomicU64,
    bindings: Mutex<BTreeMap<(String, Vec<u8>), SocketAddr>>,
    /// What has passed, in microseconds.
    passed: AtomicU64,
}

impl Stage {
    pub(super) fn new(case: &Case, manifest: &Manifest) -> Stage {
        let slots = manifest.slots.iter().filter(|(_, slot)| !slot.snat);
        let pools = slots.map(|(slot, _)| (slot.clone(), case.pools.get(slot).copied().unwrap_or_default()));
        Stage {
            pools: pools.collect(),
            log: Mutex::default(),
            random: AtomicU64::new(0),
            bindings: Mutex::default(),
            passed: AtomicU64::new(0),
        }
    }

    /// Milliseconds of the clock.
    pub(super) fn now_ms(&self) -> u64 {
        self.monotonic_us() / 1000
    }

    /// Lets time pass.
    pub(super) fn pass(&self, time: Duration) {
        self.passed.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// What was logged so far: `info: text`.
    pub(super) fn log(&self) -> Vec<String> {
        self.log.lock().map(|log| log.clone()).unwrap_or_default()
    }

    /// The member of a pool that serves where nothing else decides.
    pub(super) fn first_member(&self, pool: Option<&str>) -> SocketAddr {
        let index = self.pools.iter().position(|(name, _)| Some(name.as_str()) == pool).unwrap_or_default();
        address(index, 0)
    }

    fn find(&self, pool: &str) -> Option<(usize, &PoolCase)> {
        let index = self.pools.iter().position(|(name, _)| name == pool)?;
        Some((index, &self.pools[index].1))
    }
}

/// `10.0.<pool>.<member>:80`, both from 1.
fn address(pool: usize, member: usize) -> SocketAddr {
    let octet = |index: usize| u8::try_from(index + 1).unwrap_or(u8::MAX);
    SocketAddr::from(([10, 0, octet(pool), octet(member)], 80))
}

impl Environment for Stage {
    fn log_enabled(&self, _: Level) -> bool {
        true
    }

    fn log(&self, _: &str, level: Level, message: &str) {
        let level = level.name();
        if let Ok(mut log) = self.log.lock() {
            log.push(format!("{level}: {message}"));
        }
    }

    fn unix_ms(&self) -> u64 {
        NOW_UNIX_MS + self.passed.load(Ordering::Relaxed) / 1000
    }

    fn monotonic_us(&self) -> u64 {
        NOW_MONOTONIC_US + self.passed.load(Ordering::Relaxed)
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            // SplitMix64 (Steele, Lea, Flood 2014): the same numbers in every run.
            let seed = self.random.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }

    fn pool(&self, pool: &str) -> Option<PoolState> {
        self.find(pool).map(|(_, pool)| PoolState {
            members: pool.members,
            usable: pool.usable.unwrap_or(pool.members).min(pool.members),
            active: pool.active,
        })
    }

    fn queue(&self, pool: &str) -> Option<QueueState> {
        self.find(pool).map(|(_, pool)| QueueState {
            waiting: pool.queued,
            oldest: Duration::from_millis(pool.oldest_ms.into()),
        })
    }

    fn members(&self, pool: &str) -> Vec<MemberState> {
        let Some((index, pool)) = self.find(pool) else { return Vec::new() };
        let usable = pool.usable.unwrap_or(pool.members);
        let members = (0..pool.members).map(|member| MemberState {
            address: address(index, member as usize),
            status: if member < usable { MemberStatus::Up } else { MemberStatus::Down },
            weight: 1,
            // What is in flight is spread over them, the first taking what is over.
            active: pool.active / pool.members + u32::from(member < pool.active % pool.members),
        });
        members.collect()
    }

    fn bound(&self, _: &str, pool: &str, key: &[u8]) -> Option<SocketAddr> {
        self.bindings.lock().ok()?.get(&(pool.to_owned(), key.to_vec())).copied()
    }

    fn bind(&self, _: &str, pool: &str, key: &[u8], member: SocketAddr, _: Option<Duration>) -> bool {
        let has = self.members(pool).iter().any(|it| it.address == member);
        if has && let Ok(mut bindings) = self.bindings.lock() {
            bindings.insert((pool.to_owned(), key.to_vec()), member);
        }
        has
    }

    fn unbind(&self, _: &str, pool: &str, key: &[u8]) -> bool {
        let bindings = self.bindings.lock();
        bindings.is_ok_and(|mut it| it.remove(&(pool.to_owned(), key.to_vec())).is_some())
    }

    fn bindings(&self, pool: &str) -> u64 {
        let bindings = self.bindings.lock();
        bindings.map_or(0, |it| it.keys().filter(|(of, _)| of == pool).count() as u64)
    }

    fn breaker_opened(&self, _: &str) {}
}
