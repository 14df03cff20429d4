//! Bytes of a TCP connection that has no TLS, by the shortest way to the kernel.

use std::io;
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};

use bytes::BufMut;
use shunt_sys::stream;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Reads what is there, as far as there is room for it; 0: the peer has ended its side.
pub(crate) fn poll_recv(
    socket: &TcpStream,
    cx: &mut Context<'_>,
    into: &mut impl BufMut,
) -> Poll<io::Result<usize>> {
    let room = into.chunk_mut().len();
    poll_io(socket, cx, Interest::READABLE, room, || stream::recv(socket.as_fd(), into))
}

/// Writes as much as the kernel has room for.
pub(crate) fn poll_send(socket: &TcpStream, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    poll_io(socket, cx, Interest::WRITABLE, bytes.len(), || stream::send(socket.as_fd(), bytes))
}

/// The same with what is sent last: the end follows at once, by closing the socket or its sending side.
pub(crate) fn poll_send_last(
    socket: &TcpStream,
    cx: &mut Context<'_>,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    poll_io(socket, cx, Interest::WRITABLE, bytes.len(), || stream::send_last(socket.as_fd(), bytes))
}

/// Does what can be done with up to `most` bytes, and waits where that is nothing. What does less is taken to have done all
/// that can be done; with 0 for `most` it is not.
pub(crate) fn poll_io(
    socket: &TcpStream,
    cx: &mut Context<'_>,
    interest: Interest,
    most: usize,
    mut act: impl FnMut() -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    loop {
        ready!(if interest.is_readable() {
            socket.poll_read_ready(cx)
        } else {
            socket.poll_write_ready(cx)
        })?;
        let mut done = None;
        let tried = socket.try_io(interest, || {
            let count = act()?;
            done = Some(count);
            // All that there is, or that there is room for: the kernel tells when there is more (epoll(7), edges), and
            // need not be asked.
            if 0 < count && count < most { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match (done, tried) {
            (Some(count), _) => return Poll::Ready(Ok(count)),
            (None, Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
            (None, Err(error)) => return Poll::Ready(Err(error)),
            (None, Ok(())) => {}
        }
    }
}
