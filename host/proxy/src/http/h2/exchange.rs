//! A stream: from a request to the end of its answer, in a task of its own.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::Reason;
use http::header::{self, HeaderMap};
use http::{Method, Response, StatusCode};
use http_body::Body as _;

use super::answer::{Content, write_fields, write_head, write_interim};
use super::body::Incoming;
use super::grpc;
use super::head::Head;
use super::streams::{Gone, Receiving, Sending};
use super::websocket::Socket;
use crate::deadline::Deadline;
use crate::http::body::{BodyError, ResponseBody};
use crate::http::client_body::ClientBody;
use crate::http::h1::head::give_spare;
use crate::http::phases;
use crate::http::problem::OwnAnswer;
use crate::http::stream::Stream;
use crate::view::VirtualView;

/// Why an answer does not come to its end.
enum Cut {
    /// The client has reset the stream, or the connection is gone.
    Gone,
    /// The client took nothing more for the idle time.
    Stalled,
    /// The answer itself broke off.
    Broken(BodyError),
}

impl From<Gone> for Cut {
    fn from(_: Gone) -> Self {
        Cut::Gone
    }
}

/// Serves one request to its end.
pub(super) async fn serve(
    stream: Rc<Stream>,
    view: Rc<VirtualView>,
    head: Head,
    receiving: Receiving,
    sending: Sending,
) {
    let Head { parts, length, tunnel } = head;
    let is_head = parts.method == Method::HEAD;
    let is_call = grpc::is_call(&parts.headers);
    let mut wanted = None;
    let (body, socket) = if tunnel {
        (ClientBody::Empty, Some(receiving))
    } else if receiving.is_ended() {
        (ClientBody::Empty, None)
    } else {
        wanted = parts.headers.contains_key(header::EXPECT).then(Rc::<Cell<bool>>::default);
        let most_fields = view.virtual_.settings.limits.fields;
        (ClientBody::Http2(Incoming::new(receiving, length, most_fields, wanted.clone())), None)
    };
    let served = phases::serve(&stream, &view, parts, body);
    let Some(answer) = answer(&stream, served, wanted.as_deref(), &sending).await else { return };
    if stream.resets.get() {
        // It was not processed, and the client may send it again (RFC 9113 section 8.7).
        return sending.reset(Reason::REFUSED_STREAM);
    }
    let (mut head, mut body) = answer.into_parts();
    let tunnel = stream.take_tunnel();
    let of_call = is_call && head.extensions.get::<OwnAnswer>().is_some() && grpc::make_answer(&mut head);
    let content = match () {
        () if tunnel.is_some() => Content::Tunnel,
        () if is_head || of_call => Content::None,
        () => Content::Length(body.size_hint().exact()),
    };
    let ended = tunnel.is_none() && (content == Content::None || body.is_end_stream());
    let lines = body.lines.take();
    let sent = sending.send_fields(ended, |encoder, out| {
        write_head(encoder, out, &head, lines.as_ref(), content);
    });
    drop(lines);
    give_spare(head.headers);
    if sent.is_err() {
        return;
    }
    if let (Some(tunnel), Some(receiving)) = (tunnel, socket) {
        drop(body);
        let idle = view.virtual_.settings.timeouts.idle;
        drop((view, stream));
        return tunnel.relay(Socket::new(sending, receiving), Bytes::new(), idle).await;
    }
    if ended {
        return;
    }
    let sent = send_body(&sending, body, &stream.deadline).await;
    let reason = match sent {
        Ok(()) | Err(Cut::Gone) => return,
        Err(Cut::Stalled) => {
            view.counters.http2_stalled.add(1);
            Reason::CANCEL
        }
        Err(Cut::Broken(error)) => {
            tracing::debug!(%error, "the answer broke off");
            match error {
                BodyError::Member { reset: Some(reason), .. } => reason,
                _ => Reason::INTERNAL_ERROR,
            }
        }
    };
    sending.reset(reason);
}

