//! A session: one client and one member, and the socket between Shunt and the member.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::rc::Rc;

use shunt_rules::{Hook, Outcome, Summary};
use shunt_runtime::clock;
use shunt_runtime::rules::chain::Chain;
use shunt_sys::datagrams::{self, Batch, MOST, Train};
use shunt_sys::{source, stream};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{Interest, Ready};
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::listener::UdpListener;
use crate::connection::Connection;
use crate::member::{ComesFrom, MemberView};
use crate::view::VirtualView;

/// Whose datagrams belong to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Peers {
    pub(super) client: SocketAddr,
    /// The address that the client sends to.
    pub(super) vip: SocketAddr,
    /// 0 for the session of all its datagrams; otherwise that of one of them.
    pub(super) number: u64,
}

pub(super) struct Session {
    pub(super) peers: Peers,
    pub(super) member: Rc<MemberView>,
    connection: Connection,
    view: Rc<VirtualView>,
    socket: UdpSocket,
    /// The address that answers come from; `None`: the socket of the listener has one.
    pub(super) from: Option<IpAddr>,
    /// When the last datagram came, of either side, in milliseconds.
    last: Cell<u64>,
    started: Instant,
    to_server: Count,
    to_client: Count,
    /// Told when it is to end.
    ends: Notify,
    why: Cell<Option<Outcome>>,
}

/// What went one way.
#[derive(Default)]
struct Count {
    datagrams: Cell<u64>,
    bytes: Cell<u64>,
}

impl Count {
    fn add(&self, train: &Train<'_>) {
        self.datagrams.set(self.datagrams.get() + datagrams_of(train));
        self.bytes.set(self.bytes.get() + train.bytes.len() as u64);
    }
}

/// How many datagrams a train is.
pub(super) fn datagrams_of(train: &Train<'_>) -> u64 {
    train.bytes.len().div_ceil(train.segment.max(1)).max(1) as u64
}

/// What a socket toward a member is waited for: answers, and what ICMP says, which epoll(7) tells as an error alone.
const ANSWERED: Interest = Interest::READABLE.add(Interest::ERROR);

/// The member's host says that nobody is there.
pub(super) struct Refused;

/// The first port that kernels choose by themselves, whatever `net.ipv4.ip_local_port_range` says: below are those of
/// services.
const FIRST_CHOSEN: u16 = 1024;

