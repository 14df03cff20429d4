//! Connections to members: one set per worker and member, reused in last-in-first-out order so that
//! the ones not needed grow old and are closed.

mod carrier;
mod connection;
mod h2;
mod lifetime;
mod outgoing;
pub(in crate::http) mod request;
mod response;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, request as http_request, response as http_response};
use http_body::{Frame, SizeHint};
use shunt_engine::member::Active;
use thiserror::Error;
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout};
use tokio_rustls::rustls::pki_types::ServerName;

use self::h2::Exchange;
use self::h2::connections::{Connections, Opened};
use crate::connection::Connection;
use crate::http::body::{BodyError, RequestBody, RequestBodyState};
use crate::http::fields::prepare_response;
use crate::http::lines::Lines;
use crate::http::stream::Stream;
use crate::member::MemberView;
use crate::proxy_protocol;
use crate::server::ServerStream;
use crate::turn;
use carrier::Carrier;
pub(in crate::http) use carrier::Switched;
use connection::ServerConnection;
use lifetime::Lifetime;
pub(crate) use outgoing::{MOST_KEPT, Pace, Resend};
use shunt_config::model::MemberProtocol;
use shunt_runtime::tls::members::NoTls;

/// Idle connections kept per member and worker. Enough for the concurrency that one worker reaches;
/// more would only hold descriptors of the member.
const MOST_IDLE: usize = 256;
/// A connection that was idle at so many sweeps is closed: after 30 to 40 s, before the 60 to 75 s at
/// which common servers do. Counting sweeps takes no clock on the path of a request.
const MOST_SWEEPS: u8 = 4;
/// Requests that must not be sent twice go on a kept connection only if its last answer ended so shortly ago:
/// the shortest idle time that servers have by default is 2 s (gunicorn gthread), and a request that crosses the end of
/// its connection may have been acted on (RFC 9112 section 9.3.1).
const FRESH: Duration = Duration::from_secs(1);
/// A connection that was used so shortly ago is taken as the worker last saw it; else the kernel is asked.
const JUST_USED: Duration = Duration::from_millis(5);

/// What is kept of a member between requests.
#[derive(Default)]
pub(crate) struct Kept {
    idle: RefCell<Vec<Idle>>,
    /// It closed a connection just behind an answer, unsaid, and has answered on no kept one since. There are
    /// servers that close behind each answer (uWSGI).
    closes_early: Cell<bool>,
    /// It sent what is no answer where one was due on a kept connection. There are servers that send content behind
    /// the answer to HEAD (waitress, daphne).
    overruns: Cell<bool>,
    lifetime: Lifetime,
    /// Those of HTTP/2, idle or not.
    shared: Connections,
}

struct Idle {
    connection: Box<ServerConnection>,
    /// When its last answer ended.
    used: Instant,
    sweeps: u8,
}

/// Why no connection could be had.
#[derive(Debug)]
pub(crate) enum ConnectError {
    Refused,
    TimedOut,
    Unreachable,
    /// There is a connection, and no TLS on it.
    Tls(NoTls),
    /// The member is to speak HTTP/2, and does not.
    NoHttp2,
    /// The member takes no WebSockets in streams of HTTP/2, which is all that it is to speak.
    NoWebSocket,
    /// All connections of HTTP/2 that may be have as many streams as the member takes.
    NoRoom,
    Other,
}

/// Why there is no response.
pub(crate) enum SendError {
    /// The member closed a connection that was kept alive just as it was taken, or still sent on it what belongs to
    /// the answer before.
    Stale(Broken, Resend),
    /// The member closed the connection early or sent what is not HTTP, or the request's own body ended early.
    Member(Broken),
    /// No response head in time.
    FirstByte,
}

/// How an exchange with a member ended before its end.
#[derive(Debug, Error)]
pub(crate) enum Broken {
    #[error(transparent)]
    Io(io::Error),
    #[error("closed without a response")]
    Closed,
    #[error("closed in the middle of a response")]
    Truncated,
    #[error("not an HTTP/1 response: {0}")]
    Head(httparse::Error),
    #[error("head or trailers larger than 64 KiB")]
    HeadTooLarge,
    #[error("not a status")]
    Status,
    #[error("malformed field")]
    Field,
    #[error("Content-Length is not a number")]
    Length,
    #[error("Transfer-Encoding is not chunked")]
    Coding,
    #[error("malformed chunk")]
    Chunk,
    #[error(transparent)]
    Http2(::h2::Error),
    /// No stream was begun.
    #[error("there is no stream: {0}")]
    NotBegun(::h2::Error),
    #[error(transparent)]
    Body(BodyError),
}

