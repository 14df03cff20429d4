//! The client's bytes on their way to and from the crate that speaks HTTP/2.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::floods::{Flood, Frames};
use super::wire::Wire;

/// What is known of a connection by its bytes.
pub(super) struct Watch {
    frames: RefCell<Frames>,
    flood: Cell<Option<Flood>>,
    /// All that came was looked at, and more is asked for.
    read_all: Cell<bool>,
    /// So it was since the connection was woken, and nothing can have come since.
    dry: Cell<bool>,
    /// What was to be written waits for the client to read.
    unwritten: Cell<bool>,
    /// Something was written that had to wait.
    moved: Cell<bool>,
}

impl Watch {
    pub(super) fn new(most_head: usize) -> Rc<Self> {
        Rc::new(Watch {
            frames: RefCell::new(Frames::new(most_head)),
            flood: Cell::new(None),
            read_all: Cell::new(false),
            dry: Cell::new(false),
            unwritten: Cell::new(false),
            moved: Cell::new(false),
        })
    }

    /// The connection was woken: something may have come. The crate reads once for each stream that it gives.
    pub(super) fn wake(&self) {
        self.dry.set(false);
    }

    /// What there was too much of. Nothing more is read then.
    pub(super) fn flood(&self) -> Option<Flood> {
        self.flood.get()
    }

    pub(super) fn inside_head(&self) -> bool {
        self.frames.borrow().inside_head()
    }

    /// How many streams the client has begun, where all of them were looked at.
    pub(super) fn streams(&self) -> Option<u64> {
        let frames = self.frames.borrow();
        (self.read_all.get() && !frames.inside_head()).then(|| frames.streams())
    }

    /// What there was too much of, where the crate found it.
    pub(super) fn likely_flood(&self) -> Flood {
        self.frames.borrow().likely_flood()
    }

    pub(super) fn unwritten(&self) -> bool {
        self.unwritten.get()
    }

    pub(super) fn set_unwritten(&self, unwritten: bool) {
        self.unwritten.set(unwritten);
    }

    /// Whether the client has read something that it let wait, since this was asked last.
    pub(super) fn moved(&self) -> bool {
        self.moved.take()
    }

    pub(super) fn wrote(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(Ok(count)) => {
                self.frames.borrow_mut().wrote(*count);
                self.moved.set(self.moved.get() || self.unwritten.get());
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.unwritten.set(true),
        }
    }
}

/// A stream that is watched. It is shared with the connection, which flushes it, and has the last word when the crate is
/// done.
pub(super) struct Watched<S> {
    wire: Rc<RefCell<Wire<S>>>,
    watch: Rc<Watch>,
}

impl<S> Watched<S> {
    pub(super) fn new(wire: &Rc<RefCell<Wire<S>>>, watch: &Rc<Watch>) -> Self {
        Watched { wire: Rc::clone(wire), watch: Rc::clone(watch) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let watch = &self.watch;
        if watch.flood.get().is_some() || watch.dry.get() {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = Pin::new(self.wire.borrow_mut().stream()).poll_read(cx, buf);
        watch.read_all.set(read.is_pending());
        watch.dry.set(read.is_pending());
        ready!(read)?;
        if let Err(flood) = watch.frames.borrow_mut().follow(&buf.filled()[before..]) {
            watch.flood.set(Some(flood));
            buf.set_filled(before);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.wire.borrow_mut().poll_gather(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.wire.borrow_mut().poll_gather(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The connection flushes.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.wire.borrow_mut();
        ready!(wire.poll_flush(cx))?;
        Pin::new(wire.stream()).poll_shutdown(cx)
    }
}
