//! What a request goes to its member on: a connection of HTTP/1.1 by itself, or a stream of HTTP/2.

use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{Method, request, response};
use http_body::Frame;

use super::Broken;
use super::connection::ServerConnection;
use super::h2::{Exchange, Socket};
use super::outgoing::Pace;
use super::response::Piece;
use crate::http::body::RequestBody;
use crate::http::lines::Lines;
use crate::member::MemberView;
use crate::server::ServerStream;

pub(super) enum Carrier {
    Http1(Box<ServerConnection>),
    Http2(Box<Exchange>),
}

use Carrier::{Http1, Http2};

/// What speaks another protocol from now on.
pub(in crate::http) enum Switched {
    /// The connection, and what was read from it already.
    Connection(ServerStream, BytesMut),
    /// A stream of HTTP/2, and what it counts as on its connection.
    Stream(Socket, Box<Exchange>),
}

impl Carrier {
    /// Takes up a request. `passes`: nothing looks at the fields of its answer, see [`Carrier::take_lines`].
    pub(super) fn begin(&mut self, head: &request::Parts, body: RequestBody, passes: bool) {
        match self {
            Http1(connection) => connection.begin(head, body, passes),
            Http2(exchange) => exchange.begin(head, body),
        }
    }

    /// Sends what can be sent and reads the head of the answer. `inform` gets informational answers.
    pub(super) fn poll_answer(
        &mut self,
        method: &Method,
        cx: &mut Context<'_>,
        inform: impl FnMut(response::Parts),
    ) -> Poll<Result<response::Parts, Broken>> {
        match self {
            Http1(connection) => connection.poll_answer(method, cx, inform),
            Http2(exchange) => exchange.poll_answer(cx, inform),
        }
    }

    /// The fields of the answer, where they are not in its head.
    pub(super) fn take_lines(&mut self) -> Option<Lines> {
        match self {
            Http1(connection) => connection.take_lines(),
            Http2(_) => None,
        }
    }

    /// Whether all of the request is out.
    pub(super) fn is_sent(&self) -> bool {
        match self {
            Http1(connection) => connection.is_sent(),
            Http2(exchange) => exchange.is_sent(),
        }
    }

    /// Whether the member continues with the connection, as far as it has said.
    pub(super) fn stays_open(&self) -> bool {
        match self {
            Http1(connection) => connection.stays_open(),
            // What a member takes of one request says nothing about the next.
            Http2(_) => true,
        }
    }

    /// The body of a request that is not all out.
    pub(super) fn unsent_body(&self) -> Option<&RequestBody> {
        match self {
            Http1(connection) => connection.unsent_body(),
            Http2(exchange) => exchange.unsent_body(),
        }
    }

    /// Lets the rest of the request continue by itself.
    pub(super) fn upload_in_background(&mut self, pace: Pace) {
        match self {
            Http1(connection) => connection.upload_in_background(pace),
            Http2(exchange) => exchange.upload_in_background(pace),
        }
    }

    /// How much of the answer's body is still to come, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        match self {
            Http1(connection) => connection.body().exact(),
            Http2(exchange) => exchange.left(),
        }
    }

    /// Whether all of the answer was taken.
    pub(super) fn is_answered(&self) -> bool {
        match self {
            Http1(connection) => connection.body().is_ended(),
            Http2(exchange) => exchange.is_answered(),
        }
    }

    /// The next piece of the answer's body, or its trailers; `None`: it has ended.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let connection = match self {
            Http1(connection) => connection,
            Http2(exchange) => return exchange.poll_body(cx),
        };
        Poll::Ready(match ready!(connection.poll_body(cx)) {
            Some(Ok(Piece::Data(data))) => Some(Ok(Frame::data(data))),
            Some(Ok(Piece::Trailers(trailers))) => Some(Ok(Frame::trailers(trailers))),
            Some(Ok(Piece::More)) | None => None,
            Some(Err(error)) => Some(Err(error)),
        })
    }

    /// Counts how an exchange with the member broke off, where that is counted by itself.
    pub(super) fn count(&self, error: &Broken, member: &MemberView) {
        if let Http2(exchange) = self {
            exchange.count(error, member);
        }
    }

    /// The whole body of the answer, if all of it is here and it has no trailers.
    pub(super) fn whole_body(&mut self) -> Option<Bytes> {
        match self {
            Http1(connection) => connection.whole_body(),
            Http2(exchange) => exchange.is_answered().then(Bytes::new),
        }
    }

    /// Waits until all of the request is out; `None`: it did not get there.
    pub(super) async fn sent(self, pace: Pace) -> Option<Self> {
        Some(match self {
            Http1(connection) => Http1(connection.sent(pace).await?),
            Http2(exchange) => Http2(exchange.sent(pace).await?),
        })
    }

    /// What is left of it when the member has switched protocols.
    pub(super) fn into_switched(self) -> Option<Switched> {
        match self {
            Http1(connection) => {
                let (stream, early) = connection.into_stream()?;
                Some(Switched::Connection(stream, early))
            }
            Http2(mut exchange) => {
                let socket = exchange.take_socket()?;
                Some(Switched::Stream(socket, exchange))
            }
        }
    }
}
