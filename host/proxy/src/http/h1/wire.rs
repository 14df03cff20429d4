//! A client's connection as HTTP/1 uses it: bytes that came and were not looked at, and bytes that wait to be written.
//!
//! Between two requests it holds no memory: what comes is read into one buffer of the worker, and an answer is written
//! from another. Only what is left of either is kept here.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use http::request;
use http_body::Frame;
use shunt_config::model;
use tokio::io::{AsyncReadExt, ReadBuf};

use super::body::{Body, Piece};
use super::half_close::{Answer, HalfClose};
use super::head::{Head, Limits};
use super::input::Input;
use super::refusal::Refusal;
use crate::client::ClientStream;
use crate::deadline::Deadline;
use crate::http::body::BodyError;

/// What is read at once of a head.
const SCRATCH: usize = 16 << 10;
/// What is read at once of a body. Grows while a client sends more than that.
const LEAST_READ: usize = 8 << 10;
const MOST_READ: usize = 64 << 10;
/// What is kept of the buffer that answers are written from.
const MOST_KEPT: usize = 64 << 10;
/// Bytes that are written and still in that buffer, at most.
const MOST_WRITTEN: usize = 64 << 10;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

thread_local! {
    static READ_INTO: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
    static WRITE_FROM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

pub(super) struct Wire<S> {
    /// `None` once it is something else's.
    stream: RefCell<Option<S>>,
    received: RefCell<Received>,
    output: RefCell<Output>,
    pub(super) half_close: HalfClose,
}

#[derive(Default)]
struct Received {
    input: Input,
    /// What is still to come of the request's body.
    body: Option<OpenBody>,
    /// Told when the body has ended.
    waiter: Option<Waker>,
}

struct OpenBody {
    body: Body,
    limits: Limits,
    read_size: usize,
    /// The client sends it once it has got 100 (RFC 9110 section 10.1.1), and did not get it yet.
    expects_continue: bool,
    continue_due: bool,
    /// Nobody reads it any more, or its framing is broken.
    is_lost: bool,
}

#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
    written: usize,
    /// The client did not take all of it at once.
    is_blocked: bool,
    /// Nothing follows it.
    is_last: bool,
}

/// What came of reading a head.
pub(super) enum Came {
    Head(Box<Head>),
    /// The client has ended its side.
    End,
}

/// Why no head comes.
pub(super) enum NoHead {
    Refused(Refusal),
    Io,
}

impl<S: ClientStream> Wire<S> {
    pub(super) fn new(stream: S) -> Self {
        Wire {
            stream: RefCell::new(Some(stream)),
            received: RefCell::default(),
            output: RefCell::default(),
            half_close: HalfClose::default(),
        }
    }

    /// The stream, and what was read from it and not looked at.
    pub(super) fn take(&self) -> Option<(S, Bytes)> {
        self.half_close.unwatch();
        let bytes = std::mem::take(&mut self.received.borrow_mut().input.bytes);
        Some((self.stream.take()?, bytes.freeze()))
    }