impl Kept {
    /// All of it, for the same member with other settings.
    pub(crate) fn take(&self) -> Self {
        Kept {
            idle: RefCell::new(self.idle.take()),
            closes_early: self.closes_early.clone(),
            overruns: self.overruns.clone(),
            lifetime: self.lifetime.clone(),
            shared: self.shared.take(),
        }
    }

    /// None, kept as long as these.
    pub(crate) fn alike(&self) -> Self {
        Kept { lifetime: self.lifetime.clone(), ..Kept::default() }
    }

    /// Connections are kept so long where the member neither says nor shows that it keeps them for less.
    pub(crate) fn keep_for(&self, configured: Duration) {
        self.lifetime.configure(configured);
    }

    fn keeps_for(&self) -> Duration {
        self.lifetime.of(None)
    }

    /// Closes what is idle for too long or was closed by the member.
    pub(crate) fn sweep(&self) {
        self.lifetime.relax();
        self.shared.sweep(self.keeps_for());
        let mut idle = self.idle.borrow_mut();
        if idle.is_empty() {
            return;
        }
        let now = Instant::now();
        idle.retain_mut(|idle| {
            idle.sweeps += 1;
            let unused = now.saturating_duration_since(idle.used);
            idle.sweeps < MOST_SWEEPS
                && unused <= self.lifetime.of(idle.connection.kept_for())
                && idle.connection.is_quiet()
        });
    }

    /// Closes every idle connection.
    pub(crate) fn close(&self) {
        self.idle.borrow_mut().clear();
        self.shared.close();
    }

    fn keep(&self, connection: Box<ServerConnection>, used: Instant) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < MOST_IDLE {
            idle.push(Idle { connection, used, sweeps: 0 });
        }
    }

    /// See [`Lease::reuse`].
    fn reuse(
        &self,
        now: Instant,
        repeatable: bool,
        called: Option<&ServerName<'static>>,
    ) -> Option<(Box<ServerConnection>, Past)> {
        let mut idle = self.idle.borrow_mut();
        loop {
            let (Idle { mut connection, used, sweeps }, cautious) =
                match repeatable || !self.closes_early.get() {
                    true => {
                        let last = idle.iter().rposition(|it| it.connection.is_called(called))?;
                        (idle.remove(last), false)
                    }
                    // What it closes behind an answer is closed by now.
                    false => {
                        let settled = |it: &Idle| {
                            (JUST_USED..FRESH).contains(&now.saturating_duration_since(it.used))
                                && it.connection.is_called(called)
                        };
                        (idle.iter().position(settled).map(|index| idle.remove(index))?, true)
                    }
                };
            let unused = now.saturating_duration_since(used);
            if unused > self.lifetime.of(connection.kept_for()) {
                // The member is about to close it, or has.
                continue;
            }
            if !repeatable && unused > FRESH {
                idle.push(Idle { connection, used, sweeps });
                return None;
            }
            let quiet = match cautious || !repeatable && unused > JUST_USED {
                false => connection.is_quiet(),
                true => connection.is_quiet_now(),
            };
            if quiet {
                return Some((connection, if unused < FRESH { Past::Recent } else { Past::Old(unused) }));
            }
            if unused < FRESH {
                self.closes_early.set(true);
            } else {
                self.lifetime.closed_after(unused);
            }
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
    connection: Carrier,
    member: Rc<MemberView>,
    /// Where it is kept, if not with the member's others.
    own: Option<Rc<Kept>>,
    past: Past,
    /// The request is HEAD.
    is_head: bool,
    /// The rest of the request goes on behind its answer.
    rest: Option<Box<Rest>>,
    active: Active,
}

/// What was on a connection before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Past {
    Nothing,
    /// A request whose answer ended less than [`FRESH`] ago.
    Recent,
    /// One whose answer ended so long ago.
    Old(Duration),
}

