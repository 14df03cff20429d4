//! A client's stream while it is idle: all that it should hold is its socket.

use std::io;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A stream that can be waited for without a buffer to read into.
pub(crate) trait ClientStream: AsyncRead + AsyncWrite + Unpin + 'static {
    /// Ready when a read may find something: bytes, the end, or an error.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    fn socket(&self) -> &TcpStream;
}

impl ClientStream for TcpStream {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx)
    }

    fn socket(&self) -> &TcpStream {
        self
    }
}

impl ClientStream for TlsStream<TcpStream> {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (stream, session) = self.get_ref();
        // A session that wants nothing from the socket holds bytes, or has seen the end.
        if session.wants_read() { stream.poll_read_ready(cx) } else { Poll::Ready(Ok(())) }
    }

    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}
