//! The HTTP/2 connections of one worker to one member, and the requests that wait for room on one.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify};
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout};
use tokio_rustls::rustls::pki_types::ServerName;

use super::Exchange;
use super::connection::Shared;
use crate::http::member::connection::ServerConnection;
use crate::http::member::lifetime::Lifetime;
use crate::http::member::{ConnectError, FRESH};
use crate::member::MemberView;
use crate::server::ServerStream;
use shunt_config::model::MemberProtocol;
use shunt_runtime::tls::members::chose_http_2;

/// Connections of one worker to a member, at most.
const MOST_CONNECTIONS: usize = 16;
/// A connection without streams is closed after this at the latest, as one of HTTP/1.1 is.
const MOST_IDLE: Duration = Duration::from_secs(40);

/// What a member is called in a handshake; `None`: no TLS with it.
type Name = Option<ServerName<'static>>;
/// The same where connections to other names do not do.
type Called<'a> = Option<&'a ServerName<'static>>;

#[derive(Default)]
pub(in crate::http::member) struct Connections {
    all: RefCell<Vec<Rc<Shared>>>,
    /// The one that has it waits for room, and all others for it, in the order in which they came.
    turn: Mutex<()>,
    /// A connection is being opened: one at a time, for whoever waits may find room on it.
    opening: Cell<bool>,
    /// What came of it, where that is not one of `all`.
    outcome: RefCell<Option<Result<Box<ServerConnection>, ConnectError>>>,
    /// There may be room, or an outcome.
    news: Rc<Notify>,
    /// The member chose HTTP/1.1 last, where it may choose.
    chose_http_1: Cell<bool>,
}

/// What [`open`] finds that a member speaks.
pub(in crate::http::member) enum Opened {
    Http1(Box<ServerConnection>),
    Http2(Rc<Shared>),
}

impl Connections {
    /// All of them, for the same member with other settings.
    pub(in crate::http::member) fn take(&self) -> Self {
        Connections {
            all: RefCell::new(self.all.take()),
            chose_http_1: self.chose_http_1.clone(),
            ..Connections::default()
        }
    }

    /// Closes those that are idle for longer than this, and lets go of those that take no more requests.
    pub(in crate::http::member) fn sweep(&self, lifetime: &Lifetime) {
        let mut all = self.all.borrow_mut();
        if !all.is_empty() {
            let now = Instant::now();
            all.retain(|it| {
                learn(it, lifetime);
                it.is_open() && !it.is_idle_for(kept_for(lifetime), now)
            });
        }
        self.outcome.take();
    }

    /// Closes those that are idle; the others end with their last stream.
    pub(in crate::http::member) fn close(&self) {
        self.all.borrow_mut().clear();
        self.outcome.take();
    }

    /// Whether a request can do without waiting for its turn: the member is known to choose HTTP/1.1.
    pub(in crate::http::member) fn chose_http_1(&self) -> bool {
        self.chose_http_1.get()
    }

    /// A stream on a connection that has room, unless others wait for one.
    pub(in crate::http::member) fn reuse(
        &self,
        called: Called<'_>,
        lifetime: &Lifetime,
        now: Instant,
    ) -> Option<Exchange> {
        let _turn = self.turn.try_lock().ok()?;
        self.share(called, lifetime, now)
    }

    /// The first connection that has room, so that those not needed grow idle.
    fn share(&self, called: Called<'_>, lifetime: &Lifetime, now: Instant) -> Option<Exchange> {
        let mut all = self.all.borrow_mut();
        let mut at = 0;
        while let Some(shared) = all.get(at) {
            if !shared.is_called(called) || shared.is_open() && !shared.has_room() {
                at += 1;
                continue;
            }
            if shared.is_open() && !shared.is_idle_for(kept_for(lifetime), now) {
                return Some(Exchange::new(Rc::clone(shared)));
            }
            learn(shared, lifetime);
            all.remove(at);
        }
        None
    }

    /// Whether another one may be opened, for which an idle one to another name is closed where there are too many.
    fn may_open(&self) -> bool {
        let mut all = self.all.borrow_mut();
        all.retain(|it| it.is_open());
        if all.len() >= MOST_CONNECTIONS
            && let Some(idle) = all.iter().position(|it| it.is_idle() && it.has_room())
        {
            all.remove(idle);
        }
        all.len() < MOST_CONNECTIONS
    }

