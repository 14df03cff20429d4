//! A packet worker: a thread with a datapath of its own, the sockets of the queues that it was dealt,
//! and its own instances of rules.

pub(crate) mod driver;
pub mod explain;
pub(crate) mod hand_over;
pub(crate) mod rules;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use shunt_engine::datapath::{
    Datapath, DropReason, Filter, FlowDetails, FlowSummary, Left, Options, Snapshot, Unasked, Verdict,
};
use shunt_engine::flow::{Cursor, FlowId};
use shunt_engine::hash::Keyed;
use shunt_engine::network::Network;
use shunt_sys::netlink::Solicitor;
use shunt_sys::waker::Waker;
use shunt_sys::xsk::{Fate, Outbox, Received, Reception, Sockets};
use shunt_wire::Frame;
use tokio::sync::oneshot;

use crate::control::ports::Opened;
use crate::control::probes::Probes;
use crate::control::report::{Report, SocketCounts};
use crate::control::snapshot::Loaded;
use crate::restarts::Restarts;
use crate::worker::driver::{WorkerDriver, WorkerIo};
use crate::worker::hand_over::{HandedOver, Inbox, Outlet};
use crate::worker::rules::{NewRules, Rules};
use shunt_runtime::clock;

/// How long a worker waits for frames before it looks at its timers. The datapath wants it at least so
/// often.
const TICK: Duration = Duration::from_millis(100);
/// How many frames of other workers are taken before its own have their turn.
const HANDED_OVER_AT_ONCE: usize = 64;

/// How many slots of the table are looked through between batches of frames: some 100 µs.
const FLOWS_AT_ONCE: usize = 4096;

/// What is asked of a worker.
pub(crate) enum Command {
    /// Take over the snapshot that follows the one that it has, with what is open of interfaces that are new.
    /// Answered with what it had, which is for others to free.
    Apply {
        loaded: Arc<Loaded>,
        rules: NewRules,
        opened: Opened,
        done: oneshot::Sender<Option<Replaced>>,
    },
    /// What no flow refers to any more, of that which left the configuration.
    Released {
        left: Left,
        reply: oneshot::Sender<Left>,
    },
    /// Close the sockets of interfaces that are not used any more.
    Close {
        interfaces: Vec<u32>,
        done: oneshot::Sender<()>,
    },
    Network(Arc<Network>),
    /// Tell the neighbours where Shunt's addresses are.
    Announce,
    /// The flows of a part of the table, and where to continue.
    Flows {
        filter: Filter,
        from: Cursor,
        reply: oneshot::Sender<(Vec<FlowSummary>, Option<Cursor>)>,
    },
    Flow {
        id: FlowId,
        reply: oneshot::Sender<Option<FlowDetails>>,
    },
    Delete {
        id: FlowId,
        reply: oneshot::Sender<bool>,
    },
    Explain {
        query: explain::Query,
        reply: oneshot::Sender<Result<explain::Answer, Unasked>>,
    },
    Report {
        reply: oneshot::Sender<Report>,
    },
    /// Fail as by a bug, and once more when starting again.
    #[cfg(test)]
    Fail {
        again: bool,
    },
    Stop,
}

/// What a worker had before it took over a snapshot: its last snapshot, and its rules.
pub struct Replaced {
    _loaded: Option<Arc<Loaded>>,
    _engine: Arc<Snapshot>,
    _rules: NewRules,
}

/// The way to a worker.
#[derive(Clone)]
pub(crate) struct Handle {
    commands: Sender<Command>,
    waker: Waker,
}

impl Handle {
    /// Nothing happens where the worker is gone: the channel of the answer is then closed.
    pub(crate) fn send(&self, command: Command) {
        if self.commands.send(command).is_ok() {
            self.waker.wake();
        }
    }
}

