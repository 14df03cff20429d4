//! How a request would be handled: it passes the very phases that requests pass, on [copies](Snapshot::apart) of all
//! that it would change, and stops where it would be sent.
//!
//! | module | what |
//! |---|---|
//! | `arriving` | which virtual the client connects to, and from where |
//! | `head` | the request as its protocol reads it |
//! | `tls` | the client's handshake with the virtual |

mod arriving;
mod head;
mod tls;

use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use http::Method;
use http::uri::{Authority, PathAndQuery};
use shunt_api::explain::{ExplainedRequest, RequestOutcome};
use shunt_config::model::Http2Start;
use shunt_rules::{Flow, Hook, Transport};
use shunt_runtime::{Snapshot, Virtual};
use tokio::runtime::{Builder, LocalOptions};
use tracing::{Dispatch, dispatcher};

use self::arriving::Arriving;
use crate::http::phases::{self, Explained};
use crate::http::stream::Stream;
use crate::listener::{Admission, connection, next_flow, on_flow};
use crate::tls::choose::{Plan, on_client_hello};
use crate::trace::{End, Trace, printable, shown};
use crate::view::{Views, VirtualView};

/// A request, as a client would make it.
#[derive(Clone, Debug)]
pub struct Query {
    pub https: bool,
    pub authority: Authority,
    pub target: PathAndQuery,
    pub method: Method,
    /// In order.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// `None`: as ALPN agrees, and without TLS HTTP/1.1.
    pub version: Option<Spoken>,
    pub from: Option<SocketAddr>,
    pub to: Option<SocketAddr>,
}

/// A version of HTTP that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    Http1,
    Http2,
}

/// Why there is no explanation: what is wrong with the question, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unasked {
    /// It comes to no virtual that serves requests.
    NoVirtual { message: String, help: String },
    /// A client cannot make such a request.
    NotARequest(String),
    /// It could not be worked out.
    System(String),
}

/// Explains a request; `live`: by what runs. Takes a runtime of its own: to be called on a thread that has none.
///
/// # Errors
/// There is no such request, or no virtual that serves it.
pub fn explain(snapshot: &Snapshot, query: &Query, live: bool) -> Result<ExplainedRequest, Unasked> {
    let arriving = arriving::find(snapshot, query)?;
    let apart = snapshot.apart(arriving.virtual_);
    let runtime = Builder::new_current_thread().enable_time().build_local(LocalOptions::default());
    let runtime = runtime.map_err(|error| Unasked::System(error.to_string()))?;
    // What is told of requests in the log is not told of this one.
    let (steps, outcome, request) =
        dispatcher::with_default(&Dispatch::none(), || runtime.block_on(pass(&apart, &arriving, query)))?;
    Ok(ExplainedRequest {
        virtual_name: arriving.virtual_.settings.name.clone(),
        client: arriving.client.to_string(),
        client_is_assumed: query.from.is_none(),
        vip: arriving.vip.to_string(),
        vip_is_assumed: arriving.vip_is_assumed,
        live,
        request,
        steps,
        outcome,
    })
}

/// Bytes of the first line of an answer's text that are shown.
const MOST_TEXT: usize = 200;

type Passed = (Vec<shunt_api::explain::RequestStep>, RequestOutcome, Vec<String>);

async fn pass(apart: &Snapshot, arriving: &Arriving<'_>, query: &Query) -> Result<Passed, Unasked> {
    let mut views = Views::new(0);
    views.apply(apart);
    let name = &arriving.virtual_.settings.name;
    let Some(view) = views.virtual_named(name) else {
        return Err(Unasked::System(format!("virtual {name} has gone")));
    };
    let trace = Trace::apart();
    let (outcome, request) = way(view, &trace, arriving, query).await?;
    Ok((trace.take_steps(), outcome, request))
}

