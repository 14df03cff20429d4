//! HTTP/2 on a client's connection: takes streams from the crate, each served by a task of its own, and sees to how
//! the connection ends.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{self, SendResponse};
use h2::{Reason, RecvStream};
use http::{Request, Response};
use shunt_config::model::{Http2, Limits, Timeouts};
use shunt_runtime::counters::{Shard, VirtualCounters};
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout};

use super::exchange;
use super::floods::MOST_RESET_UNSEEN;
use super::head::{self, Refused};
use super::watched::{Watch, Watched};
use super::wire::Wire;
use crate::client::{self, ClientStream, LINGER_SILENT};
use crate::connection::Connection;
use crate::deadline::{Deadline, Waiting};
use crate::http::stream::Stream;
use crate::listener::{Listener, SILENCE};

/// What a client may send of one request's body before a member takes it (RFC 9113 section 6.9.2): the initial size.
const STREAM_WINDOW: u32 = 65_535;
/// Streams that may hold that much at once without holding back others.
const FULL_STREAMS: u32 = 128;
/// Bytes of an answer that may wait for the connection.
const MOST_UNWRITTEN: usize = 64 << 10;
/// RFC 9113 section 6.5.2: what a field takes of the size of a head beside its name and its value.
const FIELD_OVERHEAD: usize = 32;
/// How long a client may take to answer the PING behind the first GOAWAY. What it opens after that is refused.
const GRACE: Duration = Duration::from_secs(2);
/// How long a connection is read on after the last GOAWAY.
const LINGER: Duration = Duration::from_secs(10);

/// Serves a connection to its end.
///
/// What it begins with has a box of its own, made before the future, which would keep room for it: the connection may do
/// nothing for long.
pub(crate) fn serve<S: ClientStream>(
    listener: Rc<Listener>,
    connection: Rc<Connection>,
    stream: S,
) -> impl Future<Output = ()> {
    let beginning = Box::pin(begin(Rc::clone(&listener), connection, stream));
    async move {
        let Some(mut connection) = beginning.await else { return };
        connection.run(&listener).await;
        if let Some(stream) = connection.into_lingering() {
            Box::pin(client::linger(stream, LINGER)).await;
        }
    }
}

/// Sends SETTINGS and waits for the client's preface; `None`: it does not come.
async fn begin<S: ClientStream>(
    listener: Rc<Listener>,
    connection: Rc<Connection>,
    stream: S,
) -> Option<Box<Http2Connection<S>>> {
    let view = listener.view();
    let settings = &view.virtual_.settings;
    let counters = Arc::clone(&view.counters);
    let (timeouts, limits, http2) = (settings.timeouts.clone(), settings.limits.clone(), settings.http2);
    // A view that is held would keep its rules alive as long as the connection.
    drop(view);
    let watch = Watch::new(limits.head);
    let wire = Wire::new(stream, &watch);
    let mut handshake = pin!(builder(&limits, &http2).handshake(Watched::new(&wire, &watch)));
    let begun = poll_fn(|cx| {
        watch.wake();
        let begun = handshake.as_mut().poll(cx);
        if begun.is_pending() {
            // Reading fails where this does.
            let _ = wire.borrow_mut().poll_flush(cx);
        }
        begun
    });
    let Ok(Ok(h2)) = timeout(timeouts.head, begun).await else {
        counters.errors.add(1);
        return None;
    };
    let deadline =
        Deadline::new(Waiting::Request, Instant::now() + timeouts.idle, timeouts.idle, timeouts.first_byte);
    Some(Box::new(Http2Connection {
        h2,
        wire: Rc::clone(&wire),
        watch,
        deadline,
        timeouts,
        limits,
        http2,
        counters,
        connection,
        open: Rc::default(),
        begun: 0,
        refused: 0,
        closing: false,
        ending: Ending::No,
        over: false,
        lingers: false,
    }))
}

fn builder(limits: &Limits, http2: &Http2) -> server::Builder {
    let mut builder = server::Builder::new();
    // Beyond `limits.head` gets an answer of Shunt's; twice that is what the crate keeps of a head.
    let most_head = 2 * limits.head + FIELD_OVERHEAD * limits.fields;
    builder
        .max_concurrent_streams(http2.streams)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(http2.streams.min(FULL_STREAMS) * STREAM_WINDOW)
        .max_send_buffer_size(MOST_UNWRITTEN)
        .max_pending_accept_reset_streams(MOST_RESET_UNSEEN as usize)
        .max_header_list_size(u32::try_from(most_head).unwrap_or(u32::MAX));
    if http2.websocket {
        builder.enable_connect_protocol();
    }
    builder
}

