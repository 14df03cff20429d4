//! Sending Ethernet frames without a queue of one's own.

use std::io;
use std::mem::size_of;
use std::os::fd::AsRawFd;

use socket2::{Domain, Socket, Type};

use crate::netlink::Link;
use crate::xsk::Statistics;

/// Sends frames by one interface, past its queueing discipline, as an AF_XDP socket does. Receives
/// nothing.
pub struct Sender {
    interface: u32,
    socket: Socket,
    counters: Statistics,
}

impl Sender {
    /// # Errors
    ///
    /// As the kernel gives them: `PermissionDenied` without CAP_NET_RAW.
    pub fn open(link: &Link) -> io::Result<Self> {
        // No protocol: the kernel then gives it no frames (packet(7)).
        let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking().cloexec(), None)?;
        let bypass: libc::c_int = 1;
        // SAFETY: the option's value is an integer, whose address and size are given.
        let outcome = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_QDISC_BYPASS,
                (&raw const bypass).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        if outcome < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `sockaddr_ll` is plain data, for which all zeros is a value.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_ifindex = link.index.cast_signed();
        // SAFETY: the address is a `sockaddr_ll`, whose address and size are given.
        let outcome = unsafe {
            libc::bind(
                socket.as_raw_fd(),
                (&raw const address).cast(),
                size_of::<libc::sockaddr_ll>() as libc::socklen_t,
            )
        };
        if outcome < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { interface: link.index, socket, counters: Statistics::default() })
    }

    /// The kernel's number of the interface.
    #[must_use]
    pub fn interface(&self) -> u32 {
        self.interface
    }

    /// Sends one frame now.
    ///
    /// # Errors
    ///
    /// As the kernel gives them; each is counted.
    pub fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        match self.socket.send(frame) {
            Ok(_) => {
                self.counters.sent += 1;
                self.counters.copied += 1;
                Ok(())
            }
            Err(error) => {
                self.counters.send_full += 1;
                Err(error)
            }
        }
    }

    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.counters
    }
}
