//! Connections to members: one set per worker and member, reused in last-in-first-out order so that
//! the ones not needed grow old and are closed.

mod connection;
mod request;
mod response;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{request as http_request, response as http_response};
use http_body::{Frame, SizeHint};
use shunt_engine::member::{Active, MemberState};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::deadline::Deadline;
use crate::http::body::{BodyError, RequestBody};
use connection::ServerConnection;
use response::Piece;
use shunt_runtime::counters::MemberCounters;
use shunt_runtime::dial;

/// Idle connections kept per member and worker. Enough for the concurrency that one worker reaches;
/// more would only hold descriptors of the member.
const MOST_IDLE: usize = 256;
/// How often [`MemberView::sweep`] is to be called.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// A connection that was idle at so many sweeps is closed: after 30 to 40 s, before the 60 to 75 s at
/// which common servers do. Counting sweeps takes no clock on the way of a request.
const MOST_SWEEPS: u8 = 4;

/// A member as one worker sees it.
pub(crate) struct MemberView {
    pub(crate) address: SocketAddr,
    pub(crate) weight: u32,
    pub(crate) state: Arc<MemberState>,
    pub(crate) counters: Arc<MemberCounters>,
    idle: RefCell<Vec<Idle>>,
}

struct Idle {
    connection: Box<ServerConnection>,
    sweeps: u8,
}

/// Why no connection could be had.
#[derive(Debug)]
pub(crate) enum ConnectError {
    Refused,
    TimedOut,
    Unreachable,
    Other,
}

/// Why there is no response.
pub(crate) enum SendError {
    /// The member closed a connection that was kept alive just as it was taken. The body comes back
    /// where nothing of the request was written.
    Stale(Broken, Option<RequestBody>),
    /// The member broke off or answered something that is not HTTP, or the request's own body broke off.
    Member(Broken),
    /// No response head in time.
    FirstByte,
}

/// How an exchange with a member ended before its end.
#[derive(Debug, Error)]
pub(crate) enum Broken {
    #[error(transparent)]
    Io(io::Error),
    #[error("closed without an answer")]
    Closed,
    #[error("closed in the middle of an answer")]
    Truncated,
    #[error("no HTTP/1 answer: {0}")]
    Head(httparse::Error),
    #[error("head or trailers larger than 64 KiB")]
    HeadTooLarge,
    #[error("no such status")]
    Status,
    #[error("malformed field")]
    Field,
    #[error("Content-Length is not one number")]
    Length,
    #[error("Transfer-Encoding is not chunked")]
    Coding,
    #[error("malformed chunk")]
    Chunk,
    #[error(transparent)]
    Body(BodyError),
}

impl MemberView {
    pub(crate) fn new(
        address: SocketAddr,
        weight: u32,
        state: Arc<MemberState>,
        counters: Arc<MemberCounters>,
    ) -> Self {
        MemberView { address, weight, state, counters, idle: RefCell::default() }
    }

    /// The same member with another weight: keeps its connections.
    pub(crate) fn with_weight(&self, weight: u32) -> Self {
        MemberView {
            address: self.address,
            weight,
            state: Arc::clone(&self.state),
            counters: Arc::clone(&self.counters),
            idle: RefCell::new(self.idle.take()),
        }
    }

    /// A connection that was kept alive. The member may just have closed it: then sending on it fails,
    /// see [`SendError::Stale`].
    pub(crate) fn reuse(self: &Rc<Self>) -> Option<Lease> {
        let mut idle = self.idle.borrow_mut();
        while let Some(Idle { connection, .. }) = idle.pop() {
            if connection.is_quiet() {
                return Some(Lease::new(connection, self, true));
            }
        }
        None
    }

    /// A new connection.
    pub(crate) async fn connect(self: &Rc<Self>, within: Duration) -> Result<Lease, ConnectError> {
        let stream = match timeout(within, TcpStream::connect(self.address)).await {
            Err(_) => return Err(ConnectError::TimedOut),
            Ok(Err(error)) => return Err(error.into()),
            Ok(Ok(stream)) => stream,
        };
        dial::refuse_itself(&stream)?;
        // Best effort: without it small writes wait for the peer's delayed ACK.
        let _ = stream.set_nodelay(true);
        Ok(Lease::new(Box::new(ServerConnection::new(stream)), self, false))
    }