/// The rest of a request whose answer came before it was out.
pub(crate) struct Rest {
    pub(crate) pace: Pace,
    pub(crate) body: Rc<RequestBodyState>,
    /// Bytes of it that are counted for the member.
    pub(crate) counted: u64,
}

/// What a connection is wanted for.
pub(crate) struct Want<'a> {
    /// When the request began.
    pub(crate) began: Instant,
    /// The member may get it twice.
    pub(crate) repeatable: bool,
    pub(crate) upgrade: Upgrade,
    /// Its host, where the member is called as that.
    pub(crate) host: Option<&'a str>,
    /// The client's connection that it came on.
    pub(crate) of: &'a Connection,
}

/// The protocol that a request asks to switch to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upgrade {
    None,
    /// Which a stream of HTTP/2 may become (RFC 8441).
    WebSocket,
    /// Which no stream becomes.
    Other,
}

impl Want<'_> {
    fn suits(&self, exchange: &Exchange) -> bool {
        self.upgrade != Upgrade::WebSocket || exchange.takes_websockets()
    }
}

impl MemberView {
    fn may_speak_http_2(&self, want: &Want<'_>) -> bool {
        match self.protocol {
            MemberProtocol::Http1 => false,
            MemberProtocol::Http2 => true,
            MemberProtocol::Auto => want.upgrade != Upgrade::Other,
        }
    }
}

impl Lease {
    /// A connection that was kept alive, or a stream on one. The member may just have closed it:
    /// then sending on it fails, see [`SendError::Stale`]. For a request that is not `repeatable` only one that the
    /// member is not likely to have closed.
    pub(crate) fn reuse(member: &Rc<MemberView>, want: &Want<'_>) -> Option<Lease> {
        let by_request = member.tls.as_ref().filter(|tls| tls.is_called_by_request());
        let called = by_request.map(|tls| tls.name(want.host)).transpose().ok()?;
        if member.may_speak_http_2(want) {
            let keep = member.kept.keeps_for();
            match member.kept.shared.reuse(called.as_ref(), keep, want.began) {
                Some(exchange) if want.suits(&exchange) => {
                    return Some(Lease::new(Carrier::Http2(Box::new(exchange)), member, None, Past::Nothing));
                }
                Some(_) if member.protocol == MemberProtocol::Auto => {}
                None if member.kept.shared.chose_http_1() => {}
                Some(_) | None => return None,
            }
        }
        let own = want.of.own_kept(member);
        let kept = own.as_deref().unwrap_or(&member.kept);
        let (connection, past) = kept.reuse(want.began, want.repeatable, called.as_ref())?;
        Some(Lease::new(Carrier::Http1(connection), member, own, past))
    }

    /// A new connection, or a stream on one that has room.
    pub(crate) async fn connect(
        member: &Rc<MemberView>,
        within: Duration,
        want: &Want<'_>,
    ) -> Result<Lease, ConnectError> {
        let name =
            member.tls.as_ref().map(|tls| tls.name(want.host).map_err(ConnectError::Tls)).transpose()?;
        let chosen = match member.may_speak_http_2(want) {
            true => Some(Lease::choose_protocol(member, within, name.clone()).await?),
            false => None,
        };
        let carrier = match chosen {
            Some(Carrier::Http2(exchange)) if !want.suits(&exchange) => match member.protocol {
                MemberProtocol::Auto => None,
                MemberProtocol::Http1 | MemberProtocol::Http2 => return Err(ConnectError::NoWebSocket),
            },
            chosen => chosen,
        };
        let carrier = match carrier {
            Some(carrier) => carrier,
            None => {
                let connection = timeout(within, Lease::connection(member, name, want.of)).await;
                Carrier::Http1(Box::new(connection.unwrap_or(Err(ConnectError::TimedOut))?))
            }
        };
        Ok(Lease::new(carrier, member, want.of.own_kept(member), Past::Nothing))
    }

