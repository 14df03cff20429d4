//! Why a TUN device cannot be had, in words that say what to do.

use std::fmt;
use std::io;

/// A TUN device cannot be opened or made.
#[derive(Debug)]
pub struct TunError {
    pub name: String,
    pub cause: Cause,
}

/// Why not.
#[derive(Debug)]
pub enum Cause {
    /// It is an interface of another kind.
    NotTun,
    /// A system call.
    System(io::Error),
}

impl fmt::Display for TunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, cause } = self;
        let Cause::System(error) = cause else {
            return write!(
                f,
                "{name} is not a TUN device: make one of another name by `ip tuntap add mode tun dev NAME`"
            );
        };
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => {
                write!(
                    f,
                    "opening the TUN device {name} is not permitted: run as root, or with CAP_NET_ADMIN"
                )
            }
            Some(libc::EBUSY) => write!(
                f,
                "the TUN device {name} is in use by another process, or its name by another interface; \
                 `ip tuntap list` shows the devices, and `ip link show dev {name}` the interface"
            ),
            Some(libc::ENOENT | libc::ENXIO | libc::ENODEV) => {
                write!(
                    f,
                    "this system has no TUN devices: `modprobe tun`, or give the container /dev/net/tun"
                )
            }
            _ if error.kind() == io::ErrorKind::NotFound => {
                write!(f, "the TUN device {name} no longer exists")
            }
            _ => write!(f, "cannot open the TUN device {name}: {error}"),
        }
    }
}

impl std::error::Error for TunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::NotTun => None,
            Cause::System(error) => Some(error),
        }
    }
}