/// The answer; `None`: the client does not wait for it any more.
async fn answer(
    stream: &Stream,
    served: impl Future<Output = Response<ResponseBody>>,
    wanted: Option<&Cell<bool>>,
    sending: &Sending,
) -> Option<Response<ResponseBody>> {
    let mut served = pin!(served);
    let deadline = &stream.deadline;
    let mut begun = false;
    poll_fn(|cx| {
        // What was taken back before anything was done about it is not begun.
        let mut asked = !begun;
        if !begun && sending.poll_gone(cx).is_ready() {
            return Poll::Ready(None);
        }
        begun = true;
        loop {
            let answer = served.as_mut().poll(cx);
            for interim in stream.take_interim() {
                // They do not wait for a client that does not read: it can do without.
                if sending.may_inform() {
                    inform(sending, interim.status, &interim.headers);
                }
            }
            if let Poll::Ready(answer) = answer {
                return Poll::Ready(Some(answer));
            }
            if !asked && sending.poll_gone(cx).is_ready() {
                return Poll::Ready(None);
            }
            asked = true;
            if wanted.is_some_and(Cell::take) {
                // RFC 9110 section 10.1.1.
                inform(sending, StatusCode::CONTINUE, &HeaderMap::new());
            }
            let expired = deadline.expired();
            match deadline.poll(cx) {
                Poll::Pending => return Poll::Pending,
                // Whoever waits was asked and had nothing to say.
                Poll::Ready(()) if expired => return Poll::Ready(None),
                Poll::Ready(()) => {}
            }
        }
    })
    .await
}

/// RFC 9110 section 15.2. A client that is gone does not get it.
fn inform(sending: &Sending, status: StatusCode, fields: &HeaderMap) {
    let _ = sending.send_fields(false, |encoder, out| write_interim(encoder, out, status, fields));
}

/// Sends a body as fast as the client takes it: a piece is asked for when there is room for the one before.
async fn send_body(sending: &Sending, mut body: ResponseBody, deadline: &Deadline) -> Result<(), Cut> {
    let mut unsent = Unsent::default();
    poll_fn(|cx| {
        loop {
            match unsent.poll_send(sending, &mut body, deadline, cx) {
                Poll::Ready(done) => return Poll::Ready(done),
                Poll::Pending if sending.poll_gone(cx).is_ready() => return Poll::Ready(Err(Cut::Gone)),
                Poll::Pending => {}
            }
            let expired = deadline.expired();
            match deadline.poll(cx) {
                Poll::Pending => return Poll::Pending,
                // A member that stalls is told by the body.
                Poll::Ready(()) if expired => return Poll::Ready(Err(Cut::Stalled)),
                Poll::Ready(()) => {}
            }
        }
    })
    .await
}

/// What is taken of a body and not sent.
#[derive(Default)]
struct Unsent {
    piece: Bytes,
    /// Nothing follows it.
    last: bool,
    /// It waits for the client.
    waits: bool,
}

impl Unsent {
    fn poll_send(
        &mut self,
        sending: &Sending,
        body: &mut ResponseBody,
        deadline: &Deadline,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Cut>> {
        loop {
            while !self.piece.is_empty() {
                let Poll::Ready(room) = sending.poll_room(cx) else {
                    self.waits = true;
                    return Poll::Pending;
                };
                if std::mem::take(&mut self.waits) {
                    deadline.progress();
                }
                let part = self.piece.split_to(room?.min(self.piece.len()));
                sending.send_data(part, self.last && self.piece.is_empty())?;
            }
            if self.last {
                return Poll::Ready(Ok(()));
            }
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(Cut::Broken(error))),
                Poll::Ready(None) => {
                    sending.send_data(Bytes::new(), true)?;
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        self.last = body.is_end_stream();
                        if self.last && data.is_empty() {
                            sending.send_data(data, true)?;
                            return Poll::Ready(Ok(()));
                        }
                        self.piece = data;
                    }
                    Err(frame) => {
                        let trailers = frame.into_trailers().unwrap_or_default();
                        if trailers.is_empty() {
                            sending.send_data(Bytes::new(), true)?;
                        } else {
                            sending
                                .send_fields(true, |encoder, out| write_fields(encoder, out, &trailers))?;
                        }
                        return Poll::Ready(Ok(()));
                    }
                },
            }
        }
    }
}
