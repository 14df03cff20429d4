//! TUN devices: interfaces whose other end is a process. They carry IP datagrams without anything in
//! front.

mod error;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use crate::netlink::Link;
use crate::xsk::Statistics;
pub use error::{Cause, TunError};

/// Where the kernel gives them out (Documentation/networking/tuntap.rst).
const CLONES: &str = "/dev/net/tun";

/// This process's end of a TUN device: what the host sends by the interface is read, and what is written
/// comes in by it. Neither waits.
pub struct Tun {
    writer: Writer,
    received: u64,
}

/// Writes to a TUN device that another reads. The device lives as long as both.
#[derive(Clone)]
pub struct Writer {
    device: Arc<Device>,
    counters: Statistics,
}

struct Device {
    file: File,
    interface: u32,
    name: String,
}

impl Tun {
    /// Takes the end of a device that is there, made by `ip tuntap add` for one. It stays when this is
    /// dropped.
    ///
    /// # Errors
    ///
    /// [`TunError`]: not a TUN device, not permitted, or another process has its end.
    pub fn open(link: &Link) -> Result<Self, TunError> {
        let refuse = |cause| TunError { name: link.name.clone(), cause };
        if !link.tun {
            return Err(refuse(Cause::NotTun));
        }
        let device = match Device::attach(&link.name, 0) {
            // One that was made for several processes wants to hear so from each (tun.c, `tun_set_iff`).
            Err(Cause::System(error)) if error.raw_os_error() == Some(libc::EINVAL) => {
                Device::attach(&link.name, libc::IFF_MULTI_QUEUE)
            }
            other => other,
        };
        match device.map_err(refuse)? {
            device if device.interface == link.index => Ok(Self::new(device)),
            // It had gone, and asking for it has made one; that goes with its file.
            _ => Err(refuse(Cause::System(io::ErrorKind::NotFound.into()))),
        }
    }

    /// Makes a device, which is gone when this and all its writers are dropped, or the process has ended.
    /// A `%d` in the name becomes the first number that is free. It is down, and has no address
    /// ([`Editor`](crate::netlink::Editor)).
    ///
    /// # Errors
    ///
    /// [`TunError`]: the name is taken, or it is not permitted.
    pub fn create(name: &str) -> Result<Self, TunError> {
        Device::attach(name, libc::IFF_TUN_EXCL)
            .map(Self::new)
            .map_err(|cause| TunError { name: name.to_owned(), cause })
    }

    fn new(device: Device) -> Self {
        let writer = Writer { device: Arc::new(device), counters: Statistics::default() };
        Self { writer, received: 0 }
    }

    /// The kernel's number of the interface.
    #[must_use]
    pub fn interface(&self) -> u32 {
        self.writer.interface()
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.writer.device.name
    }

    /// For another thread.
    #[must_use]
    pub fn writer(&self) -> Writer {
        Writer { device: Arc::clone(&self.writer.device), counters: Statistics::default() }
    }

    /// Takes the next datagram that the host sent, and returns its length; `None` if there is none. What
    /// does not fit the buffer is lost.
    ///
    /// # Errors
    ///
    /// As the kernel gives them: the interface is gone.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match (&self.writer.device.file).read(buffer) {
                Ok(length) => {
                    self.received += 1;
                    return Ok(Some(length));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives the host a datagram.
    ///
    /// # Errors
    ///
    /// As [`Writer::write`].
    pub fn write(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.writer.write(datagram)
    }

    pub(crate) fn as_writer(&mut self) -> &mut Writer {
        &mut self.writer
    }

    /// What went through this end, but for what others wrote.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        Statistics { received: self.received, ..self.writer.counters }
    }
}

impl AsRawFd for Tun {
    fn as_raw_fd(&self) -> RawFd {
        self.writer.device.file.as_raw_fd()
    }
}

impl Writer {
    /// The kernel's number of the interface.
    #[must_use]
    pub fn interface(&self) -> u32 {
        self.device.interface
    }

    /// Gives the host a datagram.
    ///
    /// # Errors
    ///
    /// As the kernel gives them; each is counted. `InvalidInput`: it is neither IPv4 nor IPv6. Of code
    /// `EIO`: the interface is down.
    pub fn write(&mut self, datagram: &[u8]) -> io::Result<()> {
        // The device takes a datagram whole with one call, or not at all.
        let outcome = if datagram.is_empty() {
            Err(io::ErrorKind::InvalidInput.into())
        } else {
            (&self.device.file).write_all(datagram)
        };
        match outcome {
            Ok(()) => self.counters.sent += 1,
            Err(_) => self.counters.send_full += 1,
        }
        outcome
    }

    /// What was written by this.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.counters
    }
}

impl Device {
    fn attach(name: &str, flags: libc::c_int) -> Result<Self, Cause> {
        let nonblocking = libc::O_NONBLOCK | libc::O_CLOEXEC;
        let file = OpenOptions::new().read(true).write(true).custom_flags(nonblocking).open(CLONES);
        let file = file.map_err(Cause::System)?;
        // SAFETY: `ifreq` is plain data, for which all zeros is a value.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        // One byte stays zero, which ends the name.
        let room = request.ifr_name.len() - 1;
        if name.is_empty() || name.len() > room {
            return Err(Cause::System(io::ErrorKind::InvalidInput.into()));
        }
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = from.cast_signed();
        }
        // Sixteen bits that linux/if_tun.h has as numbers: 0x8000 is the sign.
        request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI | flags) as libc::c_short;
        // SAFETY: the request is one of this command's, and lives until the call is over.
        let outcome = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
        if outcome < 0 {
            return Err(Cause::System(io::Error::last_os_error()));
        }
        // Who had its end before may have allowed datagrams to come unfinished: with checksums to be
        // computed, or several in one. SAFETY: the command takes a number, and no offload is number 0.
        let outcome = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETOFFLOAD, 0 as libc::c_ulong) };
        if outcome < 0 {
            return Err(Cause::System(io::Error::last_os_error()));
        }
        // The kernel has written its whole name.
        let name: Vec<u8> =
            request.ifr_name.iter().take_while(|it| **it != 0).map(|it| it.cast_unsigned()).collect();
        let name = String::from_utf8_lossy(&name).into_owned();
        let interface = nix::net::if_::if_nametoindex(name.as_str());
        let interface = interface.map_err(|error| Cause::System(error.into()))?;
        Ok(Self { file, interface, name })
    }
}
