//! A client's stream of bytes, with TLS or without.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use crate::relay::Wire;
use crate::socket;

/// How long a client that is silent is listened to after the last that Shunt has to say.
pub(crate) const LINGER_SILENT: Duration = Duration::from_secs(2);

/// A stream that has a socket of its own.
pub(crate) trait ClientStream: Wire + 'static {
    fn socket(&self) -> &TcpStream;

    /// What was agreed on by ALPN (RFC 7301).
    fn protocol(&self) -> Option<&[u8]>;
}

impl ClientStream for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }

    fn protocol(&self) -> Option<&[u8]> {
        None
    }
}

impl Wire for TcpStream {
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        socket::poll_recv(self, cx, into).map_ok(|_| ())
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        socket::poll_send(self, cx, bytes)
    }

    fn poll_send_last(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        socket::poll_send_last(self, cx, bytes)
    }

    fn bare(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

impl ClientStream for TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }

    fn protocol(&self) -> Option<&[u8]> {
        self.get_ref().1.alpn_protocol()
    }
}

impl Wire for TlsStream<TcpStream> {
    /// What the session says by itself goes out when it was caused: `tokio_rustls` keeps it for the next answer, and a
    /// client of TLS 1.2 that waits to hear that nothing is renegotiated (RFC 5246 section 7.2.2) asks for none.
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut *self).poll_read(cx, into);
        if self.get_ref().1.wants_write() {
            // What the socket does not take now goes out before the next answer, and what is wrong with it shows there.
            let _ = Pin::new(self).poll_flush(cx);
        }
        read
    }

    /// close_notify (RFC 8446 section 6.1) takes no write of its own.
    fn poll_send_last(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let (socket, session) = self.get_mut();
        match session.writer().write(bytes)? {
            // The session holds as much as it may.
            0 => self.poll_send(cx, bytes),
            count => {
                if count == bytes.len() {
                    session.send_close_notify();
                    // The end of the connection goes out with it (tcp(7)).
                    let _ = SockRef::from(&*socket).set_tcp_cork(true);
                }
                Poll::Ready(Ok(count))
            }
        }
    }
}

/// Ends what is sent, and reads on, for `most` at most, what the client still sends: where a socket is closed with something
/// unread, the kernel resets the connection, and the client may lose what was said last (RFC 9112 section 9.6).
pub(crate) async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin, most: Duration) {
    let discard = async {
        stream.shutdown().await?;
        let mut buffer = vec![0; 16 << 10];
        while let Ok(read) = timeout(LINGER_SILENT, stream.read(&mut buffer)).await {
            if read? == 0 {
                break;
            }
        }
        io::Result::Ok(())
    };
    // Whether that came to its end makes no difference: the connection is over.
    let _ = timeout(most, discard).await;
}
