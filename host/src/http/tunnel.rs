//! What a connection becomes after 101 Switching Protocols (RFC 9110 section 7.8): bytes both ways.

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use shunt_engine::member::Active;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;

use crate::http::member::Lease;

/// The server side of a connection that is about to switch.
pub(crate) struct Tunnel {
    lease: Lease,
}

impl Tunnel {
    pub(crate) fn new(lease: Lease) -> Self {
        Tunnel { lease }
    }

    /// Carries bytes until both sides have ended; `early` is what the client sent behind its request.
    pub(crate) async fn carry<S>(self, mut client: S, early: Bytes)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Some((parts, active)) = self.lease.into_stream().await else { return };
        let mut server: TcpStream = TokioIo::into_inner(parts.io);
        let _held: Active = active;
        // Errors end a tunnel as its end does; either side sees it closed.
        if server.write_all(&early).await.is_ok() && client.write_all(&parts.read_buf).await.is_ok() {
            let _ = copy_bidirectional(&mut client, &mut server).await;
        }
    }
}
