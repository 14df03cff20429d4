//! Packets of a socket that nobody may fragment.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// What becomes of packets that are longer than an ICMP error said that the path takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    /// The kernel sends shorter ones from then on, as for any client (RFC 1191, RFC 8201).
    Heeded,
    /// They are sent all the same: what the path takes is what is asked.
    Ignored,
}

/// Sets DF in all that a socket sends, whatever the host's default is; IPv6 has fragments of the sender alone, which makes
/// none then.
///
/// # Errors
/// As the kernel gives them.
pub fn forbid(socket: BorrowedFd<'_>, is_ipv4: bool, learned: Learned) -> io::Result<()> {
    match (is_ipv4, learned) {
        (true, Learned::Heeded) => set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DO),
        (true, Learned::Ignored) => {
            set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE)
        }
        (false, Learned::Heeded) => {
            set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DO)
        }
        (false, Learned::Ignored) => {
            set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE)?;
            // Else a Packet Too Big is no error to a socket that sends long packets all the same.
            set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1)
        }
    }
}

fn set(socket: BorrowedFd<'_>, level: i32, option: i32, value: i32) -> io::Result<()> {
    let length = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the pointer is to a local number of the length that is said, which the kernel only reads. The descriptor is
    // borrowed for the call.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn the_kernel_takes_it_for_both_families() {
        for (any, is_ipv4) in [("127.0.0.1:0", true), ("[::1]:0", false)] {
            for learned in [Learned::Heeded, Learned::Ignored] {
                let socket = UdpSocket::bind(any).unwrap();
                forbid(socket.as_fd(), is_ipv4, learned).unwrap();
                let (level, option) = match is_ipv4 {
                    true => (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER),
                    false => (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER),
                };
                let (mut value, mut length) = (0i32, size_of::<i32>() as libc::socklen_t);
                // SAFETY: both pointers are to locals that outlive the call, of the length that is said.
                let got = unsafe {
                    let value = (&raw mut value).cast();
                    libc::getsockopt(socket.as_raw_fd(), level, option, value, &raw mut length)
                };
                let expected = if learned == Learned::Heeded { 2 } else { 3 };
                assert_eq!((got, value), (0, expected), "{any}");
            }
        }
    }
}