    fn poll_read(&self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        let Some(stream) = &mut *self.stream.borrow_mut() else { return Poll::Ready(Ok(0)) };
        let before = into.filled().len();
        match ready!(stream.poll_recv(cx, into)) {
            Ok(()) => Poll::Ready(Ok(into.filled().len() - before)),
            // TLS without close_notify. Messages are whole by their own framing, or are not.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(0)),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Whether a head has begun that is not complete.
    pub(super) fn inside_head(&self) -> bool {
        !self.received.borrow().input.bytes.is_empty()
    }

    /// Whether what is refused is a HEAD request, as far as that shows.
    pub(super) fn asks_for_head_alone(&self) -> bool {
        self.received.borrow().input.asks_for_head_alone()
    }

    /// Whether something came that was not looked at, or more of a message may be in flight. Closing then resets the
    /// connection, and the client may lose the answer (RFC 9112 section 9.6).
    pub(super) fn inside_message(&self) -> bool {
        let received = self.received.borrow();
        !received.input.bytes.is_empty() || received.body.is_some()
    }

    /// Reads the head of the next request.
    pub(super) fn poll_head(&self, cx: &mut Context<'_>, limits: Limits) -> Poll<Result<Came, NoHead>> {
        let received = &mut *self.received.borrow_mut();
        if !received.input.bytes.is_empty()
            && let Some(head) = received.input.take_head(limits).map_err(NoHead::Refused)?
        {
            return Poll::Ready(Ok(Came::Head(head)));
        }
        loop {
            if self.half_close.is_seen() {
                return Poll::Ready(Ok(Came::End));
            }
            let head = READ_INTO.with_borrow_mut(|scratch| {
                let mut scratch = ReadBuf::new(scratch);
                Poll::Ready(match ready!(self.poll_read(cx, &mut scratch)) {
                    Err(_) => Err(NoHead::Io),
                    Ok(0) => Ok(Some(Came::End)),
                    Ok(_) => {
                        let head = received.input.head_in(scratch.filled(), limits);
                        head.map(|head| head.map(Came::Head)).map_err(NoHead::Refused)
                    }
                })
            });
            if let Some(came) = ready!(head)? {
                return Poll::Ready(Ok(came));
            }
        }
    }

    /// Says that the request has a body, which is read by [`Source`].
    pub(super) fn begin_body(&self, body: Body, limits: Limits, expects_continue: bool) {
        self.received.borrow_mut().body = Some(OpenBody {
            body,
            limits,
            read_size: LEAST_READ,
            expects_continue,
            continue_due: false,
            is_lost: false,
        });
    }

    /// Ready when nothing more of the request's body will be read: whether it has ended.
    pub(super) fn poll_body_end(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut received = self.received.borrow_mut();
        match &received.body {
            None => Poll::Ready(true),
            Some(incoming) if incoming.is_lost => Poll::Ready(false),
            Some(_) => {
                if !received.waiter.as_ref().is_some_and(|waiter| waiter.will_wake(cx.waker())) {
                    received.waiter = Some(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    /// Looks whether a client that waits for an answer is still there. What it sends meanwhile is kept, but no more
    /// than one buffer of it is read. Ready when it has gone.
    pub(super) fn poll_gone(&self, cx: &mut Context<'_>, answer: Answer) -> Poll<()> {
        if self.half_close.is_seen() {
            return self.half_close.poll_reset(cx);
        }
        if self.poll_body_end(cx).is_pending() {
            return Poll::Pending;
        }
        let mut received = self.received.borrow_mut();
        if received.body.is_some() {
            return Poll::Pending;
        }
        loop {
            // Behind requests that wait there may be the end.
            let room = SCRATCH.saturating_sub(received.input.bytes.len());
            if room == 0 {
                return Poll::Pending;
            }
            let read = READ_INTO.with_borrow_mut(|scratch| {
                let mut scratch = ReadBuf::new(&mut scratch[..room]);
                let read = ready!(self.poll_read(cx, &mut scratch));
                received.input.bytes.extend_from_slice(scratch.filled());
                Poll::Ready(read)
            });
            match ready!(read) {
                Err(_) => return Poll::Ready(()),
                Ok(0) => break,
                Ok(_) => {}
            }
        }
        let is_clear = self.output.borrow().is_written();
        let Some(stream) = &mut *self.stream.borrow_mut() else { return Poll::Ready(()) };
        if self.half_close.note(Pin::new(stream), cx, answer, is_clear).is_err() {
            return Poll::Ready(());
        }
        self.half_close.watch(stream.socket());
        self.half_close.poll_reset(cx)
    }

    /// Lets `write` append the head of an answer to what is to be written.
    pub(super) fn write_head(&self, write: impl FnOnce(&mut Vec<u8>)) {
        self.write(|bytes| {
            let begin = bytes.len();
            write(bytes);
            let ahead = self.half_close.take_ahead();
            if ahead > 0 {
                bytes.drain(begin..begin + ahead);
            }
        });
    }

    /// Lets `write` append to what is to be written.
    pub(super) fn write(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let output = &mut *self.output.borrow_mut();
        if output.bytes.capacity() == 0 {
            output.bytes = WRITE_FROM.take();
        }
        if output.written >= MOST_WRITTEN {
            // A client that always leaves something must not make all of an answer stay.
            output.bytes.drain(..output.written);
            output.written = 0;
        }
        write(&mut output.bytes);
    }

    /// What is to be written is the last, unless the client still sends: where one of TLS 1.2 is told of the end, it sends
    /// no more (RFC 5246 section 7.2.1).
    pub(super) fn end_with_this(&self) {
        self.output.borrow_mut().is_last = self.received.borrow().body.is_none();
    }

    /// Whether all is written, and with it that nothing follows.
    pub(super) fn has_ended(&self) -> bool {
        let output = self.output.borrow();
        output.is_last && output.is_written()
    }

    /// Gives the memory back that an answer needed.
    pub(super) fn rest(&self) {
        let bytes = std::mem::take(&mut self.output.borrow_mut().bytes);
        if bytes.capacity() <= MOST_KEPT {
            WRITE_FROM.set(bytes);
        }
    }

    /// Appends 100 where the client waits for it and the body is asked for.
    pub(super) fn write_continue(&self) {
        let due = match &mut self.received.borrow_mut().body {
            Some(incoming) => std::mem::take(&mut incoming.continue_due),
            None => false,
        };
        if due {
            self.write_head(|bytes| bytes.extend_from_slice(CONTINUE));
        }
    }

    /// Bytes that wait to be written.
    pub(super) fn unwritten(&self) -> usize {
        let output = self.output.borrow();
        output.bytes.len() - output.written
    }

    /// Writes what is to be written; ready when all of it is with the kernel.
    pub(super) fn poll_write(&self, cx: &mut Context<'_>, deadline: &Deadline) -> Poll<io::Result<()>> {
        let output = &mut *self.output.borrow_mut();
        if output.is_written() {
            return Poll::Ready(Ok(()));
        }
        let Some(stream) = &mut *self.stream.borrow_mut() else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        while output.written < output.bytes.len() {
            let bytes = &output.bytes[output.written..];
            let sent = match output.is_last {
                true => stream.poll_send_last(cx, bytes),
                false => stream.poll_send(cx, bytes),
            };
            match sent {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => output.written += count,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    output.is_blocked = true;
                    return Poll::Pending;
                }
            }
            if output.is_blocked {
                // It waited for the client, who reads.
                deadline.progress();
            }
        }
        if Pin::new(stream).poll_flush(cx)?.is_pending() {
            output.is_blocked = true;
            return Poll::Pending;
        }
        output.is_blocked = false;
        output.written = 0;
        output.bytes.clear();
        Poll::Ready(Ok(()))
    }
}

impl Output {
    fn is_written(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// Where the body of a request comes from.
pub(super) trait Source {
    fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>>;
    fn is_end_stream(&self) -> bool;
    fn left(&self) -> Option<u64>;
    fn has_arrived(&self) -> bool;
    /// Nobody reads it any more.
    fn abandon(&self);
}

impl<S: ClientStream> Source for Wire<S> {
    fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let received = &mut *self.received.borrow_mut();
        let Some(incoming) = &mut received.body else { return Poll::Ready(None) };
        if incoming.is_lost {
            return Poll::Ready(Some(Err(BodyError::Client(Box::new(io::Error::from(
                io::ErrorKind::UnexpectedEof,
            ))))));
        }
        loop {
            let piece = match incoming.body.take(&mut received.input.bytes, incoming.limits) {
                Ok(Piece::More) => match ready!(self.poll_more(cx, &mut received.input.bytes, incoming)) {
                    Ok(()) => continue,
                    Err(error) => Err(BodyError::Client(Box::new(error))),
                },
                Ok(Piece::Data(data)) => Ok(Some(Frame::data(data))),
                Ok(Piece::Trailers(trailers)) => Ok(Some(Frame::trailers(trailers))),
                Ok(Piece::End) => Ok(None),
                Err(refusal) => Err(BodyError::Framing(refusal)),
            };
            incoming.is_lost = piece.is_err();
            if incoming.body.is_ended() {
                received.body = None;
                received.input.let_go();
            }
            if received.body.as_ref().is_none_or(|incoming| incoming.is_lost)
                && let Some(waiter) = received.waiter.take()
            {
                waiter.wake();
            }
            return Poll::Ready(piece.transpose());
        }
    }

    fn is_end_stream(&self) -> bool {
        self.received.borrow().body.is_none()
    }

    fn left(&self) -> Option<u64> {
        self.received.borrow().body.as_ref().map_or(Some(0), |incoming| incoming.body.left())
    }

    fn has_arrived(&self) -> bool {
        let received = self.received.borrow();
        received
            .body
            .as_ref()
            .is_none_or(|incoming| incoming.body.is_within(&received.input.bytes, incoming.limits))
    }

    fn abandon(&self) {
        let received = &mut *self.received.borrow_mut();
        if let Some(incoming) = &mut received.body {
            incoming.is_lost = true;
            if let Some(waiter) = received.waiter.take() {
                waiter.wake();
            }
        }
    }
}

impl<S: ClientStream> Wire<S> {
    /// Reads more of a body.
    fn poll_more(
        &self,
        cx: &mut Context<'_>,
        bytes: &mut BytesMut,
        incoming: &mut OpenBody,
    ) -> Poll<io::Result<()>> {
        if std::mem::take(&mut incoming.expects_continue) && bytes.is_empty() {
            incoming.continue_due = true;
        }
        bytes.reserve(incoming.read_size);
        let room = bytes.capacity() - bytes.len();
        let Some(stream) = &mut *self.stream.borrow_mut() else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let count = ready!(pin!(stream.read_buf(bytes)).poll(cx))?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        if count == room {
            incoming.read_size = (2 * incoming.read_size).min(MOST_READ);
        }
        Poll::Ready(Ok(()))
    }
}

/// The body of a request, for what reads it. `None` once it has ended: the next one on the connection is another's.
pub(crate) struct Incoming(Option<Rc<dyn Source>>);

impl Incoming {
    pub(super) fn new<S: ClientStream>(wire: &Rc<Wire<S>>) -> Self {
        Incoming(Some(Rc::clone(wire) as Rc<dyn Source>))
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(source) = &self.0 else { return Poll::Ready(None) };
        let frame = source.poll_frame(cx);
        if source.is_end_stream() {
            self.0 = None;
        }
        frame
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn left(&self) -> Option<u64> {
        self.0.as_ref().map_or(Some(0), |source| source.left())
    }

    pub(crate) fn has_arrived(&self) -> bool {
        self.0.as_ref().is_none_or(|source| source.has_arrived())
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(source) = &self.0 {
            source.abandon();
        }
    }
}

/// A head that is all there.
///
/// # Errors
/// It is none, or beyond a limit.
pub(crate) fn read_head(bytes: &[u8], limits: &model::Limits) -> Result<request::Parts, Refusal> {
    let limits = Limits { head: limits.head, fields: limits.fields };
    let head = Input::default().head_in(bytes, limits)?;
    head.map(|head| head.parts).ok_or(Refusal::HeadTooLate)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body of one piece.
    #[derive(Default)]
    struct One {
        taken: Cell<bool>,
        abandoned: Cell<bool>,
    }

    impl Source for One {
        fn poll_frame(&self, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            let piece = (!self.taken.replace(true)).then(|| Ok(Frame::data(Bytes::from_static(b"x"))));
            Poll::Ready(piece)
        }

        fn is_end_stream(&self) -> bool {
            self.taken.get()
        }

        fn left(&self) -> Option<u64> {
            None
        }

        fn has_arrived(&self) -> bool {
            true
        }

        fn abandon(&self) {
            self.abandoned.set(true);
        }
    }

    /// What held a body to its end may be dropped when the connection is at the body of the next request.
    #[test]
    fn a_body_that_ended_is_let_go() {
        let source = Rc::new(One::default());
        let incoming = || Incoming(Some(Rc::clone(&source) as Rc<dyn Source>));
        let mut cx = Context::from_waker(Waker::noop());
        let mut body = incoming();
        assert!(!body.is_end_stream());
        assert!(matches!(body.poll_frame(&mut cx), Poll::Ready(Some(Ok(_)))));
        assert!(body.is_end_stream());
        assert_eq!(body.left(), Some(0));
        assert!(matches!(body.poll_frame(&mut cx), Poll::Ready(None)));
        drop(body);
        assert!(!source.abandoned.get());
        source.taken.set(false);
        drop(incoming());
        assert!(source.abandoned.get(), "nobody reads the rest");
    }
}
