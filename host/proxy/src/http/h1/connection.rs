//! HTTP/1 on a client's connection, by hyper.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use crate::client::ClientStream;
use crate::connection::Connection;
use crate::deadline::{Due, Waiting};
use crate::http::h1::guard::{Findings, Guarded};
use crate::http::h1::service;
use crate::http::stream::Stream;
use crate::listener::{Listener, Serve};

/// HTTP/1, as a listener serves it.
#[derive(Clone, Copy)]
pub(crate) struct Http1;

impl Serve for Http1 {
    async fn serve<S: ClientStream>(self, listener: Rc<Listener>, connection: Rc<Connection>, stream: S) {
        // ALPN offers nothing else (`shunt_runtime::tls`).
        let connection = Http1Connection {
            stream: Stream::new(&connection, &listener.view().virtual_.settings.timeouts),
            findings: Rc::default(),
            listener,
        };
        connection.serve(stream).await;
    }
}

/// A connection that HTTP/1 is served on: its requests follow each other in one stream.
struct Http1Connection {
    stream: Rc<Stream>,
    findings: Rc<Findings>,
    listener: Rc<Listener>,
}

/// How long a connection is read on after its last answer, so that the answer to a request that was
/// refused in its middle is not lost to a reset (RFC 9112 section 9.6): in silence, and in all.
const LINGER_SILENT: Duration = Duration::from_secs(2);
const LINGER: Duration = Duration::from_secs(30);

/// Fields that hyper has room for without allocating for each head.
const HYPERS_FIELDS: usize = 100;

async fn discard(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> std::io::Result<()> {
    stream.shutdown().await?;
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read) = tokio::time::timeout(LINGER_SILENT, stream.read(&mut buffer)).await {
        if read? == 0 {
            break;
        }
    }
    Ok(())
}

enum End {
    /// hyper is done: the connection is to be closed, or has become a tunnel.
    Done,
    /// The peer broke HTTP or the connection.
    Broken,
    /// Nothing is in flight, and nothing came for a while.
    Silent,
    TimedOut,
    /// The client has gone.
    Gone,
}

impl Http1Connection {
    /// Counts an answer of ours to what did not come to be a request.
    fn count_refusal(&self) {
        let view = self.listener.view();
        view.counters.errors.add(1);
        view.counters.answered(400);
    }

