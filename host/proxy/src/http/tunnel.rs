//! What a connection becomes after 101 Switching Protocols (RFC 9110 section 7.8): bytes both ways.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional};
use tokio::time::sleep;

use crate::http::member::Lease;

/// The server side of a connection that is about to switch.
pub(crate) struct Tunnel {
    lease: Lease,
}

impl Tunnel {
    pub(crate) fn new(lease: Lease) -> Self {
        Tunnel { lease }
    }

    /// Relays bytes until both sides have ended, or none has sent anything for `idle` to twice that.
    /// `early` is what the client sent behind its request.
    pub(crate) async fn relay<S>(self, mut client: S, early: Bytes, idle: Duration)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Some((mut server, greeting, _active)) = self.lease.into_stream().await else { return };
        let moved = Cell::new(true);
        let relayed = async {
            server.write_all(&early).await?;
            client.write_all(&greeting).await?;
            let mut client = Watched { stream: &mut client, moved: &moved };
            let mut server = Watched { stream: &mut server, moved: &moved };
            copy_bidirectional(&mut client, &mut server).await
        };
        let silent = async {
            while moved.take() {
                sleep(idle).await;
            }
        };
        tokio::select! {
            // Errors end a tunnel as its end does; either side sees it closed.
            _ = relayed => {}
            () = silent => tracing::debug!("tunnel was idle"),
        }
    }
}

/// A stream that notes when something was read from it.
struct Watched<'a, S> {
    stream: &'a mut S,
    moved: &'a Cell<bool>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut *self.stream).poll_read(cx, buf))?;
        self.moved.set(true);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, duplex};

    use super::*;

    #[tokio::test]
    async fn reading_is_noted() {
        let (mut near, mut far) = duplex(16);
        let moved = Cell::new(false);
        far.write_all(b"x").await.unwrap();
        let mut watched = Watched { stream: &mut near, moved: &moved };
        assert_eq!(watched.read_u8().await.unwrap(), b'x');
        assert!(moved.get());
    }
}
