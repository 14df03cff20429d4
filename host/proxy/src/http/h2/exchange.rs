//! A stream: from a request to the end of its answer, in a task of its own.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode, Version, response};
use http_body::Body as _;

use super::body::Incoming;
use super::grpc;
use super::head::Head;
use super::websocket::Socket;
use crate::deadline::Deadline;
use crate::http::body::{BodyError, ResponseBody};
use crate::http::client_body::ClientBody;
use crate::http::h1::answer::with_date;
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

impl From<h2::Error> for Cut {
    fn from(_: h2::Error) -> Self {
        Cut::Gone
    }
}

/// Serves one request to its end.
pub(super) async fn serve(
    stream: Rc<Stream>,
    view: Rc<VirtualView>,
    head: Head,
    body: RecvStream,
    mut respond: SendResponse<Bytes>,
) {
    let Head { parts, length, tunnel } = head;
    let is_head = parts.method == Method::HEAD;
    let is_call = grpc::is_call(&parts.headers);
    let mut wanted = None;
    let (body, socket) = if tunnel {
        (ClientBody::Empty, Some(body))
    } else if body.is_end_stream() {
        (ClientBody::Empty, None)
    } else {
        wanted = parts.headers.contains_key(header::EXPECT).then(Rc::<Cell<bool>>::default);
        let most_fields = view.virtual_.settings.limits.fields;
        (ClientBody::Http2(Incoming::new(body, length, most_fields, wanted.clone())), None)
    };
    let served = phases::serve(&stream, &view, parts, body);
    let Some(answer) = answer(&stream, served, wanted.as_deref(), &mut respond).await else { return };
    if stream.resets.get() {
        // It was not processed, and the client may send it again (RFC 9113 section 8.7).
        return respond.send_reset(Reason::REFUSED_STREAM);
    }
    let (mut head, body) = answer.into_parts();
    let tunnel = stream.take_tunnel();
    let switched = tunnel.is_some();
    let of_call = is_call && head.extensions.get::<OwnAnswer>().is_some() && grpc::make_answer(&mut head);
    make_fit(&mut head, &body, is_head || of_call || switched);
    let ended = !switched && (is_head || of_call || body.is_end_stream());
    let Ok(mut sending) = respond.send_response(Response::from_parts(head, ()), ended) else { return };
    if let (Some(tunnel), Some(receiving)) = (tunnel, socket) {
        drop(body);
        let idle = view.virtual_.settings.timeouts.idle;
        drop((view, stream));
        return tunnel.relay(Socket::new(sending, receiving), Bytes::new(), idle).await;
    }
    if ended {
        return;
    }
    let sent = send_body(&mut sending, body, &stream.deadline).await;
    let reason = match sent {
        Ok(()) | Err(Cut::Gone) => return,
        Err(Cut::Stalled) => {
            view.counters.http2_stalled.add(1);
            Reason::CANCEL
        }
        Err(Cut::Broken(error)) => {
            tracing::debug!(%error, "the answer broke off");
            // What came before goes out first: the connection has its turn.
            tokio::task::yield_now().await;
            match error {
                BodyError::Member { reset: Some(reason), .. } => reason,
                _ => Reason::INTERNAL_ERROR,
            }
        }
    };
    sending.send_reset(reason);
}

