//! An HTTP/1.1 connection to a member, for one request at a time.
//!
//! It has no task of its own: the task that waits for something from it polls it, in one call and with one waker.
//! That is why it is not hyper's client, which hands requests, answers and pieces of bodies from task to
//! task (`host/docs/decisions/0008-own-client-side-of-members.md`). Only where an answer comes before the
//! whole request is out does the rest of the request get a task, see [`ServerConnection::upload_in_background`].

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{Method, request, response};
use tokio::io::AsyncReadExt;
use tokio::task::{JoinHandle, spawn_local};
use tokio_rustls::rustls::pki_types::ServerName;

use crate::http::body::RequestBody;
use crate::http::lines::Lines;
use crate::server::{ReadHalf, ServerStream, WriteHalf};

use super::Broken;
use super::outgoing::{Outgoing, Pace, Resend};
use super::response::{Body, Head, Piece, take_head};

/// What is read at once. Grows while a member sends more than that.
const LEAST_READ: usize = 8 << 10;
const MOST_READ: usize = 64 << 10;

thread_local! {
    /// What a worker's connections read into, one after the other, while nothing of it has to be kept: memory that is in
    /// the cache, however many they are.
    static READ_INTO: Cell<Option<BytesMut>> = const { Cell::new(None) };
}

pub(super) struct ServerConnection {
    /// `None` only while it is being split.
    stream: Option<Stream>,
    called: Option<ServerName<'static>>,
    request: Outgoing,
    /// What was read and not looked at.
    read: BytesMut,
    read_size: usize,
    /// Nothing looks at the fields of the answer.
    passes: bool,
    /// They, until they are taken.
    lines: Option<Lines>,
    /// Of the answer that is coming in; ended between requests.
    body: Body,
    keep_alive: bool,
    /// For so many seconds, as the member said last.
    kept_for: Option<u64>,
    /// Writing failed. What the member said before may still come in.
    unwritable: Option<Broken>,
}

enum Stream {
    Whole(ServerStream),
    /// The other half is with the task that sends the rest of the request.
    Split {
        reading: ReadHalf,
        sending: Sending,
    },
}

