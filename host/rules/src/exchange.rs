//! What a hook call shows to its rule.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, request, response};

use crate::Vars;
use crate::hello::Hello;

/// What one request shows to its rules.
///
/// It is large, so it is boxed: a call moves the box into the rule's store and back, nothing is copied,
/// and a rule reads and changes `request` and `response` in place.
#[derive(Debug)]
pub struct Exchange {
    pub flow: Flow,
    /// Set for `on-client-hello`.
    pub hello: Option<Arc<Hello>>,
    pub scheme: Scheme,
    /// What the client showed.
    pub client_certificate: Option<Arc<dyn ClientCertificate>>,
    pub request: request::Parts,
    /// Why there is no TLS with the member; set for `on-connect-failed`.
    pub member_failure: Option<MemberFailure>,
    /// Set for `on-response`.
    pub response: Option<response::Parts>,
    /// How many bytes of its body the rule asked for in `on-response`.
    pub body_wanted: Option<u32>,
    /// The member that served it; set for `on-response`.
    pub member: Option<SocketAddr>,
    /// The name of the pool that served it; set for `on-response`.
    pub pool: Option<Arc<str>>,
    /// Variables of the request.
    pub vars: Vars,
    /// Variables of the connection that it came on.
    pub flow_vars: Vars,
    /// What rules asked to be done to the answer, whoever makes it; applied in this order
    /// after `on-response`.
    pub response_edits: Vec<HeaderEdit>,
}

/// A certificate that a client showed. It is read when a rule asks for it.
pub trait ClientCertificate: fmt::Debug + Send + Sync {
    fn facts(&self) -> CertificateFacts;

    fn pem(&self) -> String;
}

/// What is said of a certificate, as `wit/tls.wit` writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateFacts {
    pub subject: String,
    pub issuer: String,
    pub serial: String,
    pub sha256: String,
    /// Seconds of Unix time.
    pub not_before: i64,
    pub not_after: i64,
    pub names: Vec<String>,
}

/// A change to the head of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderEdit {
    /// Replaces all values of the field.
    Set(HeaderName, HeaderValue),
    Remove(HeaderName),
}

impl HeaderEdit {
    pub fn name(&self) -> &HeaderName {
        match self {
            HeaderEdit::Set(name, _) | HeaderEdit::Remove(name) => name,
        }
    }

    pub fn apply(self, headers: &mut http::HeaderMap) {
        match self {
            HeaderEdit::Set(name, value) => {
                headers.insert(name, value);
            }
            HeaderEdit::Remove(name) => {
                headers.remove(name);
            }
        }
    }
}

impl Default for Exchange {
    fn default() -> Exchange {
        Exchange {
            flow: Flow::default(),
            hello: None,
            scheme: Scheme::Http,
            client_certificate: None,
            member_failure: None,
            request: http::Request::new(()).into_parts().0,
            response: None,
            body_wanted: None,
            member: None,
            pool: None,
            vars: Vars::default(),
            flow_vars: Vars::default(),
            response_edits: Vec::new(),
        }
    }
}

/// The scheme that the client used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    Https,
}

/// What is known of a flow from its first packet, or at accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Unique within the life of the process.
    pub id: u64,
    pub client: SocketAddr,
    /// The address and port of the virtual that it came to.
    pub vip: SocketAddr,
    pub transport: Transport,
    /// Index of the interface that it came in on; 0 when unknown.
    pub ingress: u32,
}

impl Default for Flow {
    fn default() -> Flow {
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        Flow { id: 0, client: nowhere, vip: nowhere, transport: Transport::Tcp, ingress: 0 }
    }
}

/// The transport protocol of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    Tcp,
    Udp,
    Icmp,
    Other,
}

/// What `on-selected` is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selection<'a> {
    pub member: SocketAddr,
    /// The name of its pool.
    pub pool: &'a str,
    pub reason: SelectionReason,
    pub weight: u32,
    /// Requests and connections in flight at the member.
    pub active: u32,
    /// How many members were vetoed before.
    pub vetoes: u32,
}

/// What chose a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SelectionReason {
    /// A rule named it.
    Rule,
    /// The client is bound to it.
    Persistence,
    Balance,
}

/// What `on-connect-failed` is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectFailure {
    /// The member that was tried; `None` with [`ConnectCause::NoMember`].
    pub member: Option<SocketAddr>,
    pub cause: ConnectCause,
    /// Why there is no TLS; with [`ConnectCause::Other`].
    pub tls: Option<MemberFailure>,
    /// How many members were tried for this request so far.
    pub attempts: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectCause {
    /// The pool has no member that is up and enabled.
    NoMember,
    Refused,
    TimedOut,
    Unreachable,
    Other,
}

/// Why there is no TLS with a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemberFailure {
    NotTrusted,
    OtherName,
    NotInTime,
    /// It is wrong in another way.
    Certificate,
    Alert,
    /// None that Shunt offers (ALPN).
    NoProtocol,
    /// What the member sends is no TLS.
    NoTls,
    Closed,
    Other,
}

/// What `on-done` is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    pub flow: Flow,
    pub outcome: Outcome,
    /// The status that was sent; 0 where there is none.
    pub status: u16,
    /// The member that served it.
    pub member: Option<SocketAddr>,
    /// Bytes of bodies (requests) or of packets (flows).
    pub bytes_to_server: u64,
    pub bytes_to_client: u64,
    /// 0 for requests.
    pub packets_to_server: u64,
    pub packets_to_client: u64,
    /// From the head of the request, or the first packet, to the end.
    pub duration: Duration,
    /// To the response head of the member.
    pub first_byte: Option<Duration>,
}

/// How a request or a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The whole answer was sent.
    Complete,
    /// The client went away before the end.
    ClientGone,
    /// The member closed the connection early, or did not respond in time.
    MemberFailed,
    /// Shunt answered in the member's place.
    Answered,
    /// It was refused or dropped.
    Refused,
}
