//! A worker's socket for the clients of a UDP virtual: receives, finds or begins sessions, sends answers.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use shunt_engine::member::Active;
use shunt_rules::{Flow, Outcome, Transport};
use shunt_runtime::clock;
use shunt_runtime::overload;
use shunt_sys::datagrams::{Batch, MOST, Train};
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::data::on_data;
use super::outbox::Outbox;
use super::run::Run;
use super::session::{Peers, Refused, Session, Toward, connect};
use super::spare::Spare;
use crate::away::{Next, REFUSED};
use crate::beyond::Beyond;
use crate::connection::Connection;
use crate::listener::{Admission, SILENCE, next_flow, on_flow};
use crate::member::MemberView;
use crate::route::Route;
use crate::tcp::choose;
use crate::view::{PoolView, VirtualView};

/// Members that are tried for one session: a socket toward one may not be had, for want of a route.
const MOST_ATTEMPTS: usize = 3;

/// Between two looks for sessions that are over, at least and at most.
const LOOK_LEAST: Duration = Duration::from_millis(10);
const LOOK_MOST: Duration = Duration::from_secs(1);

/// How long the kernel gets where it has no room for answers. It would tell when it has, but also after each that it sends.
const FULL: Duration = Duration::from_millis(1);

pub(crate) struct UdpListener {
    address: SocketAddr,
    view: RefCell<Rc<VirtualView>>,
    socket: AsyncFd<UdpSocket>,
    sessions: RefCell<HashMap<Peers, Rc<Session>>>,
    /// The number of the last session of one datagram.
    last: Cell<u64>,
    outbox: RefCell<Outbox>,
    beyond: Beyond,
    pub(super) spare: Spare,
    /// There are answers to send.
    answers: Notify,
    closing: Notify,
    closed: Cell<bool>,
    /// Told when it has no sessions any more.
    emptied: Notify,
    serving: Cell<bool>,
}

impl UdpListener {
    /// Serves by a socket that is bound. `batch` is the worker's.
    pub(crate) fn start(
        address: SocketAddr,
        view: Rc<VirtualView>,
        socket: AsyncFd<UdpSocket>,
        batch: &Rc<RefCell<Batch>>,
    ) -> Rc<UdpListener> {
        let listener = Rc::new(UdpListener {
            address,
            view: RefCell::new(view),
            socket,
            sessions: RefCell::default(),
            last: Cell::new(0),
            outbox: RefCell::default(),
            beyond: Beyond::default(),
            spare: Spare::default(),
            answers: Notify::new(),
            closing: Notify::new(),
            closed: Cell::new(false),
            emptied: Notify::new(),
            serving: Cell::new(true),
        });
        tokio::task::spawn_local(Rc::clone(&listener).receive_all(Rc::clone(batch)));
        tokio::task::spawn_local(Rc::clone(&listener).send_answers());
        tokio::task::spawn_local(Rc::clone(&listener).end_idle());
        listener
    }

    /// The configuration for the next session.
    pub(crate) fn set_view(&self, view: Rc<VirtualView>) {
        self.view.replace(view);
    }