/// A worker that runs. It ends when this is dropped.
pub(crate) struct Worker {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// What makes a worker.
struct Ready {
    number: usize,
    sockets: Sockets,
    commands: Receiver<Command>,
    inbox: Inbox,
    solicitor: Solicitor,
    probes: Arc<Probes>,
}

/// Starts the workers. `key` decides who owns a flow, and `flows` is how many one may hold.
///
/// # Errors
/// As the kernel gives them; none is left running then.
pub(crate) fn start(
    count: usize,
    key: [u64; 2],
    flows: usize,
    probes: &Arc<Probes>,
) -> io::Result<Vec<Worker>> {
    let (mut ready, mut outlets, mut handles) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..count {
        let sockets = Sockets::new(Vec::new(), Vec::new())?;
        let (commands, orders) = channel();
        let (outlet, inbox) = hand_over::queue(sockets.waker());
        handles.push(Handle { commands, waker: sockets.waker() });
        outlets.push(outlet);
        ready.push(Ready {
            number,
            sockets,
            commands: orders,
            inbox,
            solicitor: Solicitor::open()?,
            probes: Arc::clone(probes),
        });
    }
    let mut workers = Vec::new();
    for (it, handle) in ready.into_iter().zip(handles) {
        let peers = outlets.clone();
        let options = Options { worker: it.number, workers: count, key: Keyed::new(key), flows };
        let thread = std::thread::Builder::new()
            .name(format!("shunt-packet-{}", it.number))
            .spawn(move || Thread::new(it, peers, options).run())?;
        workers.push(Worker { handle, thread: Some(thread) });
    }
    Ok(workers)
}

impl Worker {
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.handle.send(Command::Stop);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a packet worker had panicked");
        }
    }
}

/// The thread's own.
struct Thread {
    options: Options,
    sockets: Sockets,
    commands: Receiver<Command>,
    inbox: Inbox,
    /// All workers in their order; its own is among them and not used.
    peers: Vec<Outlet>,
    io: WorkerIo,
    /// From the first snapshot on.
    work: Option<Work>,
    #[cfg(test)]
    fails_again: bool,
}

struct Work {
    datapath: Datapath,
    rules: Rules,
}

impl Thread {
    fn new(ready: Ready, peers: Vec<Outlet>, options: Options) -> Thread {
        let Ready { sockets, commands, inbox, solicitor, probes, .. } = ready;
        Thread {
            options,
            sockets,
            commands,
            inbox,
            peers,
            io: WorkerIo::new(solicitor, probes),
            work: None,
            #[cfg(test)]
            fails_again: false,
        }
    }

    /// Runs until the stop is requested. A panic is a bug of Shunt's; it costs the flows of this worker, for nothing
    /// can be said of them any more, but neither the other workers nor the proxies of the process.
    fn run(mut self) {
        let mut restarts = Restarts::default();
        let mut has_failed = false;
        loop {
            // Of all that it touches only the work is of use when half done, and that is made again. That may fail, too.
            let served = catch_unwind(AssertUnwindSafe(|| {
                if has_failed {
                    self.start_again();
                }
                self.serve();
            }));
            if served.is_ok() {
                return;
            }
            has_failed = true;
            if !restarts.allows(clock::monotonic_ms()) {
                break;
            }
        }
        tracing::error!("a packet worker panicked too often; Shunt ends, for its supervisor to restart it");
        shunt_runtime::log::flush();
        std::process::exit(1);
    }

    fn start_again(&mut self) {
        let worker = self.options.worker;
        tracing::error!(
            worker,
            "a packet worker panicked, which is a bug in Shunt: report it. Its flows are lost, and it starts again"
        );
        let lost = self.work.take();
        #[cfg(test)]
        if std::mem::take(&mut self.fails_again) {
            std::panic::resume_unwind(Box::new("as asked"));
        }
        if let Some(loaded) = self.io.loaded.clone() {
            let now = clock::monotonic_ms();
            let Work { mut datapath, rules } = self.begin(now, &loaded);
            if let Some(lost) = lost {
                datapath = datapath.after_panic(now, lost.datapath);
            }
            self.work = Some(Work { datapath, rules });
        }
    }