    /// A stream of HTTP/2, or a connection of HTTP/1.1 where the member chooses that.
    async fn choose_protocol(
        member: &Rc<MemberView>,
        within: Duration,
        name: Option<ServerName<'static>>,
    ) -> Result<Carrier, ConnectError> {
        Ok(match h2::connections::wait(member, name.clone(), within).await? {
            Some(Ok(exchange)) => Carrier::Http2(Box::new(exchange)),
            Some(Err(connection)) => Carrier::Http1(connection),
            None => {
                let opened = timeout(within, h2::connections::open(member, name)).await;
                match opened.unwrap_or(Err(ConnectError::TimedOut))? {
                    Opened::Http1(connection) => Carrier::Http1(connection),
                    Opened::Http2(shared) => Carrier::Http2(Box::new(member.kept.shared.add(shared))),
                }
            }
        })
    }

    /// A connection of HTTP/1.1, for a client's connection `of`.
    async fn connection(
        member: &MemberView,
        name: Option<ServerName<'static>>,
        of: &Connection,
    ) -> Result<ServerConnection, ConnectError> {
        let mut stream = member.dial().await?;
        if let Some(version) = member.proxy_protocol {
            stream.write_all(&proxy_protocol::header_of(version, of)).await?;
        }
        let (Some(tls), Some(name)) = (&member.tls, name) else {
            return Ok(ServerConnection::new(ServerStream::Plain(stream), None));
        };
        let session = tls.connect_http_1(stream, name.clone()).await.map_err(ConnectError::Tls)?;
        let called = member.is_called_by_request().then_some(name);
        Ok(ServerConnection::new(ServerStream::Tls(Box::new(session)), called))
    }

    fn new(connection: Carrier, member: &Rc<MemberView>, own: Option<Rc<Kept>>, past: Past) -> Self {
        let (member, active) = (Rc::clone(member), member.state.begin());
        Lease { connection, member, own, past, is_head: false, rest: None, active }
    }

    /// Whether its connection was made for this request.
    pub(crate) fn is_new(&self) -> bool {
        match &self.connection {
            Carrier::Http1(_) => self.past == Past::Nothing,
            Carrier::Http2(exchange) => exchange.is_first(),
        }
    }

    pub(crate) fn member(&self) -> &Rc<MemberView> {
        &self.member
    }

