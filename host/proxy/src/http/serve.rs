//! Which version of HTTP a connection speaks.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use shunt_config::model::Http2Start;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use crate::client::ClientStream;
use crate::connection::Connection;
use crate::http::h1::connection::Http1;
use crate::http::h2;
use crate::listener::{Listener, SILENCE, Serve, Serving};
use crate::relay::Wire;

/// HTTP, as a listener serves it.
#[derive(Clone, Copy)]
pub(crate) struct Http;

impl Serve for Http {
    async fn serve<S: ClientStream>(self, listener: Rc<Listener>, connection: Rc<Connection>, stream: S) {
        let start = listener.view().virtual_.settings.http2.start;
        if start == Http2Start::PriorKnowledge {
            return Box::pin(look_at_preface(listener, connection, stream)).await;
        }
        Http1.serve(listener, connection, stream).await;
    }

    fn serve_tls(
        self,
        listener: Rc<Listener>,
        connection: Rc<Connection>,
        stream: TlsStream<TcpStream>,
    ) -> Serving {
        match stream.protocol() {
            Some(b"h2") => Box::pin(h2::connection::serve(listener, connection, stream)),
            _ => Box::pin(Http1.serve(listener, connection, stream)),
        }
    }
}

/// Serves HTTP/2 to a client that begins with its preface (RFC 9113 section 3.3), and HTTP/1 to all others.
async fn look_at_preface<S: ClientStream>(listener: Rc<Listener>, connection: Rc<Connection>, mut stream: S) {
    let idle = listener.view().virtual_.settings.timeouts.idle;
    let mut came = Vec::with_capacity(h2::PREFACE.len());
    while came.len() < h2::PREFACE.len() && h2::PREFACE.starts_with(&came) {
        let mut piece = [0; 24];
        let left = h2::PREFACE.len() - came.len();
        let read = tokio::select! {
            read = timeout(idle, stream.read(&mut piece[..left])) => read,
            () = listener.closed_for(SILENCE) => return,
        };
        match read {
            Ok(Ok(count @ 1..)) => came.extend_from_slice(&piece[..count]),
            // The end is for who reads what came before it.
            Ok(Ok(0)) if !came.is_empty() => break,
            Ok(Ok(_) | Err(_)) | Err(_) => return,
        }
    }
    let is_http2 = came == h2::PREFACE;
    let stream = Begun { came, stream };
    match is_http2 {
        true => h2::connection::serve(listener, connection, stream).await,
        false => Http1.serve(listener, connection, stream).await,
    }
}

/// A stream whose first bytes were read.
struct Begun<S> {
    came: Vec<u8>,
    stream: S,
}

impl<S: ClientStream> Wire for Begun<S> {}

impl<S: ClientStream> ClientStream for Begun<S> {
    fn socket(&self) -> &TcpStream {
        self.stream.socket()
    }

    fn protocol(&self) -> Option<&[u8]> {
        self.stream.protocol()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Begun<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.came.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let count = self.came.len().min(buf.remaining());
        buf.put_slice(&self.came[..count]);
        self.came.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Begun<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
