//! Stream: a response on its way to the client.

use std::rc::Rc;

use http::{Response, StatusCode, Version, header, response};
use shunt_rules::Answer;

use crate::http::body::{MemberBody, ResponseBody, Trailing};
use crate::http::fields;
use crate::http::h1::tunnel::Tunnel;
use crate::http::member::Lease;
use crate::http::phases::Transaction;

impl Transaction {
    /// Turns a member's response into the one that the client gets; its body streams.
    pub(super) fn stream(&mut self, mut head: response::Parts, mut lease: Lease) -> Response<ResponseBody> {
        let switched = head.status == StatusCode::SWITCHING_PROTOCOLS && self.upgrade;
        let nominated = fields::prepare_response(&mut head.headers, head.status, switched);
        head.version = Version::HTTP_11;
        if switched {
            self.connection.switch_to(Tunnel::new(lease));
            return Response::from_parts(head, ResponseBody::whole(bytes::Bytes::new()));
        }
        if !lease.is_sent() {
            // The client may want to send all of it before it reads anything.
            lease.send_aside();
        } else if let Some(body) = lease.whole_body() {
            lease.give_back();
            return Response::from_parts(head, ResponseBody::whole(body));
        }
        let trailing = self.trailers.then(|| Box::new(Trailing::new(&self.connection.findings, nominated)));
        let body = MemberBody::new(lease, Rc::clone(&self.connection.deadline), trailing);
        Response::from_parts(head, ResponseBody::from_member(body))
    }
}

/// The answer that a rule made. hyper adds the framing.
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
