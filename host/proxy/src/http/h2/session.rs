//! What the streams of a connection share: what goes out, how much of it may, and which streams there are.
//!
//! The connection's task reads frames and writes what is here; each stream has a task of its own, which puts its frames
//! here and wakes the connection.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Waker};

use bytes::Bytes;
use h2::Reason;

use super::answer;
use super::history::History;
use super::output::Output;
use super::streams::{Closed, Stream};
use crate::http::frames::{HEADER, flag, kind};
use crate::http::hpack::encoder::Encoder;

/// What a client may send of one request's body before a member takes it (RFC 9113 section 6.9.2): the initial size.
pub(super) const STREAM_WINDOW: u32 = 65_535;
/// Streams that may hold that much at once without holding back others.
const FULL_STREAMS: u32 = 128;
/// Bytes of answers that may wait to be written.
const MOST_UNWRITTEN: usize = 64 << 10;
/// What a frame holds at most, either way (RFC 9113 section 4.2): what a peer takes that has said nothing else.
pub(super) const FRAME_SIZE: usize = 16 << 10;
/// RFC 9113 section 6.9.1.
pub(super) const MOST_WINDOW: i64 = (1 << 31) - 1;
/// Before a client has said something else (section 6.9.2).
const FIRST_WINDOW: i64 = 65_535;

/// Numbers of SETTINGS (RFC 9113 section 6.5.2, RFC 8441 section 3).
pub(super) mod setting {
    pub(in super::super) const HEADER_TABLE_SIZE: u16 = 1;
    pub(in super::super) const ENABLE_PUSH: u16 = 2;
    pub(in super::super) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(in super::super) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(in super::super) const MAX_FRAME_SIZE: u16 = 5;
    pub(in super::super) const MAX_HEADER_LIST_SIZE: u16 = 6;
    pub(in super::super) const ENABLE_CONNECT_PROTOCOL: u16 = 8;
}

pub(super) struct Session {
    state: RefCell<State>,
    /// The connection's task.
    waker: RefCell<Option<Waker>>,
    /// It knows that there is something to do.
    woken: Cell<bool>,
}

pub(super) struct State {
    pub(super) output: Output,
    pub(super) encoder: Encoder,
    pub(super) history: History,
    /// What the client takes of all answers together, and of each at its beginning.
    pub(super) window: i64,
    pub(super) first_window: i64,
    /// What the client may send on all streams together, and what of that was taken and it is not told yet.
    may_send: i64,
    released: u32,
    most_released: u32,
    /// The streams that are not closed, in the order of their numbers.
    open: Vec<Rc<Stream>>,
    /// Those with more to say than there is room for on the connection, in the order in which they are to have their turn.
    waiting: VecDeque<Rc<Stream>>,
}

impl Session {
    pub(super) fn new(streams: u32) -> Rc<Self> {
        let may_send = streams.clamp(1, FULL_STREAMS) * STREAM_WINDOW;
        let state = State {
            output: Output::default(),
            encoder: Encoder::new(),
            history: History::default(),
            window: FIRST_WINDOW,
            first_window: FIRST_WINDOW,
            may_send: i64::from(may_send),
            released: 0,
            most_released: may_send / 2,
            open: Vec::new(),
            waiting: VecDeque::new(),
        };
        Rc::new(Session { state: RefCell::new(state), waker: RefCell::default(), woken: Cell::new(true) })
    }

    pub(super) fn state(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }

    /// The connection has its turn, and needs no waking until [`Session::end_turn`].
    pub(super) fn begin_turn(&self, cx: &Context<'_>) {
        self.woken.set(true);
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    pub(super) fn end_turn(&self) {
        self.woken.set(false);
    }

    /// There is something to write, or a stream less.
    pub(super) fn wake(&self) {
        if !self.woken.replace(true)
            && let Some(waker) = &*self.waker.borrow()
        {
            waker.wake_by_ref();
        }
    }
}

impl State {
    pub(super) fn open(&self) -> &[Rc<Stream>] {
        &self.open
    }

    pub(super) fn stream(&self, id: u32) -> Option<&Rc<Stream>> {
        self.place(id).map(|place| &self.open[place])
    }

    fn place(&self, id: u32) -> Option<usize> {
        self.open.binary_search_by_key(&id, |stream| stream.id()).ok()
    }

    /// Takes up a stream, whose number is the highest so far.
    pub(super) fn begin(&mut self, stream: &Rc<Stream>) {
        self.open.push(Rc::clone(stream));
    }

    /// The stream is closed: nothing more goes either way.
    pub(super) fn forget(&mut self, id: u32) {
        if let Some(place) = self.place(id) {
            self.open.remove(place);
        }
    }

