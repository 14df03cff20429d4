//! A connection of HTTP/2 to a member, which streams share. It has a task of its own, for the crate needs one.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{self, SendRequest};
use shunt_runtime::counters::{MemberCounters, Shard};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::Instant;
use tokio_rustls::rustls::pki_types::ServerName;

use super::wire::{Heard, Wire};
use crate::http::member::ConnectError;
use crate::member::MemberView;
use crate::server::ServerStream;

/// Requests at once on a connection, at most; fewer where the member says so.
pub(super) const MOST_STREAMS: usize = 100;
/// What a member may send of one answer before a client takes it (RFC 9113 section 6.9.2): the initial size.
const STREAM_WINDOW: u32 = 65_535;
/// Bytes of a request that may wait for the connection.
const MOST_UNWRITTEN: usize = 64 << 10;
/// Bytes of a head, and of the trailers, at most: as for HTTP/1.1.
const MOST_HEAD: u32 = 64 << 10;

/// How long a connection is kept of which the first request has not come: the client may be gone.
const UNUSED: Duration = Duration::from_secs(4);

/// See the module.
pub(in crate::http::member) struct Shared {
    requests: SendRequest<Bytes>,
    /// Requests to other names need another connection.
    called: Option<ServerName<'static>>,
    pub(super) scheme: http::uri::Scheme,
    pub(super) heard: Rc<Heard>,
    condition: Rc<Condition>,
    /// Streams that are open.
    open: Cell<usize>,
    idle_since: Cell<Instant>,
    /// A request was sent on it.
    used: Cell<bool>,
    /// No more streams: the member did not say a word in the time that one of them had.
    retired: Cell<bool>,
    /// Told when there may be room.
    news: Rc<Notify>,
}

/// What the task of a connection tells.
#[derive(Default)]
struct Condition {
    /// Streams that the member takes at once.
    limit: Cell<usize>,
    /// It has said so, or says nothing more.
    settled: Cell<bool>,
    settling: Notify,
    over: Cell<bool>,
    /// An error ended it, which is counted.
    broken: Cell<bool>,
}

impl Condition {
    fn settle(&self) {
        if !self.settled.replace(true) {
            self.settling.notify_one();
        }
    }

    fn broke(&self, counters: &Shard<MemberCounters>) {
        if !self.broken.replace(true) {
            counters.http2_broken.add(1);
        }
    }
}

impl Shared {
    /// Speaks HTTP/2 on a connection. It is ready when the member has said how many streams it takes, which it says
    /// first (RFC 9113 section 3.4).
    ///
    /// # Errors
    /// The member does not speak HTTP/2, or closes the connection.
    pub(super) async fn begin(
        stream: ServerStream,
        called: Option<ServerName<'static>>,
        member: &MemberView,
        news: &Rc<Notify>,
    ) -> Result<Rc<Shared>, ConnectError> {
        let scheme = match stream {
            ServerStream::Plain(_) => http::uri::Scheme::HTTP,
            ServerStream::Tls(_) => http::uri::Scheme::HTTPS,
        };
        let heard = Rc::<Heard>::default();
        let handshake = client::Builder::new()
            .enable_push(false)
            .initial_max_send_streams(MOST_STREAMS)
            .initial_window_size(STREAM_WINDOW)
            // A client that does not take its answer holds back no other.
            .initial_connection_window_size(MOST_STREAMS as u32 * STREAM_WINDOW)
            .max_header_list_size(MOST_HEAD)
            .max_send_buffer_size(MOST_UNWRITTEN)
            // Answers that are refused here, over the life of a connection, are no reason to end it.
            .max_local_error_reset_streams(None)
            .handshake(Wire::new(stream, &heard));
        let (requests, connection) = handshake.await.map_err(|_| heard.no_connection())?;
        let condition = Rc::<Condition>::default();
        spawn_local(drive(connection, Rc::clone(&heard), Rc::clone(&condition), member, Rc::clone(news)));
        condition.settling.notified().await;
        match heard.speaks_http_2() {
            Some(true) if !condition.over.get() => {}
            _ => return Err(heard.no_connection()),
        }
        Ok(Rc::new(Shared {
            requests,
            called,
            scheme,
            heard,
            condition,
            open: Cell::new(0),
            idle_since: Cell::new(Instant::now()),
            used: Cell::new(false),
            retired: Cell::new(false),
            news: Rc::clone(news),
        }))
    }

    /// Whether it takes requests to what is called so.
    pub(super) fn is_called(&self, name: Option<&ServerName<'static>>) -> bool {
        self.called.as_ref() == name
    }

    /// Whether it takes requests, as far as the member has said: it has neither closed it nor sent GOAWAY.
    pub(super) fn is_open(&self) -> bool {
        let polled = || self.requests.clone().poll_ready(&mut Context::from_waker(Waker::noop()));
        !self.retired.get() && !self.condition.over.get() && !matches!(polled(), Poll::Ready(Err(_)))
    }

    /// Whether it has room for another stream (RFC 9113 section 5.1.2).
    pub(super) fn has_room(&self) -> bool {
        self.open.get() < self.condition.limit.get().min(MOST_STREAMS)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.open.get() == 0
    }

    /// Whether it has been without a stream for longer than this. One that was opened for a request waits for it.
    pub(super) fn is_idle_for(&self, time: Duration, now: Instant) -> bool {
        let time = if self.used.get() { time } else { time.max(UNUSED) };
        self.is_idle() && now.saturating_duration_since(self.idle_since.get()) > time
    }

    /// How long it had been without a stream when the member ended it without GOAWAY.
    pub(super) fn left_after(&self) -> Option<Duration> {
        let idle = self.heard.left()?.checked_duration_since(self.idle_since.get())?;
        (self.is_idle() && self.used.get()).then_some(idle)
    }

    /// A stream found that an error ended it.
    pub(super) fn broke(&self, counters: &Shard<MemberCounters>) {
        self.condition.broke(counters);
    }

    /// Takes no more streams.
    pub(super) fn retire(&self) {
        self.retired.set(true);
    }

    /// Begins a stream; says whether it is the first.
    pub(super) fn open(&self) -> (SendRequest<Bytes>, bool) {
        self.open.set(self.open.get() + 1);
        (self.requests.clone(), !self.used.replace(true))
    }

    pub(super) fn close(&self) {
        self.open.set(self.open.get() - 1);
        if self.is_idle() {
            self.idle_since.set(Instant::now());
        }
        self.news.notify_one();
    }
}

/// Drives a connection to its end: until nothing refers to it and its last stream has ended, or it breaks.
fn drive(
    mut connection: client::Connection<Wire<ServerStream>, Bytes>,
    heard: Rc<Heard>,
    condition: Rc<Condition>,
    member: &MemberView,
    news: Rc<Notify>,
) -> impl Future<Output = ()> + use<> {
    let (address, counters) = (member.address, Arc::clone(&member.counters));
    async move {
        let ended = poll_fn(|cx| {
            let polled = Pin::new(&mut connection).poll(cx);
            if heard.speaks_http_2().is_some() {
                let limit = connection.max_concurrent_send_streams();
                if condition.limit.replace(limit) != limit {
                    news.notify_one();
                }
                condition.settle();
            }
            polled
        });
        let ended = ended.await;
        condition.over.set(true);
        condition.settle();
        news.notify_one();
        if let Err(error) = ended
            && heard.speaks_http_2() == Some(true)
        {
            condition.broke(&counters);
            tracing::debug!(member = %address, %error, "an HTTP/2 connection broke");
        }
    }
}
