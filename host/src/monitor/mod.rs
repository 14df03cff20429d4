//! Monitors: what asks each member, again and again, whether it serves.
//!
//! One task per monitor and member, on the control thread (`watch`). What a probe is, is in `probe`, and what each kind
//! does in a file of its own; when a monitor finds a member up or down is [`shunt_engine::health`], what several
//! say together is in `verdict`, and the result is a bit in the member's state, which workers read for each choice.
//!
//! A member is watched straight, out of a plain socket of this process: so does the traffic of a proxy go. For a
//! packet virtual with `probe-from` it is watched on the service path as well (`on_path`), where the result is
//! that virtual's alone.

mod agent;
mod behind;
mod dialogue;
mod dns;
mod exec;
mod grpc;
mod http;
mod http1;
mod on_path;
mod ping;
mod probe;
mod reasons;
mod rule;
mod script;
mod service;
mod sip;
mod tcp;
mod tls;
mod udp;
mod verdict;
mod watch;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use shunt_engine::member::{Admin, MemberState};
use shunt_rules::{Attachment, OnFault};
use tokio::task::JoinHandle;

use behind::Behind;
use on_path::ServicePath;
use probe::Probe;
use rule::Judges;
use shunt_config::RuleOwner;
use shunt_config::model::{self, PathMode, ProxyVersion};
use shunt_config::monitors::{self, Monitor, Origin};
use shunt_packets::Probes;
use shunt_runtime::tls::members::ToMember;
use shunt_runtime::{Member, Pool, Snapshot};
use verdict::{AggregateHealth, Side, Verdict};
use watch::{Known, Place, Watched};

/// All that is watched. Dropping it ends every probe.
#[derive(Debug)]
pub struct Monitors {
    probes: Arc<Probes>,
    watches: HashMap<Key, Watch>,
    judges: Judges,
    behind: Behind,
    /// Tasks begun so far, which tells the times of their probes apart.
    begun: u32,
}

/// What is watched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    /// The virtual on whose clients' way, and in which mode; `None`: straight.
    on_path_of: Option<(String, PathMode)>,
    pool: String,
    member: SocketAddr,
}

/// A member under its monitors, on one path.
#[derive(Debug)]
struct Watch {
    begins: Beginning,
    verdict: Arc<Verdict>,
    /// In the order of the configuration.
    monitors: Vec<MonitorTask>,
}

/// One monitor of a member.
#[derive(Debug)]
struct MonitorTask {
    settings: Monitor,
    path: Option<ServicePath>,
    convergence: Option<Duration>,
    side: Arc<Side>,
    /// What was known when it began.
    known: Known,
    task: JoinHandle<()>,
}

/// How connections to a member begin.
#[derive(Clone, Debug)]
struct Beginning {
    proxy_protocol: Option<ProxyVersion>,
    tls: Option<Arc<ToMember>>,
    /// The address of this host that they come from; `None`: as the kernel chooses.
    source: Option<IpAddr>,
}

impl Beginning {
    fn is(&self, other: &Beginning) -> bool {
        let tls = |of: &Beginning| of.tls.as_ref().map(Arc::as_ptr);
        self.proxy_protocol == other.proxy_protocol && tls(self) == tls(other) && self.source == other.source
    }

    /// Where probes come from that go straight to the member: where the monitor says, else where the connections do.
    fn origin(&self, origin: Origin) -> Origin {
        match (origin.source, &origin.interface) {
            (None, None) => Origin { source: self.source, ..origin },
            _ => origin,
        }
    }
}

/// A member as the clients of one virtual find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnPath {
    pub virtual_: String,
    /// Of flows in this mode.
    pub mode: PathMode,
    pub up: bool,
    /// The result of the last probe; `None` before the first has come back.
    pub reason: Option<String>,
}

impl Monitors {
    pub fn new(probes: Arc<Probes>) -> Self {
        Monitors {
            probes,
            watches: HashMap::new(),
            judges: Judges::default(),
            behind: Behind::default(),
            begun: 0,
        }
    }

    /// Has monitors that are rules be judged by these, by their names, from their next step on. To be called before
    /// [`Monitors::apply`] where there are new ones. `None`: the rule is unloaded.
    pub fn judge_by(&mut self, rules: &HashMap<String, Option<Arc<Attachment>>>) {
        self.judges.replace(rules);
    }

