//! Packet virtuals as the control thread holds them: opened, changed by a plan, closed.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shunt_engine::datapath::{Filter, FlowDetails, FlowProtocol, FlowSummary, ModeName};
use shunt_engine::flow::{Cursor, FlowId};
use shunt_engine::snat::Blocks;
use shunt_sys::netlink::{Link, Netlink};
use shunt_sys::tun::Tun;
use tokio::sync::oneshot;

use crate::control::ports::{self, Named, Opened, Steered, chain};
use crate::control::probe_link::{Places, ProbeLink};
use crate::control::probes::Probes;
use crate::control::report::{InterfaceTotals, Report, Totals};
use crate::control::snapshot::{self, Takes};
use crate::network::{Follower, Watched};
use crate::worker::{self, Command, Worker};
use shunt_config::model::{self, Config};
use shunt_runtime::Snapshot;

/// Flows that all workers together hold at most, unless virtuals are allowed more. Each costs 32 bytes of
/// address space from the start, and memory when it is there.
const MOST_FLOWS: usize = 1 << 20;

/// How long a flow without a connection is silent before draining does not wait for it any more, in
/// milliseconds. Questions and answers that belong together come closer to each other; what is asked later
/// finds whoever takes over.
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
    links: HashMap<String, Named>,
    /// While a virtual probes on the way of its clients.
    probe_link: Option<ProbeLink>,
}

