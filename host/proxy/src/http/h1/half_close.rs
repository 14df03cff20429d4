//! A client that has ended its side of the connection, and may still wait for an answer.
//!
//! A FIN says only that nothing more will be sent (RFC 9293 section 3.6: closing is one-way; RFC 8446 section 6.1 says
//! the same of `close_notify`): `shutdown` and `close` look alike from here until something is sent. So the
//! connection sends what it is sure to send anyway, one step ahead: the first bytes of the status line, which are
//! the same for every answer, or in a chunked body a leading zero of the next chunk size (RFC 9112 section 7.1).
//! Where the client has closed its socket its kernel answers with RST, within one round trip.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncWrite, Interest};
use tokio::net::TcpStream;

/// How every answer begins, whatever its status and the version (RFC 9112 section 4).
const STATUS_LINE: &[u8] = b"HTTP/1.";
/// What may stand in front of a chunk size (RFC 9112 section 7.1: `1*HEXDIG`).
const CHUNK_SIZE: &[u8] = b"0";

/// How far the answer to the request at hand has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    NotBegun,
    /// It streams in chunks.
    InChunks,
    Begun,
}

/// What is known of a client that has ended its side.
#[derive(Default)]
pub(crate) struct HalfClose {
    seen: Cell<bool>,
    /// So many bytes of the next answer's beginning are out already.
    ahead: Cell<usize>,
    /// Resolves when the connection is reset.
    reset: RefCell<Option<Pin<Box<dyn Future<Output = ()>>>>>,
}

impl HalfClose {
    /// Whether the client has ended its side while something was in flight.
    pub(crate) fn is_seen(&self) -> bool {
        self.seen.get()
    }

    /// Takes note of the end. `answer`: how far it has come; `clear`: nothing waits to be written.
    pub(crate) fn note(
        &self,
        mut stream: Pin<&mut impl AsyncWrite>,
        cx: &mut Context<'_>,
        answer: Answer,
        clear: bool,
    ) -> io::Result<()> {
        self.seen.set(true);
        let ahead = match answer {
            Answer::NotBegun if clear => STATUS_LINE,
            Answer::InChunks if clear => CHUNK_SIZE,
            _ => return Ok(()),
        };
        if let Poll::Ready(written) = stream.as_mut().poll_write(cx, ahead)
            && let written @ 1.. = written?
            && ahead == STATUS_LINE
        {
            self.ahead.set(written);
        }
        match stream.poll_flush(cx) {
            Poll::Ready(flushed) => flushed,
            Poll::Pending => Ok(()),
        }
    }

    /// Watches the socket for the reset with which a client that is gone answers what it is sent.
    pub(crate) fn watch(&self, socket: &TcpStream) {
        // A handle of its own: reading from the connection is ready for ever now, whatever comes.
        let handle = || TcpStream::from_std(socket.as_fd().try_clone_to_owned()?.into());
        match handle() {
            Ok(socket) => {
                let reset = async move {
                    let _ = socket.ready(Interest::ERROR).await;
                };
                self.reset.replace(Some(Box::pin(reset)));
            }
            // Then it shows when the answer is written, or when the time is up.
            Err(error) => tracing::debug!(%error, "a half-closed connection cannot be watched"),
        }
    }

    /// Lets go of the socket: what holds on to this must not keep the connection open.
    pub(crate) fn unwatch(&self) {
        self.reset.replace(None);
    }

    /// Ready when the client has gone.
    pub(crate) fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut *self.reset.borrow_mut() {
            Some(reset) => reset.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }

    /// How much of the beginning of the next answer is out already, for what writes that answer now.
    pub(crate) fn take_ahead(&self) -> usize {
        self.ahead.take()
    }
}
