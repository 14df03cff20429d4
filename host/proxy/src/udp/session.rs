//! A session: one client and one member, and the socket between Shunt and the member.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::rc::Rc;

use shunt_engine::at_once::Taken;
use shunt_engine::member::Active;
use shunt_rules::{Hook, Outcome, Summary};
use shunt_runtime::rules::chain::Chain;
use shunt_runtime::{clock, dial};
use shunt_sys::datagrams::{self, Batch, MOST};
use shunt_sys::{source, stream};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::listener::UdpListener;
use super::run::{Run, datagrams as datagrams_of};
use super::spare::Spare;
use super::waited_for;
use crate::connection::Connection;
use crate::eject;
use crate::member::{ComesFrom, MemberView};
use crate::view::{PoolView, VirtualView};

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
    /// To be told what the session comes to; `None`: it ejects no members.
    pool: Option<Rc<PoolView>>,
    connection: Connection,
    view: Rc<VirtualView>,
    socket: AsyncFd<UdpSocket>,
    /// Another session may have its socket behind it.
    is_plain: bool,
    /// Whether the way to the member takes trains, as far as is known.
    trains: Cell<bool>,
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
    fn add(&self, bytes: usize, count: u64) {
        self.datagrams.set(self.datagrams.get() + count);
        self.bytes.set(self.bytes.get() + bytes as u64);
    }
}

/// What a socket toward a member is waited for: answers, and what ICMP says, which epoll(7) tells as an error alone. Not for
/// room: the kernel would tell that there is some after each datagram that it has sent.
const ANSWERED: Interest = Interest::READABLE.add(Interest::ERROR);

/// The member's host says that nobody is there.
pub(super) struct Refused;

/// A socket that sends to a member and receives from it alone.
pub(super) struct Toward {
    socket: AsyncFd<UdpSocket>,
    /// It is bound to nothing but by being connected, and has no options.
    is_plain: bool,
}

/// Whether the kernel has chosen the member's own port, where it is of this host and nobody is there: what is sent would come
/// back as an answer.
fn is_itself(socket: &impl AsFd, to: SocketAddr) -> io::Result<bool> {
    Ok(dial::may_connect_from(to.port()) && SockRef::from(socket).local_addr()?.as_socket() == Some(to))
}

