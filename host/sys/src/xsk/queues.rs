//! How many receive queues an interface has.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;

use socket2::{Domain, Socket, Type};

use crate::netlink::Link;

/// `ETHTOOL_GCHANNELS` of linux/ethtool.h.
const GET_CHANNELS: u32 = 0x3c;

/// `struct ethtool_channels` of linux/ethtool.h.
#[derive(Default)]
#[repr(C)]
struct Channels {
    command: u32,
    max_rx: u32,
    max_tx: u32,
    max_other: u32,
    max_combined: u32,
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

/// The receive queues that are in use: each needs a socket. As `ethtool -l` shows them, or for drivers
/// that do not say, as sysfs does; 1 where neither knows.
///
/// (The crate `xdp` has this as well, but leaves combined queues out, which is what most drivers have.)
///
/// # Errors
///
/// `NotFound` if there is no such interface, else as the kernel gives them.
pub fn queues(link: &Link) -> io::Result<u32> {
    match channels(&link.name) {
        Ok(channels) => Ok((channels.rx + channels.combined).max(1)),
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(in_sysfs(&link.name).max(1)),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Err(io::ErrorKind::NotFound.into()),
        Err(error) => Err(error),
    }
}

fn channels(name: &str) -> io::Result<Channels> {
    let mut channels = Channels { command: GET_CHANNELS, ..Channels::default() };
    // SAFETY: `ifreq` is plain data, for which all zeros is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // One byte stays zero, which ends the name.
    let room = request.ifr_name.len() - 1;
    if name.len() > room {
        return Err(io::ErrorKind::NotFound.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_data = (&raw mut channels).cast();
    let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
    // SAFETY: the request holds a name that ends and a pointer to what this command writes; both live
    // until the call is over.
    let outcome = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(channels) }
}

fn in_sysfs(name: &str) -> u32 {
    let Ok(entries) = fs::read_dir(format!("/sys/class/net/{name}/queues")) else { return 0 };
    let receiving =
        entries.flatten().filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"rx-"));
    u32::try_from(receiving.count()).unwrap_or(0)
}