    fn begin(&self, now: u64, loaded: &Loaded) -> Work {
        let (engine, network) = (Arc::clone(&loaded.engine), Arc::clone(&self.io.network));
        Work { datapath: Datapath::new(now, self.options, engine, network), rules: Rules::new(loaded) }
    }

    fn serve(&mut self) {
        loop {
            if let Err(error) = self.sockets.wait(Some(TICK)) {
                // It is about the process (no memory), and may pass.
                tracing::error!(%error, "a packet worker cannot wait for frames");
                std::thread::sleep(TICK);
            }
            let now = clock::monotonic_ms();
            while let Ok(command) = self.commands.try_recv() {
                if matches!(command, Command::Stop) {
                    return;
                }
                self.obey(now, command);
            }
            self.forward_batch(now);
        }
    }

    /// A batch of frames, and what time asks for.
    fn forward_batch(&mut self, now: u64) {
        let Thread { sockets, inbox, peers, io, work, .. } = self;
        let Some(Work { datapath, rules }) = work else { return };
        sockets.receive_by(&mut Forwarder { now, datapath, rules, io, peers });
        for HandedOver { ingress, part, mut buffer, start, end } in inbox.try_iter().take(HANDED_OVER_AT_ONCE)
        {
            let mut frame = Frame::new(&mut buffer, start, end);
            let outbox = &mut sockets.outbox();
            let mut driver = WorkerDriver { rules: &mut *rules, io: &mut *io, outbox, peers };
            let verdict = datapath.receive_handed_over(now, ingress, &mut frame, part, &mut driver);
            driver.rules.decided(is_a_flow(verdict));
            if let Some(interface) = verdict.interface() {
                driver.transmit(interface, frame.bytes());
            }
        }
        datapath.tick(now, &mut WorkerDriver { rules, io, outbox: &mut sockets.outbox(), peers });
        for _ in 0..io.take_unsent() {
            datapath.lost(DropReason::SendFull);
        }
        sockets.flush();
    }

    fn apply(&mut self, now: u64, loaded: Arc<Loaded>, rules: NewRules, opened: Opened) -> Option<Replaced> {
        opened.sockets.into_iter().for_each(|socket| self.sockets.add(socket));
        opened.tuns.into_iter().for_each(|tun| self.sockets.add_tun(tun));
        opened.writers.into_iter().for_each(|writer| self.sockets.add_writer(writer));
        if let Some(Work { datapath, rules: own }) = &mut self.work {
            return Some(replace(datapath, own, &mut self.io, loaded, rules));
        }
        self.work = Some(self.begin(now, &loaded));
        self.io.loaded = Some(loaded);
        None
    }

