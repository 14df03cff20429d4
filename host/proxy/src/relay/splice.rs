//! Long transfers between two sockets: through a pipe of the kernel, not through memory of the process.
//!
//! A pipe is taken for as long as something moves, or waits in it for the other side: one that is silent holds none.

use std::cell::RefCell;
use std::io;
use std::os::fd::AsFd;
use std::task::{Context, Poll};

use shunt_sys::pipe::Pipe;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::socket;

/// Pipes that a worker keeps for the next transfers.
const MOST_SPARE: usize = 64;

thread_local! {
    static SPARE: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

/// An empty one; `None`: there are no descriptors left for it.
pub(super) fn take() -> Option<Pipe> {
    SPARE.with_borrow_mut(Vec::pop).or_else(|| Pipe::new().ok())
}

/// For the next transfer. One that still has something in it is closed.
pub(super) fn give_back(pipe: Pipe) {
    SPARE.with_borrow_mut(|spare| {
        if pipe.held() == 0 && spare.len() < MOST_SPARE {
            spare.push(pipe);
        }
    });
}

/// Takes what came into an empty pipe; 0: the peer has ended its side.
pub(super) fn poll_fill(pipe: &mut Pipe, from: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    // How much is there is not known by how much was taken: a pipe has few slots.
    socket::poll_io(from, cx, Interest::READABLE, 0, || pipe.fill(from.as_fd()))
}

/// Sends what is in the pipe, as far as there is room.
pub(super) fn poll_drain(pipe: &mut Pipe, to: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
    socket::poll_io(to, cx, Interest::WRITABLE, 0, || pipe.drain(to.as_fd()))
}

#[cfg(test)]
pub(super) fn spare() -> usize {
    SPARE.with_borrow(Vec::len)
}
