//! What goes wrong with a request, sorted by who must act, and the one place that says what the
//! client gets for it.

use http::header::{ALLOW, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use shunt_runtime::pages::Pages;

use crate::http::body::ResponseBody;
use crate::http::h1::refusal::Refusal;
use crate::http::own_answer;

/// The methods of a reverse proxy. Others are passed on, too, but for CONNECT.
pub(crate) const ALLOWED: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH");

/// In the extensions of an answer: it is Shunt's own or a rule's, and no member's.
#[derive(Clone, Copy)]
pub(crate) struct OwnAnswer;

/// Why a request was not answered by a member or a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The client: what it sent is not HTTP, or could be read in two ways.
    BadRequest(&'static str),
    /// The client: the framing, see [`Refusal`].
    Framing(Refusal),
    /// The client: the body is larger than the virtual takes.
    BodyTooLarge,
    /// The client: it stopped in the middle of its body.
    BodyStalled,
    /// The client: a method that a reverse proxy does not serve.
    Method,
    /// A rule refused it.
    Rejected,
    /// The rule author: the rule faulted and the operator wants such requests refused.
    Fault,
    /// The operator: no pool is configured and no rule named one.
    NoPool,
    /// The operator or the members: nothing to choose from in this pool.
    NoMember {
        pool: std::sync::Arc<str>,
        /// Some are up, and have as many connections as they may.
        full: bool,
        /// In how many seconds a monitor can find a member up again, at the earliest.
        back_in: Option<u64>,
    },
    /// The operator or the members: the member that the client is bound to is down or disabled, and it has no other.
    MemberAway { pool: std::sync::Arc<str> },
    /// The operator: the virtual has as many requests as it may.
    Busy,
    /// The system: the process has as much memory as it may.
    Overloaded,
    /// The members: none of those tried could be connected to.
    NotConnected,
    /// The member: it closed the connection before a response head, or sent what is not HTTP.
    NoResponse,
    /// The member: no response head in time.
    TimedOut,
}

/// When a client may come again that was refused for want of room, in seconds: room may be there at any time.
const BACK_IN: u64 = 1;

impl Problem {
    /// The status (RFC 9110 section 15), a text for the client, and whether the connection must end.
    fn answer(&self) -> (StatusCode, String, bool) {
        let (status, text, close) = match self {
            Problem::BadRequest(what) => (StatusCode::BAD_REQUEST, format!("bad request: {what}"), true),
            Problem::Framing(why) => {
                (StatusCode::BAD_REQUEST, format!("bad request: {}", why.reason()), true)
            }
            Problem::BodyTooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "the request body is too large".to_owned(), true)
            }
            Problem::BodyStalled => {
                (StatusCode::REQUEST_TIMEOUT, "the request body did not arrive in time".to_owned(), true)
            }
            Problem::Method => {
                (StatusCode::METHOD_NOT_ALLOWED, "this method is not served here".to_owned(), true)
            }
            Problem::Rejected => (StatusCode::FORBIDDEN, "refused".to_owned(), true),
            Problem::Fault => {
                (StatusCode::INTERNAL_SERVER_ERROR, "a rule of this service failed".to_owned(), false)
            }
            Problem::NoPool => {
                (StatusCode::NOT_FOUND, "no pool is configured for this request".to_owned(), false)
            }
            Problem::NoMember { pool, full: true, .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, format!("all members of pool {pool} are busy"), false)
            }
            Problem::NoMember { pool, full: false, .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, format!("pool {pool} has no member that is up"), false)
            }
            Problem::MemberAway { pool } => {
                let text = format!("the member of pool {pool} that this client is bound to is not up");
                (StatusCode::SERVICE_UNAVAILABLE, text, false)
            }
            Problem::Busy => {
                (StatusCode::SERVICE_UNAVAILABLE, "too many requests are in flight".to_owned(), false)
            }
            Problem::Overloaded => {
                (StatusCode::SERVICE_UNAVAILABLE, "the proxy is overloaded".to_owned(), true)
            }
            Problem::NotConnected => {
                (StatusCode::BAD_GATEWAY, "no member accepted a connection".to_owned(), false)
            }
            Problem::NoResponse => {
                (StatusCode::BAD_GATEWAY, "the member sent no valid response".to_owned(), false)
            }
            Problem::TimedOut => {
                (StatusCode::GATEWAY_TIMEOUT, "the member did not respond in time".to_owned(), false)
            }
        };
        (status, text, close)
    }

    /// The answer to a request that had these fields, and whether it is the last.
    pub(crate) fn into_response(self, pages: &Pages, asked: &HeaderMap) -> (Response<ResponseBody>, bool) {
        let (status, text, close) = self.answer();
        let page = match self {
            Problem::NoMember { .. } => pages.sorry(),
            _ => pages.of(status.as_u16()),
        };
        let mut response = own_answer::make(status, &text, page, asked).map(ResponseBody::whole);
        let headers = response.headers_mut();
        if status == StatusCode::METHOD_NOT_ALLOWED {
            // RFC 9110 section 15.5.6 wants the list.
            headers.insert(ALLOW, ALLOWED);
        }
        let back_in = match self {
            Problem::NoMember { back_in, .. } => back_in,
            Problem::Busy | Problem::Overloaded => Some(BACK_IN),
            _ => None,
        };
        if let Some(seconds) = back_in {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        (response, close)
    }
}
