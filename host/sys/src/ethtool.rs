//! What drivers say of their interfaces.

use std::io;
use std::os::fd::AsRawFd;

use socket2::{Domain, Socket, Type};

/// `ETHTOOL_GCHANNELS` of linux/ethtool.h.
const GET_CHANNELS: u32 = 0x3c;

/// `struct ethtool_channels` of linux/ethtool.h.
#[derive(Default)]
#[repr(C)]
pub(crate) struct Channels {
    command: u32,
    max_rx: u32,
    max_tx: u32,
    max_other: u32,
    max_combined: u32,
    pub(crate) rx: u32,
    tx: u32,
    other: u32,
    pub(crate) combined: u32,
}

/// A value that the kernel writes over for one command: `repr(C)`, of integers, the command first.
trait Answer {}

impl Answer for Channels {}

/// The queues that are in use.
///
/// # Errors
///
/// `NotFound` if there is no such interface, else as the kernel gives them.
pub(crate) fn channels(interface: &str) -> io::Result<Channels> {
    let mut channels = Channels { command: GET_CHANNELS, ..Channels::default() };
    ask(interface, &mut channels)?;
    Ok(channels)
}

fn ask<A: Answer>(interface: &str, answer: &mut A) -> io::Result<()> {
    // SAFETY: `ifreq` is plain data, for which all zeros is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // One byte stays zero, which ends the name.
    let room = request.ifr_name.len() - 1;
    if interface.len() > room {
        return Err(io::ErrorKind::NotFound.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_data = std::ptr::from_mut(answer).cast();
    let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
    // SAFETY: the request holds a name that ends and a pointer to what its command writes, which only
    // types of this file are; both live until the call is over.
    let outcome = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
    if outcome >= 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::ENODEV) { Err(io::ErrorKind::NotFound.into()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layouts_are_the_kernels() {
        assert_eq!(size_of::<Channels>(), 36);
    }

    #[test]
    fn an_interface_that_is_not_there_is_not_found() {
        for name in ["no-such-thing", "a-name-that-is-too-long"] {
            assert_eq!(channels(name).err().map(|error| error.kind()), Some(io::ErrorKind::NotFound));
        }
    }
}
