//! The life of a request, as a list of phases:
//!
//! read head → `on-request` → (`on-request-body`) → pool → persistence → selection → `on-selected` (→ reselect) → connect
//! (→ `on-connect-failed`, reselect) → send → `on-response` → (`on-response-body`) → stream → `on-done`
//!
//! A phase returns what the next one needs, or a [`Stop`]. Only here is their order.

mod answer;
mod connect;
mod eject;
mod explain;
mod head;
mod persist;
mod respond;
mod retry;
mod rules;
mod send;

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderValue;
use http::{Response, StatusCode, Version, request};
use http_body::Body as _;
use shunt_engine::at_once::Taken;
use shunt_rules::{Answer, Exchange, Hook, Outcome};
use shunt_runtime::overload;
use tokio::time::Instant;

use crate::deadline::Waiting;
use crate::http::body::{RequestBody, RequestBodyState, ResponseBody};
use crate::http::client_body::ClientBody;
use crate::http::fields;
use crate::http::finish::Finish;
use crate::http::h1::head::give_spare;
use crate::http::problem::{OwnAnswer, Problem};
use crate::http::stream::Stream;
use crate::route::Route;
use crate::trace::Trace;
use crate::turn;
use crate::view::VirtualView;
pub(crate) use explain::{Explained, explain};
pub(crate) use head::{authority_of, is_same_authority};
use send::Sent;

/// Why the list of phases ends early: something else answers.
pub(crate) enum Stop {
    Problem(Problem),
    /// A rule made the answer. Boxed: it is large, and every phase returns room for it.
    Answer(Box<Answer>),
    /// The operator: where the pool has no member to choose, the client gets a reset.
    Reset,
    /// It is only explained, and would be sent or would wait: nothing answers.
    Apart,
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Stop::Problem(problem)
    }
}

/// One request on its way through the phases.
pub(crate) struct Transaction {
    stream: Rc<Stream>,
    /// The configuration that it began with, and finishes with.
    view: Rc<VirtualView>,
    started: Instant,
    /// The request head, as rules see and change it.
    exchange: Box<Exchange>,
    body: RequestBody,
    body_state: Rc<RequestBodyState>,
    /// A body that was collected, and can be sent again.
    replay: Option<Bytes>,
    /// The client asked to switch protocols.
    upgrade: bool,
    /// The method is CONNECT: an answer of success makes a tunnel (RFC 9110 section 9.3.6).
    connects: bool,
    /// The client takes trailers.
    trailers: bool,
    /// The client sends its body when it has got 100 (RFC 9110 section 10.1.1).
    expects_continue: bool,
    route: Route,
    /// Members that were tried and did not serve it.
    tried: Vec<SocketAddr>,
    /// Members of the pool that rules wanted no request to go to.
    vetoed: Vec<SocketAddr>,
    /// How often a failure sent it to another pool.
    detours: u32,
    /// It is at another member than its first, where that has a limit.
    retrying: Option<Taken>,
    served_by: Option<SocketAddr>,
    first_byte: Option<Duration>,
    /// A cookie that binds the client to the chosen member.
    set_cookie: Option<HeaderValue>,
    /// There is an answer.
    concluded: bool,
    /// Takes note of what it passes.
    trace: Option<Rc<Trace>>,
}

/// Without an answer the client went away while it waited: that is an end, too.
impl Drop for Transaction {
    fn drop(&mut self) {
        if self.concluded {
            return;
        }
        self.traced(None);
        if self.view.hooks.contains(Hook::OnDone) {
            drop(self.finish(None, Outcome::ClientGone));
        }
    }
}

/// In the extensions of a request: its method is OPTIONS, and its target is in absolute form with neither a path nor
/// a query, which [`http::Uri`] does not tell from the path `/`.
#[derive(Clone, Copy)]
pub(crate) struct BareOptions;

/// Serves one request by the configuration of `view`: runs the phases and makes the answer whatever happens.
///
/// What serves a stream has checked what its protocol says about a head. It writes the answer, whose framing and
/// connection are its own: it leaves out or adds the fields that say something about them, and looks at
/// [`Stream::is_last`] and [`Stream::take_tunnel`]. Behind each poll it writes [`Stream::take_interim`]. While it polls the future that this returns or the body of the
/// answer, it polls the deadline of the stream behind them, for these only look whether the time is up.
///
/// The head is read before the future is made, which is moved about and should not hold the request twice.
pub(crate) fn serve(
    stream: &Rc<Stream>,
    view: &Rc<VirtualView>,
    head: request::Parts,
    body: ClientBody,
) -> impl Future<Output = Response<ResponseBody>> + use<> {
    let mut transaction = Transaction::new(stream, view, head, body);
    let head = transaction.read_head();
    async move {
        let result = match head {
            Ok(()) => transaction.run().await,
            Err(stop) => Err(stop),
        };
        transaction.conclude(result)
    }
}

