//! Packet virtuals as the control thread holds them: opened, changed by a plan, closed.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shunt_engine::datapath::{Filter, FlowDetails, FlowProtocol, FlowSummary, Left, ModeName};
use shunt_engine::flow::{Cursor, FlowId};
use shunt_engine::snat::Blocks;
use shunt_sys::netlink::Netlink;
use tokio::sync::oneshot;

use crate::control::change::{Interfaces, Workload};
use crate::control::ports::{self, Named, Opened, Steered, chain};
use crate::control::probe_link::{Places, ProbeLink};
use crate::control::probes::Probes;
use crate::control::report::{InterfaceTotals, Report, Totals};
use crate::control::snapshot::{Loaded, Parts, Takes};
use crate::network::{Follower, Watched};
use crate::worker::{self, Command, Worker};
use shunt_config::model::{self, Config};
use shunt_runtime::Snapshot;

/// Flows that all workers together hold at most, unless virtuals are allowed more. Each costs 32 bytes of
/// address space from the start, and memory when it is there.
const MOST_FLOWS: usize = 1 << 20;

/// How long a flow without a connection is silent before draining does not wait for it any more, in
/// milliseconds. Questions and answers that belong together come closer to each other; what is asked later
/// finds the process that takes over.
const SILENT_MS: u64 = 2_000;

/// The states of flows that have ended, and are kept for what may come late.
const ENDED: [&str; 3] = ["closed", "client-reset", "server-reset"];

/// The packet plane. When it is dropped, threads end, sockets close and the XDP program leaves.
pub struct Packets {
    // Fields are dropped in this order: who sends to the workers first, then the workers with their
    // sockets, then the program.
    follower: Follower,
    pub(crate) workers: Vec<Worker>,
    steered: Arc<Mutex<Steered>>,
    pub(crate) links: HashMap<String, Named>,
    /// While a virtual probes on the service path.
    pub(crate) probe_link: Option<ProbeLink>,
    /// What the workers have; `None` before the first change.
    pub(crate) loaded: Option<Arc<Loaded>>,
    pub(crate) config: Option<Arc<Config>>,
    pub(crate) snapshot: Option<Arc<Snapshot>>,
    /// How many flows the tables of all workers together were made for.
    pub(crate) most_flows: usize,
}

impl Packets {
    /// Loads the XDP program and starts the workers: no more than `most_workers`, and no more than the
    /// interfaces have receive queues. Nothing is attached yet.
    ///
    /// # Errors
    /// Everything that is in the way, a line each.
    pub fn open(
        config: &Config,
        most_workers: usize,
        key: [u64; 2],
        probes: &Arc<Probes>,
    ) -> Result<Packets, Vec<String>> {
        let one = |problem: String| vec![problem];
        let system = |error: std::io::Error| one(format!("packet virtuals: {error}"));
        let netlink = Netlink::open().map_err(system)?;
        let needed = ports::find(config, netlink.state())?;
        let queues = needed.ports.iter().map(|needs| needs.queues as usize).max().unwrap_or(1);
        let steered = Steered::load().map_err(|error| one(format!("packet virtuals: {}", chain(&error))))?;
        let steered = Arc::new(Mutex::new(steered));
        let count = most_workers.min(queues).max(1);
        let most_flows = flows_of(config);
        if let Err(error) = shunt_sys::memory::allow_huge_pages(true) {
            tracing::debug!(%error, "no huge pages");
        }
        let workers = worker::start(count, key, most_flows.div_ceil(count), probes).map_err(system)?;
        let handles = workers.iter().map(|worker| worker.handle().clone()).collect();
        let follower = Follower::start(handles, Arc::clone(&steered)).map_err(system)?;
        let links = HashMap::new();
        let (probe_link, loaded, config, snapshot) = (None, None, None, None);
        Ok(Packets { follower, workers, steered, links, probe_link, loaded, config, snapshot, most_flows })
    }

    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Puts a change in force. Returns when every worker has it.
    pub(crate) async fn apply(&mut self, interfaces: Option<Interfaces>, workload: Workload) {
        let may_be_news = interfaces.is_some();
        let count = self.workers.len();
        let (mut opened, mut gone, mut places) = (Vec::new(), Vec::new(), None);
        if let Some(interfaces) = interfaces {
            self.links = interfaces.links;
            interfaces.tuns.iter().for_each(|link| self.steered().add_tun(link));
            (opened, gone, places) = (interfaces.opened, interfaces.gone, Some(interfaces.places));
        }
        opened.resize_with(count, Opened::default);
        self.replace(workload, opened).await;
        self.leave(gone).await;
        if let (Some(link), Some(places)) = (&mut self.probe_link, places) {
            link.keep(&places);
        }
        self.watch();
        if let Some(worker) = self.workers.first().filter(|_| may_be_news) {
            worker.handle().send(Command::Announce);
        }
    }

