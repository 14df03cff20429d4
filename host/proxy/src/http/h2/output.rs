//! What goes to a client of HTTP/2: the streams put their frames here, and the connection writes them when it has its
//! turn, so that the answers of many streams are one record of TLS and one system call.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};

use crate::relay::Wire;

/// Data of this size is not copied.
const LARGE: usize = 4 << 10;
/// Parts of one write, at most.
const PARTS: usize = 16;
/// What is kept of the memory for the worker's next.
const MOST_KEPT: usize = 64 << 10;

thread_local! {
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

#[derive(Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    /// How many of `bytes` are written.
    written: usize,
    /// Pieces that go between `bytes`, each behind so many of them.
    large: VecDeque<(usize, Bytes)>,
    /// How many bytes these are.
    large_length: usize,
}

impl Output {
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.written + self.large_length
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is to be written behind all that is here, to be appended to.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = SPARE.take();
        }
        &mut self.bytes
    }

    pub(super) fn push(&mut self, data: Bytes) {
        if data.len() < LARGE {
            return self.bytes().extend_from_slice(&data);
        }
        self.large_length += data.len();
        self.large.push_back((self.bytes.len(), data));
    }

    /// Gives the memory back that only what is to be written needs.
    pub(super) fn rest(&mut self) {
        if self.is_empty() {
            self.large = VecDeque::new();
            let bytes = std::mem::take(&mut self.bytes);
            if bytes.capacity() > 0 && bytes.capacity() <= MOST_KEPT {
                SPARE.set(bytes);
            }
        }
    }

    /// Writes all; whether something was written.
    pub(super) fn poll_write<S: Wire>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        wrote: &mut usize,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let count = ready!(self.poll_write_some(stream, cx))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(count);
            *wrote += count;
        }
        Pin::new(stream).poll_flush(cx)
    }

    fn poll_write_some<S: Wire>(&self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.large.is_empty() {
            return stream.poll_send(cx, &self.bytes[self.written..]);
        }
        let mut parts = [IoSlice::new(&[]); PARTS];
        let (mut count, mut at) = (0, self.written);
        let mut pieces = self.large.iter().peekable();
        while count + 2 < PARTS
            && let Some((behind, data)) = pieces.next()
        {
            if *behind > at {
                parts[count] = IoSlice::new(&self.bytes[at..*behind]);
                count += 1;
                at = *behind;
            }
            parts[count] = IoSlice::new(data);
            count += 1;
        }
        if pieces.peek().is_none() && at < self.bytes.len() {
            parts[count] = IoSlice::new(&self.bytes[at..]);
            count += 1;
        }
        Pin::new(stream).poll_write_vectored(cx, &parts[..count])
    }

    /// All that is to be written.
    #[cfg(test)]
    pub(super) fn take(&mut self) -> Vec<u8> {
        let Output { bytes, large, written, .. } = std::mem::take(self);
        assert!(large.is_empty() && written == 0, "only small pieces");
        bytes
    }

    /// So many bytes are written.
    fn advance(&mut self, mut count: usize) {
        while count > 0 {
            let end = self.large.front().map_or(self.bytes.len(), |(behind, _)| *behind);
            let of_bytes = count.min(end - self.written);
            self.written += of_bytes;
            count -= of_bytes;
            if count == 0 {
                break;
            }
            let Some((_, data)) = self.large.front_mut() else { break };
            let of_data = count.min(data.len());
            data.advance(of_data);
            self.large_length -= of_data;
            count -= of_data;
            if data.is_empty() {
                self.large.pop_front();
            }
        }
        if self.is_empty() {
            self.bytes.clear();
            self.written = 0;
        } else if self.written > MOST_KEPT {
            self.bytes.drain(..self.written);
            for (behind, _) in &mut self.large {
                *behind -= self.written;
            }
            self.written = 0;
        }
    }
}

#[cfg(test)]
mod tests;
