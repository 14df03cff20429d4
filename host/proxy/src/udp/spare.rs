//! Sockets toward members that wait for the next question.
//!
//! Where each question has a session of its own, a socket that is made and closed for each is most of what it costs. So one that
//! has its answer is disconnected, by which the kernel takes its port away, and gets another port, which the kernel chooses at
//! random as for a new socket, with the next question: who would forge an answer has to guess it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsFd;

use shunt_sys::datagrams;
use tokio::io::unix::AsyncFd;

/// As many of each address family are kept.
const MOST: usize = 64;

#[derive(Default)]
pub(super) struct Spare {
    v4: RefCell<VecDeque<AsyncFd<UdpSocket>>>,
    v6: RefCell<VecDeque<AsyncFd<UdpSocket>>>,
}

impl Spare {
    /// One that is not connected, and has received nothing.
    pub(super) fn take(&self, toward: IpAddr) -> Option<AsyncFd<UdpSocket>> {
        let socket = self.of(toward).borrow_mut().pop_front()?;
        // What came behind the answer is none to the next question. It came before the socket lost its port, which was a while
        // ago: the one that waits longest is taken.
        datagrams::discard(socket.as_fd()).then_some(socket)
    }

    /// Keeps one that is bound to no address by itself and has no options.
    pub(super) fn give(&self, toward: IpAddr, socket: AsyncFd<UdpSocket>) {
        let mut waiting = self.of(toward).borrow_mut();
        if waiting.len() < MOST && datagrams::disconnect(socket.as_fd()).is_ok() {
            waiting.push_back(socket);
        }
    }

    fn of(&self, toward: IpAddr) -> &RefCell<VecDeque<AsyncFd<UdpSocket>>> {
        if toward.is_ipv4() { &self.v4 } else { &self.v6 }
    }
}
