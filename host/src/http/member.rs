//! Connections to members: one set per worker and member, reused in last-in-first-out order so that
//! the ones not needed grow old and are closed.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, Connection, Parts, SendRequest};
use hyper_util::rt::TokioIo;
use shunt_engine::member::{Active, MemberState};
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::timeout;

use crate::http::body::RequestBody;
use crate::http::deadline::Deadline;
use crate::live::counters::MemberCounters;

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

/// An HTTP/1.1 connection to a member. It has no task: who waits for something from it drives it. (Only
/// where an answer comes before the whole request does the connection get one, see [`Lease::drive_aside`].)
///
/// Whoever drives it looks at what came of it right after, so nothing inside it needs to wake anyone:
/// it is driven for nobody first, and with the task's waker only where there is something to wait for.
/// Else each response would wake its own task twice, and each request the task that used the connection
/// before.
struct ServerConnection {
    sender: SendRequest<RequestBody>,
    /// `None` once it is closed and nothing of it is needed any more.
    driver: Option<Connection<TokioIo<TcpStream>, RequestBody>>,
    closed: bool,
    /// The task that drives it in the place of whoever has it. Such a connection is not used again.
    aside: Option<Aside>,
}

/// A task that ends with what it works for.
struct Aside(AbortHandle);

impl Drop for Aside {
    fn drop(&mut self) {
        self.0.abort();
    }
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
    Stale(hyper::Error, Option<RequestBody>),
    /// The member broke off or answered something that is not HTTP.
    Member(hyper::Error),
    /// No response head in time.
    FirstByte,
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

    /// A connection that was kept alive. The member may have closed it in the meantime: then sending
    /// on it fails before anything was written, see [`SendError::Stale`].
    pub(crate) fn reuse(self: &Rc<Self>) -> Option<Lease> {
        let connection = self.idle.borrow_mut().pop()?.connection;
        Some(Lease::new(connection, self, true))
    }

    /// A new connection.
    pub(crate) async fn connect(self: &Rc<Self>, within: Duration) -> Result<Lease, ConnectError> {
        let stream = match timeout(within, TcpStream::connect(self.address)).await {
            Err(_) => return Err(ConnectError::TimedOut),
            Ok(Err(error)) => return Err(error.into()),
            Ok(Ok(stream)) => stream,
        };
        // Best effort: without it small writes wait for the peer's delayed ACK.
        let _ = stream.set_nodelay(true);
        let io = TokioIo::new(stream);
        // A head is small: it costs less in one buffer, by `send`, than in a list of one by `writev`.
        let (sender, driver) = match Builder::new().writev(false).handshake(io).await {
            Ok(pair) => pair,
            Err(_) => return Err(ConnectError::Other),
        };
        Ok(Lease::new(
            Box::new(ServerConnection { sender, driver: Some(driver), closed: false, aside: None }),
            self,
            false,
        ))
    }

    /// Closes what is idle for too long or was closed by the member.
    pub(crate) fn sweep(&self) {
        self.idle.borrow_mut().retain_mut(|idle| {
            idle.sweeps += 1;
            idle.sweeps < MOST_SWEEPS && idle.connection.is_usable()
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

impl ServerConnection {
    fn drive(&mut self, cx: &mut Context<'_>) {
        drive(&mut self.driver, &mut self.closed, cx);
    }

    fn is_usable(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        !self.closed && self.sender.is_ready()
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

    /// Moves bytes, and wakes the task of `cx` when more can be moved.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        self.connection.drive(cx);
    }

    /// Lets the connection move by itself from now on, whether anyone waits for something from it or not.
    pub(crate) fn drive_aside(&mut self) {
        if let Some(mut driver) = self.connection.driver.take() {
            let task = spawn_local(poll_fn(move |cx| driver.poll_without_shutdown(cx).map(drop)));
            self.connection.aside = Some(Aside(task.abort_handle()));
        }
    }

    pub(crate) fn is_driven_aside(&self) -> bool {
        self.connection.aside.is_some()
    }

    /// Sends a request and waits for the head of its response, or for the deadline.
    pub(crate) fn send<'a>(
        &'a mut self,
        request: Request<RequestBody>,
        deadline: &'a Deadline,
    ) -> impl Future<Output = Result<Response<Incoming>, SendError>> + 'a {
        let reused = self.reused;
        let ServerConnection { sender, driver, closed, .. } = &mut *self.connection;
        // Handed over at once and not when first polled: the future would carry it around.
        let response = sender.try_send_request(request);
        async move {
            let mut response = pin!(response);
            let mut written = false;
            let answer = poll_fn(|cx| {
                let nobody = &mut Context::from_waker(Waker::noop());
                // The first time there is a request to write and surely no answer yet.
                if written {
                    drive(driver, closed, nobody);
                    if let Poll::Ready(answer) = response.as_mut().poll(nobody) {
                        return Poll::Ready(Some(answer));
                    }
                }
                written = true;
                drive(driver, closed, cx);
                let mut polled = response.as_mut().poll(nobody);
                if polled.is_pending() && *closed {
                    // It ended without a look at the request, which comes back when hyper lets go of it.
                    *driver = None;
                    polled = response.as_mut().poll(nobody);
                }
                match polled {
                    Poll::Ready(answer) => Poll::Ready(Some(answer)),
                    Poll::Pending if deadline.expired() => Poll::Ready(None),
                    Poll::Pending => Poll::Pending,
                }
            })
            .await;
            match answer {
                None => Err(SendError::FirstByte),
                Some(Ok(response)) => Ok(response),
                Some(Err(failed)) => Err(sort(failed, reused)),
            }
        }
    }

    /// For another request, if it is fit for one.
    pub(crate) fn give_back(self) {
        let Lease { connection, member, .. } = self;
        if !connection.closed && connection.sender.is_ready() {
            member.keep(connection);
        }
    }

    /// The raw connection after the member switched protocols (RFC 9110 section 15.2.2), and what it
    /// sent already in the new one.
    pub(crate) async fn into_stream(self) -> Option<(Parts<TokioIo<TcpStream>>, Active)> {
        let mut driver = self.connection.driver?;
        poll_fn(|cx| Pin::new(&mut driver).poll_without_shutdown(cx).map(drop)).await;
        Some((driver.into_parts(), self.active))
    }
}

/// An error reaches whoever waits for the response or reads its body.
fn drive(
    driver: &mut Option<Connection<TokioIo<TcpStream>, RequestBody>>,
    closed: &mut bool,
    cx: &mut Context<'_>,
) {
    if !*closed && driver.as_mut().is_none_or(|it| it.poll_without_shutdown(cx).is_ready()) {
        *closed = true;
    }
}

/// Why there is no answer. `reused`: another request was on the connection before.
fn sort(mut failed: TrySendError<Request<RequestBody>>, reused: bool) -> SendError {
    let unsent = failed.take_message().map(Request::into_body);
    let error = failed.into_error();
    // Nothing of an answer came, and it was closed or reset: the member had closed it.
    let gone = unsent.is_some() || error.is_incomplete_message() || error.is_closed() || is_reset(&error);
    if reused && gone { SendError::Stale(error, unsent) } else { SendError::Member(error) }
}

fn is_reset(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return matches!(
                io.kind(),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected
            );
        }
        source = cause.source();
    }
    false
}
