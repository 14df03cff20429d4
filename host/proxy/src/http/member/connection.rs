//! An HTTP/1.1 connection to a member, for one request at a time.
//!
//! It has no task of its own: who waits for something from it drives it, in one call and with one waker.
//! That is why it is not hyper's client, which hands requests, answers and pieces of bodies from task to
//! task (`host/docs/decisions/0008-own-client-side-of-members.md`). Only where an answer comes before the
//! whole request is out does the rest of the request get a task, see [`ServerConnection::send_aside`].

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, request, response};
use http_body::Body as _;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::task::{AbortHandle, spawn_local};

use crate::http::body::RequestBody;

use super::Broken;
use super::request::{Framing, write_data, write_end, write_head};
use super::response::{Body, Head, Piece, take_head};

/// What is read at once. Grows while a member sends more than that.
const LEAST_READ: usize = 8 << 10;
const MOST_READ: usize = 64 << 10;
/// Bytes of a request that may wait to be written before more of its body is taken.
const MOST_UNWRITTEN: usize = 64 << 10;

pub(super) struct ServerConnection {
    /// `None` only while it is being split.
    stream: Option<Stream>,
    request: Outgoing,
    /// What was read and not looked at.
    read: BytesMut,
    read_size: usize,
    /// Of the answer that is coming in; ended between requests.
    body: Body,
    keep_alive: bool,
}

enum Stream {
    Whole(TcpStream),
    /// The other half is with the task that sends the rest of the request.
    Reading {
        half: OwnedReadHalf,
        _aside: Aside,
    },
}

/// A task that ends with what it works for.
struct Aside(AbortHandle);

impl Drop for Aside {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A request on its way out.
struct Outgoing {
    /// Bytes to write, of which so many are written. Kept from request to request, so that it is
    /// allocated once.
    bytes: Vec<u8>,
    written: usize,
    /// Something of it was written.
    started: bool,
    framing: Framing,
    body: RequestBody,
    /// What was taken of the body before anything was written.
    taken: Option<Bytes>,
    /// All of the body is in `bytes`, or was.
    complete: bool,
}

impl ServerConnection {
    pub(super) fn new(stream: TcpStream) -> Self {
        ServerConnection {
            stream: Some(Stream::Whole(stream)),
            request: Outgoing::default(),
            read: BytesMut::new(),
            read_size: LEAST_READ,
            body: Body::ENDED,
            keep_alive: true,
        }
    }

    /// Whether the member has said nothing since the last answer, as it should: neither closed the
    /// connection nor sent what nobody asked for. Costs a system call only where something came.
    pub(super) fn is_quiet(&self) -> bool {
        match &self.stream {
            Some(Stream::Whole(stream)) => {
                matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
            }
            Some(Stream::Reading { .. }) | None => false,
        }
    }

    /// Whether another request may follow the one that was answered.
    pub(super) fn is_reusable(&self) -> bool {
        self.keep_alive && self.body.is_ended() && self.read.is_empty() && self.is_sent()
    }

    /// Whether all of the request is with the kernel.
    pub(super) fn is_sent(&self) -> bool {
        matches!(self.stream, Some(Stream::Whole(_))) && self.request.is_written()
    }

    /// Takes up a request. Nothing is written before it is driven.
    pub(super) fn begin(&mut self, head: &request::Parts, body: RequestBody) {
        self.request.begin(head, body);
    }

    /// What can be sent once more on another connection: the body of a request of which nothing was written.
    pub(super) fn take_unsent(&mut self) -> Option<RequestBody> {
        self.request.take_unsent()
    }

    /// Sends what can be sent and reads the head of the answer. Informational answers are passed over,
    /// but for 101, which is final here (RFC 9110 section 15.2).
    pub(super) fn poll_answer(
        &mut self,
        method: &Method,
        cx: &mut Context<'_>,
    ) -> Poll<Result<response::Parts, Broken>> {
        let failed = match &mut self.stream {
            Some(Stream::Whole(stream)) if !self.request.is_written() => {
                match self.request.poll_write(stream, cx) {
                    Poll::Ready(Err(error)) => Some(error),
                    Poll::Ready(Ok(())) | Poll::Pending => None,
                }
            }
            _ => None,
        };
        if let Some(Broken::Body(error)) = failed {
            return Poll::Ready(Err(Broken::Body(error)));
        }
        loop {
            if !self.read.is_empty() {
                while let Some(Head { parts, body, keep_alive }) = take_head(&mut self.read, method)? {
                    if parts.status.is_informational()
                        && parts.status != http::StatusCode::SWITCHING_PROTOCOLS
                    {
                        continue;
                    }
                    self.body = body;
                    self.keep_alive = keep_alive && failed.is_none();
                    return Poll::Ready(Ok(parts));
                }
            }
            match self.poll_read(cx) {
                Poll::Ready(Ok(0)) => {
                    let closed = if self.read.is_empty() { Broken::Closed } else { Broken::Truncated };
                    return Poll::Ready(Err(failed.unwrap_or(closed)));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Broken::Io(error))),
                // A member that refuses the rest of a request may have answered it before.
                Poll::Pending => return failed.map_or(Poll::Pending, |error| Poll::Ready(Err(error))),
            }
        }
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