    /// Takes a new connection in, on which a stream begins.
    pub(in crate::http::member) fn add(&self, shared: Rc<Shared>) -> Exchange {
        self.chose_http_1.set(false);
        self.all.borrow_mut().push(Rc::clone(&shared));
        Exchange::new(shared)
    }
}

/// How long a connection without streams is kept.
fn kept_for(lifetime: &Lifetime) -> Duration {
    lifetime.of(None).min(MOST_IDLE)
}

/// A member that ends idle connections without GOAWAY, which it should send (RFC 9113 section 6.8), shows how long it keeps
/// them: of a request that crosses such an end nothing says whether it was taken.
fn learn(gone: &Shared, lifetime: &Lifetime) {
    if let Some(idle) = gone.left_after()
        && idle >= FRESH
    {
        lifetime.closed_after(idle);
    }
}

/// Waits for room on a connection of the member, or for an own connection of HTTP/1.1 where it chooses that; `None`: it
/// does, and there is no need to wait.
pub(in crate::http::member) async fn wait(
    member: &Rc<MemberView>,
    name: Name,
    within: Duration,
) -> Result<Option<Result<Exchange, Box<ServerConnection>>>, ConnectError> {
    let connections = &member.kept.shared;
    let called = name.as_ref().filter(|_| member.is_called_by_request());
    let in_turn = async {
        let _turn = connections.turn.lock().await;
        if matches!(*connections.outcome.borrow(), Some(Err(_))) {
            // It was another request's.
            connections.outcome.take();
        }
        loop {
            if connections.chose_http_1() && connections.outcome.borrow().is_none() {
                return Ok(None);
            }
            if let Some(exchange) = connections.share(called, &member.kept.lifetime, Instant::now()) {
                return Ok(Some(Ok(exchange)));
            }
            match connections.outcome.take() {
                Some(Ok(connection)) if connection.is_called(called) => return Ok(Some(Err(connection))),
                // It was another request's.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => {}
            }
            if !connections.opening.get() && connections.may_open() {
                connections.opening.set(true);
                spawn_local(open_for_all(Rc::clone(member), name.clone(), within));
            }
            connections.news.notified().await;
        }
    };
    match timeout(within, in_turn).await {
        Ok(result) => result,
        Err(_) if connections.opening.get() => Err(ConnectError::TimedOut),
        Err(_) => Err(ConnectError::NoRoom),
    }
}

/// Opens a connection for whoever has the turn when it is there.
async fn open_for_all(member: Rc<MemberView>, name: Name, within: Duration) {
    struct Opening<'a>(&'a Connections);
    impl Drop for Opening<'_> {
        fn drop(&mut self) {
            self.0.opening.set(false);
            self.0.news.notify_one();
        }
    }
    let connections = &member.kept.shared;
    let opening = Opening(connections);
    let opened = timeout(within, open(&member, name)).await;
    match opened.unwrap_or(Err(ConnectError::TimedOut)) {
        Ok(Opened::Http2(shared)) => {
            connections.chose_http_1.set(false);
            connections.all.borrow_mut().push(shared);
        }
        Ok(Opened::Http1(connection)) => {
            connections.chose_http_1.set(true);
            connections.outcome.replace(Some(Ok(connection)));
        }
        Err(error) => drop(connections.outcome.replace(Some(Err(error)))),
    }
    drop(opening);
}

/// Opens a connection for what the pool speaks.
pub(in crate::http::member) async fn open(
    member: &Rc<MemberView>,
    name: Name,
) -> Result<Opened, ConnectError> {
    let stream = member.dial(None).await?;
    let (stream, called) = match (&member.tls, name) {
        (Some(tls), Some(name)) => {
            let session = tls.connect(stream, name.clone()).await.map_err(ConnectError::Tls)?;
            let called = member.is_called_by_request().then_some(name);
            if !chose_http_2(&session) {
                let stream = ServerStream::Tls(Box::new(session));
                return Ok(Opened::Http1(Box::new(ServerConnection::new(stream, called))));
            }
            (ServerStream::Tls(Box::new(session)), called)
        }
        _ if member.protocol == MemberProtocol::Http2 => (ServerStream::Plain(stream), None),
        _ => return Ok(Opened::Http1(Box::new(ServerConnection::new(ServerStream::Plain(stream), None)))),
    };
    Shared::begin(stream, called, member, &member.kept.shared.news).await.map(Opened::Http2)
}
