//! HTTP/2 on a client's connection: reads its frames, starts a task for each stream, writes what the streams have to say,
//! and sees to how the connection ends.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use h2::Reason;
use shunt_config::model::{Http2, Limits};
use tokio::io::ReadBuf;
use tokio::time::Instant;

use super::floods::{Frames, PREFACE};
use super::receive::{End, KNOWS, Receiver, most_head};
use super::requests::{Ending, Requests};
use super::session::{STREAM_WINDOW, Session, setting};
use crate::client::{self, ClientStream, LINGER_SILENT};
use crate::connection::Connection;
use crate::deadline::{Deadline, Waiting};
use crate::http::frames::kind;
use crate::listener::{Listener, SILENCE};

/// What is read at once: two frames, and a record of TLS.
const SCRATCH: usize = 32 << 10;
/// How often one turn reads before others have theirs.
const MOST_READS: u32 = 8;
/// Of GOAWAY before the last stream is known (RFC 9113 section 6.8).
const ANY_STREAM: u32 = (1 << 31) - 1;
/// How long a client may take to answer the PING behind the first GOAWAY. What it opens after that is refused.
const GRACE: Duration = Duration::from_secs(2);
/// How long a connection is read on after the last GOAWAY.
const LINGER: Duration = Duration::from_secs(10);

thread_local! {
    static READ_INTO: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
}

/// Serves a connection to its end.
///
/// What it is has a box of its own: the connection may do nothing for long, and the future would keep room for it twice.
pub(crate) fn serve<S: ClientStream>(
    listener: Rc<Listener>,
    connection: Rc<Connection>,
    stream: S,
) -> impl Future<Output = ()> {
    let mut connection = Box::new(Http2Connection::new(&listener, connection, stream));
    async move {
        connection.run(&listener).await;
        if let Some(stream) = connection.into_lingering() {
            Box::pin(client::linger(stream, LINGER)).await;
        }
    }
}

/// What is to be done when a time is up.
enum Next {
    Again,
    Over,
}

struct Http2Connection<S> {
    stream: S,
    session: Rc<Session>,
    receiver: Receiver,
    floods: Frames,
    /// How much of the preface has come.
    preface: usize,
    /// The beginning of a frame of which more is to come.
    input: Vec<u8>,
    deadline: Deadline,
    requests: Requests,
    /// The listener is closed.
    closing: bool,
    /// Nothing more is waited for than that the client reads what is said.
    over: bool,
    /// The client may have more to say than it is listened to.
    lingers: bool,
    /// What is to be written waits for the client to read.
    unwritten: bool,
    /// The client has read something that waited.
    moved: bool,
    /// Nothing is read before more is written.
    held_up: bool,
    /// Streams were open when that was looked at last.
    had_streams: bool,
}

impl<S: ClientStream> Http2Connection<S> {
    /// With SETTINGS to be sent.
    fn new(listener: &Rc<Listener>, connection: Rc<Connection>, stream: S) -> Self {
        let view = listener.view();
        let settings = &view.virtual_.settings;
        let (timeouts, limits, http2) = (settings.timeouts.clone(), &settings.limits, settings.http2);
        let session = Session::new(http2.streams);
        write_settings(&session, limits, &http2);
        let until = Instant::now() + timeouts.head;
        Http2Connection {
            stream,
            receiver: Receiver::new(&session, limits, http2),
            floods: Frames::new(limits.head),
            preface: 0,
            input: Vec::new(),
            deadline: Deadline::new(Waiting::Head, until, timeouts.idle, timeouts.first_byte),
            requests: Requests {
                session: Rc::clone(&session),
                listener: Rc::clone(listener),
                connection,
                counters: Arc::clone(&view.counters),
                timeouts,
                begun: false,
                ending: Ending::No,
                knows: false,
            },
            session,
            closing: false,
            over: false,
            lingers: false,
            unwritten: false,
            moved: false,
            held_up: false,
            had_streams: false,
        }
    }

