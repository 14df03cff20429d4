//! Bytes both ways between a client and a member, once nothing that they say is Shunt's to read.

mod splice;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use shunt_runtime::counters::{Count, MemberCounters};
use shunt_sys::pipe::Pipe;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::turn;

/// Bytes read at once: four records of TLS.
const PIECE: usize = 64 << 10;

/// A transfer is long when so much came in pieces of [`LARGE`] and more. Below, a pipe costs more than it saves.
const LONG: usize = 4 * PIECE;
const LARGE: usize = PIECE / 4;

thread_local! {
    /// What is read goes out from here. A connection keeps only what its peer does not take at once.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(PIECE));
}

/// A side of a relay.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin {
    /// As [`AsyncRead::poll_read`], by the shortest way.
    fn poll_recv(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(self).poll_read(cx, into)
    }

    /// As [`AsyncWrite::poll_write`], by the shortest way.
    fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self).poll_write(cx, bytes)
    }

    /// As [`Wire::poll_send`], of the last that is sent: the end follows at once. What is said of it goes out with that, by
    /// [`AsyncWrite::poll_flush`] or by closing at the latest.
    fn poll_send_last(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, bytes)
    }

    /// The socket, where what is read and written is what goes over it.
    fn bare(&self) -> Option<&TcpStream> {
        None
    }
}

/// Sees what goes one way, before it goes on.
pub(crate) trait Tap {
    /// How many more bytes it may hold: at least one.
    fn room(&self) -> usize;

    /// These came; none: the side has ended what it sends.
    fn came(&mut self, piece: &[u8]) -> Tapped;

    /// It has not seen to all that came: it does when what it let go has gone out, and others had their turn. `None`: it
    /// has.
    fn again(&mut self) -> Option<Tapped> {
        None
    }

    /// Until when it waits for more.
    fn until(&self) -> Option<Instant>;

    /// Nothing more came until then.
    fn late(&mut self) -> Tapped;
}

/// What becomes of what a tap was shown, and holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tapped {
    /// This goes on, and what comes is shown as well.
    Pass(Bytes),
    /// This goes on, and so does what comes.
    Release(Bytes),
    Refuse,
}

/// Those of both ways.
#[derive(Default)]
pub(crate) struct Taps {
    pub(crate) to_server: Option<Box<dyn Tap>>,
    pub(crate) to_client: Option<Box<dyn Tap>>,
}

/// How a relay ended.
#[derive(Debug)]
pub(crate) enum End {
    /// Each side has said that it is done, and was told so of the other.
    Complete,
    /// Neither side has sent anything for the idle time.
    Idle,
    /// One of them is gone.
    Broken(Side, io::Error),
    /// A tap refused what came.
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// Bytes that one relay has passed on.
#[derive(Default)]
pub(crate) struct Moved {
    pub(crate) to_server: Cell<u64>,
    pub(crate) to_client: Cell<u64>,
}

/// What came before the relay began, and still has to go out.
#[derive(Default)]
pub(crate) struct Early {
    pub(crate) to_server: Bytes,
    pub(crate) to_client: Bytes,
}

/// Reads what is there, `most` bytes at most, for `see`; none: the side has ended what it sends.
pub(crate) fn poll_see<T>(
    from: &mut impl Wire,
    most: usize,
    cx: &mut Context<'_>,
    see: impl FnOnce(&[u8]) -> T,
) -> Poll<io::Result<T>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let room = scratch.spare_capacity_mut();
        let most = most.min(room.len());
        let mut piece = ReadBuf::uninit(&mut room[..most]);
        from.poll_recv(cx, &mut piece).map_ok(|()| see(piece.filled()))
    })
}

/// Relays bytes until both sides have ended or one is gone, or neither has sent anything for `idle`. The end of one
/// side is passed on to the other, which may go on (RFC 9293 section 3.6); that of the last, where there is no TLS, by who
/// closes the sockets. A side that takes nothing stops the reading of the other: at most [`PIECE`] bytes wait for each, or
/// what a pipe holds. Counts what went out as the member's, and as the relay's.
pub(crate) async fn relay<C, S>(
    client: &mut C,
    server: &mut S,
    early: Early,
    idle: Duration,
    counters: &MemberCounters,
    moved: &Moved,
) -> End
where
    C: Wire,
    S: Wire,
{
    relay_tapped(client, server, early, Taps::default(), idle, counters, moved).await
}

