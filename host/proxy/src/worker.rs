//! Workers: one thread per core, each with its own runtime, listeners, rule instances and connections
//! to members. What reaches them from outside is one message per snapshot.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot};

use crate::accepting::Accepting;
use crate::listener::Listener;
use crate::member::SWEEP_EVERY;
use crate::protocol::AsConfigured;
use crate::turn;
use crate::udp::UdpListeners;
use crate::view::Views;
use shunt_config::model::Protocol;
use shunt_runtime::{Snapshot, dial};

/// A timer that is set to be the next of a worker's wakes it by a write to an eventfd (tokio 1.54), whoever sets it. Those
/// of each connection are for longer than this one.
const TICK: Duration = Duration::from_secs(1);

/// What the control thread asks of a worker.
pub enum Command {
    /// Make ready the sockets of the listeners that the next snapshot adds; answered with what is in the way.
    /// Nothing is accepted yet.
    Prepare { sockets: Vec<(SocketAddr, Listening)>, done: oneshot::Sender<Vec<String>> },
    /// Close them again: the change is not to be.
    Discard,
    /// Take over the snapshot that was prepared for. Listeners that it does not have are closed and their
    /// connections drained; all others are left alone.
    Apply { snapshot: Arc<Snapshot>, done: oneshot::Sender<()> },
    /// Stop accepting, and answer when every connection has ended.
    Drain { done: oneshot::Sender<()> },
}

/// A socket that clients send to.
pub enum Listening {
    Tcp(std::net::TcpListener),
    Udp(std::net::UdpSocket),
}

/// The control thread's end of a worker.
pub struct Worker {
    commands: mpsc::UnboundedSender<Command>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts a worker; `core` pins it where one is given.
    ///
    /// # Errors
    /// The thread or its runtime cannot be made.
    pub fn start(number: usize, core: Option<usize>) -> io::Result<Worker> {
        let (commands, inbox) = mpsc::unbounded_channel();
        let (ready, started) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            if let Some(core) = core
                && let Err(error) = shunt_sys::cores::pin_current_thread(core)
            {
                // It works unpinned too, with caches that are less warm.
                tracing::debug!(number, core, %error, "not pinned");
            }
            let runtime = match Builder::new_current_thread()
                .enable_io()
                .enable_time()
                .on_thread_unpark(turn::begin)
                .build_local(LocalOptions::default())
            {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = ready.send(Err(error));
                    return;
                }
            };
            let _ = ready.send(Ok(()));
            runtime.block_on(run(number, inbox));
        })?;
        started.recv().map_err(|_| io::Error::other("the worker ended before it began"))??;
        Ok(Worker { commands, thread: Some(thread) })
    }

    /// Nothing happens where the worker is gone: the channel of the answer is then closed.
    pub fn send(&self, command: Command) {
        let _ = self.commands.send(command);
    }

    /// Waits for the thread to end, which it does once its sender is dropped.
    pub fn join(mut self) {
        let thread = self.thread.take();
        drop(self);
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

async fn run(number: usize, mut inbox: mpsc::UnboundedReceiver<Command>) {
    let mut views = Views::new(number);
    let mut listeners: HashMap<SocketAddr, Rc<Listener>> = HashMap::new();
    let mut udp = UdpListeners::default();
    // Those that a reload took out, until their last connection ends.
    let mut leaving: Vec<Rc<Listener>> = Vec::new();
    // Those that the next snapshot adds.
    let mut prepared: HashMap<SocketAddr, Accepting> = HashMap::new();
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    let mut tick = tokio::time::interval(TICK);
    loop {
        let command = tokio::select! {
            command = inbox.recv() => command,
            _ = sweep.tick() => {
                views.sweep();
                dial::read_own_ports();
                continue;
            }
            _ = tick.tick() => continue,
        };
        match command {
            None => return,
            Some(Command::Prepare { sockets, done }) => {
                let mut problems = Vec::new();
                for (address, socket) in sockets {
                    let taken = match socket {
                        Listening::Tcp(socket) => {
                            Accepting::new(socket).map(|socket| drop(prepared.insert(address, socket)))
                        }
                        Listening::Udp(socket) => udp.prepare(address, socket),
                    };
                    if let Err(error) = taken {
                        problems.push(format!("cannot listen on {address}: {error}"));
                    }
                }
                let _ = done.send(problems);
            }
            Some(Command::Discard) => {
                prepared.clear();
                udp.discard();
            }
            Some(Command::Apply { snapshot, done }) => {
                views.apply(&snapshot);
                listeners.retain(|address, listener| {
                    let mut streams =
                        snapshot.virtuals.iter().filter(|it| it.settings.protocol != Protocol::Udp);
                    let stays = streams.any(|it| {
                        it.settings.listen.contains(address)
                            && it.settings.transparent == listener.transparent
                    });
                    if !stays {
                        listener.close();
                        leaving.push(Rc::clone(listener));
                    }
                    stays
                });
                udp.apply(&snapshot, &views);
                for virtual_ in snapshot.virtuals.iter().filter(|it| it.settings.protocol != Protocol::Udp) {
                    let Some(view) = views.virtual_named(&virtual_.settings.name) else { continue };
                    for &address in &virtual_.settings.listen {
                        if let Some(listener) = listeners.get(&address) {
                            listener.set_view(Rc::clone(view));
                        } else if let Some(socket) = prepared.remove(&address) {
                            let listener = Listener::new(address, Rc::clone(view));
                            tokio::task::spawn_local(Rc::clone(&listener).accept(socket, AsConfigured));
                            listeners.insert(address, listener);
                        }
                    }
                }
                prepared.clear();
                leaving.retain(|listener| !listener.is_drained());
                let _ = done.send(());
            }
            Some(Command::Drain { done }) => {
                let draining: Vec<_> = listeners.drain().map(|(_, it)| it).chain(leaving.drain(..)).collect();
                draining.iter().for_each(|listener| listener.close());
                let udp = udp.drain();
                tokio::task::spawn_local(async move {
                    for listener in draining {
                        listener.drained().await;
                    }
                    for listener in udp {
                        listener.drained().await;
                    }
                    let _ = done.send(());
                });
            }
        }
    }
}