/// How far a connection is on its way to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    No,
    /// GOAWAY is out, with the highest stream there can be: the client opens no more, and those that are on their way
    /// are served (RFC 9113 section 6.8).
    Announced,
    /// The client has not said in time that it knows: what it opens is refused.
    Overdue,
}

/// What is to be done when a time is up.
enum Next {
    Again,
    Over,
}

struct Http2Connection<S> {
    h2: server::Connection<Watched<S>, Bytes>,
    wire: Rc<RefCell<Wire<S>>>,
    watch: Rc<Watch>,
    deadline: Deadline,
    timeouts: Timeouts,
    limits: Limits,
    http2: Http2,
    counters: Arc<Shard<VirtualCounters>>,
    connection: Rc<Connection>,
    open: Rc<Open>,
    /// Streams that the crate gave, and streams that it kept to itself.
    begun: u64,
    refused: u64,
    /// The listener is closed.
    closing: bool,
    ending: Ending,
    /// The last GOAWAY is said: nothing more is waited for than that the client reads it.
    over: bool,
    /// The client may have more to say than it is listened to.
    lingers: bool,
}

/// Streams that are served.
#[derive(Default)]
struct Open {
    count: Cell<usize>,
    /// The last of them has ended.
    emptied: Cell<bool>,
}

struct Place(Rc<Open>);

impl Open {
    fn begin(self: &Rc<Self>) -> Place {
        self.count.set(self.count.get() + 1);
        Place(Rc::clone(self))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        if self.0.count.get() == 0 {
            self.0.emptied.set(true);
        }
    }
}

impl<S: ClientStream> Http2Connection<S> {
    /// The client's stream, where it may have more to say than it is listened to.
    fn into_lingering(self: Box<Self>) -> Option<S> {
        let Http2Connection { h2, wire, lingers, .. } = *self;
        drop(h2);
        lingers.then(|| Rc::try_unwrap(wire).ok()).flatten().map(|wire| wire.into_inner().into_stream())
    }

    async fn run(&mut self, listener: &Rc<Listener>) {
        let mut closing = pin!(listener.closing());
        let mut registered = false;
        poll_fn(|cx| {
            // Once to be told of it; after that a flag says whether asking is worth it.
            if !registered || listener.is_closed() && !self.closing {
                registered = true;
                self.closing = closing.as_mut().poll(cx).is_ready();
                if self.closing && self.deadline.waiting() == Waiting::Request {
                    self.deadline.cut_silence(SILENCE);
                }
            }
            // GOAWAY in answer to the preface would have the client send its first request elsewhere.
            if self.closing && self.begun > 0 && self.ending == Ending::No {
                self.end();
            }
            self.poll(listener, cx)
        })
        .await;
    }

