//! Bodies on their way through: streamed both ways, never collected unless a rule asked for it.

use std::cell::{Cell, OnceCell};
use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use h2::Reason;
use http::{HeaderMap, HeaderName};
use http_body::{Body, Frame, SizeHint};
use thiserror::Error as ThisError;

use crate::deadline::{Deadline, Waiting};
use crate::http::client_body::ClientBody;
use crate::http::fields::prepare_trailers;
use crate::http::finish::Finish;
use crate::http::h1::refusal::Refusal;
use crate::http::lines::Lines;
use crate::http::member::Lease;

/// Why a body ended before its end.
#[derive(Debug, ThisError)]
pub(crate) enum BodyError {
    /// The client sent more than the virtual allows.
    #[error("the request body is larger than the limit")]
    TooLarge,
    /// The client's bytes were not what its framing said, or it went away.
    #[error("the client ended the request body early: {0}")]
    Client(Box<dyn Error + Send + Sync>),
    /// Its framing can be read in two ways.
    #[error("the framing of the request body is ambiguous: {}", .0.reason())]
    Framing(Refusal),
    /// The member closed the connection early.
    #[error("the member ended the response body early: {why}")]
    Member {
        why: String,
        /// It reset the stream, and what it said by that is for the client, too.
        reset: Option<Reason>,
    },
    /// Neither side made progress for the idle time-out.
    #[error("no progress within `timeouts.idle`")]
    Stalled,
}

/// How the request body went, reported to the phases that wait for the response.
#[derive(Debug, Default)]
pub(crate) struct RequestBodyState {
    /// Bytes handed to the member so far.
    pub(crate) sent: Cell<u64>,
    /// It was given to a member as it came from the client, so it is not at hand any more.
    pub(crate) given_away: Cell<bool>,
    /// Fields that `Connection` named in the head, if it named any.
    pub(crate) nominated: OnceCell<Vec<HeaderName>>,
    /// Set when it ended in an error on the client's side.
    pub(crate) failed: Cell<Option<RequestBodyFailure>>,
    /// There is one that has not come to its end, and no answer that it goes on behind.
    pub(crate) unread: Cell<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestBodyFailure {
    TooLarge,
    Malformed,
    Framing(Refusal),
    /// The client stopped sending.
    Stalled,
}

/// What is read of a request body and discarded, at most.
const MOST_DISCARDED: u64 = 16 << 20;

/// What is sent to a member.
pub(crate) enum RequestBody {
    Empty,
    /// Streamed from the client, behind what was already collected of it.
    Streamed {
        prefix: Option<Bytes>,
        rest: Option<ClientBody>,
        /// Bytes that may still come from the client.
        allowance: u64,
        state: Rc<RequestBodyState>,
        deadline: Option<Rc<Deadline>>,
    },
}

impl RequestBody {
    /// The client's body, of at most `limit` bytes.
    pub(crate) fn streamed(
        incoming: ClientBody,
        limit: Option<u64>,
        state: &Rc<RequestBodyState>,
        deadline: &Rc<Deadline>,
    ) -> Self {
        if incoming.is_end_stream() {
            return RequestBody::Empty;
        }
        state.unread.set(true);
        RequestBody::Streamed {
            prefix: None,
            rest: Some(incoming),
            allowance: limit.unwrap_or(u64::MAX),
            state: Rc::clone(state),
            deadline: Some(Rc::clone(deadline)),
        }
    }

    /// A body that is at hand.
    pub(crate) fn whole(bytes: Bytes, state: &Rc<RequestBodyState>) -> Self {
        if bytes.is_empty() {
            return RequestBody::Empty;
        }
        let state = Rc::clone(state);
        RequestBody::Streamed { prefix: Some(bytes), rest: None, allowance: 0, state, deadline: None }
    }

    /// What is left of this one, behind what was already collected of it.
    pub(crate) fn behind(self, collected: Bytes) -> Self {
        match self {
            RequestBody::Streamed { rest, allowance, state, deadline, .. } => {
                RequestBody::Streamed { prefix: Some(collected), rest, allowance, state, deadline }
            }
            RequestBody::Empty => RequestBody::Empty,
        }
    }

