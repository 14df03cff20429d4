//! A request and its answer on a stream, driven by the task that waits for it.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use http::header::HeaderValue;
use http::{StatusCode, request, response};
use http_body::{Body as _, Frame};
use tokio::task::spawn_local;

use super::connection::Shared;
use super::head::{check_fields, of_answer, of_member};
use super::socket::Socket;
use super::upload::{Background, Upload};
use super::websocket::{become_connect, become_switch};
use crate::http::body::RequestBody;
use crate::http::fields::asks_for_websocket;
use crate::http::member::outgoing::Pace;
use crate::http::member::{Broken, SendError};
use crate::member::MemberView;

pub(in crate::http) struct Exchange {
    shared: Rc<Shared>,
    requests: SendRequest<Bytes>,
    /// It is the first one on its connection.
    first: bool,
    /// What had come on the connection when it was sent.
    reads: u64,
    answer: Answer,
    upload: Upload,
    /// The rest of it goes on by itself.
    background: Option<Background>,
    /// Of the answer's body, where it has a length.
    left: Option<u64>,
    /// It asks for a WebSocket: what `Sec-WebSocket-Accept` says to a client of HTTP/1.1 that gets one.
    accept: Option<HeaderValue>,
}

enum Answer {
    None,
    /// The crate did not take it.
    NotBegun(h2::Error),
    Awaited(ResponseFuture),
    Body {
        body: RecvStream,
        /// Bytes that were handed on and are not yet taken.
        held: usize,
    },
    Ended,
}

impl Exchange {
    pub(super) fn new(shared: Rc<Shared>) -> Self {
        let (requests, first) = shared.open();
        Exchange {
            reads: shared.heard.reads(),
            shared,
            requests,
            first,
            answer: Answer::None,
            upload: Upload::new(RequestBody::Empty),
            background: None,
            left: None,
            accept: None,
        }
    }

    /// Whether a stream may become a WebSocket: the member has sent SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441 section 3).
    pub(in crate::http::member) fn takes_websockets(&self) -> bool {
        self.requests.is_extended_connect_protocol_enabled()
    }

    /// Whether its connection was made for it.
    pub(in crate::http::member) fn is_first(&self) -> bool {
        self.first
    }

    /// Takes up a request.
    pub(in crate::http::member) fn begin(&mut self, head: &request::Parts, body: RequestBody) {
        let length = body.size_hint().exact();
        self.upload = Upload::new(body);
        let mut request = of_member(head, length, &self.shared.scheme);
        if self.takes_websockets() && self.upload.is_sent() && asks_for_websocket(head) {
            self.accept = become_connect(&mut request);
        }
        match self.requests.send_request(request, self.upload.is_sent() && self.accept.is_none()) {
            Ok((answer, sending)) => {
                self.answer = Answer::Awaited(answer);
                self.upload.begin(sending);
            }
            Err(error) => self.answer = Answer::NotBegun(error),
        }
    }

