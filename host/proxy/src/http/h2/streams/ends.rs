//! The two ends by which a stream's task has it. What is dropped of it is given up.

use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::Reason;
use http::HeaderMap;

use super::{Closed, Gone, Stream, register};
use crate::http::h2::session::Session;
use crate::http::hpack::encoder::Encoder;

impl Stream {
    /// Both ends of it.
    pub(in crate::http::h2) fn split(self: &Rc<Self>, session: &Rc<Session>) -> (Sending, Receiving) {
        self.ends.set(2);
        let end = || End { stream: Rc::clone(self), session: Rc::clone(session) };
        (Sending(end()), Receiving(end()))
    }
}

/// What both ends are made of.
struct End {
    stream: Rc<Stream>,
    session: Rc<Session>,
}

impl End {
    fn reset(&self, reason: Reason) {
        if self.stream.closed.get().is_none() {
            let state = &mut *self.session.state();
            state.write_reset(self.stream.id, reason);
            state.forget(self.stream.id);
            self.stream.close(Closed::Here(reason));
            self.session.wake();
        }
    }
}

/// A stream that nothing has any more is reset. Where the answer is out, the client need not send the rest of its request
/// (RFC 9113 section 8.1).
impl Drop for End {
    fn drop(&mut self) {
        let ends = self.stream.ends.get() - 1;
        self.stream.ends.set(ends);
        if ends == 0 {
            self.reset(if self.stream.sent.get() { Reason::NO_ERROR } else { Reason::CANCEL });
        }
    }
}

/// The end by which a stream is answered.
pub(in crate::http::h2) struct Sending(End);

impl Sending {
    /// Ready when the stream is no more, but for its having ended.
    pub(in crate::http::h2) fn poll_gone(&self, cx: &Context<'_>) -> Poll<Gone> {
        match self.0.stream.closed.get() {
            None | Some(Closed::Ended) => {
                register(&self.0.stream.writer, cx);
                Poll::Pending
            }
            Some(closed) => Poll::Ready(Gone(closed)),
        }
    }

    fn check(&self) -> Result<(), Gone> {
        match self.0.stream.closed.get() {
            Some(closed) => Err(Gone(closed)),
            None if self.0.stream.sent.get() => Err(Gone(Closed::Ended)),
            None => Ok(()),
        }
    }

    /// Sends fields that `write` puts into a block; `ended`: nothing follows them.
    pub(in crate::http::h2) fn send_fields(
        &self,
        ended: bool,
        write: impl FnOnce(&mut Encoder, &mut Vec<u8>),
    ) -> Result<(), Gone> {
        self.check()?;
        let state = &mut *self.0.session.state();
        state.write_block(self.0.stream.id, ended, write);
        if ended {
            self.0.stream.set_sent(state);
        }
        self.0.session.wake();
        Ok(())
    }

    /// Whether there is room for what the client can do without.
    pub(in crate::http::h2) fn may_inform(&self) -> bool {
        !self.0.session.state().is_full()
    }

    /// How many bytes of data there is room for.
    pub(in crate::http::h2) fn poll_room(&self, cx: &Context<'_>) -> Poll<Result<usize, Gone>> {
        let stream = &self.0.stream;
        self.check()?;
        if let Ok(window @ 1..) = usize::try_from(stream.window.get()) {
            let mut state = self.0.session.state();
            let room = state.room().min(window);
            if room > 0 {
                return Poll::Ready(Ok(room));
            }
            state.wait(stream);
        }
        register(&stream.writer, cx);
        Poll::Pending
    }

    /// Sends data for which there is room; `ended`: nothing follows it.
    pub(in crate::http::h2) fn send_data(&self, data: Bytes, ended: bool) -> Result<(), Gone> {
        self.check()?;
        let stream = &self.0.stream;
        let state = &mut *self.0.session.state();
        stream.window.set(stream.window.get() - data.len() as i64);
        state.write_data(stream.id, data, ended);
        if ended {
            stream.set_sent(state);
        }
        self.0.session.wake();
        Ok(())
    }

    pub(in crate::http::h2) fn reset(&self, reason: Reason) {
        self.0.reset(reason);
    }
}

/// The end by which a request's body is read.
pub(in crate::http::h2) struct Receiving(End);

impl Receiving {
    /// What came of it; `None`: that was all of it, but for trailers.
    pub(in crate::http::h2) fn poll_data(&self, cx: &Context<'_>) -> Poll<Option<Result<Bytes, Gone>>> {
        let stream = &self.0.stream;
        let mut request = stream.request.borrow_mut();
        if !request.bytes.is_empty() {
            let data = request.bytes.split().freeze();
            request.held += data.len() as u32;
            return Poll::Ready(Some(Ok(data)));
        }
        match stream.closed.get() {
            _ if request.ended => Poll::Ready(None),
            Some(closed) => Poll::Ready(Some(Err(Gone(closed)))),
            None => {
                register(&stream.reader, cx);
                Poll::Pending
            }
        }
    }

    pub(in crate::http::h2) fn take_trailers(&self) -> Option<HeaderMap> {
        self.0.stream.request.borrow_mut().trailers.take()
    }

    /// Whether nothing more comes out of it.
    pub(in crate::http::h2) fn is_ended(&self) -> bool {
        let request = self.0.stream.request.borrow();
        request.ended && request.bytes.is_empty() && request.trailers.is_none()
    }

    /// So many bytes of what was read are taken: the client may send as many.
    pub(in crate::http::h2) fn release(&self, bytes: usize) {
        let request = &mut *self.0.stream.request.borrow_mut();
        let bytes = (bytes as u32).min(request.held);
        request.held -= bytes;
        let state = &mut *self.0.session.state();
        request.release(self.0.stream.id, bytes, state);
        if !state.output.is_empty() {
            self.0.session.wake();
        }
    }
}

/// What nobody reads any more makes room on the connection, and on the stream no more than there is.
impl Drop for Receiving {
    fn drop(&mut self) {
        let request = &mut *self.0.stream.request.borrow_mut();
        request.unread = true;
        let left = std::mem::take(&mut request.held) + std::mem::take(&mut request.bytes).len() as u32;
        if left > 0 {
            let state = &mut *self.0.session.state();
            state.release(left);
            if !state.output.is_empty() {
                self.0.session.wake();
            }
        }
    }
}