    /// Whether more of it is to come from the client.
    pub(crate) fn is_coming(&self) -> bool {
        matches!(self, RequestBody::Streamed { rest: Some(rest), .. } if !rest.is_end_stream())
    }

    /// Whether the client has no more of it to send.
    pub(crate) fn has_arrived(&self) -> bool {
        match self {
            RequestBody::Streamed { rest: Some(rest), .. } => rest.has_arrived(),
            RequestBody::Streamed { .. } | RequestBody::Empty => true,
        }
    }

    /// Whether its framing says that no more than this is to come.
    pub(crate) fn is_at_most(&self, most: u64) -> bool {
        self.size_hint().exact().is_some_and(|size| size <= most)
    }

    /// Reads and discards what is left of it, so that the client's next request can be read. More than
    /// [`MOST_DISCARDED`] is not worth it: the connection ends.
    pub(crate) async fn discard(mut self) {
        let sent = match &self {
            RequestBody::Streamed { state, .. }
                if self.size_hint().exact().is_none_or(|it| it <= MOST_DISCARDED) =>
            {
                state.sent.get()
            }
            _ => return,
        };
        let mut left = MOST_DISCARDED;
        while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut self).poll_frame(cx)).await {
            let size = frame.data_ref().map_or(0, |data| data.len() as u64);
            match left.checked_sub(size) {
                Some(less) => left = less,
                None => break,
            }
        }
        if let RequestBody::Streamed { state, .. } = &self {
            state.sent.set(sent);
        }
    }

    /// Whether its framing says so before any of it has come.
    pub(crate) fn is_larger_than_allowed(&self) -> bool {
        match self {
            RequestBody::Empty => false,
            RequestBody::Streamed { rest, allowance, .. } => {
                rest.as_ref().and_then(ClientBody::left).is_some_and(|size| size > *allowance)
            }
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let RequestBody::Streamed { prefix, rest, allowance, state, deadline } = &mut *self else {
            return Poll::Ready(None);
        };
        if let Some(bytes) = prefix.take() {
            state.sent.set(state.sent.get() + bytes.len() as u64);
            if let Some(deadline) = deadline
                && rest.as_ref().is_none_or(ClientBody::is_end_stream)
            {
                deadline.request_sent();
            }
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        let Some(incoming) = rest else { return Poll::Ready(None) };
        let frame = match incoming.poll_frame(cx) {
            Poll::Pending if deadline.as_ref().is_some_and(|it| it.expired()) => {
                state.failed.set(Some(RequestBodyFailure::Stalled));
                return Poll::Ready(Some(Err(BodyError::Stalled)));
            }
            Poll::Pending => return Poll::Pending,
            Poll::Ready(None) => {
                if state.unread.replace(false)
                    && let Some(deadline) = deadline
                {
                    deadline.request_sent();
                }
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Ok(mut frame))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    prepare_trailers(trailers, state.nominated.get().map_or(&[], Vec::as_slice));
                }
                frame
            }
            Poll::Ready(Some(Err(error))) => {
                state.failed.set(Some(match error {
                    BodyError::Framing(why) => RequestBodyFailure::Framing(why),
                    _ => RequestBodyFailure::Malformed,
                }));
                return Poll::Ready(Some(Err(error)));
            }
        };
        let last = frame.is_trailers() || incoming.is_end_stream();
        // Where the answer is out already, the client may be at its next request.
        let sent = last && state.unread.replace(false);
        if let Some(deadline) = deadline {
            deadline.progress();
            if sent {
                deadline.request_sent();
            }
        }
        if let Some(data) = frame.data_ref() {
            let size = data.len() as u64;
            let Some(left) = allowance.checked_sub(size) else {
                state.failed.set(Some(RequestBodyFailure::TooLarge));
                return Poll::Ready(Some(Err(BodyError::TooLarge)));
            };
            *allowance = left;
            state.sent.set(state.sent.get() + size);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            RequestBody::Empty => true,
            RequestBody::Streamed { prefix, rest, .. } => {
                prefix.is_none() && rest.as_ref().is_none_or(ClientBody::is_end_stream)
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            RequestBody::Empty => SizeHint::with_exact(0),
            RequestBody::Streamed { prefix, rest, .. } => {
                let held = prefix.as_ref().map_or(0, |bytes| bytes.len() as u64);
                let coming = rest.as_ref().map_or(Some(0), ClientBody::left);
                coming.map_or_else(SizeHint::default, |coming| SizeHint::with_exact(coming + held))
            }
        }
    }
}