    fn obey(&mut self, now: u64, command: Command) {
        let command = match command {
            Command::Apply { loaded, rules, opened, done } => {
                let _ = done.send(self.apply(now, loaded, rules, opened));
                return;
            }
            command => command,
        };
        let Thread { sockets, peers, io, work, .. } = self;
        match (command, work) {
            (Command::Released { left, reply }, Some(Work { datapath, .. })) => {
                let _ = reply.send(datapath.released(left));
            }
            (Command::Close { interfaces, done }, _) => {
                interfaces.iter().for_each(|interface| sockets.remove(*interface));
                let _ = done.send(());
            }
            (Command::Network(network), work) => {
                io.network_changed(Arc::clone(&network));
                if let Some(Work { datapath, rules }) = work {
                    let mut driver = WorkerDriver { rules, io, outbox: &mut sockets.outbox(), peers };
                    datapath.apply_network(now, network, &mut driver);
                }
            }
            (Command::Announce, Some(Work { datapath, rules })) => {
                datapath.announce(&mut WorkerDriver { rules, io, outbox: &mut sockets.outbox(), peers });
            }
            (Command::Flows { filter, from, reply }, Some(Work { datapath, .. })) => {
                let mut shown = Vec::new();
                let next = datapath.flows(now, &filter, from, FLOWS_AT_ONCE, |flow| shown.push(flow));
                let _ = reply.send((shown, next));
            }
            (Command::Flow { id, reply }, Some(Work { datapath, .. })) => {
                let _ = reply.send(datapath.flow(now, id));
            }
            (Command::Delete { id, reply }, Some(Work { datapath, rules })) => {
                let mut driver = WorkerDriver { rules, io, outbox: &mut sockets.outbox(), peers };
                let _ = reply.send(datapath.delete(now, id, &mut driver));
            }
            (Command::Explain { query, reply }, Some(Work { datapath, rules })) => {
                let mut driver = WorkerDriver { rules, io, outbox: &mut sockets.outbox(), peers };
                let _ = reply.send(explain::answer(now, query, datapath, &mut driver));
            }
            (Command::Report { reply }, Some(Work { datapath, .. })) => {
                let _ = reply.send(Report { counters: datapath.counters(), sockets: counts(sockets) });
            }
            #[cfg(test)]
            (Command::Fail { again }, _) => {
                self.fails_again = again;
                std::panic::resume_unwind(Box::new("as asked"))
            }
            // There is nothing yet; who waits for an answer gets none.
            (_, None) | (Command::Stop | Command::Apply { .. }, _) => {}
        }
    }
}

/// Takes over the snapshot that follows the one that a worker has. What it takes does not grow with the configuration:
/// all that does was made before, and what becomes free is given back.
pub(crate) fn replace(
    datapath: &mut Datapath,
    rules: &mut Rules,
    io: &mut WorkerIo,
    loaded: Arc<Loaded>,
    new: NewRules,
) -> Replaced {
    // First, for a worker that fails in the middle of this starts again with it.
    let before = io.loaded.replace(Arc::clone(&loaded));
    Replaced {
        _rules: rules.replace(&loaded, new),
        _engine: datapath.apply_snapshot(Arc::clone(&loaded.engine)),
        _loaded: before,
    }
}

/// A worker while it takes frames from its sockets.
struct Forwarder<'a> {
    now: u64,
    datapath: &'a mut Datapath,
    rules: &'a mut Rules,
    io: &'a mut WorkerIo,
    peers: &'a [Outlet],
}

impl Reception for Forwarder<'_> {
    fn batch<'f>(&mut self, frames: impl Iterator<Item = &'f [u8]>) {
        self.datapath.prefetch(frames);
    }

    fn frame(&mut self, received: Received<'_>, outbox: &mut Outbox<'_>) -> Fate {
        let Received { interface: ingress, buffer, start, end } = received;
        let Forwarder { now, datapath, rules, io, peers } = self;
        let mut frame = Frame::new(buffer, start, end);
        let mut driver = WorkerDriver { rules, io, outbox, peers };
        let verdict = datapath.receive(*now, ingress, &mut frame, &mut driver);
        driver.rules.decided(is_a_flow(verdict));
        match verdict.interface() {
            Some(interface) if interface == ingress => {
                let start = frame.headroom();
                Fate::Send { interface, start, end: start + frame.len() }
            }
            Some(interface) => {
                driver.transmit(interface, frame.bytes());
                Fate::Recycle
            }
            None => Fate::Recycle,
        }
    }
}

fn is_a_flow(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Send { .. } | Verdict::Sent | Verdict::Pending)
}

fn counts(sockets: &Sockets) -> Vec<SocketCounts> {
    let counts = |(interface, queue, read): (u32, Option<u32>, io::Result<_>)| {
        Some(SocketCounts { interface, queue: queue?, statistics: read.ok()? })
    };
    sockets.statistics().filter_map(counts).collect()
}