/// The answer; `None`: the client does not wait for it any more.
async fn answer(
    stream: &Stream,
    served: impl Future<Output = Response<ResponseBody>>,
    wanted: Option<&Cell<bool>>,
    respond: &mut SendResponse<Bytes>,
) -> Option<Response<ResponseBody>> {
    let mut served = pin!(served);
    let deadline = &stream.deadline;
    let mut begun = false;
    poll_fn(|cx| {
        // What was taken back before anything was done about it is not begun.
        let mut asked = !begun;
        if !begun && respond.poll_reset(cx).is_ready() {
            return Poll::Ready(None);
        }
        begun = true;
        loop {
            let answer = served.as_mut().poll(cx);
            for interim in stream.take_interim() {
                inform(respond, interim.status, interim.headers);
            }
            if let Poll::Ready(answer) = answer {
                return Poll::Ready(Some(answer));
            }
            if !asked && respond.poll_reset(cx).is_ready() {
                return Poll::Ready(None);
            }
            asked = true;
            if wanted.is_some_and(Cell::take) {
                // RFC 9110 section 10.1.1.
                inform(respond, StatusCode::CONTINUE, HeaderMap::new());
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
fn inform(respond: &mut SendResponse<Bytes>, status: StatusCode, headers: HeaderMap) {
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    remove_per_connection(response.headers_mut());
    detach(response.headers_mut());
    let _ = respond.send_informational(response);
}

/// Makes the head of an answer one of HTTP/2: without what says something about a connection (RFC 9113 section 8.2.2).
fn make_fit(head: &mut response::Parts, body: &ResponseBody, is_head: bool) {
    head.version = Version::HTTP_2;
    remove_per_connection(&mut head.headers);
    detach(&mut head.headers);
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        // RFC 8441 section 5.
        head.status = StatusCode::OK;
        head.headers.remove(header::SEC_WEBSOCKET_ACCEPT);
        return;
    }
    if !head.headers.contains_key(header::DATE)
        && let Ok(date) = with_date(HeaderValue::from_str)
    {
        // RFC 9110 section 6.6.1.
        head.headers.insert(header::DATE, date);
    }
    let bodiless = is_head || matches!(head.status.as_u16(), 100..=199 | 204 | 304);
    if !bodiless
        && !head.headers.contains_key(header::CONTENT_LENGTH)
        && let Some(length) = body.size_hint().exact()
    {
        head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
}

fn remove_per_connection(headers: &mut HeaderMap) {
    for name in [header::CONNECTION, header::UPGRADE] {
        headers.remove(name);
    }
}

/// Gives values bytes of their own. Those that came by HTTP/1 are parts of what was read at once, and the crate keeps
/// values in its table (RFC 7541 section 2.3.2) for as long as the connection lives: the date of each second among them.
pub(in crate::http) fn detach(headers: &mut HeaderMap) {
    for value in headers.values_mut() {
        if let Ok(mut own) = HeaderValue::from_bytes(value.as_bytes()) {
            own.set_sensitive(value.is_sensitive());
            *value = own;
        }
    }
}

/// Sends a body as fast as the client takes it: a piece is asked for when there is room for the one before.
async fn send_body(
    sending: &mut SendStream<Bytes>,
    mut body: ResponseBody,
    deadline: &Deadline,
) -> Result<(), Cut> {
    let mut piece = Bytes::new();
    let mut last = false;
    poll_fn(|cx| {
        loop {
            match poll_send(sending, &mut piece, &mut body, &mut last, deadline, cx) {
                Poll::Ready(done) => return Poll::Ready(done),
                Poll::Pending if sending.poll_reset(cx).is_ready() => return Poll::Ready(Err(Cut::Gone)),
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

fn poll_send(
    sending: &mut SendStream<Bytes>,
    piece: &mut Bytes,
    body: &mut ResponseBody,
    last: &mut bool,
    deadline: &Deadline,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Cut>> {
    loop {
        while !piece.is_empty() {
            sending.reserve_capacity(piece.len());
            let mut room = sending.capacity();
            if room == 0 {
                room = match sending.poll_capacity(cx) {
                    Poll::Ready(Some(room)) => room?,
                    Poll::Ready(None) => return Poll::Ready(Err(Cut::Gone)),
                    Poll::Pending => return Poll::Pending,
                };
                deadline.progress();
            }
            let part = piece.split_to(room.min(piece.len()));
            sending.send_data(part, *last && piece.is_empty())?;
        }
        if *last {
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
                    *last = body.is_end_stream();
                    if *last && data.is_empty() {
                        sending.send_data(data, true)?;
                        return Poll::Ready(Ok(()));
                    }
                    *piece = data;
                }
                Err(frame) => {
                    let mut trailers = frame.into_trailers().unwrap_or_default();
                    detach(&mut trailers);
                    sending.send_trailers(trailers)?;
                    return Poll::Ready(Ok(()));
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_nothing_of_what_was_read_with_it() {
        let read = Bytes::from(b"Mon, 30 Nov 2026 02:00:00 GMT and all that came with it".to_vec());
        let date = HeaderValue::from_maybe_shared(read.slice(..29)).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::DATE, date.clone());
        headers.insert(header::SERVER, date);
        assert!(!read.is_unique());
        let mut head = Response::new(()).into_parts().0;
        head.headers = headers;
        make_fit(&mut head, &ResponseBody::whole(Bytes::new()), false);
        assert_eq!(head.headers[header::DATE], "Mon, 30 Nov 2026 02:00:00 GMT");
        assert!(read.is_unique(), "values are parts of what was read");
    }
}