impl Transaction {
    fn new(stream: &Rc<Stream>, view: &Rc<VirtualView>, head: request::Parts, body: ClientBody) -> Self {
        let settings = &view.virtual_.settings;
        let expects_continue = !body.is_end_stream() && fields::expects_continue(&head.headers);
        let body_state = Rc::<RequestBodyState>::default();
        let connection = &stream.connection;
        let body = RequestBody::streamed(body, settings.limits.body, &body_state, &stream.deadline);
        // What rules are told of times is exact.
        let started = if view.hooks.contains(Hook::OnDone) { Instant::now() } else { turn::now() };
        match body {
            RequestBody::Empty => {
                stream.deadline.wait_for(Waiting::FirstByte, started + settings.timeouts.first_byte);
            }
            // The member's time begins when it has the whole request.
            RequestBody::Streamed { .. } => stream.deadline.wait_idle(Waiting::RequestBody),
        }
        view.counters.requests.add(1);
        let trace = connection.trace.clone();
        let trace = trace.or_else(|| Trace::followed(view, connection.flow.client, &head));
        Transaction {
            stream: Rc::clone(stream),
            view: Rc::clone(view),
            started,
            exchange: Box::new(Exchange {
                flow: connection.flow,
                hello: None,
                client_certificate: connection.shown.get().cloned(),
                member_failure: None,
                scheme: if connection.https { shunt_rules::Scheme::Https } else { shunt_rules::Scheme::Http },
                request: head,
                response: None,
                body_wanted: None,
                member: None,
                pool: None,
                vars: shunt_rules::Vars::default(),
                flow_vars: shunt_rules::Vars::default(),
                response_edits: Vec::new(),
            }),
            body,
            body_state,
            replay: None,
            upgrade: false,
            connects: false,
            trailers: false,
            expects_continue,
            route: connection.route.clone(),
            tried: Vec::new(),
            vetoed: Vec::new(),
            detours: 0,
            retrying: None,
            served_by: None,
            first_byte: None,
            set_cookie: None,
            concluded: false,
            trace,
        }
    }

    /// Waits for a member to answer, or for the rest of the request's body where it has not come yet.
    fn wait_for_member(&self) {
        let deadline = &self.stream.deadline;
        if self.replay.is_some() || self.body.is_end_stream() {
            deadline.wait_for_answer();
        } else {
            deadline.wait_idle(Waiting::RequestBody);
        }
    }

    /// Whether there is room for the request.
    fn admit(&self) -> Result<(), Stop> {
        if overload::is_overloaded() {
            self.view.counters.overloaded.add(1);
            return Err(Problem::Overloaded.into());
        }
        if let Some(most) = self.view.virtual_.settings.limits.requests {
            let Some(taken) = self.view.virtual_.load.requests.take(most) else {
                self.view.counters.requests_refused.add(1);
                return Err(Problem::Busy.into());
            };
            self.stream.place.replace(Some(taken));
        }
        Ok(())
    }

    async fn run(&mut self) -> Result<Response<ResponseBody>, Stop> {
        self.admit()?;
        self.on_request().await?;
        loop {
            let (pool, lease) = self.connect().await?;
            let member = Rc::clone(lease.member());
            if let Some(pool) = &pool {
                self.limit_attempt(pool);
            }
            let mut sent = self.send(lease).await;
            if let Some(pool) = &pool {
                self.observe_sent(pool, &member, &sent);
                sent = self.retried(pool, &member, sent);
            }
            match sent? {
                Sent::Response(mut response, lease) => {
                    if let Some(pool) = pool.as_ref().filter(|_| self.view.reads_answers) {
                        self.bind_by_answer(pool, &mut response, lease.member());
                    }
                    if let Some(response) = self.answered(pool.as_deref(), response, lease).await? {
                        return Ok(response);
                    }
                }
                Sent::Again => {}
            }
        }
    }

