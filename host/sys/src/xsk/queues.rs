//! How many receive queues an interface has.

use std::fs;
use std::io;

use crate::ethtool;
use crate::netlink::Link;

/// The receive queues that are in use: each needs a socket. As `ethtool -l` shows them, or for drivers
/// that do not say, as sysfs does; 1 where neither knows.
///
/// (The crate `xdp` has this as well, but leaves combined queues out, which is what most drivers have.)
///
/// # Errors
///
/// `NotFound` if there is no such interface, else as the kernel gives them.
pub fn queues(link: &Link) -> io::Result<u32> {
    match ethtool::channels(&link.name) {
        Ok(channels) => Ok((channels.rx + channels.combined).max(1)),
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(in_sysfs(&link.name).max(1)),
        Err(error) => Err(error),
    }
}

fn in_sysfs(name: &str) -> u32 {
    let Ok(entries) = fs::read_dir(format!("/sys/class/net/{name}/queues")) else { return 0 };
    let receiving =
        entries.flatten().filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"rx-"));
    u32::try_from(receiving.count()).unwrap_or(0)
}
