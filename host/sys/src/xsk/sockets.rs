//! All that one thread receives from and sends to.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use shunt_wire::ethernet::{EtherType, HEADER_LEN};
use shunt_wire::frame::HEADROOM;
use xdp::Packet;
use xdp::slab::Slab;

use super::{Socket, Statistics};
use crate::raw::Sender;
use crate::tun::{self, Tun};
use crate::waker::Waker;

/// How many frames of a socket are taken before the next socket's turn.
const BATCH: usize = 64;
/// How soon the kernel is asked again to send what it did not take.
const KICK_AGAIN: Duration = Duration::from_millis(1);

/// The largest IP datagram.
const DATAGRAM: usize = u16::MAX as usize;

/// The sockets of one thread: of the queues that it was dealt, and for interfaces where it has none.
/// TUN devices are among them as if they carried Ethernet: a header with MACs of zeros is put in front of
/// each datagram that comes, and whatever header a frame has is taken off before it leaves.
pub struct Sockets {
    sockets: Vec<Socket>,
    tuns: Vec<Tun>,
    /// For TUN devices that another thread reads.
    writers: Vec<tun::Writer>,
    senders: Vec<Sender>,
    waker: Waker,
    /// Of each socket in order, then of each TUN device, then the waker's. Those of interfaces that are
    /// gone are -1, which poll(2) passes over.
    polled: Vec<libc::pollfd>,
    batch: Batch,
    /// Where datagrams of TUN devices are read into; empty as long as there is none.
    datagram: Vec<u8>,
    /// Frames for interfaces that no socket and no sender is for.
    no_interface: u64,
}

/// A frame that was received: `buffer[start..end]`. What stands around it in the buffer is room to grow.
#[derive(Debug)]
pub struct Received<'a> {
    /// The kernel's number of the interface that it came in by.
    pub interface: u32,
    pub buffer: &'a mut [u8],
    pub start: usize,
    pub end: usize,
}

/// Who takes received frames.
pub trait Reception {
    /// The frames of a socket's batch, all of them before the first is lent: what they need can be brought into
    /// the cache at once.
    fn batch<'f>(&mut self, frames: impl Iterator<Item = &'f [u8]>);

    /// One frame, and what becomes of it.
    fn frame(&mut self, received: Received<'_>, outbox: &mut Outbox<'_>) -> Fate;
}

/// Has no use for a batch.
struct Each<F>(F);

impl<F: FnMut(Received<'_>, &mut Outbox<'_>) -> Fate> Reception for Each<F> {
    fn batch<'f>(&mut self, _: impl Iterator<Item = &'f [u8]>) {}

    fn frame(&mut self, received: Received<'_>, outbox: &mut Outbox<'_>) -> Fate {
        (self.0)(received, outbox)
    }
}

/// What becomes of a received frame's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The frame is done with.
    Recycle,
    /// `buffer[start..end]` leaves by an interface.
    Send { interface: u32, start: usize, end: usize },
}

/// A frame was not sent. Each is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsent {
    #[error("the send ring is full")]
    Full,
    #[error("the frame is empty, longer than the MTU, or not of a kind that the interface sends")]
    TooLong,
    #[error("no socket is open for this interface")]
    NoInterface,
}

/// Sends frames beside the received one.
pub struct Outbox<'a> {
    sockets: &'a mut Sockets,
}

// SAFETY: all that is not `Send` by itself are packets in `batch`, and that is empty outside of
// `receive`, which has the sockets borrowed.
unsafe impl Send for Sockets {}

impl Sockets {
    /// `senders` are asked for the interfaces that no socket is of.
    ///
    /// # Errors
    ///
    /// No file descriptor is left for the waker.
    pub fn new(sockets: Vec<Socket>, senders: Vec<Sender>) -> io::Result<Self> {
        let mut sockets = Self {
            sockets,
            tuns: Vec::new(),
            writers: Vec::new(),
            senders,
            waker: Waker::new()?,
            polled: Vec::new(),
            batch: Batch::with_room(BATCH),
            datagram: Vec::new(),
            no_interface: 0,
        };
        sockets.poll_all();
        Ok(sockets)
    }