    /// Watches what the snapshot says: a member whose monitor did not change is left to its task, one
    /// whose monitor changed, or that was watched in another way, keeps its side until the new one finds
    /// otherwise, and one without a monitor is up. To be called within a tokio runtime, on which the probes then run.
    pub fn apply(&mut self, snapshot: &Snapshot) {
        let mut before = std::mem::take(&mut self.watches);
        self.behind.refresh();
        let watched = before.values().filter(|watch| watch.knows());
        let watched: HashSet<*const MemberState> =
            watched.map(|watch| std::ptr::from_ref(watch.verdict.state.whole())).collect();
        for pool in &snapshot.pools {
            for member in &pool.members {
                let key = |on_path_of: Option<(String, PathMode)>| {
                    let (pool, member) = (pool.settings.name.clone(), member.settings.address);
                    Key { on_path_of, pool, member }
                };
                let is_agent = |monitor: &Monitor| matches!(monitor.probe, monitors::Probe::Agent(_));
                if !pool.settings.monitors.iter().any(is_agent) {
                    member.state.set_agent(Admin::Enabled);
                    member.state.set_share(100);
                }
                if pool.settings.monitors.is_empty() {
                    member.state.set_up(true);
                    continue;
                }
                let begins = Beginning {
                    proxy_protocol: pool.settings.proxy_protocol,
                    tls: pool.tls.as_ref().and_then(|tls| tls.member(member.settings.address)).cloned(),
                    source: pool.settings.source.first_toward(member.settings.address),
                };
                let is_known = watched.contains(&Arc::as_ptr(&member.state));
                let known = if is_known { Known::Elsewhere(member.state.is_up()) } else { Known::Never };
                let paths = paths(snapshot, pool, member);
                let straight = goes_straight(snapshot, pool);
                let views: Vec<_> = paths.iter().map(|(_, _, state)| Arc::clone(state)).collect();
                let whole = (!straight).then(|| AggregateHealth { state: Arc::clone(&member.state), views });
                if straight {
                    let key = key(None);
                    let old = (before.remove(&key), known);
                    let watch = self.next(old, &key, pool, None, &begins, &member.state);
                    self.watches.insert(key, watch);
                }
                for (virtual_, mode, state) in paths {
                    let key = key(Some((virtual_.name.clone(), mode.clone())));
                    let old = (before.remove(&key), known);
                    let watch = self.next(old, &key, pool, Some((virtual_, &mode)), &begins, &state);
                    watch.verdict.belong(whole.clone());
                    self.watches.insert(key, watch);
                }
            }
        }
    }

    /// The result of the last probe of a member's own address: `status 200`, `connection refused`, `timed out
    /// after 2s`. `None` before the first has come back, and where nothing is watched so.
    pub fn reason(&self, pool: &str, member: SocketAddr) -> Option<String> {
        let key = Key { on_path_of: None, pool: pool.to_owned(), member };
        self.watches.get(&key)?.verdict.text()
    }

    /// How the clients of each virtual find a member that is watched on their way, by the virtuals' names and modes.
    pub fn on_path(&self, pool: &str, member: SocketAddr) -> Vec<OnPath> {
        let watches = self.watches.iter().filter(|(key, _)| key.pool == pool && key.member == member);
        let mut found: Vec<OnPath> = watches
            .filter_map(|(key, watch)| {
                let (virtual_, mode) = key.on_path_of.clone()?;
                Some(OnPath { virtual_, mode, up: watch.verdict.state.is_up(), reason: watch.verdict.text() })
            })
            .collect();
        found.sort_by(|one, other| (&one.virtual_, &one.mode).cmp(&(&other.virtual_, &other.mode)));
        found
    }
}

/// The virtuals on whose service paths a member is probed, and in which modes, each with the member's state there.
fn paths<'a>(
    snapshot: &'a Snapshot,
    pool: &Pool,
    member: &Member,
) -> Vec<(&'a model::PacketVirtual, PathMode, Arc<MemberState>)> {
    let of_virtual = |virtual_: &'a Arc<shunt_runtime::PacketVirtual>| {
        let on_path = virtual_.on_path.iter().filter(|it| it.pool == pool.settings.name);
        on_path.filter_map(|it| {
            let (_, state) = it.members.iter().find(|(it, _)| *it == member.settings.address)?;
            virtual_.settings.probe_from.map(|_| (&virtual_.settings, it.mode.clone(), Arc::clone(state)))
        })
    };
    snapshot.packet_virtuals.iter().flat_map(of_virtual).collect()
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