/// The same, where taps see what goes over.
pub(crate) async fn relay_tapped<C, S>(
    client: &mut C,
    server: &mut S,
    early: Early,
    taps: Taps,
    idle: Duration,
    counters: &MemberCounters,
    moved: &Moved,
) -> End
where
    C: Wire,
    S: Wire,
{
    let counts = [&counters.bytes_to_server, &counters.bytes_to_client];
    let mut to_server = Direction::new(early.to_server, taps.to_server, counts[0], &moved.to_server);
    let mut to_client = Direction::new(early.to_client, taps.to_client, counts[1], &moved.to_client);
    let mut last = turn::now();
    let mut silent = pin!(sleep_until(last + idle));
    // The timer knows whom to wake.
    let mut is_set = false;
    // Boxed, for few wait for it.
    let mut late: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        loop {
            let (mut moved, mut complete) = (false, true);
            let is_last = to_client.is_ended();
            let up = to_server.poll(&mut *client, &mut *server, cx, is_last, &mut moved);
            let is_last = to_server.is_ended();
            let down = to_client.poll(&mut *server, &mut *client, cx, is_last, &mut moved);
            for (direction, from, to) in
                [(up, Side::Client, Side::Server), (down, Side::Server, Side::Client)]
            {
                match direction {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(Gone::From(error))) => return Poll::Ready(End::Broken(from, error)),
                    Poll::Ready(Err(Gone::To(error))) => return Poll::Ready(End::Broken(to, error)),
                    Poll::Ready(Err(Gone::Refused)) => return Poll::Ready(End::Refused),
                    Poll::Pending => complete = false,
                }
            }
            if complete {
                return Poll::Ready(End::Complete);
            }
            if moved {
                last = turn::now();
            }
            if let Some(until) = to_server.until().into_iter().chain(to_client.until()).min() {
                let late = late.get_or_insert_with(|| Box::pin(sleep_until(until)));
                if late.deadline() != until {
                    late.as_mut().reset(until);
                }
                if late.as_mut().poll(cx).is_ready() {
                    for direction in [&mut to_server, &mut to_client] {
                        if direction.late(until).is_err() {
                            return Poll::Ready(End::Refused);
                        }
                    }
                    continue;
                }
            }
            if is_set && !silent.is_elapsed() {
                return Poll::Pending;
            }
            while silent.as_mut().poll(cx).is_ready() {
                if last.elapsed() >= idle {
                    return Poll::Ready(End::Idle);
                }
                silent.as_mut().reset(last + idle);
            }
            is_set = true;
            return Poll::Pending;
        }
    })
    .await
}

/// One way of two.
struct Direction<'a> {
    /// Sees what comes, before it goes on.
    tap: Option<Box<dyn Tap>>,
    /// The side has ended, and the tap was told.
    told: bool,
    /// Others had their turn since the tap was last asked.
    waited: bool,
    /// Read, and not taken by the other side yet.
    left: Bytes,
    /// The same, in a pipe.
    pipe: Option<Pipe>,
    /// Bytes that came in large pieces, one after the other.
    run: usize,
    state: State,
    /// Something was written that may not have left yet.
    unflushed: bool,
    count: &'a Count,
    sum: &'a Cell<u64>,
}

/// The side that a direction reads from, or the one that it writes to, is gone; or its tap wants no more.
enum Gone {
    From(io::Error),
    To(io::Error),
    Refused,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The one side has ended, and the other is to be told.
    Ending,
    Ended,
}

impl<'a> Direction<'a> {
    fn new(early: Bytes, tap: Option<Box<dyn Tap>>, count: &'a Count, sum: &'a Cell<u64>) -> Self {
        let (told, waited) = (false, true);
        let state = State::Open;
        Direction { tap, told, waited, left: early, pipe: None, run: 0, state, unflushed: false, count, sum }
    }

    /// Until when its tap waits for more.
    fn until(&self) -> Option<Instant> {
        self.tap.as_ref()?.until()
    }

    /// Tells its tap if it waited until then.
    fn late(&mut self, until: Instant) -> Result<(), Gone> {
        match &mut self.tap {
            Some(tap) if tap.until() == Some(until) => {
                let tapped = tap.late();
                self.act(tapped)
            }
            _ => Ok(()),
        }
    }

    fn act(&mut self, tapped: Tapped) -> Result<(), Gone> {
        match tapped {
            Tapped::Pass(bytes) => self.left = bytes,
            Tapped::Release(bytes) => (self.left, self.tap) = (bytes, None),
            Tapped::Refuse => return Err(Gone::Refused),
        }
        Ok(())
    }