    /// Gives back the memory that only a connection needs on which something happens.
    pub(super) fn rest(&mut self) {
        self.output.rest();
        if self.open.is_empty() {
            self.open = Vec::new();
            self.waiting = VecDeque::new();
        }
    }

    /// Closes all streams: the connection is over.
    pub(super) fn close_all(&mut self) {
        self.waiting.clear();
        for stream in std::mem::take(&mut self.open) {
            stream.close(Closed::Connection);
        }
    }

    /// Bytes that a stream may put here now.
    pub(super) fn room(&self) -> usize {
        let window = usize::try_from(self.window).unwrap_or(0);
        window.min(MOST_UNWRITTEN.saturating_sub(self.output.len()))
    }

    /// Whether so much is to be written that nothing more is read.
    pub(super) fn is_full(&self) -> bool {
        self.output.len() >= MOST_UNWRITTEN
    }

    /// The stream has its turn when there is room.
    pub(super) fn wait(&mut self, stream: &Rc<Stream>) {
        if !stream.set_waits(true) {
            self.waiting.push_back(Rc::clone(stream));
        }
    }

    /// There may be room: those that wait for it have their turn.
    pub(super) fn call_waiting(&mut self) {
        if !self.waiting.is_empty() && self.room() > 0 {
            for stream in self.waiting.drain(..) {
                stream.set_waits(false);
                stream.wake_writer();
            }
        }
    }

    pub(super) fn write_frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let out = self.output.bytes();
        out.extend_from_slice(&frame_header(payload.len(), kind, flags, stream));
        out.extend_from_slice(payload);
    }

    /// Data, of which there is room for all.
    pub(super) fn write_data(&mut self, stream: u32, mut data: Bytes, ended: bool) {
        self.window -= data.len() as i64;
        loop {
            let piece = data.split_to(data.len().min(FRAME_SIZE));
            let flags = if ended && data.is_empty() { flag::END_STREAM } else { 0 };
            let header = frame_header(piece.len(), kind::DATA, flags, stream);
            self.output.bytes().extend_from_slice(&header);
            self.output.push(piece);
            if data.is_empty() {
                break;
            }
        }
    }

    /// Fields that `write` puts into a block.
    pub(super) fn write_block(
        &mut self,
        stream: u32,
        ended: bool,
        write: impl FnOnce(&mut Encoder, &mut Vec<u8>),
    ) {
        let out = self.output.bytes();
        let begin = out.len();
        out.resize(begin + HEADER, 0);
        self.encoder.begin(out);
        write(&mut self.encoder, out);
        let end_stream = if ended { flag::END_STREAM } else { 0 };
        answer::frame_block(out, begin, stream, end_stream);
    }

    pub(super) fn write_reset(&mut self, stream: u32, reason: Reason) {
        self.history.reset(stream);
        self.write_frame(kind::RST_STREAM, 0, stream, &u32::from(reason).to_be_bytes());
    }

    pub(super) fn write_goaway(&mut self, last: u32, reason: Reason) {
        let payload = [last.to_be_bytes(), u32::from(reason).to_be_bytes()].concat();
        self.write_frame(kind::GOAWAY, 0, 0, &payload);
    }

    pub(super) fn write_room(&mut self, stream: u32, bytes: u32) {
        self.write_frame(kind::WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes());
    }

    /// The client has sent so many bytes; whether it might.
    pub(super) fn received(&mut self, bytes: u32) -> bool {
        self.may_send -= i64::from(bytes);
        self.may_send >= 0
    }

    /// So many of them are taken, or of no use.
    pub(super) fn release(&mut self, bytes: u32) {
        self.released += bytes;
        if self.released >= self.most_released {
            let released = std::mem::take(&mut self.released);
            self.may_send += i64::from(released);
            self.write_room(0, released);
        }
    }

    /// What the client may send beyond what RFC 9113 section 6.9.2 lets it, from the beginning.
    pub(super) fn write_first_room(&mut self) {
        let more = self.may_send - FIRST_WINDOW;
        if let Ok(more @ 1..) = u32::try_from(more) {
            self.write_room(0, more);
        }
    }
}

/// RFC 9113 section 4.1.
pub(super) fn frame_header(length: usize, kind: u8, flags: u8, stream: u32) -> [u8; HEADER] {
    let [_, l2, l1, l0] = (length as u32).to_be_bytes();
    let [s3, s2, s1, s0] = stream.to_be_bytes();
    [l2, l1, l0, kind, flags, s3, s2, s1, s0]
}