    /// Takes one more socket.
    pub fn add(&mut self, socket: Socket) {
        self.sockets.push(socket);
        self.poll_all();
    }

    /// Reads and writes one more TUN device.
    pub fn add_tun(&mut self, tun: Tun) {
        self.tuns.push(tun);
        self.datagram.resize(HEADROOM + HEADER_LEN + DATAGRAM + HEADROOM, 0);
        self.poll_all();
    }

    /// Writes to one more TUN device, which another thread reads.
    pub fn add_writer(&mut self, writer: tun::Writer) {
        self.writers.push(writer);
    }

    /// Closes the sockets of an interface, or its TUN device. What is in them is lost: the program is
    /// detached first.
    pub fn remove(&mut self, interface: u32) {
        self.sockets.retain(|socket| socket.interface() != interface);
        self.tuns.retain(|tun| tun.interface() != interface);
        self.writers.retain(|writer| writer.interface() != interface);
        self.poll_all();
    }

    /// The next wait finds out again which interfaces are gone.
    fn poll_all(&mut self) {
        let sockets = self.sockets.iter().map(AsRawFd::as_raw_fd);
        let tuns = self.tuns.iter().map(AsRawFd::as_raw_fd);
        let fds = sockets.chain(tuns).chain([self.waker.as_raw_fd()]);
        self.polled = fds.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 }).collect();
    }

    /// Wakes the thread that waits in [`wait`](Self::wait).
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Waits until a frame has come, until woken, or until `timeout` is over. It may return sooner.
    ///
    /// # Errors
    ///
    /// As poll(2) gives them, except that a signal ends the wait without one.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let unfinished = self.sockets.iter().any(Socket::wants_kick);
        let timeout = if unfinished { Some(timeout.unwrap_or(KICK_AGAIN).min(KICK_AGAIN)) } else { timeout };
        // Rounded up: waking before the time would be waking twice.
        let milliseconds =
            timeout.map_or(-1, |it| i32::try_from(it.as_micros().div_ceil(1000)).unwrap_or(i32::MAX));
        let count = self.polled.len() as libc::nfds_t;
        // SAFETY: the array is as long as said, and its descriptors are open as long as `self`.
        let ready = unsafe { libc::poll(self.polled.as_mut_ptr(), count, milliseconds) };
        if ready < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) };
        }
        for polled in &mut self.polled {
            // The interface is gone or down for good; it would be ready for ever.
            if polled.revents & (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) != 0 {
                polled.fd = -1;
            }
        }
        // The waker is the last.
        if self.polled.last().is_some_and(|waker| waker.revents != 0) {
            self.waker.clear();
        }
        if unfinished {
            self.flush();
        }
        Ok(())
    }

    /// Lends each frame that has come to `reception`, and does with it as it says; then sends what is to
    /// be sent. Takes at most 64 frames of each socket and TUN device, so that timers get their turn.
    /// Returns how many there were.
    pub fn receive_by(&mut self, reception: &mut impl Reception) -> usize {
        let mut count = 0;
        self.mend();
        let mut batch = std::mem::take(&mut self.batch);
        for index in 0..self.sockets.len() {
            let Some(socket) = self.sockets.get_mut(index) else { continue };
            let interface = socket.interface();
            // SAFETY: each goes back to the socket below. If `reception` panics they are forgotten.
            count += unsafe { socket.take(&mut batch) };
            reception.batch(batch.frames());
            while let Some(mut packet) = batch.pop_back() {
                let end = widen(&mut packet);
                let received = Received { interface, buffer: &mut packet, start: HEADROOM, end };
                let fate = reception.frame(received, &mut Outbox { sockets: self });
                self.dispose(index, packet, fate);
            }
        }
        self.batch = batch;
        count += self.receive_datagrams(reception);
        self.flush();
        count
    }

    /// What is lent to a reception is gone if that panics: the buffers of its frames for good, what they were
    /// listed in until now.
    fn mend(&mut self) {
        if self.batch.room < BATCH {
            self.batch = Batch::with_room(BATCH);
        }
        if self.datagram.is_empty() && !self.tuns.is_empty() {
            self.datagram.resize(HEADROOM + HEADER_LEN + DATAGRAM + HEADROOM, 0);
        }
    }

    /// As [`receive_by`](Self::receive_by), for who has no use for a batch.
    pub fn receive(&mut self, each: impl FnMut(Received<'_>, &mut Outbox<'_>) -> Fate) -> usize {
        self.receive_by(&mut Each(each))
    }

    /// As [`receive_by`](Self::receive_by), of the TUN devices.
    fn receive_datagrams(&mut self, reception: &mut impl Reception) -> usize {
        const START: usize = HEADROOM + HEADER_LEN;
        let mut count = 0;
        let mut buffer = std::mem::take(&mut self.datagram);
        for index in 0..self.tuns.len() {
            for _ in 0..BATCH {
                let Some(tun) = self.tuns.get_mut(index) else { break };
                let (interface, room) = (tun.interface(), buffer.get_mut(START..START + DATAGRAM));
                // Where the device is gone the next wait finds out.
                let Ok(Some(length)) = tun.read(room.unwrap_or_default()) else { break };
                count += 1;
                let Some(()) = put_header(&mut buffer, HEADROOM) else { continue };
                let end = START + length;
                let received = Received { interface, buffer: &mut buffer, start: HEADROOM, end };
                let fate = reception.frame(received, &mut Outbox { sockets: self });
                if let Fate::Send { interface, start, end } = fate {
                    // Each is counted where it happens.
                    let _ = self.send(interface, buffer.get(start..end).unwrap_or_default());
                }
            }
        }
        self.datagram = buffer;
        count
    }

    /// Sends frames outside of [`receive`](Self::receive). They leave with the next
    /// [`flush`](Self::flush).
    pub fn outbox(&mut self) -> Outbox<'_> {
        Outbox { sockets: self }
    }

    /// Gives the kernel what is to be sent.
    pub fn flush(&mut self) {
        self.sockets.iter_mut().for_each(Socket::flush);
    }

    /// What went through each socket: interface, queue and counts. A TUN device has one queue, whoever
    /// writes to it; senders have none.
    pub fn statistics(&self) -> impl Iterator<Item = (u32, Option<u32>, io::Result<Statistics>)> {
        let sockets = self.sockets.iter().map(|it| (it.interface(), Some(it.queue()), it.statistics()));
        let tuns = self.tuns.iter().map(|it| (it.interface(), Some(0), Ok(it.statistics())));
        let writers = self.writers.iter().map(|it| (it.interface(), Some(0), Ok(it.statistics())));
        let senders = self.senders.iter().map(|it| (it.interface(), None, Ok(it.statistics())));
        sockets.chain(tuns).chain(writers).chain(senders)
    }

    /// How many frames were for an interface that nothing is open for.
    #[must_use]
    pub fn no_interface(&self) -> u64 {
        self.no_interface
    }

    fn dispose(&mut self, index: usize, mut packet: Packet, fate: Fate) {
        if let Fate::Send { interface, start, end } = fate {
            let own = self.sockets.get(index).is_some_and(|socket| socket.interface() == interface);
            if !own {
                // Each is counted where it happens.
                let _ = self.send(interface, packet.get(start..end).unwrap_or_default());
            } else if narrow(&mut packet, start, end) {
                let _ = self.sockets.get_mut(index).map(|socket| socket.queue_packet(packet));
                return;
            }
        }
        if let Some(socket) = self.sockets.get_mut(index) {
            socket.give_back(packet);
        }
    }

    fn send(&mut self, interface: u32, frame: &[u8]) -> Result<(), Unsent> {
        if let Some(socket) = self.sockets.iter_mut().find(|socket| socket.interface() == interface) {
            return socket.queue_copy(frame);
        }
        let tun = self.tuns.iter_mut().find(|tun| tun.interface() == interface).map(Tun::as_writer);
        let writer = self.writers.iter_mut().find(|writer| writer.interface() == interface);
        if let Some(writer) = tun.or(writer) {
            let datagram = frame.get(HEADER_LEN..).unwrap_or_default();
            return writer.write(datagram).map_err(|error| match error.kind() {
                io::ErrorKind::InvalidInput => Unsent::TooLong,
                _ => Unsent::Full,
            });
        }
        if let Some(sender) = self.senders.iter_mut().find(|sender| sender.interface() == interface) {
            return sender.send(frame).map_err(|error| match error.raw_os_error() {
                Some(libc::EMSGSIZE | libc::EINVAL) => Unsent::TooLong,
                _ => Unsent::Full,
            });
        }
        self.no_interface += 1;
        Err(Unsent::NoInterface)
    }
}