impl Monitors {
    /// The watch over a member from now on, and what is known of it from elsewhere. Monitors that did not change are
    /// left to their tasks.
    fn next(
        &mut self,
        (old, elsewhere): (Option<Watch>, Known),
        key: &Key,
        pool: &Pool,
        virtual_: Option<(&model::PacketVirtual, &PathMode)>,
        begins: &Beginning,
        state: &Arc<MemberState>,
    ) -> Watch {
        // A member that left and came back has a new state, of which its old watch knows nothing.
        let old = old.filter(|old| Arc::ptr_eq(&old.verdict.state, state));
        let elsewhere = match &old {
            Some(old) if old.knows() => Known::Elsewhere(state.is_up()),
            Some(_) => Known::Never,
            None => elsewhere,
        };
        let verdict =
            old.as_ref().map_or_else(|| Verdict::new(Arc::clone(state)), |old| Arc::clone(&old.verdict));
        let begins_alike = old.as_ref().is_some_and(|old| old.begins.is(begins));
        let mut before: Vec<Option<MonitorTask>> = old
            .map(|mut old| std::mem::take(&mut old.monitors))
            .unwrap_or_default()
            .into_iter()
            .map(Some)
            .collect();
        let path = |settings: &Monitor| {
            let pool = &pool.settings.name;
            virtual_.and_then(|(it, mode)| ServicePath::new(it, mode, pool, settings, key.member))
        };
        let mut asked: Vec<(&Monitor, Option<ServicePath>, Option<MonitorTask>)> = Vec::new();
        for settings in &pool.settings.monitors {
            let path = path(settings);
            let is_same = |task: &&mut Option<MonitorTask>| {
                task.as_ref().is_some_and(|it| {
                    begins_alike
                        && it.settings == *settings
                        && it.path == path
                        && it.convergence == pool.settings.convergence
                })
            };
            let same = before.iter_mut().find(is_same).and_then(Option::take);
            asked.push((settings, path, same));
        }
        let mut monitors = Vec::new();
        for (index, (settings, path, same)) in asked.into_iter().enumerate() {
            // One that changed begins on the side of the one in whose place it is; that one's task ends before.
            let replaced = before.get_mut(index).and_then(Option::take);
            let known = match replaced {
                Some(old) if old.side.is_probed() => Known::Same(old.side.found().up),
                _ => elsewhere,
            };
            let asks = (settings, path, pool.settings.convergence);
            monitors.push(same.unwrap_or_else(|| self.begin(key, &verdict, asks, begins, known)));
        }
        let sides = monitors.iter().map(|it| Arc::clone(&it.side)).collect();
        // Before their tasks run, which may be after the first clients.
        verdict.set(sides, pool.settings.monitors_needed);
        Watch { begins: begins.clone(), verdict, monitors }
    }

    fn begin(
        &mut self,
        key: &Key,
        verdict: &Arc<Verdict>,
        (settings, path, convergence): (&Monitor, Option<ServicePath>, Option<Duration>),
        begins: &Beginning,
        known: Known,
    ) -> MonitorTask {
        let side = Side::new(settings.probe.as_str(), known.up(settings));
        let watched = Watched {
            pool: key.pool.clone(),
            address: key.member,
            on_path_of: key.on_path_of.as_ref().map(|(virtual_, mode)| format!("{virtual_} ({mode})")),
            settings: settings.clone(),
            side: Arc::clone(&side),
            verdict: Arc::clone(verdict),
            place: Place::of(self.begun),
            behind: self.behind.join(self.begun, key.member.ip(), settings),
            convergence,
        };
        self.begun = self.begun.wrapping_add(1);
        let (probes, on_path) = (Arc::clone(&self.probes), path.clone());
        let begins = begins.clone();
        let judge = settings.probe.rule().and_then(|it| {
            self.judges.get(&format!("{}/{}", RuleOwner::Pool(&key.pool).name(), it.rule.name))
        });
        let task = tokio::spawn(async move {
            let Monitor { probe, timeout, origin, .. } = watched.settings.clone();
            let (origin, Beginning { proxy_protocol, tls, .. }) = (begins.origin(origin), begins);
            let probe =
                Probe { address: watched.address, does: probe, timeout, proxy_protocol, tls, origin, judge };
            match &on_path {
                Some(path) => {
                    let ask = || Box::pin(path.probe(&probe, &watched.verdict.state, &probes));
                    Box::pin(watch::run(&watched, known, ask)).await;
                }
                None => watch::run(&watched, known, || probe.run()).await,
            }
        });
        MonitorTask { settings: settings.clone(), path, convergence, side, known, task }
    }
}

impl Watch {
    /// Whether the side of its member is more than a guess.
    fn knows(&self) -> bool {
        self.monitors.iter().any(|it| it.known != Known::Never || it.side.is_probed())
    }
}

/// A task of the same thread: once this returns, it does not run again.
impl Drop for MonitorTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod conversations;
#[cfg(test)]
mod tests;
