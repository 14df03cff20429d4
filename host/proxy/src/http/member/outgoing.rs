//! A request on its way out: its bytes, and how much of them is written.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, request};
use http_body::Body as _;
use tokio::io::AsyncWrite;
use tokio::time::timeout;

use crate::http::body::RequestBody;

use super::Broken;
use super::request::{Framing, write_data, write_end, write_head};

/// Bytes of a request that may wait to be written before more of its body is taken.
const MOST_UNWRITTEN: usize = 64 << 10;
/// What is kept of the buffer for the next request, and of a request that may have to be sent once more.
pub(crate) const MOST_KEPT: usize = 8 << 10;

thread_local! {
    /// What a worker's next request is written from.
    static WRITE_FROM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

pub(super) struct Outgoing {
    /// Bytes to write, of which so many are written.
    bytes: Vec<u8>,
    written: usize,
    /// Where its body begins in `bytes`.
    head: usize,
    /// Something of it was written.
    started: bool,
    /// All that was ever in `bytes` still is.
    kept: bool,
    framing: Framing,
    body: RequestBody,
    /// What was taken of the body before anything was written.
    taken: Option<Bytes>,
    /// All of the body is in `bytes`, or was.
    complete: bool,
    /// What was written is with the kernel, and not with a session of TLS.
    flushed: bool,
    /// Grows with what is written.
    progress: usize,
}

/// How the rest of a request is sent whose answer is here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// It is given up when nothing of it could be written for so long, give or take as much again.
    pub(crate) patience: Duration,
    /// The client's connection is to continue: no `connection: close` was sent on it.
    pub(crate) goes_on: bool,
}

/// What is left of a request that got no answer.
pub(crate) enum Resend {
    /// Nothing was written: it can be begun again with this body.
    Unsent(RequestBody),
    /// It was written, and this is all of its body.
    Whole(Bytes),
    /// Some of it is gone.
    Lost,
}

impl Default for Outgoing {
    /// Nothing to send.
    fn default() -> Self {
        Outgoing {
            bytes: Vec::new(),
            written: 0,
            head: 0,
            started: false,
            kept: true,
            framing: Framing::Empty,
            body: RequestBody::Empty,
            taken: None,
            complete: true,
            flushed: true,
            progress: 0,
        }
    }
}

impl Outgoing {
    pub(super) fn begin(&mut self, head: &request::Parts, body: RequestBody) {
        self.framing = match (&body, body.size_hint().exact()) {
            (RequestBody::Empty, _) => Framing::Empty,
            (_, Some(length)) => Framing::Length(length),
            (_, None) => Framing::Chunked,
        };
        self.complete = self.framing == Framing::Empty;
        self.body = body;
        self.taken = None;
        self.started = false;
        self.flushed = true;
        self.kept = true;
        self.let_go();
        self.bytes = WRITE_FROM.take();
        write_head(&mut self.bytes, head, self.framing);
        self.head = self.bytes.len();
    }

    pub(super) fn is_written(&self) -> bool {
        self.complete && self.written == self.bytes.len() && self.flushed
    }

    /// What has not been taken of the body.
    pub(super) fn body(&self) -> &RequestBody {
        &self.body
    }

    /// What can be sent once more on another connection.
    pub(super) fn again(mut self) -> Resend {
        if !self.started {
            let body = std::mem::replace(&mut self.body, RequestBody::Empty);
            return Resend::Unsent(match self.taken.take() {
                Some(bytes) => body.behind(bytes),
                None => body,
            });
        }
        if !self.kept || !self.complete || self.framing == Framing::Chunked {
            return Resend::Lost;
        }
        Resend::Whole(Bytes::copy_from_slice(&self.bytes[self.head..]))
    }

    /// Writes as much as there is and as the kernel takes; ready once all of the request is written.
    pub(super) fn poll_write(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        loop {
            let waits_for_body = self.poll_take(cx)?.is_pending();
            while self.written < self.bytes.len() {
                self.flushed = false;
                let written = ready!(Pin::new(&mut *stream).poll_write(cx, &self.bytes[self.written..]));
                match written.map_err(Broken::Io)? {
                    0 => return Poll::Ready(Err(Broken::Io(io::ErrorKind::WriteZero.into()))),
                    count => {
                        self.written += count;
                        self.progress = self.progress.wrapping_add(count);
                    }
                }
                self.started = true;
                self.taken = None;
            }
            if !self.flushed {
                ready!(Pin::new(&mut *stream).poll_flush(cx)).map_err(Broken::Io)?;
                self.flushed = true;
            }
            if self.complete {
                if self.framing == Framing::Empty {
                    // There is no body to send once more.
                    self.let_go();
                }
                return Poll::Ready(Ok(()));
            }
            if waits_for_body {
                return Poll::Pending;
            }
        }
    }

    /// Writes all of the request. It is given up when nothing of it could be written for a while. Where the
    /// member does not take it, what is left is read and discarded, if the client's connection is to continue.
    pub(super) async fn write(&mut self, stream: &mut (impl AsyncWrite + Unpin), pace: Pace) -> bool {
        let mut before = self.progress;
        loop {
            match timeout(pace.patience, poll_fn(|cx| self.poll_write(stream, cx))).await {
                Ok(Ok(())) => return true,
                Ok(Err(Broken::Body(_))) => return false,
                Ok(Err(_)) => break,
                Err(_) if self.progress != before => before = self.progress,
                Err(_) => return false,
            }
        }
        if pace.goes_on {
            std::mem::replace(&mut self.body, RequestBody::Empty).discard().await;
        }
        false
    }

    /// Takes more of the body, while there is room for it. Before anything is written one piece is
    /// enough: it goes out with the head, and can be given back.
    fn poll_take(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Broken> {
        while !self.complete && self.bytes.len() - self.written < MOST_UNWRITTEN {
            let frame = match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(None) => {
                    self.make_room();
                    self.end(None);
                    continue;
                }
                Poll::Ready(Some(frame)) => frame.map_err(Broken::Body)?,
            };
            self.make_room();
            match frame.into_data() {
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
            }
        }
        Ok(Poll::Ready(()))
    }

    /// Drops what is written before more of the body comes behind it, where that is worth it.
    fn make_room(&mut self) {
        if self.written > MOST_KEPT && (self.written == self.bytes.len() || self.written > MOST_UNWRITTEN) {
            self.bytes.drain(..self.written);
            self.written = 0;
            self.kept = false;
        }
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) {
        write_end(&mut self.bytes, self.framing, trailers);
        self.complete = true;
    }

    /// Gives back what only a request needs: its body holds on to the client's connection.
    pub(super) fn rest(&mut self) {
        self.body = RequestBody::Empty;
        self.let_go();
    }

    fn let_go(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        (self.written, self.head) = (0, 0);
        if bytes.capacity() > 0 && bytes.capacity() <= MOST_KEPT {
            bytes.clear();
            WRITE_FROM.set(bytes);
        }
    }
}