/// What a configuration changes, made as far as it can fail. By default nothing.
#[derive(Default)]
pub struct Change {
    /// The interfaces that virtuals name; `None`: as they are.
    links: Option<HashMap<String, Named>>,
    /// Of new interfaces, by worker.
    opened: Vec<Opened>,
    /// Interfaces that are not used any more.
    gone: Vec<u32>,
    /// The probe interface, if it is new.
    probe_link: Option<ProbeLink>,
    /// What it is to have; `None`: what it has.
    places: Option<Places>,
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
        let allowed = config.packet_virtuals.iter().filter_map(|it| it.limits.flows);
        let flows = MOST_FLOWS.max(allowed.map(|flows| flows as usize).sum());
        let workers = worker::start(count, key, flows.div_ceil(count), probes).map_err(system)?;
        let handles = workers.iter().map(|worker| worker.handle().clone()).collect();
        let follower = Follower::start(handles, Arc::clone(&steered)).map_err(system)?;
        Ok(Packets { follower, workers, steered, links: HashMap::new(), probe_link: None })
    }

    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Opens what a configuration needs and is not open yet: sockets, and the program on their interfaces.
    ///
    /// # Errors
    /// Everything that is in the way, a line each; nothing has changed then.
    pub fn prepare(&self, config: &Config) -> Result<Change, Vec<String>> {
        let netlink = Netlink::open().map_err(|error| vec![format!("packet virtuals: {error}")])?;
        let mut state = netlink.state().clone();
        // What the probe interface has was given to it here.
        let own = self.probe_link.as_ref().map(ProbeLink::index);
        state.addresses.retain(|address| Some(address.interface) != own);
        let needed = ports::find(config, &state)?;
        let mut problems: Vec<String> =
            config.snat_pools.iter().filter_map(|pool| without_ports(pool, self.workers.len())).collect();
        let mut steered = self.steered();
        let is_open = |link: &Link| steered.ports().contains_key(&link.index);
        let is_needed = |index: &u32| {
            let mut ports = needed.ports.iter().map(|needs| &needs.link).chain(&needed.tuns);
            ports.any(|link| link.index == *index)
        };
        let gone = steered.ports().keys().copied().filter(|index| !is_needed(index)).collect();
        let (mut opened, mut tuns) = (Vec::new(), Vec::new());
        for needs in needed.ports.iter().filter(|needs| !is_open(&needs.link)) {
            match ports::open(needs) {
                Ok(sockets) => opened.push((needs, sockets)),
                Err(problem) => problems.push(problem),
            }
        }
        for link in needed.tuns.iter().filter(|link| !is_open(link)) {
            match Tun::open(link) {
                Ok(tun) => tuns.push((link, tun)),
                Err(error) => problems.push(error.to_string()),
            }
        }
        let places = Places::of(config);
        let mut probe_link = None;
        // Somebody may have taken the device away.
        let has_own = own.is_some_and(|own| state.links.contains_key(&own));
        if !places.is_empty() && !has_own {
            match ProbeLink::open() {
                Ok(new) => probe_link = Some(new),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() {
            for (needs, sockets) in &opened {
                if let Err(error) = steered.attach(needs, sockets) {
                    problems.push(chain(&error));
                }
            }
        }
        if !problems.is_empty() {
            opened.iter().for_each(|(needs, _)| steered.detach(needs.link.index));
            return Err(problems);
        }
        let mut shares: Vec<Opened> = self.workers.iter().map(|_| Opened::default()).collect();
        let count = shares.len();
        for socket in opened.into_iter().flat_map(|(_, sockets)| sockets) {
            let worker = socket.queue() as usize % count;
            shares[worker].sockets.push(socket);
        }
        for (link, tun) in tuns {
            steered.add_tun(link);
            // A device has one queue; the first worker reads it, and all write.
            shares.iter_mut().skip(1).for_each(|share| share.writers.push(tun.writer()));
            shares[0].tuns.push(tun);
        }
        let probe_link = probe_link.map(|(link, tun)| {
            shares.iter_mut().skip(1).for_each(|share| share.writers.push(tun.writer()));
            shares[0].tuns.push(tun);
            link
        });
        let mut gone: Vec<u32> = gone;
        gone.extend(own.filter(|_| places.is_empty() || !has_own));
        Ok(Change { links: Some(needed.links), opened: shares, gone, probe_link, places: Some(places) })
    }

    /// Puts a change in force. Returns when every worker has it.
    pub async fn apply(&mut self, change: Change, snapshot: &Snapshot, snat_pools: &[model::SnatPool]) {
        let may_be_news = change.links.is_some();
        self.take(change, snapshot, snat_pools, Takes::NewFlows).await;
        if let Some(worker) = self.workers.first().filter(|_| may_be_news) {
            worker.handle().send(Command::Announce);
        }
    }

    async fn take(
        &mut self,
        change: Change,
        snapshot: &Snapshot,
        snat_pools: &[model::SnatPool],
        takes: Takes,
    ) {
        let Change { links, opened, gone, probe_link, places } = change;
        self.links = links.unwrap_or(std::mem::take(&mut self.links));
        self.probe_link = probe_link.or(self.probe_link.take()).filter(|link| !gone.contains(&link.index()));
        let probes = self.probe_link.as_ref().map(ProbeLink::index);
        self.steered().set_probe_link(probes);
        let loaded = match snapshot::load(snapshot, snat_pools, &self.links, probes, takes) {
            Ok(loaded) => Arc::new(loaded),
            // The configuration was checked for all that could be.
            Err(conflict) => return tracing::error!(?conflict, "packet virtuals stay as they were"),
        };
        let mut waits = Vec::new();
        let mut opened = opened.into_iter();
        for worker in &self.workers {
            let opened = opened.next().unwrap_or_default();
            let (done, applied) = oneshot::channel();
            worker.handle().send(Command::Apply { loaded: Arc::clone(&loaded), opened, done });
            waits.push(applied);
        }
        all(waits).await;
        // Only now are frames steered to workers that know what they are.
        if let Err(error) = self.steered().steer(loaded.wanted()) {
            tracing::error!(error = %chain(&error), "the XDP program does not know of all changes; reload again");
        }
        gone.iter().for_each(|interface| self.steered().detach(*interface));
        let mut waits = Vec::new();
        for worker in self.workers.iter().filter(|_| !gone.is_empty()) {
            let (done, closed) = oneshot::channel();
            worker.handle().send(Command::Close { interfaces: gone.clone(), done });
            waits.push(closed);
        }
        all(waits).await;
        if let (Some(link), Some(places)) = (&mut self.probe_link, places) {
            link.settle(&places);
        }
        let tuns = self.steered().tuns();
        let probes = self.probe_link.as_ref().map(ProbeLink::way);
        self.follower.watch(Watched { destinations: loaded.destinations.clone(), tuns, probes });
    }

    /// Takes no new flows from now on; those that are there go on.
    pub async fn close(&mut self, snapshot: &Snapshot, snat_pools: &[model::SnatPool]) {
        self.take(Change::default(), snapshot, snat_pools, Takes::Nothing).await;
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

    fn steered(&self) -> MutexGuard<'_, Steered> {
        self.steered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Packets {
    fn drop(&mut self) {
        // Before the sockets close: the program would drop what no socket takes.
        self.steered().detach_all();
    }
}

/// Whether a flow under way would miss something if Shunt ended. Of one without a connection nobody ever says that
/// it is over: it is, as far as anyone can tell, once nothing has come for a moment.
pub(crate) fn is_waited_for(protocol: FlowProtocol, state: &str, idle: u64) -> bool {
    if protocol == FlowProtocol::Tcp { !ENDED.contains(&state) } else { idle < SILENT_MS }
}

async fn all(waits: Vec<oneshot::Receiver<()>>) {
    for wait in waits {
        if wait.await.is_err() {
            tracing::error!("a packet worker has ended; restart Shunt");
        }
    }
}

/// What is wrong with a SNAT pool of which a worker would have no port: they are dealt out in blocks.
pub(crate) fn without_ports(pool: &model::SnatPool, workers: usize) -> Option<String> {
    let workers = u16::try_from(workers).unwrap_or(u16::MAX);
    let all_have = (0..workers).all(|worker| Blocks::new(worker, workers).count(&pool.ports) > 0);
    (!all_have).then(|| {
        let (name, enough) = (&pool.name, Blocks::enough(workers));
        format!("snat-pool {name}: its ports do not reach for {workers} workers; give it {enough} or more")
    })
}
