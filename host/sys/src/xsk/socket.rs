//! The socket of one queue: its frames, and who has them.
//!
//! Half of the frames are the kernel's to receive into, or received and not yet taken; the other half is
//! there for sending. So neither direction can starve the other, whatever comes in.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{MsgFlags, send, setsockopt, sockopt};
use shunt_wire::frame::HEADROOM;
use xdp::nic::NicIndex;
use xdp::slab::{HeapSlab, Slab};
use xdp::socket::{SocketError, XdpSocket, XdpSocketBuilder};
use xdp::umem::{FrameSize, UmemCfgBuilder};
use xdp::{CompletionRing, Packet, RingConfigBuilder, RxRing, Umem, WakableFillRing, WakableTxRing};

use super::error::{Cause, XskError};
use crate::netlink::Link;

/// What the kernel keeps before each frame for itself (linux/bpf.h, `XDP_PACKET_HEADROOM`).
const KERNEL_HEADROOM: usize = xdp::libc::xdp::XDP_PACKET_HEADROOM as usize;
/// An Ethernet header and one VLAN tag: what a frame has beyond the interface's MTU.
const LINK_HEADER: usize = 18;
/// The largest MTU that an interface may have, in bytes: a frame lies in one page.
pub const MAX_MTU: u32 = mtu_of(4096);
/// One send takes 32 frames to the driver (net/xdp/xsk.c, `TX_BATCH_SIZE`).
const KERNEL_BATCH: usize = 32;
/// A closed socket lets go of its queue when the kernel comes round to it, after the process that closed
/// it may be gone (net/xdp/xsk_buff_pool.c, `xp_put_pool`). Until then the queue is busy.
const LETTING_GO: Duration = Duration::from_secs(1);

/// How a socket is made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many frames can be received and not yet taken, and how many can be on their way out. A power
    /// of two; twice as many buffers of 2 or 4 KiB are locked in memory.
    pub frames: u32,
}

impl Default for Options {
    fn default() -> Self {
        // What libxdp takes for a ring.
        Self { frames: 2048 }
    }
}

/// What went through a socket, and what did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    pub received: u64,
    /// Given to the kernel to be sent.
    pub sent: u64,
    /// Of those, from another socket's frame or from elsewhere in memory.
    pub copied: u64,
    /// Not sent: as many were on their way out as there is room for.
    pub send_full: u64,
    /// Lost before the socket: the process did not take frames fast enough.
    pub receive_full: u64,
    /// Lost before the socket: no buffer was free to receive into.
    pub no_buffer: u64,
    /// Lost before the socket: larger than a buffer, or for another reason of the kernel's.
    pub dropped: u64,
}

/// An AF_XDP socket, bound to one queue of one interface.
pub struct Socket {
    interface: u32,
    queue: u32,
    rx: RxRing,
    tx: WakableTxRing,
    fill: WakableFillRing,
    completion: CompletionRing,
    socket: XdpSocket,
    umem: Umem,
    /// To be sent with the next flush.
    outgoing: HeapSlab,
    /// How many frames each direction may have.
    frames: usize,
    /// With the kernel to be received into, or received and not yet taken.
    receiving: usize,
    /// With the kernel to be sent.
    sending: usize,
    /// The kernel has been given frames that it did not take yet.
    kick: bool,
    counters: Statistics,
}

// SAFETY: all that is not `Send` by itself are packets in `outgoing`, which point into `umem`. They
// move with it, and nothing else has them.
unsafe impl Send for Socket {}

impl Socket {
    /// Opens a socket and binds it to a queue, in copy mode. It receives nothing before the program is
    /// attached ([`Steering::attach`](crate::xdp::Steering::attach)).
    ///
    /// # Errors
    ///
    /// [`XskError`], which says what to do.
    pub fn open(link: &Link, queue: u32, options: Options) -> Result<Self, XskError> {
        let deadline = Instant::now() + LETTING_GO;
        loop {
            match Self::open_once(link, queue, options) {
                Err(Cause::Socket(SocketError::Bind(error)))
                    if error.raw_os_error() == Some(libc::EBUSY) && Instant::now() < deadline =>
                {
                    thread::sleep(LETTING_GO / 100);
                }
                Err(cause) => return Err(XskError { interface: link.name.clone(), queue, cause }),
                Ok(socket) => return Ok(socket),
            }
        }
    }

