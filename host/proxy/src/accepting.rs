//! A socket that listens.

use std::future::poll_fn;
use std::io;
use std::net::{self, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use shunt_sys::accept;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Held as a stream of tokio, which can be told that nothing waits: its listener finds out by a call that makes a socket
/// in vain, for nearly every connection where they come one by one.
pub(crate) struct Accepting(TcpStream);

impl Accepting {
    /// # Errors
    /// The worker cannot be told of events.
    pub(crate) fn new(listener: net::TcpListener) -> io::Result<Self> {
        TcpStream::from_std(OwnedFd::from(listener).into()).map(Accepting)
    }

    /// The next connection, and who made it. Nothing is taken to be there to be read of it: what a client sends comes behind
    /// its handshake, and the kernel tells.
    pub(crate) async fn next(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, client) = loop {
            poll_fn(|cx| self.0.poll_read_ready(cx)).await?;
            let mut accepted = None;
            let tried = self.0.try_io(Interest::READABLE, || {
                accepted = Some(accept::accept(self.as_fd())?);
                // The kernel tells of the next one (epoll(7), edges).
                if accept::waits(self.as_fd()) { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
            });
            match (accepted, tried) {
                (Some(accepted), _) => break accepted,
                (None, Err(error)) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                (None, _) => {}
            }
        };
        Ok((TcpStream::from_std(stream)?, client))
    }

    /// One that waits, whether the worker was told of it or not.
    pub(crate) fn next_now(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, client) = accept::accept(self.as_fd())?;
        Ok((TcpStream::from_std(stream)?, client))
    }
}

impl AsFd for Accepting {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn connections_come_one_by_one_and_many_at_once() {
        let listener = net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = Accepting::new(listener).unwrap();
        for count in [1, 1, 20, 1, 3] {
            let clients = (0..count).map(|_| net::TcpStream::connect(address).unwrap());
            for client in clients.collect::<Vec<_>>() {
                let (mut stream, peer) = accepting.next().await.unwrap();
                assert_eq!(peer, client.local_addr().unwrap());
                client.set_nonblocking(true).unwrap();
                let mut client = TcpStream::from_std(client).unwrap();
                client.write_all(b"x").await.unwrap();
                assert_eq!(stream.read_u8().await.unwrap(), b'x');
            }
            assert_eq!(accepting.next_now().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        }
    }
}
