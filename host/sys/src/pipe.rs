//! Pipes between sockets: bytes that go from one to another without the process touching them (splice(2)).

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// Bytes asked for at once. What a pipe takes is bounded by its slots, each of which holds a piece of a packet.
const MOST: usize = 1 << 20;

/// A pipe, and how much is in it.
pub struct Pipe {
    reading: PipeReader,
    writing: PipeWriter,
    held: usize,
}

impl Pipe {
    /// # Errors
    /// The process or the machine has no descriptors left, or no memory for pipes.
    pub fn new() -> io::Result<Self> {
        let (reading, writing) = io::pipe()?;
        Ok(Pipe { reading, writing, held: 0 })
    }

    /// Bytes that are in it.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// Takes what a socket has received, as far as there is room; 0: the peer has ended its side.
    ///
    /// # Errors
    /// What the kernel says of the connection; `WouldBlock` where nothing is there, or where the pipe is full.
    pub fn fill(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        let count = splice(socket.as_raw_fd(), self.writing.as_raw_fd())?;
        self.held += count;
        Ok(count)
    }

    /// Gives a socket what is here, as far as it has room.
    ///
    /// # Errors
    /// What the kernel says of the connection; `WouldBlock` where there is no room.
    pub fn drain(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        let count = splice(self.reading.as_raw_fd(), socket.as_raw_fd())?;
        self.held = self.held.saturating_sub(count);
        Ok(count)
    }
}

fn splice(from: i32, to: i32) -> io::Result<usize> {
    let flags = libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK;
    // SAFETY: no memory of the process is named but by null pointers, which stand for "no offset" (splice(2)). Both
    // descriptors are borrowed for the call.
    let count = unsafe {
        let no_offset = ptr::null_mut::<libc::loff_t>();
        libc::syscall(libc::SYS_splice, from, no_offset, to, no_offset, MOST, flags)
    };
    // It is negative for errors alone.
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;

    fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (far, listener.accept().unwrap().0)
    }

    #[test]
    fn bytes_go_from_socket_to_socket() {
        let ((mut client, near_client), (mut server, near_server)) = (connected(), connected());
        near_client.set_nonblocking(true).unwrap();
        near_server.set_nonblocking(true).unwrap();
        let mut pipe = Pipe::new().unwrap();
        let nothing = pipe.fill(near_client.as_fd()).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        client.write_all(b"hello").unwrap();
        assert_eq!((pipe.fill(near_client.as_fd()).unwrap(), pipe.held()), (5, 5));
        assert_eq!((pipe.drain(near_server.as_fd()).unwrap(), pipe.held()), (5, 0));
        let mut got = [0; 5];
        server.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"hello");
        drop(client);
        assert_eq!(pipe.fill(near_client.as_fd()).unwrap(), 0);
    }

    #[test]
    fn what_the_other_does_not_take_stays() {
        let ((mut client, near_client), (server, near_server)) = (connected(), connected());
        near_client.set_nonblocking(true).unwrap();
        near_server.set_nonblocking(true).unwrap();
        let writer = std::thread::spawn(move || client.write_all(&vec![7; 64 << 20]));
        let mut pipe = Pipe::new().unwrap();
        let full = loop {
            match pipe.fill(near_client.as_fd()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                filled => assert!(filled.unwrap() > 0),
            }
            if pipe.held() > 0
                && let Err(error) = pipe.drain(near_server.as_fd())
            {
                break error;
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        assert!(pipe.held() > 0);
        drop((server, near_client));
        assert!(writer.join().unwrap().is_err());
    }
}