    /// Reads a piece for the tap, and does what it says; ready when there is something to do.
    fn see(
        &mut self,
        from: &mut impl Wire,
        to: &mut impl Wire,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Gone>> {
        let Some(tap) = &mut self.tap else { return Poll::Ready(Ok(())) };
        if self.waited
            && let Some(tapped) = tap.again()
        {
            self.waited = false;
            return Poll::Ready(self.act(tapped));
        }
        if !self.waited {
            // A tap takes its time: connections of the same worker take turns with it.
            self.waited = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.told {
            (self.tap, self.state) = (None, State::Ending);
            return Poll::Ready(Ok(()));
        }
        let seen = poll_see(from, tap.room(), cx, |piece| (piece.is_empty(), tap.came(piece)));
        let Poll::Ready((ended, tapped)) = seen.map_err(Gone::From)? else { return self.flush(to, cx) };
        (self.told, self.waited) = (ended, false);
        self.act(tapped)?;
        if self.told && self.tap.is_none() {
            self.state = State::Ending;
        }
        Poll::Ready(Ok(()))
    }

    /// Lets go out what may be waiting, since nothing more is read now.
    fn flush(&mut self, to: &mut impl Wire, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        if self.unflushed {
            ready!(Pin::new(to).poll_flush(cx)).map_err(Gone::To)?;
            self.unflushed = false;
        }
        Poll::Pending
    }

    fn is_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Moves what can be moved; ready once the end was passed on. `is_last`: the other direction has ended, and the sockets
    /// are closed behind this one.
    fn poll(
        &mut self,
        from: &mut impl Wire,
        to: &mut impl Wire,
        cx: &mut Context<'_>,
        is_last: bool,
        moved: &mut bool,
    ) -> Poll<Result<(), Gone>> {
        loop {
            while self.left.has_remaining() {
                let count = ready!(to.poll_send(cx, &self.left)).map_err(Gone::To)?;
                self.wrote(count)?;
                self.left.advance(count);
            }
            match self.state {
                State::Ended => return Poll::Ready(Ok(())),
                // Closing a socket that nothing more comes to says the same (RFC 9293 section 3.6), by one call less.
                State::Ending if is_last && to.bare().is_some() => {
                    self.state = State::Ended;
                    return Poll::Ready(Ok(()));
                }
                State::Ending => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx)).map_err(Gone::To)?;
                    self.state = State::Ended;
                    return Poll::Ready(Ok(()));
                }
                State::Open => {}
            }
            if self.tap.is_some() {
                ready!(self.see(from, to, cx))?;
                *moved = true;
                continue;
            }
            if self.run >= LONG
                && let (Some(from), Some(to)) = (from.bare(), to.bare())
                && let Some(pipe) = self.pipe.take().or_else(splice::take)
            {
                ready!(self.splice(pipe, from, to, cx, moved))?;
                continue;
            }
            self.left = ready!(SCRATCH.with_borrow_mut(|scratch| {
                let mut piece = ReadBuf::uninit(scratch.spare_capacity_mut());
                let forwarded = self.forward(from, to, cx, &mut piece);
                *moved |= !piece.filled().is_empty();
                forwarded
            }))?;
        }
    }

    /// Reads what is there, so that an end goes out with what came before it, and writes what the other side takes of it at
    /// once; returns the rest.
    fn forward(
        &mut self,
        from: &mut impl Wire,
        to: &mut impl Wire,
        cx: &mut Context<'_>,
        piece: &mut ReadBuf<'_>,
    ) -> Poll<Result<Bytes, Gone>> {
        let mut waits = false;
        let mut broken = None;
        while piece.remaining() > 0 {
            let before = piece.filled().len();
            match from.poll_recv(cx, piece) {
                Poll::Ready(Ok(())) if piece.filled().len() > before => continue,
                Poll::Ready(Ok(())) => self.state = State::Ending,
                Poll::Ready(Err(error)) => broken = Some(error),
                Poll::Pending => waits = true,
            }
            break;
        }
        let mut piece = piece.filled();
        self.run = if piece.len() < LARGE { 0 } else { self.run + piece.len() };
        while !piece.is_empty() {
            let sent = match self.state {
                State::Ending => to.poll_send_last(cx, piece),
                State::Open | State::Ended => to.poll_send(cx, piece),
            };
            let Poll::Ready(count) = sent.map_err(Gone::To)? else { break };
            self.wrote(count)?;
            piece = &piece[count..];
        }
        if let Some(error) = broken {
            // What came before it went out, as far as there was room.
            return Poll::Ready(Err(Gone::From(error)));
        }
        if waits && piece.is_empty() {
            return self.flush(to, cx).map_ok(|()| Bytes::new());
        }
        Poll::Ready(Ok(Bytes::copy_from_slice(piece)))
    }

    /// Moves what can be moved through a pipe; ready when the one side has ended.
    fn splice(
        &mut self,
        mut pipe: Pipe,
        from: &TcpStream,
        to: &TcpStream,
        cx: &mut Context<'_>,
        moved: &mut bool,
    ) -> Poll<Result<(), Gone>> {
        let mut came = 0;
        loop {
            while pipe.held() > 0 {
                let Poll::Ready(count) = splice::poll_drain(&mut pipe, to, cx).map_err(Gone::To)? else {
                    self.pipe = Some(pipe);
                    return Poll::Pending;
                };
                self.wrote(count)?;
            }
            let filled = splice::poll_fill(&mut pipe, from, cx).map_err(Gone::From)?;
            if let Poll::Ready(count @ 1..) = filled {
                came += count;
                *moved = true;
                continue;
            }
            splice::give_back(pipe);
            if filled.is_ready() {
                self.state = State::Ending;
                return Poll::Ready(Ok(()));
            }
            if came < LARGE {
                self.run = 0;
            }
            return Poll::Pending;
        }
    }

    fn wrote(&mut self, count: usize) -> Result<(), Gone> {
        if count == 0 {
            return Err(Gone::To(io::ErrorKind::WriteZero.into()));
        }
        self.unflushed = true;
        self.count.add(count as u64);
        self.sum.set(self.sum.get() + count as u64);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