    /// Gives every worker the next snapshot; what they had is freed here. Only then are frames steered to workers that
    /// know what they are.
    async fn replace(&mut self, workload: Workload, opened: Vec<Opened>) {
        let Workload { loaded, rules } = workload;
        let mut waits = Vec::new();
        for ((worker, rules), opened) in self.workers.iter().zip(rules).zip(opened) {
            let (done, applied) = oneshot::channel();
            worker.handle().send(Command::Apply { loaded: Arc::clone(&loaded), rules, opened, done });
            waits.push(applied);
        }
        drop(all(waits).await);
        self.steered().steer(loaded.wanted());
        self.loaded = Some(loaded);
    }

    /// Gives up interfaces that are not used any more.
    async fn leave(&mut self, gone: Vec<u32>) {
        if gone.is_empty() {
            return;
        }
        if self.probe_link.as_ref().is_some_and(|link| gone.contains(&link.index())) {
            self.probe_link = None;
        }
        let probes = self.probe_link.as_ref().map(ProbeLink::index);
        {
            let mut steered = self.steered();
            steered.set_probe_link(probes);
            gone.iter().for_each(|interface| steered.detach(*interface));
        }
        let mut waits = Vec::new();
        for worker in &self.workers {
            let (done, closed) = oneshot::channel();
            worker.handle().send(Command::Close { interfaces: gone.clone(), done });
            waits.push(closed);
        }
        all(waits).await;
    }

    fn watch(&self) {
        let Some(loaded) = &self.loaded else { return };
        let tuns = self.steered().tuns();
        let probes = self.probe_link.as_ref().map(ProbeLink::way);
        self.follower.watch(Watched { destinations: loaded.destinations.clone(), tuns, probes });
    }