impl Outbox<'_> {
    /// Sends a copy of a frame by an interface.
    ///
    /// # Errors
    ///
    /// [`Unsent`].
    pub fn send(&mut self, interface: u32, frame: &[u8]) -> Result<(), Unsent> {
        self.sockets.send(interface, frame)
    }
}

/// Frames of one socket, in the order in which they came.
#[derive(Default)]
struct Batch {
    packets: VecDeque<Packet>,
    room: usize,
}

impl Batch {
    fn with_room(room: usize) -> Self {
        Self { packets: VecDeque::with_capacity(room), room }
    }

    fn frames(&self) -> impl Iterator<Item = &[u8]> {
        self.packets.iter().rev().map(|packet| &**packet)
    }
}

/// What is pushed first is popped first.
impl Slab for Batch {
    fn available(&self) -> usize {
        self.room - self.packets.len()
    }

    fn len(&self) -> usize {
        self.packets.len()
    }

    fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    fn push_front(&mut self, packet: Packet) -> Option<Packet> {
        if self.available() == 0 {
            return Some(packet);
        }
        self.packets.push_front(packet);
        None
    }

    fn pop_back(&mut self) -> Option<Packet> {
        self.packets.pop_back()
    }
}

/// Writes an Ethernet header at `start`, by the version of the IP datagram behind it. `None`, and nothing
/// done, where there is none of either version.
fn put_header(buffer: &mut [u8], start: usize) -> Option<()> {
    let (header, datagram) = buffer.get_mut(start..)?.split_first_chunk_mut::<HEADER_LEN>()?;
    let EtherType(of_version) = match datagram.first()? >> 4 {
        4 => EtherType::IPV4,
        6 => EtherType::IPV6,
        _ => return None,
    };
    let [high, low] = of_version.to_be_bytes();
    *header = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, high, low];
    Some(())
}

/// Lets the packet span its whole buffer; returns where the frame in it ends. It starts at [`HEADROOM`],
/// where the kernel was asked to put it.
fn widen(packet: &mut Packet) -> usize {
    let end = HEADROOM + packet.len();
    let behind = packet.capacity() - end;
    let widened = packet.adjust_head(-(HEADROOM as i32)).and_then(|()| packet.adjust_tail(behind as i32));
    debug_assert!(widened.is_ok(), "a received frame lies within its buffer");
    end
}

/// Lets a widened packet span `start..end` of its buffer. False, and nothing done, if those are not in
/// order within it, or the same.
fn narrow(packet: &mut Packet, start: usize, end: usize) -> bool {
    if start >= end || end > packet.len() {
        return false;
    }
    let behind = packet.len() - end;
    packet.adjust_tail(-(behind as i32)).and_then(|()| packet.adjust_head(start as i32)).is_ok()
}