    /// Begins no more sessions; those that are there get answers for a while.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        self.closing.notify_one();
    }

    fn is_drained(&self) -> bool {
        !self.serving.get() && self.sessions.borrow().is_empty()
    }

    /// Resolves once it is closed and has no sessions.
    pub(crate) async fn drained(&self) {
        while !self.is_drained() {
            self.emptied.notified().await;
        }
    }

    /// Receives until it is closed, and then what the kernel has received by then.
    async fn receive_all(self: Rc<Self>, batch: Rc<RefCell<Batch>>) {
        loop {
            let ready = tokio::select! {
                biased;
                () = self.closing.notified() => break,
                ready = self.socket.readable() => ready,
            };
            let received = ready.and_then(|mut ready| {
                let received = self.receive(&batch);
                // That was all that there is: the kernel tells when there is more (epoll(7), edges), and need not be asked.
                if received.as_ref().is_ok_and(|count| *count < MOST) {
                    ready.clear_ready();
                }
                received
            });
            if let Err(error) = received {
                tracing::debug!(listen = %self.address, %error, "receive failed");
            }
            // The sessions have their turn.
            tokio::task::yield_now().await;
        }
        while self.receive(&batch).is_ok_and(|count| count > 0) {}
        // What comes from now on begins nothing; members get time to answer.
        let until = sleep(SILENCE);
        tokio::pin!(until);
        while !self.sessions.borrow().is_empty() {
            tokio::select! {
                () = &mut until => break,
                () = self.emptied.notified() => {}
            }
        }
        for session in self.sessions.borrow().values() {
            session.end(Outcome::ClientGone);
        }
        self.serving.set(false);
        self.emptied.notify_waiters();
    }

    /// Receives once, and gives all that came to its sessions. Gives how much came.
    fn receive(self: &Rc<Self>, batch: &Rc<RefCell<Batch>>) -> io::Result<usize> {
        let mut room = batch.borrow_mut();
        let received = match room.receive(self.socket.as_fd()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            received => received?,
        };
        let (view, now) = (Rc::clone(&self.view.borrow()), clock::monotonic_ms());
        let one_shot = view.virtual_.settings.udp.one_shot;
        let mut trains = room.trains().peekable();
        while let Some(train) = trains.next() {
            let mut run = Run::of(train);
            if one_shot {
                // Each datagram has a session of its own.
                for bytes in run.each() {
                    let train = Train { bytes, segment: bytes.len(), ..train };
                    self.forward(&view, &Run::of(train), now, batch);
                }
            } else {
                while trains.next_if(|next| run.take(next)).is_some() {}
                self.forward(&view, &run, now, batch);
            }
        }
        Ok(received)
    }

    fn forward(self: &Rc<Self>, view: &Rc<VirtualView>, run: &Run<'_>, now: u64, batch: &Rc<RefCell<Batch>>) {
        let all = run.datagrams();
        view.counters.datagrams_to_server.add(all);
        let vip = run.to.map_or(self.address, |ip| SocketAddr::new(ip, self.address.port()));
        let mut peers = Peers { client: run.from, vip, number: 0 };
        if view.virtual_.settings.udp.one_shot {
            self.last.set(self.last.get() + 1);
            peers.number = self.last.get();
        }
        let known = self.sessions.borrow().get(&peers).map(Rc::clone);
        let session = match known {
            Some(known) if !known.is_over() && known.member.state.serves_on() => Some(known),
            Some(known) => {
                // Its member is down: the client gets another.
                known.end(Outcome::MemberFailed);
                self.begin(view, peers, run, batch)
            }
            None => self.begin(view, peers, run, batch),
        };
        let lost = match session.map(|session| session.send(run, now)) {
            Some(Ok(lost)) => lost,
            Some(Err(Refused)) => {
                let another = self.begin(view, peers, run, batch);
                another.and_then(|session| session.send(run, now).ok()).unwrap_or(all)
            }
            None => all,
        };
        if lost > 0 {
            view.counters.datagrams_lost.add(lost);
        }
    }

    /// Begins a session; `None`: there are too many, a rule refuses it, or no member can be had.
    fn begin(
        self: &Rc<Self>,
        view: &Rc<VirtualView>,
        peers: Peers,
        run: &Run<'_>,
        batch: &Rc<RefCell<Batch>>,
    ) -> Option<Rc<Session>> {
        let settings = &view.virtual_.settings;
        if self.closed.get() {
            return None;
        }
        view.counters.connections.add(1);
        if overload::is_overloaded() {
            view.counters.overloaded.add(1);
            return None;
        }
        let Ok(taken) = view.admit(self.sessions.borrow().len()) else {
            view.counters.refused.add(1);
            self.beyond.tell(view, peers.client, "sessions");
            return None;
        };
        let flow = Flow {
            id: next_flow(),
            client: peers.client,
            vip: peers.vip,
            transport: Transport::Udp,
            ingress: 0,
        };
        let mut connection = Connection::new(flow, false);
        match on_flow(&connection, view) {
            Admission::Serve(route) => connection.route = route,
            Admission::Reset | Admission::Close => {
                view.counters.refused.add(1);
                return None;
            }
        }
        if !on_data(&mut connection, view, run.each().next().unwrap_or_default()) {
            view.counters.refused.add(1);
            return None;
        }
        let Some(Connected { member, pool, active, toward }) = connected(view, &connection, &self.spare)
        else {
            view.counters.errors.add(1);
            return None;
        };
        let session = Session::new(peers, run.to, (member, pool), connection, Rc::clone(view), toward);
        if let Some(before) = self.sessions.borrow_mut().insert(peers, Rc::clone(&session)) {
            before.end(Outcome::ClientGone);
        }
        view.counters.open.add(1);
        let most = if settings.udp.one_shot { Some(1) } else { settings.udp.answers };
        let places = (active, taken);
        tokio::task::spawn_local(Rc::clone(&session).run(Rc::clone(self), Rc::clone(batch), most, places));
        Some(session)
    }

    /// Takes an answer of a member, which is so many datagrams, to be sent with others.
    pub(super) fn answer(&self, train: &Train<'_>, count: u64, session: &Session) {
        let mut outbox = self.outbox.borrow_mut();
        if outbox.is_empty() {
            self.answers.notify_one();
        }
        let counters = &session.view().counters;
        match outbox.push(train, session.peers.client, session.from) {
            true => counters.datagrams_to_client.add(count),
            false => counters.datagrams_lost.add(count),
        }
    }

    /// Sends answers, those that came since it did so last together.
    async fn send_answers(self: Rc<Self>) {
        while !self.is_drained() {
            self.answers.notified().await;
            loop {
                let sent = self.outbox.borrow_mut().send(self.socket.as_fd());
                if sent.lost > 0 {
                    self.view.borrow().counters.datagrams_lost.add(sent.lost as u64);
                }
                if !sent.is_full {
                    break;
                }
                sleep(FULL).await;
            }
        }
    }

    /// Ends sessions without datagrams for `timeouts.idle`.
    async fn end_idle(self: Rc<Self>) {
        while !self.is_drained() {
            let idle = self.view.borrow().virtual_.settings.timeouts.idle;
            let wait = (idle / 4).clamp(LOOK_LEAST, LOOK_MOST);
            tokio::select! {
                () = sleep(wait) => {}
                () = self.emptied.notified() => {}
            }
            let (now, idle) = (clock::monotonic_ms(), u64::try_from(idle.as_millis()).unwrap_or(u64::MAX));
            for session in self.sessions.borrow().values().filter(|it| it.is_idle(now, idle)) {
                session.end_idle();
            }
        }
        // Whoever sends answers sees it too.
        self.answers.notify_one();
    }

    /// Forgets a session that is over.
    pub(super) fn ended(&self, session: &Rc<Session>) {
        session.view().counters.open.subtract(1);
        let mut sessions = self.sessions.borrow_mut();
        if sessions.get(&session.peers).is_some_and(|it| Rc::ptr_eq(it, session)) {
            sessions.remove(&session.peers);
        }
        if sessions.is_empty() && self.closed.get() {
            self.emptied.notify_waiters();
        }
    }
}