    /// Sends a request and waits for the head of its response, or for the deadline. `passes`: nothing looks at the
    /// fields of the response, see [`Lease::take_lines`].
    pub(crate) async fn send(
        &mut self,
        head: &http_request::Parts,
        body: RequestBody,
        stream: &Stream,
        passes: bool,
    ) -> Result<http_response::Parts, SendError> {
        self.is_head = head.method == Method::HEAD;
        let connection = &mut self.connection;
        connection.begin(head, body, passes);
        let inform = |mut interim: http_response::Parts| {
            // 100 is between Shunt and the member: the client gets it of Shunt (RFC 9110 section 10.1.1).
            if interim.status != StatusCode::CONTINUE {
                prepare_response(&mut interim.headers, interim.status, false);
                stream.inform(interim);
            }
        };
        let answer = poll_fn(|cx| match connection.poll_answer(&head.method, cx, inform) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending if stream.deadline.expired() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        let answer = answer.await;
        let connection = match &mut self.connection {
            Carrier::Http1(connection) => connection,
            Carrier::Http2(exchange) => {
                return match answer {
                    Some(Ok(response)) => Ok(response),
                    Some(Err(error)) => Err(exchange.failed(error, &self.member)),
                    None => {
                        exchange.timed_out();
                        Err(SendError::FirstByte)
                    }
                };
            }
        };
        let kept = self.own.as_deref().unwrap_or(&self.member.kept);
        match answer {
            None => Err(SendError::FirstByte),
            Some(Ok(response)) => {
                if self.past != Past::Nothing {
                    kept.closes_early.set(false);
                }
                Ok(response)
            }
            // Nothing of an answer came, and it was closed or reset: the member had closed it.
            Some(Err(error)) if self.past != Past::Nothing && error.is_closed() => {
                match self.past {
                    Past::Recent => kept.closes_early.set(true),
                    Past::Old(idle) => kept.lifetime.closed_after(idle),
                    Past::Nothing => {}
                }
                Err(SendError::Stale(error, connection.take_again()))
            }
            // What came belongs to an answer before: this request has none yet.
            Some(Err(error)) if self.past != Past::Nothing && error.is_no_answer() => {
                kept.overruns.set(true);
                Err(SendError::Stale(error, connection.take_again()))
            }
            Some(Err(error)) => Err(SendError::Member(error)),
        }
    }

    /// Whether all of the request is out.
    pub(crate) fn is_sent(&self) -> bool {
        self.connection.is_sent()
    }

    /// Whether the member continues with this connection, as far as it has said.
    pub(crate) fn stays_open(&self) -> bool {
        self.connection.stays_open()
    }

    /// The body of a request that is not all out.
    pub(crate) fn unsent_body(&self) -> Option<&RequestBody> {
        self.connection.unsent_body()
    }

    /// Lets the rest of the request continue by itself while the answer comes, and behind it.
    pub(crate) fn upload_in_background(&mut self, rest: Rest) {
        self.connection.upload_in_background(rest.pace);
        self.rest = Some(Box::new(rest));
    }

    /// Lets the rest of the request continue by itself behind an answer that is here.
    pub(crate) fn send_behind(mut self, rest: Rest) {
        self.rest = Some(Box::new(rest));
        self.give_back();
    }

    /// The fields of the response, where they are not in its head: they are passed on as they are.
    pub(crate) fn take_lines(&mut self) -> Option<Lines> {
        self.connection.take_lines()
    }

    /// What is known of the length of the rest of the response's body.
    pub(crate) fn size_hint(&self) -> SizeHint {
        self.connection.left().map_or_else(SizeHint::default, SizeHint::with_exact)
    }

    /// Whether all of the response was taken.
    pub(crate) fn is_answered(&self) -> bool {
        self.connection.is_answered()
    }

    /// The next piece of the response's body; `None`: it has ended.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let frame = ready!(self.connection.poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                self.member.counters.bytes_to_client.add(length as u64);
            }
            Some(Err(error)) => {
                self.member.counters.failures.add(1);
                self.connection.count(error, &self.member);
            }
            None => {}
        }
        Poll::Ready(frame)
    }

    /// The whole body of the response, if all of it is here and it has no trailers.
    pub(crate) fn whole_body(&mut self) -> Option<Bytes> {
        let data = self.connection.whole_body()?;
        self.member.counters.bytes_to_client.add(data.len() as u64);
        Some(data)
    }

    /// For another request, if it is fit for one: at once, or when all of this one is out.
    pub(crate) fn give_back(self) {
        if self.rest.is_some() {
            spawn_local(async move {
                if let Some(lease) = self.sent().await {
                    lease.give_back();
                }
            });
            return;
        }
        let Lease { connection, member, own, is_head, .. } = self;
        let kept = own.as_deref().unwrap_or(&member.kept);
        if let Carrier::Http1(mut connection) = connection
            && connection.is_reusable()
            && !(is_head && kept.overruns.get())
        {
            connection.rest();
            kept.keep(connection, turn::now());
        }
    }

    /// Waits until all of the request is out; `None`: it did not get there.
    async fn sent(mut self) -> Option<Lease> {
        let Some(rest) = self.rest.take() else { return Some(self) };
        let sent = self.connection.sent(rest.pace).await;
        self.member.counters.bytes_to_server.add(rest.body.sent.get().saturating_sub(rest.counted));
        Some(Lease { connection: sent?, ..self })
    }

    /// The raw connection or stream after the member switched protocols (RFC 9110 section 15.2.2). It switches when all
    /// of the request is out (section 7.8).
    pub(in crate::http) async fn into_switched(self) -> Option<(Switched, Active)> {
        let lease = self.sent().await?;
        Some((lease.connection.into_switched()?, lease.active))
    }
}

impl Broken {
    /// The code of RST_STREAM that a client gets as well. Others say something of the connection to the member, or that
    /// nothing was done, which is not so once there is an answer (RFC 9113 section 7).
    pub(crate) fn reset_for_client(&self) -> Option<::h2::Reason> {
        use ::h2::Reason;
        let Broken::Http2(error) = self else { return None };
        let reason = error.reason().filter(|_| error.is_reset() && error.is_remote())?;
        matches!(reason, Reason::CANCEL | Reason::ENHANCE_YOUR_CALM).then_some(reason)
    }

    /// Whether what came does not begin as an answer does.
    fn is_no_answer(&self) -> bool {
        matches!(self, Broken::Head(_) | Broken::Status)
    }

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
