//! A client's stream of bytes, with TLS or without.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A stream that has a socket of its own.
pub(crate) trait ClientStream: AsyncRead + AsyncWrite + Unpin + 'static {
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

impl ClientStream for TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }

    fn protocol(&self) -> Option<&[u8]> {
        self.get_ref().1.alpn_protocol()
    }
}