    fn poll(&mut self, listener: &Rc<Listener>, cx: &mut Context<'_>) -> Poll<()> {
        self.watch.wake();
        loop {
            match self.h2.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    self.begin(listener, request, respond);
                    continue;
                }
                Poll::Ready(Some(Err(error))) => {
                    self.fail(&error);
                    return Poll::Ready(());
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => {}
            }
            if let Some(flood) = self.watch.flood()
                && !self.over
            {
                self.lingers = true;
                self.counters.http2_floods[flood as usize].add(1);
                tracing::debug!(client = %self.connection.flow.client, ?flood, "HTTP/2 flood");
                self.shut_down(Reason::ENHANCE_YOUR_CALM);
                continue;
            }
            self.count_refused();
            if let Poll::Ready(Err(error)) = self.poll_flush(cx) {
                tracing::debug!(client = %self.connection.flow.client, %error, "the client is gone");
                return Poll::Ready(());
            }
            match self.poll_time(cx) {
                Poll::Ready(Next::Again) => {}
                Poll::Ready(Next::Over) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Sends what the streams have to say.
    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.wire.borrow_mut();
        ready!(wire.poll_flush(cx))?;
        if self.open.count.get() == 0 {
            wire.rest();
        }
        Poll::Ready(Ok(()))
    }

    /// Takes a stream: it is served, or refused for what its head says.
    fn begin(&mut self, listener: &Listener, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        self.begun += 1;
        let (parts, body) = request.into_parts();
        if self.ending == Ending::Overdue {
            self.counters.http2_refused.add(1);
            return respond.send_reset(Reason::REFUSED_STREAM);
        }
        match head::check(parts, &self.limits, &self.http2) {
            Ok(head) => {
                let stream = Stream::new(&self.connection, &self.timeouts);
                let (view, place) = (listener.view(), self.open.begin());
                spawn_local(async move {
                    exchange::serve(stream, view, head, body, respond).await;
                    drop(place);
                });
            }
            Err(Refused::Malformed(why)) => {
                tracing::debug!(client = %self.connection.flow.client, why, "malformed request");
                self.counters.http2_refused.add(1);
                respond.send_reset(Reason::PROTOCOL_ERROR);
            }
            Err(Refused::Status(status)) => {
                self.counters.errors.add(1);
                self.counters.answered(status.as_u16());
                let mut answer = Response::new(());
                *answer.status_mut() = status;
                // The client may be gone.
                let _ = respond.send_response(answer, true);
            }
        }
    }

    /// Says that the connection takes no more streams than those on their way, and ends with the last of them.
    fn end(&mut self) {
        self.ending = Ending::Announced;
        self.h2.graceful_shutdown();
        self.deadline.wait_for(Waiting::Request, Instant::now() + GRACE);
    }

    /// Ends the connection with what is on it.
    fn shut_down(&mut self, reason: Reason) {
        self.over = true;
        self.h2.abrupt_shutdown(reason);
        self.deadline.wait_for(Waiting::FirstByte, Instant::now() + LINGER_SILENT);
    }

    fn fail(&mut self, error: &h2::Error) {
        tracing::debug!(client = %self.connection.flow.client, %error, "HTTP/2 connection error");
        if error.is_go_away() && error.is_library() {
            self.lingers = true;
            match error.reason() {
                Some(Reason::ENHANCE_YOUR_CALM) => {
                    // A bound of the crate's own, which does not say which.
                    let flood = self.watch.likely_flood();
                    self.counters.http2_floods[flood as usize].add(1);
                }
                _ => self.counters.errors.add(1),
            }
        }
    }

    fn poll_time(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if !self.over {
            self.look_what_is_waited_for();
        }
        self.deadline.poll(cx).map(|()| self.expire())
    }

    fn look_what_is_waited_for(&mut self) {
        let waiting = match () {
            () if self.watch.unwritten() => Waiting::Body,
            () if self.watch.inside_head() => Waiting::Head,
            () => Waiting::Request,
        };
        let emptied = self.open.emptied.take() && waiting == Waiting::Request;
        if waiting == self.deadline.waiting() && !(emptied && self.ending == Ending::No) {
            if self.watch.moved() && waiting == Waiting::Body {
                self.deadline.progress();
            }
            return;
        }
        match waiting {
            Waiting::Head => self.deadline.wait_for(waiting, Instant::now() + self.timeouts.head),
            Waiting::Request if self.ending != Ending::No => {
                self.deadline.wait_for(waiting, Instant::now() + GRACE);
            }
            Waiting::Request if self.closing => self.deadline.wait_for(waiting, Instant::now() + SILENCE),
            _ => self.deadline.wait_idle(waiting),
        }
    }

    /// The time is up for what is waited for.
    fn expire(&mut self) -> Next {
        match (self.deadline.waiting(), self.ending) {
            (Waiting::Request, Ending::No) if self.h2.has_streams() => {
                // Each has a deadline of its own.
                self.deadline.wait_idle(Waiting::Request);
            }
            (Waiting::Request, Ending::No) => self.end(),
            (Waiting::Request, _) if self.h2.has_streams() => {
                self.ending = Ending::Overdue;
                self.deadline.wait_for(Waiting::Request, Instant::now() + GRACE);
            }
            (Waiting::Request, _) => self.shut_down(Reason::NO_ERROR),
            (Waiting::Head, _) if !self.over => {
                self.counters.errors.add(1);
                self.shut_down(Reason::ENHANCE_YOUR_CALM);
            }
            // The client does not read, not even that.
            _ => return Next::Over,
        }
        Next::Again
    }

    /// Counts the streams that the crate has answered or reset by itself.
    fn count_refused(&mut self) {
        if let Some(streams) = self.watch.streams() {
            let refused = streams.saturating_sub(self.begun);
            if refused > self.refused {
                self.counters.http2_refused.add(refused - self.refused);
                self.refused = refused;
            }
        }
    }
}