    /// Sends what can be sent and takes the head of the answer. `inform` gets informational answers.
    pub(in crate::http::member) fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        mut inform: impl FnMut(response::Parts),
    ) -> Poll<Result<response::Parts, Broken>> {
        // What goes wrong with it is told by the answer, and a member that takes no more may have answered all the same.
        if let Poll::Ready(Err(error @ Broken::Body(_))) = self.upload.poll_send(cx) {
            return Poll::Ready(Err(error));
        }
        let answer = match &mut self.answer {
            Answer::Awaited(answer) => answer,
            Answer::NotBegun(_) => {
                return Poll::Ready(Err(match std::mem::replace(&mut self.answer, Answer::None) {
                    Answer::NotBegun(error) => Broken::NotBegun(error),
                    _ => Broken::Closed,
                }));
            }
            Answer::None | Answer::Body { .. } | Answer::Ended => return Poll::Ready(Err(Broken::Closed)),
        };
        while let Poll::Ready(Some(Ok(interim))) = answer.poll_informational(cx) {
            let (interim, ()) = interim.into_parts();
            if interim.status == StatusCode::SWITCHING_PROTOCOLS {
                // RFC 9113 section 8.6.
                return Poll::Ready(Err(Broken::Status));
            }
            check_fields(&interim.headers)?;
            inform(interim);
        }
        let (parts, body) = ready!(Pin::new(answer).poll(cx)).map_err(Broken::Http2)?.into_parts();
        let (mut parts, left) = of_answer(parts)?;
        self.left = left;
        if let Some(accept) = self.accept.take() {
            match parts.status.is_success() {
                true => become_switch(&mut parts, accept),
                // What the stream was for does not come.
                false => self.upload.end(),
            }
        }
        self.answer = Answer::Body { body, held: 0 };
        Poll::Ready(Ok(parts))
    }

    /// Both directions of a stream that has become a WebSocket.
    pub(in crate::http::member) fn take_socket(&mut self) -> Option<Socket> {
        let Answer::Body { body, .. } = std::mem::replace(&mut self.answer, Answer::Ended) else {
            return None;
        };
        Some(Socket::new(self.upload.take_sending()?, body))
    }

    /// What it means that there is no answer.
    pub(in crate::http::member) fn failed(&mut self, error: Broken, member: &MemberView) -> SendError {
        self.count(&error, member);
        let upload = std::mem::replace(&mut self.upload, Upload::new(RequestBody::Empty));
        match &error {
            Broken::NotBegun(_) => SendError::Stale(error, upload.again(true)),
            Broken::Http2(why) if is_unprocessed(why) => SendError::Stale(error, upload.again(true)),
            // The connection ended. On one that had served it may be that the member had closed it.
            Broken::Http2(why) if !why.is_reset() && !self.first => {
                SendError::Stale(error, upload.again(false))
            }
            _ => SendError::Member(error),
        }
    }

    pub(in crate::http::member) fn count(&self, error: &Broken, member: &MemberView) {
        match error {
            Broken::Http2(why) if is_unprocessed(why) => member.counters.http2_unprocessed.add(1),
            Broken::Http2(why) if why.is_reset() && why.is_remote() => member.counters.http2_resets.add(1),
            Broken::Http2(why) if !why.is_reset() => self.shared.broke(&member.counters),
            _ => {}
        }
    }

    /// There is no answer in time. Where nothing at all has come, the member may be gone without a word.
    pub(in crate::http::member) fn timed_out(&self) {
        if self.shared.heard.reads() == self.reads {
            self.shared.retire();
        }
    }

    pub(in crate::http::member) fn is_sent(&self) -> bool {
        self.background.is_none() && self.upload.is_sent()
    }

    /// The body of a request that is not all out.
    pub(in crate::http::member) fn unsent_body(&self) -> Option<&RequestBody> {
        (self.background.is_none() && !self.upload.is_sent()).then(|| self.upload.body())
    }

    /// Lets the rest of the request continue by itself, whether anyone waits for something from here or not.
    pub(in crate::http::member) fn upload_in_background(&mut self, pace: Pace) {
        let mut upload = std::mem::replace(&mut self.upload, Upload::new(RequestBody::Empty));
        self.background =
            Some(Background(spawn_local(async move { upload.send(pace).await.then_some(upload) })));
    }

    /// Waits until all of the request is out; `None`: it did not get there.
    pub(in crate::http::member) async fn sent(mut self: Box<Self>, pace: Pace) -> Option<Box<Self>> {
        if let Some(mut background) = self.background.take() {
            self.upload = (&mut background.0).await.ok()??;
            return Some(self);
        }
        self.upload.send(pace).await.then_some(self)
    }

    /// How much of the answer's body is still to come, where that is known.
    pub(in crate::http::member) fn left(&self) -> Option<u64> {
        if self.is_answered() { Some(0) } else { self.left }
    }

    /// Whether all of the answer was taken.
    pub(in crate::http::member) fn is_answered(&self) -> bool {
        match &self.answer {
            Answer::Body { body, .. } => body.is_end_stream(),
            Answer::Ended => true,
            Answer::None | Answer::NotBegun(_) | Answer::Awaited(_) => false,
        }
    }

    /// The next piece of the answer's body, or its trailers; `None`: it has ended.
    pub(in crate::http::member) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let Answer::Body { body, held } = &mut self.answer else { return Poll::Ready(None) };
        // A piece that was handed on is taken when the next is asked for (RFC 9113 section 5.2). Fails only where more
        // is released than came.
        let _ = body.flow_control().release_capacity(std::mem::take(held));
        loop {
            return Poll::Ready(match ready!(body.poll_data(cx)) {
                // What only ends the body is no piece of it.
                Some(Ok(data)) if data.is_empty() => continue,
                Some(Ok(data)) => {
                    *held = data.len();
                    self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                    Some(Ok(Frame::data(data)))
                }
                Some(Err(error)) => self.cut(error),
                None => match ready!(body.poll_trailers(cx)) {
                    Ok(None) => None,
                    Ok(Some(trailers)) => Some(check_fields(&trailers).map(|()| Frame::trailers(trailers))),
                    Err(error) => self.cut(error),
                },
            });
        }
    }

    /// The stream was reset. Behind a whole answer that says no more than that the rest of the request is not wanted
    /// (RFC 9113 section 8.1).
    fn cut(&mut self, error: h2::Error) -> Option<Result<Frame<Bytes>, Broken>> {
        let Answer::Body { body, .. } = &self.answer else { return None };
        let behind_its_end = error.is_remote()
            && error.reason() == Some(Reason::NO_ERROR)
            && self.shared.heard.has_ended(body.stream_id().as_u32());
        if behind_its_end {
            self.answer = Answer::Ended;
            return None;
        }
        Some(Err(Broken::Http2(error)))
    }
}

/// Whether the member says that it has done nothing about a request, so that any may be sent again (RFC 9113 section 8.7).
/// GOAWAY ends only streams above the last that it names.
fn is_unprocessed(why: &h2::Error) -> bool {
    why.is_remote() && (why.is_go_away() || why.reason() == Some(Reason::REFUSED_STREAM))
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.shared.close();
    }
}
