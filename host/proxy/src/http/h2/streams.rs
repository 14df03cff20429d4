//! A stream of a connection: what came on it, and what may go out on it.

mod ends;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::task::{Context, Waker};

use bytes::BytesMut;
use h2::Reason;
use http::HeaderMap;

use super::session::{STREAM_WINDOW, State};
pub(super) use ends::{Receiving, Sending};

/// Why a stream is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// Both sides have said all.
    Ended,
    /// The client has reset it.
    Client(Reason),
    /// Shunt has.
    Here(Reason),
    /// With its connection.
    Connection,
}

/// What a stream's task finds out about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gone(Closed);

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Closed::Ended => f.write_str("the stream has ended"),
            Closed::Client(reason) => write!(f, "the client has reset the stream: {reason}"),
            Closed::Here(reason) => write!(f, "the stream was reset: {reason}"),
            Closed::Connection => f.write_str("the connection is over"),
        }
    }
}

impl std::error::Error for Gone {}

pub(super) struct Stream {
    id: u32,
    closed: Cell<Option<Closed>>,
    /// What the client takes of the answer.
    window: Cell<i64>,
    /// The answer is out.
    sent: Cell<bool>,
    /// It waits for room on the connection.
    waits: Cell<bool>,
    request: RefCell<Request>,
    /// Ends that its task has.
    ends: Cell<u8>,
    reader: RefCell<Option<Waker>>,
    writer: RefCell<Option<Waker>>,
}

/// The body of the request, as far as it came and was not read.
struct Request {
    bytes: BytesMut,
    trailers: Option<HeaderMap>,
    /// The client has said all.
    ended: bool,
    /// Nobody reads it any more.
    unread: bool,
    /// What `Content-Length` says that is still to come.
    left: Option<u64>,
    /// What the client may send, and what of that was taken and it is not told yet.
    may_send: i64,
    released: u32,
    /// What was read and is not taken.
    held: u32,
}

fn register(place: &RefCell<Option<Waker>>, cx: &Context<'_>) {
    let mut place = place.borrow_mut();
    if !place.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
        *place = Some(cx.waker().clone());
    }
}

fn wake(place: &RefCell<Option<Waker>>) {
    if let Some(waker) = &*place.borrow() {
        waker.wake_by_ref();
    }
}

impl Stream {
    /// `length`: of the request's body, where its head says it; `ended`: there is none.
    pub(super) fn new(id: u32, window: i64, length: Option<u64>, ended: bool) -> Rc<Self> {
        Rc::new(Stream {
            id,
            closed: Cell::new(None),
            window: Cell::new(window),
            sent: Cell::new(false),
            waits: Cell::new(false),
            request: RefCell::new(Request {
                bytes: BytesMut::new(),
                trailers: None,
                ended,
                unread: false,
                left: length,
                may_send: i64::from(STREAM_WINDOW),
                released: 0,
                held: 0,
            }),
            ends: Cell::new(0),
            reader: RefCell::default(),
            writer: RefCell::default(),
        })
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// It is no more: its task is told.
    pub(super) fn close(&self, closed: Closed) {
        if self.closed.get().is_none() {
            self.closed.set(Some(closed));
            wake(&self.reader);
            wake(&self.writer);
        }
    }

    #[cfg(test)]
    pub(super) fn window(&self) -> i64 {
        self.window.get()
    }

    pub(super) fn wake_writer(&self) {
        wake(&self.writer);
    }

    /// Whether it did before.
    pub(super) fn set_waits(&self, waits: bool) -> bool {
        self.waits.replace(waits)
    }

    /// The client takes more of the answer, or less; `false`: more than there can be (RFC 9113 section 6.9.1).
    pub(super) fn widen(&self, by: i64) -> bool {
        let before = self.window.get();
        let window = before + by;
        self.window.set(window);
        if before <= 0 && window > 0 {
            wake(&self.writer);
        }
        window <= super::session::MOST_WINDOW
    }

    /// Whether the client has said all.
    pub(super) fn has_come(&self) -> bool {
        self.request.borrow().ended
    }

    /// Takes what came of the request's body; `size`: with what pads it.
    ///
    /// # Errors
    /// It is not taken: the client may not send it.
    pub(super) fn receive(
        &self,
        state: &mut State,
        data: &[u8],
        size: u32,
        ended: bool,
    ) -> Result<(), Reason> {
        let request = &mut *self.request.borrow_mut();
        request.may_send -= i64::from(size);
        if request.may_send < 0 {
            // RFC 9113 section 6.9.1.
            return Err(Reason::FLOW_CONTROL_ERROR);
        }
        request.count(data.len(), ended)?;
        if request.unread {
            state.release(size);
        } else {
            request.bytes.extend_from_slice(data);
            let padding = size - data.len() as u32;
            if padding > 0 {
                request.release(self.id, padding, state);
            }
        }
        if ended {
            self.end(state, request);
        }
        if !data.is_empty() || ended {
            wake(&self.reader);
        }
        Ok(())
    }

    /// The request ends with these fields.
    ///
    /// # Errors
    /// They come too early.
    pub(super) fn receive_trailers(&self, state: &mut State, trailers: HeaderMap) -> Result<(), Reason> {
        let request = &mut *self.request.borrow_mut();
        request.count(0, true)?;
        request.trailers = Some(trailers).filter(|it| !it.is_empty());
        self.end(state, request);
        wake(&self.reader);
        Ok(())
    }

    fn end(&self, state: &mut State, request: &mut Request) {
        request.ended = true;
        if self.sent.get() {
            self.close(Closed::Ended);
            state.forget(self.id);
        }
    }

    /// The whole answer is with the connection.
    fn set_sent(&self, state: &mut State) {
        self.sent.set(true);
        if self.has_come() {
            self.close(Closed::Ended);
            state.forget(self.id);
        }
    }
}

impl Request {
    /// What `Content-Length` says is to be true (RFC 9113 section 8.1.1).
    fn count(&mut self, length: usize, ended: bool) -> Result<(), Reason> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(length as u64).ok_or(Reason::PROTOCOL_ERROR)?;
            if ended && *left > 0 {
                return Err(Reason::PROTOCOL_ERROR);
            }
        }
        Ok(())
    }

    /// So many bytes were taken, or were no data: the client may send as many (RFC 9113 section 5.2).
    fn release(&mut self, id: u32, bytes: u32, state: &mut State) {
        state.release(bytes);
        self.released += bytes;
        if self.released >= STREAM_WINDOW / 2 && !self.ended {
            let released = std::mem::take(&mut self.released);
            self.may_send += i64::from(released);
            state.write_room(id, released);
        }
    }
}
