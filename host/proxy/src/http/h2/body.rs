//! The body of a request that comes by HTTP/2.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;

use super::streams::Receiving;
use crate::http::body::BodyError;

/// The client may send as much as was taken of it here: a piece that was handed on counts as taken when the next is
/// asked for (RFC 9113 section 5.2).
pub(crate) struct Incoming {
    body: Receiving,
    /// Bytes that were handed on and are not yet taken.
    held: usize,
    /// What `Content-Length` says that is still to come. The stream sees to it that this is true (section 8.1.1).
    left: Option<u64>,
    /// Fields of the trailers, at most.
    most_fields: usize,
    /// Set when the body is asked for and nothing of it is here; there where the client waits for 100.
    wanted: Option<Rc<Cell<bool>>>,
    data_ended: bool,
}

impl Incoming {
    pub(super) fn new(
        body: Receiving,
        length: Option<u64>,
        most_fields: usize,
        wanted: Option<Rc<Cell<bool>>>,
    ) -> Self {
        Incoming { body, held: 0, left: length, most_fields, wanted, data_ended: false }
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.release();
        while !self.data_ended {
            match self.body.poll_data(cx) {
                Poll::Pending => {
                    if let Some(wanted) = self.wanted.take() {
                        wanted.set(true);
                    }
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(data))) => {
                    self.wanted = None;
                    self.held = data.len();
                    self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Some(Err(BodyError::Client(error.into()))));
                }
                Poll::Ready(None) => self.data_ended = true,
            }
        }
        Poll::Ready(self.body.take_trailers().map(|trailers| match trailers.len() > self.most_fields {
            true => Err(BodyError::Client("more trailers than `limits.fields`".into())),
            false => Ok(Frame::trailers(trailers)),
        }))
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.body.is_ended()
    }

    pub(crate) fn left(&self) -> Option<u64> {
        self.left
    }

    fn release(&mut self) {
        if self.held > 0 {
            self.body.release(std::mem::take(&mut self.held));
        }
    }
}