    /// Makes the answer of whatever the phases came to, and leaves the connection ready for the next.
    fn conclude(&mut self, result: Result<Response<ResponseBody>, Stop>) -> Response<ResponseBody> {
        let http_2 = self.exchange.request.version == Version::HTTP_2;
        // By an answer of success a tunnel begins (RFC 9110 section 9.3.6, RFC 8441 section 5).
        let asks_for_tunnel = self.connects || http_2 && self.upgrade;
        let result = match result {
            Err(Stop::Answer(answer)) if asks_for_tunnel && answer.status.is_success() => {
                Err(Problem::Fault.into())
            }
            // HTTP/1.1 may answer a request to switch as any other (RFC 9110 section 7.8).
            Ok(response)
                if asks_for_tunnel && response.status().is_success() && !self.stream.becomes_tunnel() =>
            {
                Err(Problem::NoResponse.into())
            }
            result => result,
        };
        let (mut response, outcome) = match result {
            Ok(response) => (response, Outcome::Complete),
            Err(Stop::Answer(answer)) => (respond::from_rule(*answer), Outcome::Answered),
            Err(Stop::Reset | Stop::Apart) => {
                self.view.counters.errors.add(1);
                self.stream.resets.set(true);
                self.concluded = true;
                self.traced(None);
                if self.view.hooks.contains(Hook::OnDone) {
                    self.finish(None, Outcome::Answered).complete();
                }
                return Response::new(ResponseBody::whole(Bytes::new()));
            }
            Err(Stop::Problem(problem)) => {
                self.view.counters.errors.add(1);
                let outcome = match problem {
                    Problem::NoResponse | Problem::TimedOut => Outcome::MemberFailed,
                    Problem::NoPool
                    | Problem::NoMember { .. }
                    | Problem::MemberAway { .. }
                    | Problem::Busy
                    | Problem::Overloaded
                    | Problem::NotConnected
                    | Problem::Fault => Outcome::Answered,
                    _ => Outcome::Refused,
                };
                let pages = &self.view.virtual_.pages;
                let (response, last) = problem.into_response(pages, &self.exchange.request.headers);
                if last {
                    self.stream.is_last.set(true);
                }
                (response, outcome)
            }
        };
        if http_2 && (self.served_by.is_none() || outcome != Outcome::Complete) {
            response.extensions_mut().insert(OwnAnswer);
        }
        for edit in self.exchange.response_edits.drain(..) {
            match &mut response.body_mut().lines {
                Some(lines) => lines.edit(&edit),
                None => edit.apply(response.headers_mut()),
            }
        }
        if let Some(cookie) = self.set_cookie.take()
            && self.served_by.is_some()
        {
            response.headers_mut().append(http::header::SET_COOKIE, cookie);
        }
        if self.view.virtual_.settings.request_id
            && let Some(id) = self.exchange.request.headers.get(&fields::REQUEST_ID)
        {
            if let Some(lines) = &mut response.body_mut().lines {
                lines.remove(&fields::REQUEST_ID);
            }
            response.headers_mut().insert(fields::REQUEST_ID, id.clone());
        }
        if self.body_state.unread.get() {
            self.leave_body();
        }
        give_spare(std::mem::take(&mut self.exchange.request.headers));
        self.concluded = true;
        self.view.counters.answered(response.status().as_u16());
        self.traced(Some(response.status()));
        if self.view.hooks.contains(Hook::OnDone) {
            let finish = self.finish(Some(response.status()), outcome);
            response.body_mut().finish_with(Box::new(finish));
        }
        let switched = self.stream.becomes_tunnel();
        let streams = response.body().is_streaming();
        // A body says when it has ended.
        match switched || streams {
            true => self.stream.deadline.wait_idle(Waiting::Body),
            false => self.stream.deadline.rest(),
        }
        response
    }

    /// Tells those who follow the request what it came to.
    fn traced(&self, status: Option<StatusCode>) {
        if let Some(trace) = &self.trace {
            trace.served(status, self.served_by, self.started.elapsed());
        }
    }

    fn finish(&mut self, status: Option<StatusCode>, outcome: Outcome) -> Finish {
        Finish {
            connection: Rc::clone(&self.stream.connection),
            view: Rc::clone(&self.view),
            started: self.started,
            status,
            member: self.served_by,
            first_byte: self.first_byte,
            request_body: Rc::clone(&self.body_state),
            outcome,
            bytes_to_client: 0,
            ended: false,
            vars: std::mem::take(&mut self.exchange.vars),
        }
    }
}