    /// The client's stream, where it may have more to say than it is listened to.
    fn into_lingering(self) -> Option<S> {
        self.lingers.then_some(self.stream)
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
            if self.closing && self.requests.begun && self.requests.ending == Ending::No {
                self.end();
            }
            self.session.begin_turn(cx);
            let over = self.poll(cx);
            self.session.end_turn();
            over
        })
        .await;
        self.session.state().close_all();
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if !self.over && self.poll_receive(cx).is_ready() {
                return Poll::Ready(());
            }
            self.look_whether_it_ends();
            match self.poll_write(cx) {
                Poll::Ready(Ok(())) if self.over => return Poll::Ready(()),
                Poll::Ready(Ok(())) if std::mem::take(&mut self.held_up) => continue,
                Poll::Ready(Ok(())) | Poll::Pending => {}
                Poll::Ready(Err(error)) => {
                    tracing::debug!(client = %self.requests.connection.flow.client, %error, "the client is gone");
                    self.lingers = false;
                    return Poll::Ready(());
                }
            }
            match self.poll_time(cx) {
                Poll::Ready(Next::Again) => {}
                Poll::Ready(Next::Over) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Reads what has come. Ready when the client is gone.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..MOST_READS {
            if self.session.state().is_full() {
                self.held_up = true;
                return Poll::Pending;
            }
            let read = READ_INTO.with_borrow_mut(|scratch| {
                let mut scratch = ReadBuf::new(scratch);
                match ready!(self.stream.poll_recv(cx, &mut scratch)) {
                    Ok(()) if !scratch.filled().is_empty() => Poll::Ready(Ok(self.receive(scratch.filled()))),
                    Ok(()) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                    Err(error) => Poll::Ready(Err(error)),
                }
            });
            match ready!(read) {
                Ok(Ok(())) => {}
                Ok(Err(end)) => {
                    self.fail(end);
                    return Poll::Pending;
                }
                Err(error) => {
                    tracing::debug!(client = %self.requests.connection.flow.client, %error, "the client has left");
                    if self.preface < PREFACE.len() {
                        self.requests.counters.errors.add(1);
                    }
                    return Poll::Ready(());
                }
            }
        }
        // Others have their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes the next bytes of the connection.
    fn receive(&mut self, mut bytes: &[u8]) -> Result<(), End> {
        self.floods.follow(bytes).map_err(End::Flood)?;
        if self.preface < PREFACE.len() {
            let expected = &PREFACE[self.preface..];
            let count = expected.len().min(bytes.len());
            if bytes[..count] != expected[..count] {
                // Section 3.4.
                return Err(Reason::PROTOCOL_ERROR.into());
            }
            self.preface += count;
            bytes = &bytes[count..];
        }
        if self.input.is_empty() {
            let taken = self.receiver.take(bytes, &mut self.requests)?;
            self.input.extend_from_slice(&bytes[taken..]);
            return Ok(());
        }
        self.input.extend_from_slice(bytes);
        let taken = self.receiver.take(&self.input, &mut self.requests)?;
        if taken == self.input.len() {
            self.input = Vec::new();
        } else {
            self.input.drain(..taken);
        }
        Ok(())
    }

    /// Writes what the streams have to say.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.session.state();
        if state.output.is_empty() && !self.unwritten {
            return Poll::Ready(Ok(()));
        }
        let mut wrote = 0;
        let written = state.output.poll_write(&mut self.stream, cx, &mut wrote);
        self.floods.wrote(wrote);
        self.moved |= self.unwritten && wrote > 0;
        self.unwritten = written.is_pending();
        ready!(written)?;
        state.rest();
        state.call_waiting();
        Poll::Ready(Ok(()))
    }

    /// Says that the connection takes no more streams than those on their way, and ends with the last of them.
    fn end(&mut self) {
        self.requests.ending = Ending::Announced;
        let mut state = self.session.state();
        state.write_goaway(ANY_STREAM, Reason::NO_ERROR);
        state.write_frame(kind::PING, 0, 0, &KNOWS);
        self.deadline.wait_for(Waiting::Request, Instant::now() + GRACE);
    }

    fn look_whether_it_ends(&mut self) {
        let ending = self.requests.ending;
        if matches!(ending, Ending::Announced | Ending::Overdue) && self.requests.knows {
            self.requests.ending = Ending::Last;
            let mut state = self.session.state();
            let last = state.history.last();
            state.write_goaway(last, Reason::NO_ERROR);
            self.receiver.most = last;
        }
        if self.over || self.has_streams() {
            return;
        }
        match self.requests.ending {
            Ending::Last => self.finish(),
            Ending::Overdue => self.shut_down(Reason::NO_ERROR),
            _ if self.receiver.leaves => self.shut_down(Reason::NO_ERROR),
            _ => {}
        }
    }

    /// Ends the connection with what is on it.
    fn shut_down(&mut self, reason: Reason) {
        let mut state = self.session.state();
        let last = state.history.last();
        state.close_all();
        state.write_goaway(last, reason);
        drop(state);
        self.finish();
    }

    /// All is said.
    fn finish(&mut self) {
        (self.over, self.lingers) = (true, true);
        self.deadline.wait_for(Waiting::FirstByte, Instant::now() + LINGER_SILENT);
    }

    fn fail(&mut self, end: End) {
        let client = self.requests.connection.flow.client;
        let reason = match end {
            End::Error(reason) => {
                tracing::debug!(%client, %reason, "HTTP/2 connection error");
                self.requests.counters.errors.add(1);
                reason
            }
            End::Flood(flood) => {
                tracing::debug!(%client, ?flood, "HTTP/2 flood");
                self.requests.counters.http2_floods[flood as usize].add(1);
                Reason::ENHANCE_YOUR_CALM
            }
        };
        self.shut_down(reason);
    }

    fn poll_time(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if !self.over {
            self.look_what_is_waited_for();
        }
        self.deadline.poll(cx).map(|()| self.expire())
    }

    fn has_streams(&self) -> bool {
        !self.session.state().open().is_empty()
    }

    fn look_what_is_waited_for(&mut self) {
        let waiting = match () {
            () if self.unwritten => Waiting::Body,
            () if self.preface < PREFACE.len() || self.floods.inside_head() => Waiting::Head,
            () => Waiting::Request,
        };
        let has_streams = self.has_streams();
        let emptied = std::mem::replace(&mut self.had_streams, has_streams)
            && !has_streams
            && waiting == Waiting::Request;
        if waiting == self.deadline.waiting() && !(emptied && self.requests.ending == Ending::No) {
            if std::mem::take(&mut self.moved) && waiting == Waiting::Body {
                self.deadline.progress();
            }
            return;
        }
        match waiting {
            Waiting::Head => self.deadline.wait_for(waiting, Instant::now() + self.requests.timeouts.head),
            Waiting::Request if self.requests.ending != Ending::No => {
                self.deadline.wait_for(waiting, Instant::now() + GRACE);
            }
            Waiting::Request if self.closing => self.deadline.wait_for(waiting, Instant::now() + SILENCE),
            _ => self.deadline.wait_idle(waiting),
        }
    }

    /// The time is up for what is waited for.
    fn expire(&mut self) -> Next {
        match (self.deadline.waiting(), self.requests.ending) {
            (Waiting::Request, Ending::No) if self.has_streams() => {
                // Each has a deadline of its own.
                self.deadline.wait_idle(Waiting::Request);
            }
            (Waiting::Request, Ending::No) => self.end(),
            (Waiting::Request, ending) if self.has_streams() => {
                if ending == Ending::Announced {
                    self.requests.ending = Ending::Overdue;
                }
                self.deadline.wait_for(Waiting::Request, Instant::now() + GRACE);
            }
            (Waiting::Request, _) => self.shut_down(Reason::NO_ERROR),
            (Waiting::Head, _) if !self.over => {
                self.requests.counters.errors.add(1);
                self.shut_down(Reason::ENHANCE_YOUR_CALM);
            }
            // The client does not read, not even that.
            _ => return Next::Over,
        }
        Next::Again
    }
}

fn write_settings(session: &Session, limits: &Limits, http2: &Http2) {
    let most_head = u32::try_from(most_head(limits)).unwrap_or(u32::MAX);
    let settings = [
        (setting::MAX_CONCURRENT_STREAMS, http2.streams),
        (setting::INITIAL_WINDOW_SIZE, STREAM_WINDOW),
        (setting::MAX_HEADER_LIST_SIZE, most_head),
        (setting::ENABLE_CONNECT_PROTOCOL, u32::from(http2.websocket)),
    ];
    let mut payload = Vec::with_capacity(6 * settings.len());
    for (number, value) in settings {
        payload.extend_from_slice(&number.to_be_bytes());
        payload.extend_from_slice(&value.to_be_bytes());
    }
    let mut state = session.state();
    state.write_frame(kind::SETTINGS, 0, 0, &payload);
    state.write_first_room();
}