    /// What the probe interface has.
    pub(crate) fn places(&self) -> Cow<'_, Places> {
        self.probe_link.as_ref().map_or_else(Cow::default, |link| Cow::Borrowed(link.places()))
    }

    /// Takes no new flows from now on; existing ones continue.
    pub(crate) async fn close(&mut self) {
        let Some((config, snapshot)) = self.config.clone().zip(self.snapshot.clone()) else { return };
        let parts = Parts {
            snapshot: &snapshot,
            snat_pools: &config.snat_pools,
            links: &self.links,
            probes: self.probe_link.as_ref().map(ProbeLink::index),
            takes: Takes::Nothing,
        };
        match self.workload(&parts, &Left::default()).await {
            Ok(workload) => {
                let none = self.workers.iter().map(|_| Opened::default()).collect();
                self.replace(workload, none).await;
            }
            Err(problems) => tracing::error!("cannot stop new flows while draining: {}", problems.join("; ")),
        }
    }

    /// Whether a flow is left that a drain waits for.
    pub async fn has_open_flows(&self) -> bool {
        for worker in &self.workers {
            let mut from = Some(Cursor::default());
            while let Some(cursor) = from {
                let (reply, answer) = oneshot::channel();
                worker.handle().send(Command::Flows { filter: Filter::default(), from: cursor, reply });
                let Ok((shown, next)) = answer.await else { break };
                let of_clients = shown.iter().filter(|flow| !flow.is_probe);
                if of_clients.into_iter().any(|flow| is_waited_for(flow.protocol, flow.state, flow.idle)) {
                    return true;
                }
                from = next;
            }
        }
        false
    }

    /// Flows that match, `limit` at most: not the oldest of all, but in the order of their age.
    pub async fn flows(&self, filter: &Filter, mode: Option<ModeName>, limit: usize) -> Vec<FlowSummary> {
        let mut flows = Vec::new();
        for worker in &self.workers {
            let mut part = Vec::new();
            let mut from = Some(Cursor::default());
            // A part at a time: frames must not wait for a list.
            while let Some(cursor) = from.filter(|_| part.len() < limit) {
                let (reply, answer) = oneshot::channel();
                worker.handle().send(Command::Flows { filter: filter.clone(), from: cursor, reply });
                let Ok((shown, next)) = answer.await else { break };
                part.extend(shown.into_iter().filter(|flow| mode.is_none_or(|mode| flow.mode == mode)));
                from = next;
            }
            flows.extend(part);
        }
        flows.sort_unstable_by_key(|flow| (std::cmp::Reverse(flow.age), flow.id));
        flows.truncate(limit);
        flows
    }

    /// All about one flow.
    pub async fn flow(&self, id: FlowId) -> Option<FlowDetails> {
        self.ask(|reply| Command::Flow { id, reply }).await.into_iter().flatten().next()
    }

    /// Ends a flow; `false` if there is none.
    pub async fn delete(&self, id: FlowId) -> bool {
        self.ask(|reply| Command::Delete { id, reply }).await.into_iter().any(|deleted| deleted)
    }

    /// What was counted so far.
    pub async fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        let reports: Vec<Report> = self.ask(|reply| Command::Report { reply }).await;
        let (mut interfaces, outcomes) = {
            let steered = self.steered();
            let interfaces: BTreeMap<u32, InterfaceTotals> = steered
                .ports()
                .iter()
                .map(|(index, port)| {
                    let mode = if port.is_there { port.way.as_str() } else { "gone" };
                    let (name, queues) = (port.name.clone(), port.queues);
                    (*index, InterfaceTotals { name, mode, queues, ..InterfaceTotals::default() })
                })
                .collect();
            (interfaces, steered.outcomes())
        };
        for report in reports {
            totals.workers += 1;
            totals.counters += &report.counters;
            for socket in &report.sockets {
                if let Some(interface) = interfaces.get_mut(&socket.interface) {
                    interface.add(&socket.statistics);
                }
            }
        }
        totals.interfaces = interfaces.into_values().collect();
        totals.outcomes = outcomes;
        totals
    }

    /// Asks every worker; those that have nothing yet do not answer.
    async fn ask<T>(&self, command: impl Fn(oneshot::Sender<T>) -> Command) -> Vec<T> {
        let mut waits = Vec::new();
        for worker in &self.workers {
            let (reply, answer) = oneshot::channel();
            worker.handle().send(command(reply));
            waits.push(answer);
        }
        let mut answers = Vec::new();
        for answer in waits {
            answers.extend(answer.await.ok());
        }
        answers
    }

    pub(crate) fn steered(&self) -> MutexGuard<'_, Steered> {
        self.steered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Packets {
    fn drop(&mut self) {
        // Before the sockets close: the program would drop what no socket takes.
        self.steered().detach_all();
    }
}

/// Whether a flow in flight would miss something if Shunt ended. Of one without a connection nobody ever says that
/// it is over: it is, as far as anyone can tell, once nothing has come for a moment.
pub(crate) fn is_waited_for(protocol: FlowProtocol, state: &str, idle: u64) -> bool {
    if protocol == FlowProtocol::Tcp { !ENDED.contains(&state) } else { idle < SILENT_MS }
}

/// Waits for every worker.
async fn all<T>(waits: Vec<oneshot::Receiver<T>>) -> Vec<T> {
    let mut answers = Vec::new();
    for wait in waits {
        match wait.await {
            Ok(answer) => answers.push(answer),
            Err(_) => tracing::error!("a packet worker has ended; restart Shunt"),
        }
    }
    answers
}

/// How many flows the tables have to hold for a configuration.
pub(crate) fn flows_of(config: &Config) -> usize {
    let allowed = config.packet_virtuals.iter().filter_map(|it| it.limits.flows);
    MOST_FLOWS.max(allowed.map(|flows| flows as usize).sum())
}

/// What is wrong with a SNAT pool of which a worker would have no port: they are dealt out in blocks.
pub(crate) fn without_ports(pool: &model::SnatPool, workers: usize) -> Option<String> {
    let workers = u16::try_from(workers).unwrap_or(u16::MAX);
    let all_have = (0..workers).all(|worker| Blocks::new(worker, workers).count(&pool.ports) > 0);
    (!all_have).then(|| {
        let (name, enough) = (&pool.name, Blocks::enough(workers));
        format!("snat-pool {name}: it has too few ports for {workers} workers; give it {enough} or more")
    })
}
