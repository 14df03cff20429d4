//! Why a socket cannot be opened, in words that say what to do.

use std::fmt;
use std::io;

use xdp::socket::SocketError;

/// A queue's socket cannot be opened.
#[derive(Debug)]
pub struct XskError {
    pub interface: String,
    pub queue: u32,
    pub cause: Cause,
}

/// Why not.
#[derive(Debug)]
pub enum Cause {
    /// Frames of this interface may be larger than a buffer.
    Mtu { mtu: u32, most: u32 },
    /// The options are out of what the kernel takes.
    Options(xdp::error::Error),
    /// The memory for frames.
    Memory(io::Error),
    /// A system call of the socket.
    Socket(SocketError),
}

impl fmt::Display for XskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { interface, queue, cause } = self;
        let code = cause.io().and_then(io::Error::raw_os_error);
        match (cause, code) {
            (Cause::Mtu { mtu, most }, _) => write!(
                f,
                "the MTU of {interface} is {mtu}, and packet virtuals support frames of at most {most}: \
                 `ip link set dev {interface} mtu {most}`"
            ),
            (_, Some(libc::EPERM | libc::EACCES)) => write!(
                f,
                "opening an AF_XDP socket is not permitted: run as root, or with CAP_NET_RAW, CAP_NET_ADMIN and CAP_IPC_LOCK"
            ),
            (_, Some(libc::EAFNOSUPPORT)) => {
                write!(f, "this kernel has no AF_XDP sockets: it needs CONFIG_XDP_SOCKETS")
            }
            (_, Some(libc::ENOBUFS)) => write!(
                f,
                "the limit of locked memory is too low for the buffers of {interface}: raise it \
                 (systemd: LimitMEMLOCK=infinity), or give CAP_IPC_LOCK"
            ),
            (_, Some(libc::EBUSY)) => write!(
                f,
                "another AF_XDP socket is bound to queue {queue} of {interface}; `ss --xdp` shows whose"
            ),
            (_, Some(libc::ENODEV)) => write!(f, "the interface {interface} no longer exists"),
            (Cause::Socket(SocketError::Bind(_)), Some(libc::EINVAL)) => {
                write!(f, "{interface} has no queue {queue}: `ethtool -l {interface}` shows how many it has")
            }
            (Cause::Options(error), _) => {
                write!(f, "cannot open a socket for queue {queue} of {interface}: {error}")
            }
            (Cause::Memory(error), _) => write!(f, "no memory for the frames of {interface}: {error}"),
            (Cause::Socket(error), _) => {
                write!(f, "cannot open a socket for queue {queue} of {interface}: {error}")
            }
        }
    }
}

impl std::error::Error for XskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::Mtu { .. } => None,
            Cause::Options(error) => Some(error),
            Cause::Memory(error) => Some(error),
            Cause::Socket(error) => Some(error),
        }
    }
}

impl Cause {
    fn io(&self) -> Option<&io::Error> {
        match self {
            Self::Memory(error) => Some(error),
            Self::Socket(
                SocketError::SocketCreation(error)
                | SocketError::Bind(error)
                | SocketError::SetSockOpt { inner: error, .. }
                | SocketError::GetSockOpt { inner: error, .. }
                | SocketError::RingMap { inner: error, .. },
            ) => Some(error),
            Self::Mtu { .. } | Self::Options(_) => None,
        }
    }
}