    fn open_once(link: &Link, queue: u32, options: Options) -> Result<Self, Cause> {
        let frame_size = frame_size(link.mtu)?;
        let umem = UmemCfgBuilder {
            frame_size,
            head_room: HEADROOM as u32,
            frame_count: options.frames.saturating_mul(2),
            tx_checksum: false,
            tx_timestamp: false,
            #[cfg(debug_assertions)]
            software_checksum: false,
        };
        let umem = umem.build().map_err(Cause::Options)?;
        let umem = Umem::map(umem).map_err(Cause::Memory)?;
        let rings = RingConfigBuilder {
            rx_count: options.frames,
            tx_count: options.frames,
            fill_count: options.frames,
            completion_count: options.frames,
        };
        let rings = rings.build().map_err(Cause::Options)?;
        let mut builder = XdpSocketBuilder::new().map_err(Cause::Socket)?;
        let (rings, mut flags) = builder.build_wakable_rings(&umem, rings).map_err(Cause::Socket)?;
        flags.force_copy();
        let socket = builder.bind(NicIndex::new(link.index), queue, flags).map_err(Cause::Socket)?;
        // Both are asked for above.
        let (Some(rx), Some(tx)) = (rings.rx_ring, rings.tx_ring) else {
            return Err(Cause::Socket(SocketError::SocketCreation(io::ErrorKind::Unsupported.into())));
        };
        let frames = options.frames as usize;
        let mut socket = Self {
            interface: link.index,
            queue,
            rx,
            tx,
            fill: rings.fill_ring,
            completion: rings.completion_ring,
            socket,
            umem,
            outgoing: HeapSlab::with_capacity(frames),
            frames,
            receiving: 0,
            sending: 0,
            kick: false,
            counters: Statistics::default(),
        };
        socket.allow_full_ring();
        socket.refill();
        Ok(socket)
    }

    /// The kernel's number of the interface.
    #[must_use]
    pub fn interface(&self) -> u32 {
        self.interface
    }

    #[must_use]
    pub fn queue(&self) -> u32 {
        self.queue
    }

    /// What went through it since it was opened.
    ///
    /// # Errors
    ///
    /// As the kernel gives them.
    pub fn statistics(&self) -> io::Result<Statistics> {
        let kernel = self.socket.statistics().map_err(|error| match error {
            SocketError::GetSockOpt { inner, .. } => inner,
            other => io::Error::other(other),
        })?;
        Ok(Statistics {
            receive_full: kernel.rx_ring_full,
            no_buffer: kernel.rx_fill_ring_empty_descs,
            dropped: kernel.rx_dropped,
            ..self.counters
        })
    }

    /// Takes received frames, as many as `batch` has room for.
    ///
    /// # Safety
    ///
    /// They point into this socket's memory: each goes back by [`give_back`](Self::give_back) or
    /// [`queue_packet`](Self::queue_packet), or is forgotten, before the socket is dropped.
    pub(super) unsafe fn take(&mut self, batch: &mut impl Slab) -> usize {
        // SAFETY: what the caller promises is what this asks for.
        let count = unsafe { self.rx.recv(&self.umem, batch) };
        self.receiving -= count;
        self.counters.received += count as u64;
        count
    }

    /// A frame that is not needed any more.
    pub(super) fn give_back(&mut self, packet: Packet) {
        self.umem.free_packet(packet);
    }

    /// Sends a frame of this socket's own with the next flush.
    pub(super) fn queue_packet(&mut self, packet: Packet) -> Result<(), super::Unsent> {
        if !self.has_room() {
            self.give_back(packet);
            return Err(super::Unsent::Full);
        }
        if let Some(packet) = self.outgoing.push_front(packet) {
            // It has room for as many as may be on their way out.
            self.give_back(packet);
            return Err(super::Unsent::Full);
        }
        self.counters.sent += 1;
        Ok(())
    }

