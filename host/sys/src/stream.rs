//! Bytes of connected sockets.
//!
//! `recv` and `send` of the C library are cancellation points (pthreads(7)): in a process of several threads each call is
//! marked before and behind, for a `pthread_cancel` that nobody calls. These are the bare system calls.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use bytes::BufMut;

/// Receives what is there, as far as there is room for it in `into`; 0: the peer has ended its side, or there is no room.
///
/// # Errors
/// What the kernel says of the connection; `WouldBlock` where nothing is there.
pub fn recv(socket: BorrowedFd<'_>, into: &mut impl BufMut) -> io::Result<usize> {
    let room = into.chunk_mut();
    // SAFETY: the kernel writes at most `room.len()` bytes to the memory that `room` borrows, and reads nothing of it.
    let count = unsafe {
        let (no_address, no_length) = (ptr::null_mut::<libc::c_void>(), ptr::null_mut::<libc::c_void>());
        let (at, most) = (room.as_mut_ptr(), room.len());
        libc::syscall(libc::SYS_recvfrom, socket.as_raw_fd(), at, most, 0, no_address, no_length)
    };
    // It is negative for errors alone.
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: so many bytes were written, and no more than there was room for.
    unsafe { into.advance_mut(count) };
    Ok(count)
}

/// Sends as much of `bytes` as there is room for, without a signal where the peer takes no more.
///
/// # Errors
/// What the kernel says of the connection; `WouldBlock` where there is no room.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    send_with(socket, bytes, 0)
}

/// The same, where the end of what is sent follows at once: what fills no segment waits for it (`MSG_MORE` of send(2)), so that
/// a segment of its own, and its acknowledgement, are saved. The kernel waits for 200 ms at most (tcp(7), `TCP_CORK`).
///
/// # Errors
/// As of [`send`].
pub fn send_last(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    send_with(socket, bytes, libc::MSG_MORE)
}

fn send_with(socket: BorrowedFd<'_>, bytes: &[u8], flags: libc::c_int) -> io::Result<usize> {
    // SAFETY: the kernel reads `bytes.len()` bytes at most of the memory that `bytes` borrows.
    let count = unsafe {
        let (flags, no_address, no_length) = (libc::MSG_NOSIGNAL | flags, ptr::null::<libc::c_void>(), 0);
        libc::syscall(
            libc::SYS_sendto,
            socket.as_raw_fd(),
            bytes.as_ptr(),
            bytes.len(),
            flags,
            no_address,
            no_length,
        )
    };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::mem;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use bytes::BytesMut;

    use super::*;

    #[test]
    fn bytes_come_as_they_were_sent() {
        let (one, other) = UnixStream::pair().unwrap();
        other.set_nonblocking(true).unwrap();
        let mut into = BytesMut::with_capacity(4);
        into.extend_from_slice(b"x");
        let nothing = recv(other.as_fd(), &mut into).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(send(one.as_fd(), b"abcde").unwrap(), 5);
        let room = into.capacity() - into.len();
        assert_eq!(recv(other.as_fd(), &mut into).unwrap(), room.min(5));
        assert_eq!(&into[..4], b"xabc");
        let mut rest = [0; 8];
        let mut rest = &mut rest[..];
        recv(other.as_fd(), &mut rest).ok();
        drop(one);
        assert_eq!(recv(other.as_fd(), &mut into).unwrap(), 0);
        let gone = send(other.as_fd(), b"x").unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::BrokenPipe);
    }

    /// Segments that came over a connection, and how many of them had data.
    fn came(of: &TcpStream) -> (u32, u32) {
        // SAFETY: all of it are numbers, of which the kernel writes `length` bytes at most.
        let info = unsafe {
            let mut info: libc::tcp_info = mem::zeroed();
            let mut length = size_of_val(&info) as libc::socklen_t;
            let into = ptr::from_mut(&mut info).cast();
            let got = libc::getsockopt(of.as_raw_fd(), libc::SOL_TCP, libc::TCP_INFO, into, &mut length);
            assert_eq!(got, 0, "{}", io::Error::last_os_error());
            info
        };
        (info.tcpi_segs_in, info.tcpi_data_segs_in)
    }

    #[test]
    fn the_end_comes_with_the_last_bytes() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let segments = |send: fn(BorrowedFd<'_>, &[u8]) -> io::Result<usize>| {
            let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (far, _) = listener.accept().unwrap();
            let before = came(&near);
            assert_eq!(send(far.as_fd(), b"the last").unwrap(), 8);
            drop(far);
            let mut bytes = Vec::new();
            near.read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes, b"the last");
            let after = came(&near);
            (after.0 - before.0, after.1 - before.1)
        };
        assert_eq!(segments(send), (2, 1));
        assert_eq!(segments(send_last), (1, 1));
    }
}
