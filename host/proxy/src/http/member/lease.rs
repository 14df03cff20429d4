//! A connection to a member in use by one request: how it is chosen, what is sent and read on it, and where it goes then.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, request as http_request, response as http_response};
use http_body::{Frame, SizeHint};
use shunt_config::model::MemberProtocol;
use shunt_engine::member::Active;
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_local;
use tokio::time::{Instant, timeout};
use tokio_rustls::rustls::pki_types::ServerName;

use super::carrier::{Carrier, Switched};
use super::connection::ServerConnection;
use super::h2::Exchange;
use super::h2::connections::{self, Opened};
use super::outgoing::Pace;
use super::{Broken, ConnectError, Kept, Past, SendError};
use crate::connection::Connection;
use crate::http::body::{RequestBody, RequestBodyState};
use crate::http::fields::prepare_response;
use crate::http::lines::Lines;
use crate::http::stream::Stream;
use crate::member::MemberView;
use crate::proxy_protocol;
use crate::server::ServerStream;
use crate::turn;

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
    /// The request's place at the member, where it has one already.
    pub(crate) reserved: Cell<Option<Active>>,
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
            match member.kept.shared.reuse(called.as_ref(), &member.kept.lifetime, want.began) {
                Some(exchange) if want.suits(&exchange) => {
                    let carrier = Carrier::Http2(Box::new(exchange));
                    return Some(Lease::new(carrier, member, None, Past::Nothing, want));
                }
                Some(_) if member.protocol == MemberProtocol::Auto => {}
                None if member.kept.shared.chose_http_1() => {}
                Some(_) | None => return None,
            }
        }
        let own = want.of.own_kept(member);
        let kept = own.as_deref().unwrap_or(&member.kept);
        let (connection, past) = kept.reuse(want.began, want.repeatable, called.as_ref())?;
        Some(Lease::new(Carrier::Http1(connection), member, own, past, want))
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
        Ok(Lease::new(carrier, member, want.of.own_kept(member), Past::Nothing, want))
    }

    /// A stream of HTTP/2, or a connection of HTTP/1.1 where the member chooses that.
    async fn choose_protocol(
        member: &Rc<MemberView>,
        within: Duration,
        name: Option<ServerName<'static>>,
    ) -> Result<Carrier, ConnectError> {
        Ok(match connections::wait(member, name.clone(), within).await? {
            Some(Ok(exchange)) => Carrier::Http2(Box::new(exchange)),
            Some(Err(connection)) => Carrier::Http1(connection),
            None => {
                let opened = timeout(within, connections::open(member, name)).await;
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
        let mut stream = member.dial(Some(of.flow.client.ip())).await?;
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

    fn new(
        connection: Carrier,
        member: &Rc<MemberView>,
        own: Option<Rc<Kept>>,
        past: Past,
        want: &Want<'_>,
    ) -> Self {
        let active = want.reserved.take().unwrap_or_else(|| member.state.begin());
        let member = Rc::clone(member);
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
