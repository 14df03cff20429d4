//! What goes to a client of HTTP/2.
//!
//! The crate flushes behind each DATA frame. What it writes is gathered here, and [`Wire::poll_flush`] sends it when the
//! connection has nothing more to say: the answers of many streams are one record of TLS and one system call.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::iter;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use super::watched::Watch;

/// What a record of TLS can hold (RFC 8446 section 5.1): so much is gathered before it is written.
const MOST_GATHERED: usize = 16 << 10;

/// The client's stream, and what is to be written on it.
pub(super) struct Wire<S> {
    stream: S,
    gathered: Vec<u8>,
    watch: Rc<Watch>,
}

impl<S> Wire<S> {
    pub(super) fn new(stream: S, watch: &Rc<Watch>) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Wire { stream, gathered: Vec::new(), watch: Rc::clone(watch) }))
    }

    pub(super) fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    pub(super) fn into_stream(self) -> S {
        self.stream
    }

    /// Gives back the memory that only a connection needs on which something happens.
    pub(super) fn rest(&mut self) {
        if self.gathered.is_empty() {
            self.gathered = Vec::new();
        }
    }
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    /// Takes some of `offered`.
    pub(super) fn poll_gather(
        &mut self,
        cx: &mut Context<'_>,
        offered: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let count = offered.iter().map(|bytes| bytes.len()).sum();
        while self.gathered.len() + count > MOST_GATHERED {
            let taken = ready!(self.poll_write_records(cx, offered, count))?;
            if taken > 0 {
                return Poll::Ready(Ok(taken));
            }
        }
        if self.gathered.capacity() == 0 {
            self.gathered.reserve_exact(MOST_GATHERED);
        }
        for bytes in offered {
            self.gathered.extend_from_slice(bytes);
        }
        Poll::Ready(Ok(count))
    }

    /// Writes whole records of what is gathered and what comes behind it; how much of the latter. It is not copied.
    fn poll_write_records(
        &mut self,
        cx: &mut Context<'_>,
        offered: &[IoSlice<'_>],
        count: usize,
    ) -> Poll<io::Result<usize>> {
        let mut left = (self.gathered.len() + count) / MOST_GATHERED * MOST_GATHERED;
        let mut parts = [IoSlice::new(&[]); 4];
        let all = iter::once(&self.gathered[..]).chain(offered.iter().map(|bytes| &**bytes));
        for (part, bytes) in parts.iter_mut().zip(all) {
            let length = left.min(bytes.len());
            *part = IoSlice::new(&bytes[..length]);
            left -= length;
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, &parts);
        self.watch.wrote(&written);
        let written = nonzero(ready!(written)?)?;
        let of_gathered = written.min(self.gathered.len());
        self.gathered.drain(..of_gathered);
        Poll::Ready(Ok(written - of_gathered))
    }

    /// Writes all that is gathered.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.poll_write_all(cx);
        self.watch.set_unwritten(flushed.is_pending());
        flushed
    }

    fn poll_write_all(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.gathered.is_empty() {
            let written = Pin::new(&mut self.stream).poll_write(cx, &self.gathered);
            self.watch.wrote(&written);
            self.gathered.drain(..nonzero(ready!(written)?)?);
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }
}

fn nonzero(written: usize) -> io::Result<usize> {
    if written == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(written) }
}

#[cfg(test)]
mod tests;