/// From the connection to the end.
async fn way(
    view: &Rc<VirtualView>,
    trace: &Rc<Trace>,
    arriving: &Arriving<'_>,
    query: &Query,
) -> Result<(RequestOutcome, Vec<String>), Unasked> {
    let Arriving { virtual_, client, vip, .. } = *arriving;
    trace.found("virtual", [listens(virtual_)]);
    let asked = head::lines(view, query, query.version.unwrap_or(Spoken::Http1));
    let closed = |action: &str, means: &str| Ok((outcome(action, means), asked.clone()));
    if view.admit(0).is_err() {
        return closed("reset", "the virtual has as many connections as it may: the connection is reset");
    }
    let flow = Flow { id: next_flow(), client, vip, transport: Transport::Tcp, ingress: 0 };
    let mut connection = connection(view, flow, query.https);
    connection.trace = Some(Rc::clone(trace));
    match on_flow(&connection, view) {
        Admission::Serve(route) => connection.route = route,
        Admission::Reset => return closed("reset", "at `on-flow` the connection is reset"),
        Admission::Close => return closed("close", "at `on-flow` the connection is closed"),
    }
    let mut spoken = query.version;
    if let Some(tls) = &view.virtual_.tls {
        let host = query.authority.host();
        let hello = tls::hello(host, query.version).map_err(Unasked::System)?;
        let plan = match view.hooks.contains(Hook::OnClientHello) {
            true => on_client_hello(&mut connection, view, &hello),
            false => Plan::AsConfigured,
        };
        let config = match plan {
            Plan::AsConfigured => &tls.config,
            Plan::Terminate(ref config) => config,
            Plan::PassThrough => {
                return closed(
                    "pass-through",
                    "at `on-client-hello` the connection goes to a member as it came",
                );
            }
            Plan::Refuse(_) => {
                return closed("close", "at `on-client-hello` the connection is refused by an alert");
            }
        };
        match tls::handshake(host, query.version, config) {
            Ok(agreed) => {
                trace.found("tls", agreed.told);
                spoken = Some(agreed.spoken);
            }
            Err(why) => {
                trace.found("tls", [format!("the handshake fails: {why}")]);
                return closed("close", "the TLS handshake fails");
            }
        }
    }
    let spoken = spoken.unwrap_or(Spoken::Http1);
    let settings = &view.virtual_.settings;
    if spoken == Spoken::Http2 && settings.tls.is_none() && settings.http2.start != Http2Start::PriorKnowledge
    {
        let why = "the virtual takes no HTTP/2 without TLS: use `http2 = { start = \"prior-knowledge\" }`, or HTTP/1.1";
        return closed("close", why);
    }
    let asked = head::lines(view, query, spoken);
    let parts = match head::read(view, query, spoken) {
        Ok(parts) => parts,
        Err(refused) => {
            trace.found("head", [refused.why.clone()]);
            let means = format!("Shunt refuses the head: {}", refused.why);
            let status = refused.status.map(|it| it.as_u16());
            let action = if status.is_some() { "answer" } else { "reset" };
            return Ok((RequestOutcome { status, ..outcome(action, &means) }, asked));
        }
    };
    let connection = Rc::new(connection);
    let stream = Stream::new(&connection, &view.virtual_.settings.timeouts);
    let explained = phases::explain(&stream, view, parts, query.body.clone()).await;
    Ok((ended(explained, trace).await, asked))
}

/// What came of the request.
async fn ended(explained: Explained, trace: &Trace) -> RequestOutcome {
    let mut response = match explained {
        Explained::Answered(response) => response,
        Explained::Reset => return outcome("reset", "the pool has no member: the client gets a reset"),
        Explained::Stopped { sent, answers } => {
            if !answers.is_empty() {
                trace.found("response", answers);
            }
            return match trace.take_end() {
                Some(End::Send { pool, member }) => {
                    let (pool, address) = (pool.map(|pool| pool.name.to_string()), member.address);
                    let of = pool.as_ref().map(|pool| format!(" of pool {pool}")).unwrap_or_default();
                    let means = format!("the request is sent to {address}{of}");
                    RequestOutcome {
                        pool,
                        member: Some(address.to_string()),
                        sent,
                        ..outcome("send", &means)
                    }
                }
                Some(End::Wait(how)) => outcome("wait", &how),
                None => outcome("send", "the request is sent"),
            };
        }
    };
    let status = response.status();
    let answer = std::iter::once(format!("HTTP/1.1 {status}")).chain(shown(response.headers())).collect();
    let mut means = format!("the client gets {} without a member", status.as_u16());
    if let Ok((body, _)) = response.body_mut().collect(MOST_TEXT).await
        && let Some(first) = str::from_utf8(&body).ok().and_then(|text| text.lines().next())
        && first.len() <= MOST_TEXT
    {
        means = format!("{means}: {}", printable(first));
    }
    RequestOutcome { status: Some(status.as_u16()), answer, ..outcome("answer", &means) }
}

fn outcome(action: &str, means: &str) -> RequestOutcome {
    RequestOutcome { action: action.to_owned(), means: means.to_owned(), ..RequestOutcome::default() }
}

fn listens(virtual_: &Virtual) -> String {
    let settings = &virtual_.settings;
    let on: Vec<String> = settings.listen.iter().map(ToString::to_string).collect();
    let tls = if virtual_.tls.is_some() { ", with TLS" } else { "" };
    format!("{} listens on {}, {}{tls}", settings.name, on.join(", "), settings.protocol.as_str())
}
