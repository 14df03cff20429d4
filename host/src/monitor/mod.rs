//! Monitors: what asks each member, again and again, whether it serves.
//!
//! One task per watch, on the control thread. What a probe is, is in `probe`, and what each kind
//! does in a file of its own, when a member counts as
//! up or down is [`shunt_engine::health`], and the result is a bit in the member's state, which workers
//! read for each choice.
//!
//! A member is watched straight, out of a plain socket of this process: so does the traffic of a proxy go. For a
//! packet virtual with `probe-from` it is watched on the service path as well (`on_path`), where the result is
//! that virtual's alone.

mod http;
mod on_path;
mod ping;
mod probe;
mod reasons;
mod tcp;
mod udp;
mod watch;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use shunt_engine::member::MemberState;
use shunt_rules::OnFault;
use tokio::task::JoinHandle;

use on_path::ServicePath;
use probe::Probe;
use shunt_config::model::{self, ProxyVersion};
use shunt_packets::Probes;
use shunt_runtime::tls::members::ToMember;
use shunt_runtime::{Member, Pool, Snapshot};
use watch::{AggregateHealth, Known, LastResult, Watched};

/// All that is watched. Dropping it ends every probe.
#[derive(Debug)]
pub struct Monitors {
    probes: Arc<Probes>,
    watches: HashMap<Key, Watch>,
}

/// What is watched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    /// The virtual on whose clients' way; `None`: straight.
    on_path_of: Option<String>,
    pool: String,
    member: SocketAddr,
}

/// A member under a monitor.
#[derive(Debug)]
struct Watch {
    settings: model::Monitor,
    path: Option<ServicePath>,
    begins: Beginning,
    state: Arc<MemberState>,
    last: Arc<LastResult>,
    /// What was known when it began.
    known: Known,
    task: JoinHandle<()>,
}

/// How connections to a member begin.
#[derive(Clone, Debug)]
struct Beginning {
    proxy_protocol: Option<ProxyVersion>,
    tls: Option<Arc<ToMember>>,
}

impl Beginning {
    fn is(&self, other: &Beginning) -> bool {
        let tls = |of: &Beginning| of.tls.as_ref().map(Arc::as_ptr);
        self.proxy_protocol == other.proxy_protocol && tls(self) == tls(other)
    }
}

/// A member as the clients of one virtual find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnPath {
    pub virtual_: String,
    pub up: bool,
    /// The result of the last probe; `None` before the first has come back.
    pub reason: Option<String>,
}

/// First probes are spread over this much time, so that a thousand members do not cost a thousand
/// connects in one instant. Short enough to count as "at once" for a person.
const SPREAD: Duration = Duration::from_millis(100);

impl Monitors {
    pub fn new(probes: Arc<Probes>) -> Self {
        Monitors { probes, watches: HashMap::new() }
    }

    /// Watches what the snapshot says: a member whose monitor did not change is left to its task, one
    /// whose monitor changed, or that was watched in another way, keeps its side until the new one finds
    /// otherwise, and one without a monitor is up. To be called within a tokio runtime, on which the probes then run.
    pub fn apply(&mut self, snapshot: &Snapshot) {
        let mut before = std::mem::take(&mut self.watches);
        let watched = before.values().filter(|watch| watch.knows());
        let watched: HashSet<*const MemberState> =
            watched.map(|watch| std::ptr::from_ref(watch.state.whole())).collect();
        for pool in &snapshot.pools {
            for member in &pool.members {
                let key = |on_path_of: Option<String>| {
                    let (pool, member) = (pool.settings.name.clone(), member.settings.address);
                    Key { on_path_of, pool, member }
                };
                let Some(settings) = &pool.settings.monitor else {
                    member.state.set_up(true);
                    continue;
                };
                let begins = Beginning {
                    proxy_protocol: pool.settings.proxy_protocol,
                    tls: pool.tls.as_ref().and_then(|tls| tls.member(member.settings.address)).cloned(),
                };
                let is_known = watched.contains(&Arc::as_ptr(&member.state));
                let known = if is_known { Known::Elsewhere(member.state.is_up()) } else { Known::Never };
                let paths = paths(snapshot, pool, member);
                let straight = goes_straight(snapshot, pool);
                let views: Vec<_> = paths.iter().map(|(_, state)| Arc::clone(state)).collect();
                let whole = (!straight).then(|| AggregateHealth { state: Arc::clone(&member.state), views });
                if straight {
                    let key = key(None);
                    let old = (before.remove(&key), known);
                    let asks = (settings, None, &begins);
                    let watch = Watch::next(old, &key, asks, &member.state, &self.probes);
                    self.watches.insert(key, watch);
                }
                for (path, state) in paths {
                    let key = key(Some(path.virtual_.clone()));
                    let old = (before.remove(&key), known);
                    let asks = (settings, Some(path), &begins);
                    let watch = Watch::next(old, &key, asks, &state, &self.probes);
                    watch.last.belong(whole.clone());
                    self.watches.insert(key, watch);
                }
            }
        }
    }