    /// Lets the rest of the request go on by itself, whether anyone waits for something from here or
    /// not: the client may want to send all of it before it reads anything.
    pub(super) fn send_aside(&mut self) {
        let Some(Stream::Whole(stream)) = self.stream.take() else { return };
        let (half, mut writing) = stream.into_split();
        let mut request = std::mem::take(&mut self.request);
        let task = spawn_local(async move {
            if poll_fn(|cx| request.poll_write(&mut writing, cx)).await.is_ok() {
                // Closing is for whoever reads the answer.
                writing.forget();
            }
        });
        self.stream = Some(Stream::Reading { half, _aside: Aside(task.abort_handle()) });
    }

    /// The raw connection, and what was read from it already.
    pub(super) fn into_stream(self) -> Option<(TcpStream, BytesMut)> {
        match self.stream {
            Some(Stream::Whole(stream)) => Some((stream, self.read)),
            Some(Stream::Reading { .. }) | None => None,
        }
    }

    /// Gives back memory that only a large message needs.
    pub(super) fn rest(&mut self) {
        self.request.rest();
        self.read_size = LEAST_READ;
        if self.read.capacity() > 2 * LEAST_READ {
            self.read = BytesMut::new();
        }
    }

    /// Reads what is there, up to a buffer full.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.read.reserve(self.read_size);
        let room = self.read.capacity() - self.read.len();
        let count = ready!(match &mut self.stream {
            Some(Stream::Whole(stream)) => pin!(stream.read_buf(&mut self.read)).poll(cx),
            Some(Stream::Reading { half, .. }) => pin!(half.read_buf(&mut self.read)).poll(cx),
            None => Poll::Ready(Ok(0)),
        })?;
        if count == room {
            self.read_size = (2 * self.read_size).min(MOST_READ);
        }
        Poll::Ready(Ok(count))
    }
}

impl Default for Outgoing {
    /// Nothing to send.
    fn default() -> Self {
        Outgoing {
            bytes: Vec::new(),
            written: 0,
            started: false,
            framing: Framing::Empty,
            body: RequestBody::Empty,
            taken: None,
            complete: true,
        }
    }
}

impl Outgoing {
    fn begin(&mut self, head: &request::Parts, body: RequestBody) {
        self.framing = match (&body, body.size_hint().exact()) {
            (RequestBody::Empty, _) => Framing::Empty,
            (_, Some(length)) => Framing::Length(length),
            (_, None) => Framing::Chunked,
        };
        self.complete = self.framing == Framing::Empty;
        self.body = body;
        self.taken = None;
        self.started = false;
        self.written = 0;
        self.bytes.clear();
        write_head(&mut self.bytes, head, self.framing);
    }

    fn is_written(&self) -> bool {
        self.complete && self.written == self.bytes.len()
    }

    fn take_unsent(&mut self) -> Option<RequestBody> {
        if self.started {
            return None;
        }
        let body = std::mem::replace(&mut self.body, RequestBody::Empty);
        Some(match self.taken.take() {
            Some(bytes) => body.behind(bytes),
            None => body,
        })
    }

    /// Writes as much as there is and as the kernel takes; ready once all of the request is written.
    fn poll_write(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        loop {
            let waits_for_body = self.poll_take(cx)?.is_pending();
            while self.written < self.bytes.len() {
                let written = ready!(Pin::new(&mut *stream).poll_write(cx, &self.bytes[self.written..]));
                match written.map_err(Broken::Io)? {
                    0 => return Poll::Ready(Err(Broken::Io(io::ErrorKind::WriteZero.into()))),
                    count => self.written += count,
                }
                self.started = true;
                self.taken = None;
            }
            if self.complete {
                return Poll::Ready(Ok(()));
            }
            self.bytes.clear();
            self.written = 0;
            if waits_for_body {
                return Poll::Pending;
            }
        }
    }

    /// Takes more of the body, while there is room for it. Before anything is written one piece is
    /// enough: it goes out with the head, and can be given back.
    fn poll_take(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Broken> {
        while !self.complete && self.bytes.len() - self.written < MOST_UNWRITTEN {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(None) => self.end(None),
                Poll::Ready(Some(Err(error))) => return Err(Broken::Body(error)),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        write_data(&mut self.bytes, self.framing, &data);
                        if self.body.is_end_stream() {
                            self.end(None);
                        }
                        if !self.started {
                            self.taken = Some(data);
                            break;
                        }
                    }
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            self.end(Some(&trailers));
                        }
                    }
                },
            }
        }
        Ok(Poll::Ready(()))
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) {
        write_end(&mut self.bytes, self.framing, trailers);
        self.complete = true;
    }

    fn rest(&mut self) {
        self.bytes.clear();
        self.written = 0;
        self.bytes.shrink_to(LEAST_READ);
    }
}
