//! Monitors: what asks each member, again and again, whether it serves.
//!
//! One task per watched member, on the control thread. What a probe does is in [`probe`], when a
//! member counts as up or down is [`shunt_engine::health`], and the result is a bit in the member's
//! state, which workers read for each choice. Probes of a proxy virtual go the way that its traffic
//! goes: out of a plain socket of this process.

mod probe;
mod watch;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use shunt_engine::member::MemberState;
use tokio::task::JoinHandle;

use crate::config::model;
use crate::live::Snapshot;
use probe::Probe;
use watch::{Said, Watched};

/// All that is watched. Dropping it ends every probe.
#[derive(Debug, Default)]
pub struct Monitors {
    watches: HashMap<(String, SocketAddr), Watch>,
}

/// A member under a monitor.
#[derive(Debug)]
struct Watch {
    settings: model::Monitor,
    state: Arc<MemberState>,
    said: Arc<Said>,
    task: JoinHandle<()>,
}

/// First probes are spread over this much time, so that a thousand members do not cost a thousand
/// connects in one instant. Short enough to count as "at once" for a person.
const SPREAD: Duration = Duration::from_millis(100);

impl Monitors {
    pub fn new() -> Self {
        Self::default()
    }

    /// Watches what the snapshot says: a member whose monitor did not change is left to its task, one
    /// whose monitor changed keeps its side until the new one finds otherwise, and one without a
    /// monitor is up. To be called within a tokio runtime, on which the probes then run.
    pub fn apply(&mut self, snapshot: &Snapshot) {
        let mut before = std::mem::take(&mut self.watches);
        for pool in &snapshot.pools {
            for member in &pool.members {
                let key = (pool.settings.name.clone(), member.settings.address);
                let old = before.remove(&key);
                if let Some(settings) = &pool.settings.monitor {
                    let watch = Watch::next(old, &key, settings, &member.state);
                    self.watches.insert(key, watch);
                } else {
                    drop(old);
                    member.state.set_up(true);
                }
            }
        }
    }

    /// What the last probe said: `status 200`, `connection refused`, `timed out after 2s`. `None`
    /// before the first has come back, and where nothing is watched.
    pub fn reason(&self, pool: &str, member: SocketAddr) -> Option<String> {
        self.watches.get(&(pool.to_owned(), member))?.said.last()
    }
}

impl Watch {
    fn next(
        old: Option<Watch>,
        (pool, address): &(String, SocketAddr),
        settings: &model::Monitor,
        state: &Arc<MemberState>,
    ) -> Watch {
        // A member that left and came back has a new state, of which its old watch knows nothing.
        let old = old.filter(|old| Arc::ptr_eq(&old.state, state));
        let seen = match old {
            Some(old) if old.settings == *settings => return old,
            // The old task ends here, before the new one begins.
            Some(old) => old.said.last().is_some(),
            None => false,
        };
        let said = Arc::<Said>::default();
        let watched = Watched {
            pool: pool.clone(),
            address: *address,
            settings: settings.clone(),
            state: Arc::clone(state),
            said: Arc::clone(&said),
        };
        let delay = delay(pool, *address, settings.interval);
        let task = tokio::spawn(async move {
            let model::Monitor { probe, timeout, .. } = watched.settings.clone();
            let probe = Probe { address: watched.address, does: probe, timeout };
            watch::run(&watched, seen, delay, || probe.run()).await;
        });
        Watch { settings: settings.clone(), state: Arc::clone(state), said, task }
    }
}

/// A task of the same thread: once this returns, it does not run again.
impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// When the first probe of a member goes out: the same for the same member in every process.
fn delay(pool: &str, address: SocketAddr, interval: Duration) -> Duration {
    let place = shunt_engine::hash::stable(format!("{pool} {address}").as_bytes());
    // 16 bits of it are a fraction of the time.
    SPREAD.min(interval) * u32::from(place as u16) / u32::from(u16::MAX)
}

#[cfg(test)]
mod tests;