/// A socket that sends to a member and receives from it alone.
pub(super) fn connect(to: SocketAddr, from: ComesFrom, trains: bool) -> io::Result<UdpSocket> {
    let socket =
        Socket::new(Domain::for_address(to), Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    match from {
        ComesFrom::Routed => {}
        ComesFrom::Own(from) => socket.bind(&SocketAddr::new(from, 0).into())?,
        ComesFrom::Client(client) => {
            source::set_transparent(&socket, client)?;
            socket.bind(&SocketAddr::new(client, 0).into())?;
        }
    }
    socket.connect(&to.into())?;
    // The kernel may have chosen the member's own port, where it is of this host and nobody is there: what is sent would come
    // back as an answer.
    if to.port() >= FIRST_CHOSEN && socket.local_addr()?.as_socket() == Some(to) {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    if trains {
        datagrams::prepare(&socket, to)?;
    }
    UdpSocket::from_std(socket.into())
}

impl Session {
    pub(super) fn new(
        peers: Peers,
        from: Option<IpAddr>,
        member: Rc<MemberView>,
        connection: Connection,
        view: Rc<VirtualView>,
        socket: UdpSocket,
    ) -> Rc<Session> {
        Rc::new(Session {
            peers,
            member,
            connection,
            view,
            socket,
            from,
            last: Cell::new(clock::monotonic_ms()),
            started: Instant::now(),
            to_server: Count::default(),
            to_client: Count::default(),
            ends: Notify::new(),
            why: Cell::new(None),
        })
    }

    pub(super) fn view(&self) -> &VirtualView {
        &self.view
    }

    pub(super) fn is_over(&self) -> bool {
        self.why.get().is_some()
    }

    /// Whether nothing came for so long.
    pub(super) fn is_idle(&self, now: u64, idle: u64) -> bool {
        now.saturating_sub(self.last.get()) >= idle
    }

    pub(super) fn end(&self, why: Outcome) {
        if self.why.get().is_none() {
            self.why.set(Some(why));
            self.ends.notify_one();
        }
    }

    /// Sends what the client sent. Gives how many datagrams were lost.
    ///
    /// # Errors
    /// The member's host has said of one before that nobody is there, which ends the session. This one was not sent.
    pub(super) fn send(&self, train: &Train<'_>, now: u64) -> Result<u64, Refused> {
        let lost = match self.send_train(train) {
            Ok(()) => 0,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                self.refused(&error);
                self.end(Outcome::MemberFailed);
                return Err(Refused);
            }
            // The way out takes no trains.
            Err(_) if train.segment < train.bytes.len() => {
                let one = |bytes| Train { bytes, segment: usize::MAX, ..*train };
                let lost = |bytes| self.send_train(&one(bytes)).is_err();
                train.bytes.chunks(train.segment.max(1)).filter(|bytes| lost(*bytes)).count() as u64
            }
            Err(error) => {
                tracing::debug!(member = %self.member.address, %error, "a datagram cannot be sent");
                1
            }
        };
        self.last.set(now);
        self.to_server.add(train);
        self.member.counters.bytes_to_server.add(train.bytes.len() as u64);
        Ok(lost)
    }

    fn send_train(&self, train: &Train<'_>) -> io::Result<()> {
        let socket = self.socket.as_fd();
        match train.segment < train.bytes.len() {
            true => datagrams::send_train(socket, train.bytes, train.segment),
            false => stream::send(socket, train.bytes).map(drop),
        }
    }

    /// ICMP says that nobody is there (udp(7)).
    fn refused(&self, error: &io::Error) {
        tracing::debug!(member = %self.member.address, %error, "the member refuses datagrams");
        self.member.counters.failures.add(1);
    }

    /// Takes what the member answers until the session ends. `most`: answers.
    pub(super) async fn run(
        self: Rc<Self>,
        listener: Rc<UdpListener>,
        batch: Rc<RefCell<Batch>>,
        most: Option<u64>,
    ) {
        let active = self.member.state.begin();
        let why = loop {
            let ready = tokio::select! {
                biased;
                () = self.ends.notified() => break self.why.get().unwrap_or(Outcome::ClientGone),
                ready = self.socket.ready(ANSWERED) => ready,
            };
            let mut batch = batch.borrow_mut();
            let received = ready.and_then(|ready| self.receive(ready, &mut batch));
            match received {
                Ok(0) => {}
                Ok(_) => {
                    self.last.set(clock::monotonic_ms());
                    for train in batch.trains() {
                        self.to_client.add(&train);
                        self.member.counters.bytes_to_client.add(train.bytes.len() as u64);
                        listener.answer(&train, &self);
                    }
                    if most.is_some_and(|most| self.to_client.datagrams.get() >= most) {
                        break Outcome::Complete;
                    }
                }
                Err(error) => {
                    self.refused(&error);
                    break Outcome::MemberFailed;
                }
            }
        };
        self.why.set(Some(why));
        drop(active);
        listener.ended(&self);
        self.tell(why);
    }

    /// What is there; 0: nothing.
    fn receive(&self, ready: Ready, batch: &mut Batch) -> io::Result<usize> {
        if ready.is_error() {
            let asked = self.socket.try_io(Interest::ERROR, || {
                Err::<(), _>(self.socket.take_error()?.unwrap_or_else(|| io::ErrorKind::WouldBlock.into()))
            });
            if let Err(error) = asked
                && error.kind() != io::ErrorKind::WouldBlock
            {
                return Err(error);
            }
        }
        let mut received = 0;
        let tried = self.socket.try_io(Interest::READABLE, || {
            received = batch.receive(self.socket.as_fd())?;
            // All that there is: the kernel tells when there is more (epoll(7), edges), and need not be asked.
            if received < MOST { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match tried {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(received),
        }
    }

    /// Tells the rules that it has ended.
    fn tell(&self, outcome: Outcome) {
        if !self.view.hooks.contains(Hook::OnDone) {
            return;
        }
        let answered = self.to_client.datagrams.get() > 0;
        let summary = Summary {
            flow: self.connection.flow,
            // Nobody says that a session ends: where the member answered, it is taken to be whole.
            outcome: if outcome == Outcome::ClientGone && answered { Outcome::Complete } else { outcome },
            status: 0,
            member: Some(self.member.address),
            bytes_to_server: self.to_server.bytes.get(),
            bytes_to_client: self.to_client.bytes.get(),
            packets_to_server: self.to_server.datagrams.get(),
            packets_to_client: self.to_client.datagrams.get(),
            duration: self.started.elapsed(),
            first_byte: None,
        };
        let connection = &self.connection;
        // What fails changes nothing for anyone any more.
        Chain::new(Hook::OnDone, &self.view.rules).tell(|rule| {
            connection
                .with_vars(|vars| connection.with_runner(rule, |runner| runner.on_done(&summary, None, vars)))
        });
    }
}