    /// Serves requests until the connection ends. Between them it may rest: then it is no more than its
    /// socket and this future.
    async fn serve<S: ClientStream>(&self, mut stream: S) {
        let mut closing = pin!(self.listener.closing());
        loop {
            let readable = poll_fn(|cx| {
                if closing.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(false);
                }
                if let Poll::Ready(readable) = stream.poll_readable(cx) {
                    return Poll::Ready(readable.is_ok());
                }
                loop {
                    match self.stream.deadline.poll(cx) {
                        Poll::Ready(Due::Expired) => return Poll::Ready(false),
                        Poll::Ready(Due::Silent) => {}
                        Poll::Pending => return Poll::Pending,
                    }
                }
            });
            if !readable.await {
                if self.stream.connection.tls {
                    // close_notify, so that the end is not taken for an attack (RFC 8446 section 6.1).
                    let _ = tokio::time::timeout(LINGER_SILENT, stream.shutdown()).await;
                }
                return;
            }
            // Boxed, so that its size is paid for only while there is something to do.
            match Box::pin(self.serve_http1(stream, closing.as_mut())).await {
                Some(rests) => stream = rests,
                None => return,
            }
        }
    }

    /// Speaks HTTP until the connection ends, or falls silent between two requests: then it comes back.
    async fn serve_http1<S: ClientStream>(
        &self,
        stream: S,
        mut closing: Pin<&mut impl Future<Output = ()>>,
    ) -> Option<S> {
        // Copies, for a view that is held here would keep its rules alive as long as the connection.
        let (head_time, most_head, most_fields) = {
            let settings = &self.listener.view().virtual_.settings;
            (settings.timeouts.head, settings.limits.head, settings.limits.fields)
        };
        let service = service_fn(|request| {
            service::serve(&self.stream, &self.findings, &self.listener.view(), request)
        });
        let (findings, deadline) = (Rc::clone(&self.findings), Rc::clone(&self.stream.deadline));
        let guarded = Guarded::new(
            stream,
            findings,
            deadline,
            self.findings.next_ordinal(),
            self.stream.connection.tls,
        );
        let mut builder = http1::Builder::new();
        if most_fields != HYPERS_FIELDS {
            builder.max_headers(most_fields);
        }
        let mut http = builder
            // Head and body in one write. Not `pipeline_flush`, which flattens too: it holds an answer back
            // while the beginning of another request is there, and buffers a body without limit.
            .writev(false)
            .max_buf_size(most_head)
            .max_header_size(most_head)
            .serve_connection(TokioIo::new(guarded), service);

        let (mut registered, mut told, mut ending) = (false, false, false);
        let end = poll_fn(|cx| {
            // Once to be told of it; after that a flag says whether asking is worth it.
            if !registered || self.listener.is_closed() && !told {
                registered = true;
                told = closing.as_mut().poll(cx).is_ready();
                if told {
                    Pin::new(&mut http).graceful_shutdown();
                }
            }
            loop {
                match Pin::new(&mut http).poll(cx) {
                    Poll::Ready(Ok(())) => return Poll::Ready(End::Done),
                    Poll::Ready(Err(error)) => {
                        if error.is_parse() {
                            // hyper has answered 400, 414 or 431.
                            self.count_refusal();
                        }
                        return Poll::Ready(End::Broken);
                    }
                    Poll::Pending => {}
                }
                if self.findings.half_close.is_seen() && !ending {
                    ending = !self.findings.in_flight(&self.stream.deadline);
                    if ending {
                        // The answer is out: now the end of the client's side is the end of the connection.
                        continue;
                    }
                    if self.findings.half_close.poll_reset(cx).is_ready() {
                        return Poll::Ready(End::Gone);
                    }
                }
                if self.findings.inside_head() && self.stream.deadline.waiting() == Waiting::Request {
                    self.stream.deadline.wait_for(Waiting::Head, Instant::now() + head_time);
                }
                let expired = self.stream.deadline.expired();
                match self.stream.deadline.poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    // Whoever waits was asked and had nothing to say.
                    Poll::Ready(Due::Expired) if expired => return Poll::Ready(End::TimedOut),
                    Poll::Ready(Due::Silent)
                        if self.findings.at_rest() && !self.stream.uploads() && !told =>
                    {
                        return Poll::Ready(End::Silent);
                    }
                    Poll::Ready(Due::Expired | Due::Silent) => {}
                }
            }
        })
        .await;

        self.findings.half_close.unwatch();
        let parts = http.into_parts();
        let stream = parts.io.into_inner().into_inner();
        if matches!(end, End::Silent) && parts.read_buf.is_empty() {
            return Some(stream);
        }
        self.shutdown(stream, end, parts.read_buf).await;
        None
    }

    /// Ends a connection as it deserves; `early` is what was read and not understood as HTTP.
    async fn shutdown<S: ClientStream>(&self, mut stream: S, end: End, early: Bytes) {
        match (end, self.stream.take_tunnel()) {
            (End::Done, Some(tunnel)) => {
                let idle = self.listener.view().virtual_.settings.timeouts.idle;
                Box::pin(tunnel.relay(stream, early, idle)).await;
            }
            (End::TimedOut, _) if self.stream.deadline.waiting() == Waiting::Head => {
                self.count_refusal();
                // Best effort: who sends a head this slowly may not read either.
                let answer =
                    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
                let _ = tokio::time::timeout(LINGER_SILENT, async {
                    stream.write_all(answer).await?;
                    stream.shutdown().await
                })
                .await;
            }
            (End::Done, None)
                if !self.findings.inside_message() && early.is_empty() && !self.stream.is_last.get() => {}
            // hyper has answered what is no HTTP, or the client may have more to say: it reads first.
            (End::Done | End::Broken | End::Silent, _) => {
                let _ = tokio::time::timeout(LINGER, discard(&mut stream)).await;
            }
            (End::TimedOut | End::Gone, _) => {}
        }
    }
}
