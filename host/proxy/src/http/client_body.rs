//! The body of a request as it comes from a client, whatever protocol it comes by.

use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;

use crate::http::body::BodyError;
use crate::http::h1::wire::Incoming;
use crate::http::h2;

/// One variant for each protocol. What a protocol says about 100 (RFC 9110 section 10.1.1) is sent when the body is
/// first asked for and nothing of it has come.
pub(crate) enum ClientBody {
    /// The head said that there is none.
    Empty,
    /// Of a request that is only explained: all that is left of it.
    Whole(Option<Bytes>),
    Http1(Incoming),
    Http2(h2::body::Incoming),
}

impl ClientBody {
    /// The next piece, or the trailers; `None`: it has ended.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            ClientBody::Empty => Poll::Ready(None),
            ClientBody::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            ClientBody::Http1(body) => body.poll_frame(cx),
            ClientBody::Http2(body) => body.poll_frame(cx),
        }
    }

    /// Whether nothing more of it comes out of [`ClientBody::poll_frame`].
    pub(crate) fn is_end_stream(&self) -> bool {
        match self {
            ClientBody::Empty => true,
            ClientBody::Whole(bytes) => bytes.is_none(),
            ClientBody::Http1(body) => body.is_end_stream(),
            ClientBody::Http2(body) => body.is_end_stream(),
        }
    }

    /// How many bytes are still to come out of it, where that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        match self {
            ClientBody::Empty => Some(0),
            ClientBody::Whole(bytes) => Some(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            ClientBody::Http1(body) => body.left(),
            ClientBody::Http2(body) => body.left(),
        }
    }

    /// Whether all of it is here: the client has no more of it to send.
    pub(crate) fn has_arrived(&self) -> bool {
        match self {
            ClientBody::Empty | ClientBody::Whole(_) => true,
            ClientBody::Http1(body) => body.has_arrived(),
            ClientBody::Http2(body) => body.is_end_stream(),
        }
    }
}