    /// The result of the last probe of a member.s own address: `status 200`, `connection refused`, `timed out
    /// after 2s`. `None` before the first has come back, and where nothing is watched so.
    pub fn reason(&self, pool: &str, member: SocketAddr) -> Option<String> {
        let key = Key { on_path_of: None, pool: pool.to_owned(), member };
        self.watches.get(&key)?.last.text()
    }

    /// How the clients of each virtual find a member that is watched on their way, by the virtuals' names.
    pub fn on_path(&self, pool: &str, member: SocketAddr) -> Vec<OnPath> {
        let watches = self.watches.iter().filter(|(key, _)| key.pool == pool && key.member == member);
        let mut found: Vec<OnPath> = watches
            .filter_map(|(key, watch)| {
                let virtual_ = key.on_path_of.clone()?;
                Some(OnPath { virtual_, up: watch.state.is_up(), reason: watch.last.text() })
            })
            .collect();
        found.sort_by(|one, other| one.virtual_.cmp(&other.virtual_));
        found
    }
}

/// The service paths to a member that are probed, each with the member.s state on it.
fn paths(snapshot: &Snapshot, pool: &Pool, member: &Member) -> Vec<(ServicePath, Arc<MemberState>)> {
    let address = member.settings.address;
    let of_virtual = |virtual_: &Arc<shunt_runtime::PacketVirtual>| {
        let on_path = virtual_.on_path.iter().find(|it| it.pool == pool.settings.name)?;
        let (_, state) = on_path.members.iter().find(|(it, _)| *it == address)?;
        let path = ServicePath::new(&virtual_.settings, &pool.settings, address)?;
        Some((path, Arc::clone(state)))
    };
    snapshot.packet_virtuals.iter().filter_map(of_virtual).collect()
}

/// Whether somebody goes by what a pool's monitor finds straight at the members: a proxy, a packet virtual that does
/// not probe on the service path, or whoever looks at a pool that nothing uses.
fn goes_straight(snapshot: &Snapshot, pool: &Pool) -> bool {
    let name = &pool.settings.name;
    let by_rule = |rules: &[model::RuleUse]| {
        rules.iter().any(|rule| {
            let fallback = matches!(&rule.on_fault, OnFault::Pool(pool) if pool == name);
            fallback || rule.slots.iter().any(|(_, pool)| pool == name)
        })
    };
    let mut proxies = snapshot.virtuals.iter().map(|it| &it.settings);
    if proxies.any(|it| it.pool.as_ref() == Some(name) || by_rule(&it.rules)) {
        return true;
    }
    let packets = snapshot.packet_virtuals.iter().map(|it| &it.settings);
    let mut reaching = packets.filter(|it| it.reaches(name)).peekable();
    reaching.peek().is_none() || reaching.any(|it| it.probe_from.is_none())
}

impl Watch {
    fn next(
        (old, elsewhere): (Option<Watch>, Known),
        key: &Key,
        (settings, path, begins): (&model::Monitor, Option<ServicePath>, &Beginning),
        state: &Arc<MemberState>,
        probes: &Arc<Probes>,
    ) -> Watch {
        // A member that left and came back has a new state, of which its old watch knows nothing.
        let old = old.filter(|old| Arc::ptr_eq(&old.state, state));
        let known = match old {
            Some(old) if old.settings == *settings && old.path == path && old.begins.is(begins) => {
                return old;
            }
            // The old task ends here, before the new one begins.
            Some(old) if old.last.text().is_some() => Known::Same,
            Some(old) if old.knows() => Known::Elsewhere(state.is_up()),
            Some(_) => Known::Never,
            None => {
                // Until its task runs, which may be after the first clients.
                if let Known::Elsewhere(up) = elsewhere {
                    state.set_up(up);
                }
                elsewhere
            }
        };
        let last = Arc::<LastResult>::default();
        let watched = Watched {
            pool: key.pool.clone(),
            address: key.member,
            on_path_of: key.on_path_of.clone(),
            settings: settings.clone(),
            state: Arc::clone(state),
            last: Arc::clone(&last),
        };
        let delay = delay(&key.pool, key.member, settings.interval);
        let (probes, on_path) = (Arc::clone(probes), path.clone());
        let Beginning { proxy_protocol, tls } = begins.clone();
        let task = tokio::spawn(async move {
            let model::Monitor { probe, timeout, .. } = watched.settings.clone();
            let probe = Probe { address: watched.address, does: probe, timeout, proxy_protocol, tls };
            match &on_path {
                Some(path) => {
                    watch::run(&watched, known, delay, || path.probe(&probe, &watched.state, &probes)).await;
                }
                None => watch::run(&watched, known, delay, || probe.run()).await,
            }
        });
        let (settings, begins) = (settings.clone(), begins.clone());
        Watch { settings, path, begins, state: Arc::clone(state), last, known, task }
    }
}

impl Watch {
    /// Whether the side of its member is more than a guess.
    fn knows(&self) -> bool {
        self.known != Known::Never || self.last.text().is_some()
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
