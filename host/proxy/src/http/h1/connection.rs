//! HTTP/1 on a client's connection: requests follow each other, and each is answered before the next is read.
//!
//! The connection is one task, which polls the phases of its request, the answer that they make, and the client, in
//! turns. Between two requests it holds no more than its socket.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Method, Response, Version};
use http_body::Body as _;
use shunt_config::model::Http2Start;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout};

use super::answer::{self, Asked, Framing};
use super::half_close::Answer;
use super::head::{self, Head, Limits};
use super::refusal::Refusal;
use super::wire::{Came, Incoming, NoHead, Wire};
use super::write::{write_chunk, write_last_chunk};
use crate::client::{self, ClientStream, LINGER_SILENT};
use crate::connection::Connection;
use crate::deadline::Waiting;
use crate::http::body::ResponseBody;
use crate::http::client_body::ClientBody;
use crate::http::stream::Stream;
use crate::http::tunnel::Tunnel;
use crate::http::{fields, own_answer, phases};
use crate::listener::{Listener, SILENCE, Serve, reset};
use crate::view::VirtualView;

/// HTTP/1, as a listener serves it.
#[derive(Clone, Copy)]
pub(crate) struct Http1;

impl Serve for Http1 {
    async fn serve<S: ClientStream>(self, listener: Rc<Listener>, connection: Rc<Connection>, stream: S) {
        let connection = Http1Connection {
            wire: Rc::new(Wire::new(stream)),
            stream: Stream::new(&connection, &listener.view().virtual_.settings.timeouts),
            listener,
        };
        connection.serve().await;
    }
}

/// How long a request that was refused in its middle is read on after the answer.
const LINGER: Duration = Duration::from_secs(30);

/// Bytes of an answer that may wait to be written before more of its body is taken.
const MOST_UNWRITTEN: usize = 64 << 10;

/// A connection that HTTP/1 is served on: its requests follow each other in one stream.
struct Http1Connection<S> {
    wire: Rc<Wire<S>>,
    stream: Rc<Stream>,
    listener: Rc<Listener>,
}

/// How a connection ends.
enum End {
    /// Both sides have said all that they will.
    Closed,
    /// The answer was the last, and the client may not know.
    Last,
    /// What came is no request.
    Refused(Refusal),
    /// It has become something else.
    Switched(Box<Tunnel>),
    /// The client has gone, or nothing more can be told to it: an answer broke off, or a time is up.
    Gone,
}

impl<S: ClientStream> Http1Connection<S> {
    async fn serve(self) {
        let end = {
            let mut closing = pin!(self.listener.closing());
            // Once to be told of it; after that a flag says it.
            poll_fn(|cx| Poll::Ready(closing.as_mut().poll(cx).is_ready())).await;
            loop {
                let (view, head) = match self.next_request().await {
                    Ok(request) => request,
                    Err(end) => break end,
                };
                // Boxed, so that its size is paid for only while there is something to do.
                if let Err(end) = Box::pin(self.serve_request(view, head)).await {
                    break end;
                }
            }
        };
        // With TLS the client is told of the end, if it was not with the answer.
        let is_told = !self.stream.connection.tls || self.wire.has_ended();
        if !matches!(end, End::Closed) || !is_told {
            Box::pin(self.end(end)).await;
        }
    }

    /// Waits for the next request.
    fn next_request(&self) -> impl Future<Output = Result<(Rc<VirtualView>, Box<Head>), End>> {
        let mut closing = false;
        poll_fn(move |cx| {
            let view = self.listener.view();
            let settings = &view.virtual_.settings;
            let limits = Limits { head: settings.limits.head, fields: settings.limits.fields };
            match self.wire.poll_head(cx, limits) {
                Poll::Ready(Ok(Came::Head(head))) => return Poll::Ready(Ok((view, head))),
                Poll::Ready(Ok(Came::End)) => return Poll::Ready(Err(End::Closed)),
                Poll::Ready(Err(NoHead::Refused(why))) => return Poll::Ready(Err(End::Refused(why))),
                Poll::Ready(Err(NoHead::Io)) => return Poll::Ready(Err(End::Gone)),
                Poll::Pending => {}
            }
            let deadline = &self.stream.deadline;
            if !self.wire.inside_head() {
                if self.listener.is_closed() && !closing {
                    closing = true;
                    deadline.cut_silence(SILENCE);
                }
            } else if deadline.waiting() == Waiting::Request {
                deadline.wait_for(Waiting::Head, Instant::now() + settings.timeouts.head);
            }
            deadline.poll(cx).map(|()| {
                Err(match deadline.waiting() {
                    Waiting::Head => End::Refused(Refusal::HeadTooLate),
                    _ => End::Closed,
                })
            })
        })
    }