    /// Closes what is idle for too long or was closed by the member.
    pub(crate) fn sweep(&self) {
        self.idle.borrow_mut().retain_mut(|idle| {
            idle.sweeps += 1;
            idle.sweeps < MOST_SWEEPS && idle.connection.is_quiet()
        });
    }

    /// Closes every idle connection: the member is being taken out.
    pub(crate) fn close_idle(&self) {
        self.idle.borrow_mut().clear();
    }

    fn keep(&self, connection: Box<ServerConnection>) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < MOST_IDLE {
            idle.push(Idle { connection, sweeps: 0 });
        }
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => ConnectError::Refused,
            io::ErrorKind::TimedOut => ConnectError::TimedOut,
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => ConnectError::Unreachable,
            _ => ConnectError::Other,
        }
    }
}

/// A connection to a member in use by one request. Dropping it closes the connection; the member's
/// count of active requests goes down either way.
pub(crate) struct Lease {
    connection: Box<ServerConnection>,
    member: Rc<MemberView>,
    /// Another request was on it before.
    reused: bool,
    active: Active,
}

impl Lease {
    fn new(connection: Box<ServerConnection>, member: &Rc<MemberView>, reused: bool) -> Self {
        Lease { connection, member: Rc::clone(member), reused, active: member.state.begin() }
    }

    pub(crate) fn member(&self) -> &Rc<MemberView> {
        &self.member
    }

    /// Sends a request and waits for the head of its response, or for the deadline.
    pub(crate) async fn send(
        &mut self,
        head: &http_request::Parts,
        body: RequestBody,
        deadline: &Deadline,
    ) -> Result<http_response::Parts, SendError> {
        let connection = &mut *self.connection;
        connection.begin(head, body);
        let answer = poll_fn(|cx| match connection.poll_answer(&head.method, cx) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending if deadline.expired() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        match answer.await {
            None => Err(SendError::FirstByte),
            Some(Ok(response)) => Ok(response),
            // Nothing of an answer came, and it was closed or reset: the member had closed it.
            Some(Err(error)) if self.reused && error.is_closed() => {
                Err(SendError::Stale(error, connection.take_unsent()))
            }
            Some(Err(error)) => Err(SendError::Member(error)),
        }
    }

    /// Whether all of the request is out.
    pub(crate) fn is_sent(&self) -> bool {
        self.connection.is_sent()
    }

    /// Lets the rest of the request go on by itself.
    pub(crate) fn send_aside(&mut self) {
        self.connection.send_aside();
    }

    /// What is known of the length of the rest of the response's body.
    pub(crate) fn size_hint(&self) -> SizeHint {
        self.connection.body().exact().map_or_else(SizeHint::default, SizeHint::with_exact)
    }

    /// Whether all of the response was taken.
    pub(crate) fn is_answered(&self) -> bool {
        self.connection.body().is_ended()
    }

    /// The next piece of the response's body; `None`: it has ended.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        Poll::Ready(match ready!(self.connection.poll_body(cx)) {
            Some(Ok(Piece::Data(data))) => {
                self.member.counters.bytes_to_client.add(data.len() as u64);
                Some(Ok(Frame::data(data)))
            }
            Some(Ok(Piece::Trailers(trailers))) => Some(Ok(Frame::trailers(trailers))),
            Some(Ok(Piece::More)) | None => None,
            Some(Err(error)) => Some(Err(error)),
        })
    }

    /// The whole body of the response, if all of it is here and it has no trailers.
    pub(crate) fn whole_body(&mut self) -> Option<Bytes> {
        let data = self.connection.whole_body()?;
        self.member.counters.bytes_to_client.add(data.len() as u64);
        Some(data)
    }

    /// For another request, if it is fit for one.
    pub(crate) fn give_back(self) {
        let Lease { mut connection, member, .. } = self;
        if connection.is_reusable() {
            connection.rest();
            member.keep(connection);
        }
    }

    /// The raw connection after the member switched protocols (RFC 9110 section 15.2.2), and what it
    /// sent already in the new one.
    pub(crate) fn into_stream(self) -> Option<(TcpStream, BytesMut, Active)> {
        let (stream, early) = self.connection.into_stream()?;
        Some((stream, early, self.active))
    }
}

impl Broken {
    /// Whether the member ended the connection without a word.
    fn is_closed(&self) -> bool {
        match self {
            Broken::Closed => true,
            Broken::Io(error) => matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected
            ),
            _ => false,
        }
    }
}
