//! Waking a thread that waits for the kernel.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use nix::sys::eventfd::{EfdFlags, EventFd};

/// Ends another thread's wait for frames ([`Sockets::wait`](crate::xsk::Sockets::wait)) or for changes of
/// the network ([`Netlink::wait`](crate::netlink::Netlink::wait)). A wake-up that comes while it does
/// not wait is there when it next does; several become one.
#[derive(Clone, Debug)]
pub struct Waker {
    event: Arc<EventFd>,
}

impl Waker {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Self { event: Arc::new(EventFd::from_flags(flags)?) })
    }

    pub fn wake(&self) {
        // It can only fail because as many wake-ups are pending as 64 bits can count.
        let _ = self.event.write(1);
    }

    /// Takes back what is pending.
    pub(crate) fn clear(&self) {
        // The one error is that nothing is pending.
        let _ = self.event.read();
    }
}

impl AsRawFd for Waker {
    fn as_raw_fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }
}
