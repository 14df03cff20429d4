//! `on-response` and, where a rule asks for the body, `on-response-body`: what becomes of a member's answer.

use std::rc::Rc;
use std::slice;

use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header, response};
use shunt_rules::{Hook, ResponseBodyVerdict, Runner};
use shunt_runtime::rules::chain::{Chain, Decision};

use crate::deadline::Waiting;
use crate::http::body::{BodyError, ResponseBody};
use crate::http::member::Lease;
use crate::http::phases::rules::{AfterResponse, MOST_COLLECTED};
use crate::http::phases::{Stop, Transaction};
use crate::http::problem::Problem;
use crate::view::PoolView;

impl Transaction {
    /// `None`: the request is to be sent to another member.
    pub(super) async fn answered(
        &mut self,
        pool: Option<&PoolView>,
        head: response::Parts,
        lease: Lease,
    ) -> Result<Option<Response<ResponseBody>>, Stop> {
        if !self.view.hooks.contains(Hook::OnResponse) {
            return Ok(Some(self.forward(head, lease)));
        }
        self.exchange.response = Some(head);
        self.exchange.member = Some(lease.member().address);
        self.exchange.pool = pool.map(|pool| pool.name.clone());
        let mut from = 0;
        loop {
            match self.on_response(pool, from)? {
                AfterResponse::Again => return Ok(None),
                AfterResponse::Send => break,
                // Boxed, for every request would have its size around.
                AfterResponse::Body { rule, most } if self.has_content() => {
                    return Box::pin(self.collected(pool, lease, rule, most)).await;
                }
                AfterResponse::Body { rule, .. } => from = rule + 1,
            }
            // What a GET would get may have another length (RFC 9110 section 8.6).
            if let Some(head) = &mut self.exchange.response {
                head.headers.remove(header::CONTENT_LENGTH);
            }
        }
        let head = self.response_head();
        Ok(Some(self.forward(head, lease)))
    }

    /// Whether the response in the exchange has a body.
    fn has_content(&self) -> bool {
        let status = self.exchange.response.as_ref().map_or(StatusCode::OK, |head| head.status);
        self.exchange.request.method != Method::HEAD
            && has_content(status)
            && !(self.connects && status.is_success())
    }

    /// Collects the body for one rule after the other that asks for it.
    async fn collected(
        &mut self,
        pool: Option<&PoolView>,
        lease: Lease,
        mut rule: usize,
        mut most: u32,
    ) -> Result<Option<Response<ResponseBody>>, Stop> {
        let head = self.response_head();
        let (head, mut body) = self.forward(head, lease).into_parts();
        self.exchange.response = Some(head);
        loop {
            if self.on_response_body(&mut body, rule, most).await? {
                break;
            }
            match self.on_response(pool, rule + 1)? {
                AfterResponse::Send => break,
                AfterResponse::Again => return Ok(None),
                AfterResponse::Body { rule: next, most: of_next } => (rule, most) = (next, of_next),
            }
        }
        let head = self.response_head();
        Ok(Some(Response::from_parts(head, body)))
    }

    /// Whether the rule decided.
    async fn on_response_body(
        &mut self,
        body: &mut ResponseBody,
        rule: usize,
        most: u32,
    ) -> Result<bool, Stop> {
        if !self.has_content() {
            return Ok(false);
        }
        let status = self.exchange.response.as_ref().map(|head| head.status);
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(MOST_COLLECTED);
        self.stream.deadline.wait_idle(Waiting::Body);
        let (bytes, ended) = body.collect(most).await.map_err(|error| match error {
            BodyError::Stalled => Problem::TimedOut,
            _ => Problem::NoResponse,
        })?;
        let shown = bytes.len().min(most);
        let complete = ended && shown == bytes.len();
        let view = Rc::clone(&self.view);
        let Some(rule) = view.rules.get(rule) else { return Ok(false) };
        let decision = Chain::new(Hook::OnResponseBody, slice::from_ref(rule)).ask(|rule| {
            let ask = |runner: &mut Runner, exchange: &mut _| {
                runner.on_response_body(exchange, &bytes[..shown], complete)
            };
            match self.call(rule, ask)? {
                ResponseBodyVerdict::Next => Ok(None),
                ResponseBodyVerdict::Respond(answer) => Ok(Some(Err(Stop::Answer(Box::new(answer))))),
                // Clients put parts together (RFC 9110 section 15.3.7.3).
                ResponseBodyVerdict::Replace(_) if status == Some(StatusCode::PARTIAL_CONTENT) => {
                    let why = "replaced a part of something (206); remove `range` from the request";
                    let refuse = |runner: &mut Runner| runner.refuse_verdict(Hook::OnResponseBody, why);
                    Err(self.stream.connection.with_runner(rule, refuse))
                }
                ResponseBodyVerdict::Replace(replacement) => Ok(Some(Ok(replacement))),
            }
        });
        match decision {
            Some(Decision::Verdict(Ok(replacement))) => {
                let rest = bytes.slice(shown..);
                let whole = if rest.is_empty() { replacement } else { [replacement, rest].concat().into() };
                body.replace_collected(whole);
                if let Some(head) = &mut self.exchange.response {
                    replace(head);
                }
                Ok(true)
            }
            Some(Decision::Verdict(Err(stop))) => Err(stop),
            Some(Decision::Refuse) => Err(Problem::Fault.into()),
            // It has been to a pool already.
            None | Some(Decision::Pool(_)) => Ok(false),
        }
    }

    /// The head in the exchange, as the rules left it.
    fn response_head(&mut self) -> response::Parts {
        self.exchange.response.take().unwrap_or_else(|| Response::new(()).into_parts().0)
    }
}

/// Whether an answer with this status has a body, if it is no answer to HEAD (RFC 9110 section 6.4.1).
fn has_content(status: StatusCode) -> bool {
    !status.is_informational() && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
const DIGEST: HeaderName = HeaderName::from_static("digest");
const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// Takes out what a head says of the bytes that are not sent: their length and digests (RFC 9530). A client that has
/// a part of them must not be given other parts (RFC 9110 section 14): the member's ranges are of another text, and its
/// validators are no strong ones any more (section 8.8.1).
fn replace(head: &mut response::Parts) {
    let headers = &mut head.headers;
    for name in [header::CONTENT_LENGTH, header::ACCEPT_RANGES, header::LAST_MODIFIED] {
        headers.remove(name);
    }
    for name in [CONTENT_DIGEST, REPR_DIGEST, DIGEST, CONTENT_MD5] {
        headers.remove(name);
    }
    if let Some(tag) = headers.get_mut(header::ETAG)
        && !tag.as_bytes().starts_with(b"W/")
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat())
    {
        *tag = weak;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_body_has_no_fields_of_the_one_before() {
        let mut head = Response::builder()
            .header("content-length", "3")
            .header("accept-ranges", "bytes")
            .header("last-modified", "Mon, 30 Nov 2026 00:00:00 GMT")
            .header("repr-digest", "sha-256=:YQ==:")
            .header("etag", "\"a\"")
            .header("content-type", "text/plain")
            .body(())
            .unwrap()
            .into_parts()
            .0;
        replace(&mut head);
        assert_eq!(head.headers.len(), 2, "{head:?}");
        assert_eq!(
            (&head.headers["etag"], &head.headers["content-type"]),
            (&"W/\"a\"".parse().unwrap(), &"text/plain".parse().unwrap())
        );
        replace(&mut head);
        assert_eq!(head.headers["etag"], "W/\"a\"");
    }
}