/// A task that sends the rest of a request, and ends with what it works for. It comes to the half that it wrote
/// to where all of it got out.
struct Sending(JoinHandle<Option<(WriteHalf, Outgoing)>>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ServerConnection {
    /// `called`: requests to other names need another connection.
    pub(super) fn new(stream: ServerStream, called: Option<ServerName<'static>>) -> Self {
        ServerConnection {
            called,
            stream: Some(Stream::Whole(stream)),
            request: Outgoing::default(),
            read: BytesMut::new(),
            read_size: LEAST_READ,
            passes: false,
            lines: None,
            body: Body::ENDED,
            keep_alive: true,
            kept_for: None,
            unwritable: None,
        }
    }

    /// Whether the member has said nothing since the last answer, as it should: neither closed the
    /// connection nor sent bytes without a request. Costs a system call only where something came.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.whole().is_some_and(ServerStream::is_quiet)
    }

    /// The same, asked of the kernel itself: what came since the worker last waited for events is seen, too.
    pub(super) fn is_quiet_now(&mut self) -> bool {
        self.whole().is_some_and(ServerStream::is_quiet_now)
    }

    fn whole(&mut self) -> Option<&mut ServerStream> {
        match &mut self.stream {
            Some(Stream::Whole(stream)) => Some(stream),
            Some(Stream::Split { .. }) | None => None,
        }
    }

    /// Whether it goes to what is called so; see [`ServerConnection::new`].
    pub(super) fn is_called(&self, name: Option<&ServerName<'static>>) -> bool {
        self.called.as_ref() == name
    }

    /// Whether another request may follow the one that was answered.
    pub(super) fn is_reusable(&self) -> bool {
        self.keep_alive && self.body.is_ended() && self.read.is_empty() && self.is_sent()
    }

    /// For how many seconds the member keeps it idle, as it said behind the last request.
    pub(super) fn kept_for(&self) -> Option<u64> {
        self.kept_for
    }

    /// Whether all of the request is with the kernel.
    pub(super) fn is_sent(&self) -> bool {
        matches!(self.stream, Some(Stream::Whole(_))) && self.request.is_written()
    }

    /// Whether the member will take another request behind this one, as far as it has said.
    pub(super) fn stays_open(&self) -> bool {
        self.keep_alive && self.unwritable.is_none()
    }

    /// Takes up a request. Nothing is written before it is driven. `passes`: nothing looks at the fields of its answer,
    /// see [`ServerConnection::take_lines`].
    pub(super) fn begin(&mut self, head: &request::Parts, body: RequestBody, passes: bool) {
        self.passes = passes;
        self.request.begin(head, body);
    }

    /// What can be sent once more on another connection.
    pub(super) fn take_again(&mut self) -> Resend {
        std::mem::take(&mut self.request).again()
    }

    /// The body of a request that is not all out.
    pub(super) fn unsent_body(&self) -> Option<&RequestBody> {
        match &self.stream {
            Some(Stream::Whole(_)) if !self.request.is_written() => Some(self.request.body()),
            _ => None,
        }
    }

    /// Sends what can be sent and reads the head of the answer. `inform` gets informational answers, but for 101,
    /// which is final here (RFC 9110 section 15.2).
    pub(super) fn poll_answer(
        &mut self,
        method: &Method,
        cx: &mut Context<'_>,
        mut inform: impl FnMut(response::Parts),
    ) -> Poll<Result<response::Parts, Broken>> {
        if let Some(Stream::Whole(stream)) = &mut self.stream
            && !self.request.is_written()
            && self.unwritable.is_none()
        {
            match self.request.poll_write(stream, cx) {
                Poll::Ready(Err(Broken::Body(error))) => return Poll::Ready(Err(Broken::Body(error))),
                // A member that refuses the rest of a request may have answered before it closed: that is read
                // before the end is.
                Poll::Ready(Err(error)) => self.unwritable = Some(error),
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
        }
        loop {
            if !self.read.is_empty() {
                while let Some(Head { parts, lines, body, keep_alive, kept_for }) =
                    take_head(&mut self.read, method, self.passes)?
                {
                    if parts.status.is_informational()
                        && parts.status != http::StatusCode::SWITCHING_PROTOCOLS
                    {
                        inform(parts);
                        continue;
                    }
                    self.lines = lines;
                    self.body = body;
                    self.keep_alive = keep_alive && self.unwritable.is_none();
                    self.kept_for = kept_for;
                    return Poll::Ready(Ok(parts));
                }
            }
            match self.poll_read(cx) {
                Poll::Ready(end) if is_end(&end) => {
                    let closed = if self.read.is_empty() { Broken::Closed } else { Broken::Truncated };
                    return Poll::Ready(Err(self.unwritable.take().unwrap_or(closed)));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Broken::Io(error))),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// The fields of the answer, where they are not in its head.
    pub(super) fn take_lines(&mut self) -> Option<Lines> {
        self.lines.take()
    }

    /// What the framing of the answer says is still to come.
    pub(super) fn body(&self) -> Body {
        self.body
    }

    /// The answer's whole body, where it has a length and all of it was read with the head.
    pub(super) fn whole_body(&mut self) -> Option<Bytes> {
        let length = usize::try_from(self.body.exact()?).ok().filter(|&length| length <= self.read.len())?;
        self.body = Body::ENDED;
        Some(self.read.split_to(length).freeze())
    }

    /// A piece of the answer's body; `None`: it has ended.
    pub(super) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, Broken>>> {
        loop {
            if self.body.is_ended() {
                return Poll::Ready(None);
            }
            match self.body.take(&mut self.read) {
                Ok(Piece::More) if self.body.is_ended() => return Poll::Ready(None),
                Ok(Piece::More) => {}
                Ok(piece) => return Poll::Ready(Some(Ok(piece))),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
            match ready!(self.poll_read(cx)) {
                Ok(0) => {
                    if let Err(error) = self.body.close() {
                        return Poll::Ready(Some(Err(error)));
                    }
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(Broken::Io(error)))),
            }
        }
    }

    /// Lets the rest of the request continue by itself, whether anyone waits for something from here or
    /// not: the client may want to send all of it before it reads anything.
    pub(super) fn upload_in_background(&mut self, pace: Pace) {
        let Some(Stream::Whole(stream)) = self.stream.take() else { return };
        let (reading, mut writing) = stream.into_split();
        let mut request = std::mem::take(&mut self.request);
        let task =
            spawn_local(async move { request.write(&mut writing, pace).await.then_some((writing, request)) });
        self.stream = Some(Stream::Split { reading, sending: Sending(task) });
    }

    /// Waits until all of the request is out; `None`: it did not get there.
    pub(super) async fn sent(mut self: Box<Self>, pace: Pace) -> Option<Box<Self>> {
        let stream = match self.stream.take()? {
            Stream::Whole(mut stream) => self.request.write(&mut stream, pace).await.then_some(stream)?,
            Stream::Split { reading, mut sending } => {
                let (writing, request) = (&mut sending.0).await.ok()??;
                self.request = request;
                reading.reunite(writing)?
            }
        };
        self.stream = Some(Stream::Whole(stream));
        Some(self)
    }

    /// The raw connection, and what was read from it already.
    pub(super) fn into_stream(mut self) -> Option<(ServerStream, BytesMut)> {
        match self.stream.take() {
            Some(Stream::Whole(stream)) => Some((stream, std::mem::take(&mut self.read))),
            Some(Stream::Split { .. }) | None => None,
        }
    }

    /// Gives back memory that only a large message needs.
    pub(super) fn rest(&mut self) {
        self.request.rest();
        self.read_size = LEAST_READ;
        self.let_go();
        self.read = BytesMut::new();
    }

    /// Gives back what is read into, where nothing of it is kept.
    fn let_go(&mut self) {
        if self.read.is_empty() && self.read.capacity() <= 2 * LEAST_READ {
            READ_INTO.set(Some(std::mem::take(&mut self.read)));
        }
    }

    /// Reads what is there, up to a buffer full.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.read.capacity() == 0 {
            self.read = READ_INTO.take().unwrap_or_default();
        }
        self.read.reserve(self.read_size);
        let room = self.read.capacity() - self.read.len();
        let read = match &mut self.stream {
            Some(Stream::Whole(stream)) => stream.poll_recv(cx, &mut self.read),
            Some(Stream::Split { reading, .. }) => pin!(reading.read_buf(&mut self.read)).poll(cx),
            None => Poll::Ready(Ok(0)),
        };
        let Poll::Ready(count) = read else {
            self.let_go();
            return Poll::Pending;
        };
        let count = count?;
        if count == room {
            self.read_size = (2 * self.read_size).min(MOST_READ);
        }
        Poll::Ready(Ok(count))
    }
}

impl Drop for ServerConnection {
    fn drop(&mut self) {
        if let Some(stream) = self.whole() {
            stream.close();
        }
    }
}

/// Whether nothing more comes. An end without close_notify (RFC 8446 section 6.1) is one where no answer was begun, and an
/// answer that was is cut off either way.
fn is_end(read: &io::Result<usize>) -> bool {
    match read {
        Ok(count) => *count == 0,
        Err(error) => error.kind() == io::ErrorKind::UnexpectedEof,
    }
}
