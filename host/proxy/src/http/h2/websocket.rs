//! A stream that becomes a WebSocket (RFC 8441) or another tunnel (RFC 9113 section 8.5): its data is the
//! connection's bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::streams::{Gone, Receiving, Sending};
use crate::relay::Wire;

/// Both directions of a stream, as bytes. What is dropped before its end is reset with CANCEL (RFC 8441 section 5).
pub(super) struct Socket {
    sending: Sending,
    receiving: Receiving,
    /// What came and was not read.
    held: Bytes,
}

impl Socket {
    pub(super) fn new(sending: Sending, receiving: Receiving) -> Self {
        Socket { sending, receiving, held: Bytes::new() }
    }
}

fn broken(gone: Gone) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, gone)
}

impl Wire for Socket {}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.held.is_empty() {
            match ready!(this.receiving.poll_data(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                Some(Ok(data)) => this.held = data,
            }
        }
        let count = this.held.len().min(buf.remaining());
        buf.put_slice(&this.held[..count]);
        this.held.advance(count);
        // What was read is room for as much (RFC 9113 section 5.2).
        this.receiving.release(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let room = ready!(self.sending.poll_room(cx)).map_err(broken)?;
        let count = room.min(buf.len());
        self.sending.send_data(Bytes::copy_from_slice(&buf[..count]), false).map_err(broken)?;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.sending.send_data(Bytes::new(), true).map_err(broken))
    }
}