    /// Sends a copy of a frame with the next flush.
    pub(super) fn queue_copy(&mut self, frame: &[u8]) -> Result<(), super::Unsent> {
        if !self.has_room() {
            return Err(super::Unsent::Full);
        }
        // SAFETY: the packet goes into `outgoing`, which lives as long as `umem`, or back.
        let Some(mut packet) = (unsafe { self.umem.alloc() }) else {
            return Err(super::Unsent::Full);
        };
        if frame.is_empty() || packet.append(frame).is_err() {
            self.give_back(packet);
            return Err(super::Unsent::TooLong);
        }
        self.queue_packet(packet)?;
        self.counters.copied += 1;
        Ok(())
    }

    /// Gives the kernel what is to be sent, and what it may receive into.
    pub(super) fn flush(&mut self) {
        let queued = self.outgoing.len();
        if queued > 0 {
            // SAFETY: `umem` is declared after `socket`, and so outlives it. Not woken here: that is
            // distinguished below. Without waking nothing can fail.
            let _ = unsafe { self.tx.send(&mut self.outgoing, false) };
            self.sending += queued - self.outgoing.len();
            self.kick = true;
        }
        if self.kick {
            self.kick();
        }
        self.reap();
        self.refill();
    }

    /// Whether the kernel still has to be asked to send.
    pub(super) fn wants_kick(&self) -> bool {
        self.kick
    }

    fn has_room(&mut self) -> bool {
        let room = |socket: &Self| socket.sending + socket.outgoing.len() < socket.frames;
        if room(self) {
            return true;
        }
        self.flush();
        let has_room = room(self);
        self.counters.send_full += u64::from(!has_room);
        has_room
    }

    /// Asks the kernel to send: in copy mode it does so within the call, some frames at a time.
    fn kick(&mut self) {
        for _ in 0..=self.frames / KERNEL_BATCH {
            let outcome = send(self.socket.as_raw_fd(), &[], MsgFlags::MSG_DONTWAIT);
            match outcome {
                // There is more, or the driver's queue is full.
                Err(nix::Error::EAGAIN) => self.reap(),
                // Later.
                Err(nix::Error::EBUSY | nix::Error::ENOBUFS | nix::Error::EINTR) => return,
                // All is sent; or the interface is down, and the next frame asks again.
                Ok(_) | Err(_) => {
                    self.kick = false;
                    return;
                }
            }
        }
    }

    /// Takes back what has been sent.
    fn reap(&mut self) {
        if self.sending > 0 {
            self.sending -= self.completion.dequeue(&mut self.umem, self.sending);
        }
    }

    fn refill(&mut self) {
        let missing = self.frames - self.receiving;
        // SAFETY: `umem` is declared after `socket`, and so outlives it. Without waking nothing can fail;
        // copy mode takes the buffers from the ring when a frame comes.
        let filled = unsafe { self.fill.enqueue(&mut self.umem, missing, false) };
        self.receiving += filled.unwrap_or(0);
    }

    /// The kernel counts what is being sent against the socket's send buffer, whose usual size is less
    /// than a ring of frames.
    fn allow_full_ring(&self) {
        let size = self.frames * 4096;
        // SAFETY: the descriptor is open as long as the socket, which outlives this borrow.
        let socket = unsafe { BorrowedFd::borrow_raw(self.socket.as_raw_fd()) };
        // Without CAP_NET_ADMIN it stays as it is, and less is on its way at once.
        let _ = setsockopt(&socket, sockopt::SndBufForce, &size);
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsRawFd for &Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// The smaller buffer where the largest frame of the interface fits, with its headroom.
fn frame_size(mtu: u32) -> Result<FrameSize, Cause> {
    match mtu {
        mtu if mtu <= mtu_of(2048) => Ok(FrameSize::TwoK),
        mtu if mtu <= MAX_MTU => Ok(FrameSize::FourK),
        mtu => Err(Cause::Mtu { mtu, most: MAX_MTU }),
    }
}

/// The largest MTU whose frames fit a buffer of this size.
const fn mtu_of(buffer: usize) -> u32 {
    (buffer - KERNEL_HEADROOM - HEADROOM - LINK_HEADER) as u32
}