struct Connected {
    member: Rc<MemberView>,
    pool: Option<Rc<PoolView>>,
    active: Active,
    toward: Toward,
}

/// A member of the pool that the client's datagrams go to, or of one that stands in for it, the session's place there, and
/// a socket toward it.
fn connected(view: &VirtualView, connection: &Connection, spare: &Spare) -> Option<Connected> {
    let mut pool = Rc::clone(connection.route.pool.as_ref().or(view.pool.as_ref())?);
    let mut route = Cow::Borrowed(&connection.route);
    let trains = !view.virtual_.settings.udp.one_shot;
    let mut tried = Vec::new();
    while tried.len() < MOST_ATTEMPTS {
        let (member, reserved) = match choose(view, &pool, connection, &route, &tried, &[]) {
            Next::Member(member, _, reserved) => (member, reserved),
            Next::Away => {
                view.counters.persistence_down[REFUSED].add(1);
                return None;
            }
            Next::None if !tried.is_empty() => return None,
            Next::None => {
                pool = pool.on_empty()?;
                route = Cow::Owned(Route::to_pool(Rc::clone(&pool)));
                continue;
            }
        };
        let client = connection.flow.client.ip();
        match member.bound(client, |from| connect(member.address, from, trains, spare)) {
            Ok(toward) => {
                member.counters.connects.add(1);
                let active = reserved.unwrap_or_else(|| member.state.begin());
                let pool = pool.to_be_told();
                return Some(Connected { member, pool, active, toward });
            }
            Err(error) => {
                member.counters.connects_failed.add(1);
                tracing::debug!(member = %member.address, %error, "no socket toward the member");
                tried.push(member.address);
            }
        }
    }
    None
}