/// What is sent to a client, with what has to happen when it ends.
pub(crate) struct ResponseBody {
    /// Fields that belong in front of it and are not in the head that it comes with.
    pub(crate) lines: Option<Lines>,
    source: Source,
    finish: Option<Box<Finish>>,
}

enum Source {
    Empty,
    Whole(Bytes),
    /// Boxed, for it is large, and answers that are here as a whole would have its size.
    Member(Box<MemberBody>),
    /// The rest of it comes behind what was collected for a rule.
    Collected(Box<Collected>),
}

/// A body of which a rule has seen the beginning.
struct Collected {
    first: Bytes,
    rest: Option<Box<MemberBody>>,
    trailers: Option<HeaderMap>,
}

impl ResponseBody {
    pub(crate) fn whole(bytes: Bytes) -> Self {
        let source = if bytes.is_empty() { Source::Empty } else { Source::Whole(bytes) };
        ResponseBody { lines: None, source, finish: None }
    }

    pub(crate) fn from_member(body: MemberBody) -> Self {
        ResponseBody { lines: None, source: Source::Member(Box::new(body)), finish: None }
    }

    /// The same with these fields.
    pub(crate) fn behind(mut self, lines: Option<Lines>) -> Self {
        self.lines = lines;
        self
    }

    /// Whether more of it has to come from a member.
    pub(crate) fn is_streaming(&self) -> bool {
        match &self.source {
            Source::Member(body) => !body.ended,
            Source::Collected(body) => body.rest.as_ref().is_some_and(|rest| !rest.ended),
            Source::Empty | Source::Whole(_) => false,
        }
    }

    /// Collects it for a rule: at least `most` bytes, unless it ends before; says whether it ended. It goes on as if
    /// none of it had been read.
    ///
    /// # Errors
    /// It ended early, or did not go on in time.
    pub(crate) async fn collect(&mut self, most: usize) -> Result<(Bytes, bool), BodyError> {
        let (mut bytes, mut trailers) = (BytesMut::new(), None);
        let ended = loop {
            if bytes.len() >= most {
                break self.is_end_stream();
            }
            match poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx)).await {
                None => break true,
                Some(Err(error)) => return Err(error),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => bytes.extend_from_slice(&data),
                    Err(frame) => {
                        trailers = frame.into_trailers().ok();
                        break true;
                    }
                },
            }
        };
        let bytes = bytes.freeze();
        let rest = match std::mem::replace(&mut self.source, Source::Empty) {
            Source::Member(body) if !ended => Some(body),
            Source::Collected(body) if !ended => body.rest,
            _ => None,
        };
        self.source = Source::Collected(Box::new(Collected { first: bytes.clone(), rest, trailers }));
        Ok((bytes, ended))
    }

    /// Sends these bytes in place of what was collected.
    pub(crate) fn replace_collected(&mut self, bytes: Bytes) {
        if let Source::Collected(body) = &mut self.source {
            body.first = bytes;
        }
    }

    /// Runs `finish` when the body has ended or is dropped.
    pub(crate) fn finish_with(&mut self, finish: Box<Finish>) {
        self.finish = Some(finish);
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let polled = match &mut this.source {
            Source::Empty => Poll::Ready(None),
            Source::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                this.source = Source::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Source::Member(body) => body.poll_frame(cx),
            Source::Collected(body) => body.poll_frame(cx),
        };
        if let (Some(finish), Poll::Ready(frame)) = (&mut this.finish, &polled) {
            match frame {
                Some(Ok(frame)) => finish.sent(frame.data_ref().map_or(0, Bytes::len)),
                Some(Err(_)) => finish.member_failed(),
                None => finish.complete(),
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Empty => true,
            Source::Whole(bytes) => bytes.is_empty(),
            Source::Member(body) => body.ended,
            Source::Collected(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Empty => SizeHint::with_exact(0),
            Source::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Member(body) => body.size_hint(),
            Source::Collected(body) => body.size_hint(),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        let Some(finish) = &mut self.finish else { return };
        match &self.source {
            // It is not asked for where there is none to send (HEAD, 204, 304).
            Source::Empty | Source::Whole(_) => finish.complete(),
            Source::Member(body) if body.ended => finish.complete(),
            Source::Collected(body) if body.rest.is_none() => finish.complete(),
            Source::Member(_) | Source::Collected(_) => {}
        }
    }
}

impl Collected {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if !self.first.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.first)))));
        }
        match &mut self.rest {
            Some(rest) => rest.poll_frame(cx),
            None => Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.trailers.is_none() && self.rest.as_ref().is_none_or(|rest| rest.ended)
    }

    fn size_hint(&self) -> SizeHint {
        let rest = match &self.rest {
            Some(rest) => rest.size_hint().exact(),
            // Trailers need a coding that says where the body ends (RFC 9112 section 7.1.2).
            None => self.trailers.is_none().then_some(0),
        };
        rest.map_or_else(SizeHint::default, |rest| SizeHint::with_exact(self.first.len() as u64 + rest))
    }
}