/// Connects a socket, one that waits where it may be any.
pub(super) fn connect(to: SocketAddr, from: ComesFrom, trains: bool, spare: &Spare) -> io::Result<Toward> {
    let is_plain = from == ComesFrom::Routed && !trains;
    let waiting = if is_plain { spare.take(to.ip()) } else { None };
    if let Some(socket) = waiting {
        SockRef::from(&socket).connect(&to.into())?;
        if is_itself(&socket, to)? {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        return Ok(Toward { socket, is_plain });
    }
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
    if is_itself(&socket, to)? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    if trains {
        datagrams::prepare(&socket, to)?;
    }
    Ok(Toward { socket: waited_for(socket.into(), ANSWERED)?, is_plain })
}

impl Session {
    pub(super) fn new(
        peers: Peers,
        from: Option<IpAddr>,
        (member, pool): (Rc<MemberView>, Option<Rc<PoolView>>),
        connection: Connection,
        view: Rc<VirtualView>,
        toward: Toward,
    ) -> Rc<Session> {
        Rc::new(Session {
            peers,
            member,
            pool,
            connection,
            view,
            socket: toward.socket,
            is_plain: toward.is_plain,
            trains: Cell::new(true),
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
    pub(super) fn send(&self, run: &Run<'_>, now: u64) -> Result<u64, Refused> {
        let is_train = run.segment < run.bytes;
        let sent = match is_train && self.trains.get() {
            true => self.send_train(run),
            false => self.send_each(run),
        };
        let lost = match sent {
            Ok(lost) => lost,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                self.refused(&error);
                self.end(Outcome::MemberFailed);
                return Err(Refused);
            }
            Err(error) => {
                tracing::debug!(member = %self.member.address, %error, "a datagram cannot be sent");
                run.datagrams()
            }
        };
        self.last.set(now);
        self.to_server.add(run.bytes, run.datagrams());
        self.member.counters.bytes_to_server.add(run.bytes as u64);
        Ok(lost)
    }

    fn send_train(&self, run: &Run<'_>) -> io::Result<u64> {
        match datagrams::send_train(self.socket.as_fd(), run.pieces(), run.segment) {
            Ok(()) => Ok(0),
            Err(error) if datagrams::takes_no_train(&error) => {
                self.trains.set(false);
                self.send_each(run)
            }
            Err(error) => Err(error),
        }
    }

    /// Sends one after another. Gives how many were lost; an error is that of the first.
    fn send_each(&self, run: &Run<'_>) -> io::Result<u64> {
        let mut lost = 0;
        for (at, bytes) in run.each().enumerate() {
            match stream::send(self.socket.as_fd(), bytes) {
                Err(error) if at == 0 => return Err(error),
                sent => lost += u64::from(sent.is_err()),
            }
        }
        Ok(lost)
    }

    /// ICMP says that nobody is there (udp(7)).
    fn refused(&self, error: &io::Error) {
        tracing::debug!(member = %self.member.address, %error, "the member refuses datagrams");
        self.member.counters.failures.add(1);
        self.observe(false);
    }

    /// Counts what it came to, where the pool ejects members.
    fn observe(&self, good: bool) {
        if let Some(pool) = &self.pool {
            eject::observe(pool, &self.member, good);
        }
    }

    /// Ends it, for nothing came for so long. Where an answer belongs to each, or a number of them to all, a member that gave
    /// none has failed; other protocols may have none.
    pub(super) fn end_idle(&self) {
        let udp = &self.view.virtual_.settings.udp;
        if !self.is_over() && (udp.one_shot || udp.answers.is_some()) && self.to_client.datagrams.get() == 0 {
            self.observe(false);
        }
        self.end(Outcome::ClientGone);
    }

    /// Takes what the member answers until the session ends. `most`: answers.
    pub(super) async fn run(
        self: Rc<Self>,
        listener: Rc<UdpListener>,
        batch: Rc<RefCell<Batch>>,
        most: Option<u64>,
        places: (Active, Option<Taken>),
    ) {
        let why = loop {
            let ready = tokio::select! {
                biased;
                () = self.ends.notified() => break self.why.get().unwrap_or(Outcome::ClientGone),
                ready = self.socket.ready(ANSWERED) => ready,
            };
            let received = ready.and_then(|mut ready| {
                if ready.ready().is_error()
                    && let Some(error) = self.socket.get_ref().take_error()?
                {
                    return Err(error);
                }
                let received = self.receive(&listener, &mut batch.borrow_mut())?;
                // That was all that there is: the kernel tells when there is more (epoll(7), edges), and need not be asked.
                if received < MOST {
                    ready.clear_ready();
                }
                Ok(received)
            });
            match received {
                Err(error) => {
                    self.refused(&error);
                    break Outcome::MemberFailed;
                }
                Ok(_) if most.is_some_and(|most| self.to_client.datagrams.get() >= most) => {
                    break Outcome::Complete;
                }
                // A member that sends without end leaves others their turn.
                Ok(MOST) => tokio::task::yield_now().await,
                Ok(_) => {}
            }
        };
        self.why.set(Some(why));
        drop(places);
        listener.ended(&self);
        self.tell(why);
        if let Some(Session { socket, member, is_plain: true, .. }) = Rc::into_inner(self) {
            listener.spare.give(member.address.ip(), socket);
        }
    }

    /// Receives answers once, and has them sent. Gives how many came.
    fn receive(&self, listener: &UdpListener, batch: &mut Batch) -> io::Result<usize> {
        let received = match batch.receive(self.socket.as_fd()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            received => received?,
        };
        self.last.set(clock::monotonic_ms());
        if self.to_client.datagrams.get() == 0 {
            self.observe(true);
        }
        for train in batch.trains() {
            let count = datagrams_of(train.bytes.len(), train.segment);
            self.to_client.add(train.bytes.len(), count);
            self.member.counters.bytes_to_client.add(train.bytes.len() as u64);
            listener.answer(&train, count, self);
        }
        Ok(received)
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