    /// Serves one request. Fails where no other follows.
    async fn serve_request(&self, view: Rc<VirtualView>, head: Box<Head>) -> Result<(), End> {
        let Head { parts, body, keep_alive } = *head;
        let asked = Asked {
            http_11: parts.version >= Version::HTTP_11,
            head: parts.method == Method::HEAD,
            keep_alive,
        };
        let body = if body.is_ended() {
            ClientBody::Empty
        } else {
            let limits = &view.virtual_.settings.limits;
            let limits = Limits { head: limits.head, fields: limits.fields };
            // RFC 9110 section 10.1.1: not to a client of HTTP/1.0.
            let expects_continue = asked.http_11 && fields::expects_continue(&parts.headers);
            self.wire.begin_body(body, limits, expects_continue);
            ClientBody::Http1(Incoming::new(&self.wire))
        };
        let response = {
            let mut served = pin!(phases::serve(&self.stream, &view, parts, body));
            drop(view);
            poll_fn(|cx| self.poll_served(served.as_mut(), asked, cx)).await?
        };
        if self.stream.resets.get() {
            if let Some((stream, _)) = self.wire.take() {
                reset(stream.socket());
            }
            return Err(End::Gone);
        }
        self.write_answer(response, asked).await
    }

    fn poll_served(
        &self,
        mut served: Pin<&mut impl Future<Output = Response<ResponseBody>>>,
        asked: Asked,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<ResponseBody>, End>> {
        loop {
            let expired = self.stream.deadline.expired();
            let response = served.as_mut().poll(cx);
            self.wire.write_continue();
            for interim in self.stream.take_interim() {
                // They do not wait for a client that does not read: it can do without (RFC 9110 section 15.2).
                if asked.http_11 && self.wire.unwritten() < MOST_UNWRITTEN {
                    self.wire.write_head(|out| answer::write_interim(out, &interim));
                }
            }
            if let Poll::Ready(response) = response {
                return Poll::Ready(Ok(response));
            }
            if let Poll::Ready(Err(_)) = self.wire.poll_write(cx, &self.stream.deadline) {
                return Poll::Ready(Err(End::Gone));
            }
            if self.wire.poll_gone(cx, Answer::NotBegun).is_ready() {
                return Poll::Ready(Err(End::Gone));
            }
            match self.stream.deadline.poll(cx) {
                Poll::Pending => return Poll::Pending,
                // Whoever waits was asked and had nothing to say.
                Poll::Ready(()) if expired => return Poll::Ready(Err(End::Gone)),
                Poll::Ready(()) => {}
            }
        }
    }

    /// Writes an answer, and waits until the next request can be read. Fails where none follows.
    async fn write_answer(&self, response: Response<ResponseBody>, asked: Asked) -> Result<(), End> {
        let (parts, mut body) = response.into_parts();
        let lines = body.lines.take();
        let length = body.size_hint().exact();
        let tunnel = self.stream.take_tunnel();
        let (asked, framing) = match &tunnel {
            // What follows the head is no body. HTTP/1.0 may ask for a tunnel, too, and not to keep the connection.
            Some(_) => (Asked { http_11: true, keep_alive: true, ..asked }, Framing::None),
            None => (asked, Framing::of(asked, parts.status, length)),
        };
        let is_last = self.stream.is_last.get();
        let ends = framing == Framing::UntilClosed || is_last || self.listener.is_closed();
        let stays = tunnel.is_some() || asked.keep_alive && !ends;
        self.wire.write_head(|out| {
            answer::write_head(out, &parts, lines.as_ref(), asked, framing, length, stays);
        });
        drop(lines);
        head::give_spare(parts.headers);
        let mut sending =
            Sending { framing, body, is_taken: framing == Framing::None, is_broken: false, stays };
        poll_fn(|cx| self.poll_answer(&mut sending, cx)).await?;
        self.wire.rest();
        drop(sending);
        if let Some(tunnel) = tunnel {
            return Err(End::Switched(Box::new(tunnel)));
        }
        self.stream.place.take();
        match self.body_end().await {
            None => Err(End::Gone),
            Some(true) if stays => Ok(()),
            Some(true) if !is_last && !self.wire.inside_message() => Err(End::Closed),
            Some(_) => Err(End::Last),
        }
    }

    fn poll_answer(&self, sending: &mut Sending, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        loop {
            let expired = self.stream.deadline.expired();
            let mut waits_for_body = false;
            while !sending.is_taken && self.wire.unwritten() < MOST_UNWRITTEN && !waits_for_body {
                waits_for_body = sending.poll_take(&self.wire, cx).is_pending();
            }
            if sending.is_taken && !sending.is_broken && !sending.stays {
                self.wire.end_with_this();
            }
            match self.wire.poll_write(cx, &self.stream.deadline) {
                Poll::Ready(Err(_)) => return Poll::Ready(Err(End::Gone)),
                Poll::Ready(Ok(())) if sending.is_broken => return Poll::Ready(Err(End::Gone)),
                Poll::Ready(Ok(())) if sending.is_taken => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) if !waits_for_body => continue,
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
            if self.wire.poll_gone(cx, sending.answer()).is_ready() {
                return Poll::Ready(Err(End::Gone));
            }
            match self.stream.deadline.poll(cx) {
                Poll::Pending => return Poll::Pending,
                // A member that stalls is told by the body.
                Poll::Ready(()) if expired => {
                    self.listener.view().counters.http1_stalled.add(1);
                    return Poll::Ready(Err(End::Gone));
                }
                Poll::Ready(()) => {}
            }
        }
    }

    /// Waits until nothing more of the request is read: whether that is all of it. `None`: the time is up.
    async fn body_end(&self) -> Option<bool> {
        poll_fn(|cx| match self.wire.poll_body_end(cx) {
            Poll::Ready(is_whole) => Poll::Ready(Some(is_whole)),
            Poll::Pending => self.stream.deadline.poll(cx).map(|()| None),
        })
        .await
    }

    /// Ends a connection as it deserves.
    async fn end(&self, end: End) {
        match end {
            End::Closed => self.close().await,
            End::Last => self.linger().await,
            End::Refused(why) => {
                self.refuse(why).await;
                if why == Refusal::HeadTooLate {
                    self.close().await;
                } else {
                    self.linger().await;
                }
            }
            End::Switched(tunnel) => {
                if self.body_end().await == Some(true)
                    && let Some((stream, early)) = self.wire.take()
                {
                    let idle = self.listener.view().virtual_.settings.timeouts.idle;
                    tunnel.relay(stream, early, idle).await;
                }
            }
            End::Gone => {}
        }
        // What still reads the body of a request must not keep the connection open.
        self.wire.take();
    }

    /// Answers what is no request. Best effort: who sends a head slowly may not read either.
    async fn refuse(&self, why: Refusal) {
        let view = self.listener.view();
        view.counters.errors.add(1);
        let settings = &view.virtual_.settings;
        let may_be_http2 = settings.http2.start == Http2Start::PriorKnowledge && !self.stream.connection.tls;
        if why == Refusal::Version && may_be_http2 {
            // It is no preface either, and who speaks neither version gets no answer of one (RFC 9113 section 3.4).
            return;
        }
        view.counters.answered(why.status().as_u16());
        let (status, reason) = (why.status(), format!("bad request: {}", why.reason()));
        // Its fields are not known.
        let asked = HeaderMap::new();
        let made = own_answer::make(status, &reason, view.virtual_.pages.of(status.as_u16()), &asked);
        drop(view);
        let head = self.wire.asks_for_head_alone();
        self.wire.write_head(|out| answer::write_refusal(out, made, head));
        let written = poll_fn(|cx| self.wire.poll_write(cx, &self.stream.deadline));
        let _ = timeout(LINGER_SILENT, written).await;
    }

    async fn close(&self) {
        if let Some((mut stream, _)) = self.wire.take() {
            // close_notify, so that the end is not taken for an attack (RFC 8446 section 6.1).
            let _ = timeout(LINGER_SILENT, stream.shutdown()).await;
        }
    }

    /// Reads on, for a while, what the client still sends: the answer comes first.
    async fn linger(&self) {
        if let Some((stream, _)) = self.wire.take() {
            client::linger(stream, LINGER).await;
        }
    }
}

/// An answer on its way out.
struct Sending {
    framing: Framing,
    body: ResponseBody,
    /// All of the body was taken, or there is none to send.
    is_taken: bool,
    /// It ended before its end.
    is_broken: bool,
    /// The connection stays behind it.
    stays: bool,
}

impl Sending {
    /// Takes the next piece of the body.
    fn poll_take<S: ClientStream>(&mut self, wire: &Wire<S>, cx: &mut Context<'_>) -> Poll<()> {
        let frame = match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(error))) => {
                // What came before it goes out all the same.
                tracing::debug!(%error, "an answer broke off");
                (self.is_taken, self.is_broken) = (true, true);
                return Poll::Ready(());
            }
            Poll::Ready(None) => {
                self.end(wire);
                return Poll::Ready(());
            }
        };
        match frame.into_data() {
            Ok(data) => {
                wire.write(|out| match self.framing {
                    Framing::Chunked => write_chunk(out, &data),
                    _ => out.extend_from_slice(&data),
                });
                if self.body.is_end_stream() {
                    self.end(wire);
                }
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    if self.framing == Framing::Chunked {
                        wire.write(|out| write_last_chunk(out, trailers.iter()));
                    }
                    self.is_taken = true;
                }
            }
        }
        Poll::Ready(())
    }

    fn end<S: ClientStream>(&mut self, wire: &Wire<S>) {
        if self.framing == Framing::Chunked {
            wire.write(|out| write_last_chunk(out, std::iter::empty()));
        }
        self.is_taken = true;
    }

    /// How far it has come, for a client that ends its side now.
    fn answer(&self) -> Answer {
        match self.framing {
            Framing::Chunked if !self.is_taken => Answer::InChunks,
            _ => Answer::Begun,
        }
    }
}