/// The body of a member's response, together with the connection that it comes on.
///
/// The connection has no task of its own: the reader of the body drives it. That saves two wake-ups
/// per request and gives back-pressure for free.
pub(crate) struct MemberBody {
    /// `None` once nothing more of the body comes.
    lease: Option<Lease>,
    deadline: Rc<Deadline>,
    ended: bool,
    trailers: Option<Nominated>,
}

/// Fields that `Connection` named in the head of a response.
type Nominated = Vec<HeaderName>;

impl MemberBody {
    /// `trailers`: the client takes them, without those that `Connection` named.
    pub(crate) fn new(lease: Lease, deadline: Rc<Deadline>, trailers: Option<Nominated>) -> Self {
        let mut body = MemberBody { lease: Some(lease), deadline, ended: false, trailers };
        body.end_if_answered();
        body
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(lease) = &mut self.lease else { return Poll::Ready(None) };
        match lease.poll_frame(cx) {
            Poll::Pending if self.deadline.expired() => {
                lease.member().counters.failures.add(1);
                self.lease = None;
                Poll::Ready(Some(Err(BodyError::Stalled)))
            }
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Err(error))) => {
                self.lease = None;
                let (why, reset) = (error.to_string(), error.reset_for_client());
                Poll::Ready(Some(Err(BodyError::Member { why, reset })))
            }
            Poll::Ready(None) => {
                self.end_if_answered();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Ok(mut frame))) => {
                self.deadline.progress();
                self.end_if_answered();
                if let Some(trailers) = frame.trailers_mut() {
                    let Some(nominated) = &self.trailers else { return Poll::Ready(None) };
                    prepare_trailers(trailers, nominated);
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.lease.as_ref().map_or_else(|| SizeHint::with_exact(0), Lease::size_hint)
    }

    /// Gives the connection back when nothing more of this response comes on it.
    fn end_if_answered(&mut self) {
        if self.lease.as_ref().is_some_and(Lease::is_answered)
            && let Some(lease) = self.lease.take()
        {
            self.ended = true;
            self.deadline.wait_idle(Waiting::Request);
            lease.give_back();
        }
    }
}

/// A body that is dropped before its end takes its connection with it: more of it would come there.
impl Drop for MemberBody {
    fn drop(&mut self) {
        if !self.ended {
            self.deadline.wait_idle(Waiting::Request);
        }
    }
}

/// Collects a request body for a rule: at least `most` bytes, unless it ends before; says whether it
/// ended. Trailers that come within them are dropped: what is sent on is framed again.
pub(crate) async fn collect(body: &mut RequestBody, most: usize) -> Result<(Bytes, bool), BodyError> {
    let mut collected = Vec::new();
    let complete = loop {
        if collected.len() >= most {
            break body.is_end_stream();
        }
        match poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
            None => break true,
            Some(Err(error)) => return Err(error),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    collected.extend_from_slice(&data);
                }
            }
        }
    };
    if let RequestBody::Streamed { state, .. } = body {
        // It went to a rule, not to a member.
        state.sent.set(0);
    }
    Ok((collected.into(), complete))
}
