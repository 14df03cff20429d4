//! Stream: a response on its way to the client.

use std::rc::Rc;
use std::time::Duration;

use http::{Response, StatusCode, Version, header, response};
use shunt_rules::Answer;

use crate::http::body::{MemberBody, RequestBody, ResponseBody};
use crate::http::fields;
use crate::http::member::{Lease, Pace, Rest};
use crate::http::phases::Transaction;
use crate::http::tunnel::Tunnel;

/// A rest of a request body that is read rather than that its connection ends.
const LITTLE: u64 = 64 << 10;
/// How long a member may not take anything of the rest of a request after it said that it ends the connection.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

impl Transaction {
    /// Turns a member's response into the one that the client gets; its body streams.
    pub(super) fn forward(&mut self, mut head: response::Parts, mut lease: Lease) -> Response<ResponseBody> {
        let connected = self.connects && head.status.is_success();
        let switched = connected || head.status == StatusCode::SWITCHING_PROTOCOLS && self.upgrade;
        let lines = lease.take_lines();
        let nominated = match lines {
            Some(_) => Vec::new(),
            None => fields::prepare_response(&mut head.headers, head.status, switched),
        };
        if connected {
            // RFC 9110 section 9.3.6: it has neither a length nor a coding.
            head.headers.remove(header::CONTENT_LENGTH);
        }
        head.version = Version::HTTP_11;
        let rest = if lease.is_sent() { None } else { Some(self.rest_behind_answer(head.status, &lease)) };
        if switched {
            if let Some(rest) = rest {
                lease.upload_in_background(rest);
            }
            self.stream.switch_to(Tunnel::new(lease));
            return Response::from_parts(head, ResponseBody::whole(bytes::Bytes::new()));
        }
        if let Some(body) = lease.whole_body() {
            match rest {
                None => lease.give_back(),
                Some(rest) => lease.send_behind(rest),
            }
            return Response::from_parts(head, ResponseBody::whole(body).behind(lines));
        }
        if let Some(rest) = rest {
            // The client may want to send all of it before it reads anything.
            lease.upload_in_background(rest);
        }
        let trailers = self.trailers.then_some(nominated);
        let body = MemberBody::new(lease, Rc::clone(&self.stream.deadline), trailers);
        Response::from_parts(head, ResponseBody::from_member(body).behind(lines))
    }

    /// The answer came before the request was out: the rest continues to the member, whose next request on that
    /// connection waits for it, as the client's does here. Where the member will not continue, the client is told
    /// that its connection ends as well (RFC 9110 section 10.1.1, RFC 9112 section 9.6), unless so little is left that
    /// it is read in any case.
    fn rest_behind_answer(&mut self, status: StatusCode, lease: &Lease) -> Rest {
        let mut pace = Pace { patience: self.view.virtual_.settings.timeouts.idle, goes_on: true };
        let little = lease.unsent_body().is_none_or(is_little);
        if !lease.stays_open() && !little && status != StatusCode::SWITCHING_PROTOCOLS {
            self.stream.is_last.set(true);
            pace = Pace { patience: pace.patience.min(LAST_PATIENCE), goes_on: false };
        }
        // Whoever sends it sees it to its end.
        self.body_state.unread.set(false);
        let body = Rc::clone(&self.body_state);
        Rest { pace, counted: body.sent.get(), body }
    }

    /// Handles a request body that no member reads any more, for the answer does not come of it: what is left is
    /// read behind the answer where it is little, and else the answer is the last.
    pub(super) fn leave_body(&mut self) {
        if self.stream.is_last.get() {
            return;
        }
        let body = std::mem::replace(&mut self.body, RequestBody::Empty);
        // A client that expects 100 and gets an answer may send the body or not (RFC 9110 section 10.1.1).
        if body.is_coming() && is_little(&body) && !self.expects_continue {
            tokio::task::spawn_local(body.discard());
            return;
        }
        self.stream.is_last.set(true);
    }
}

/// Whether the rest of a body is sure to be read soon: it is short, or has come in already.
fn is_little(body: &RequestBody) -> bool {
    body.is_at_most(LITTLE) || body.has_arrived()
}

/// The answer that a rule made; what serves the stream adds the framing.
pub(super) fn from_rule(answer: Answer) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::whole(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    // What decides framing is ours alone, whatever the rule host let through.
    for name in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION] {
        response.headers_mut().remove(name);
    }
    response
}
