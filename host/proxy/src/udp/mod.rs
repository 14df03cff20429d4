//! UDP: datagrams of a client go to one member, and its answers back, as long as they have a session.
//!
//! | module | what |
//! |---|---|
//! | `listeners` | the sockets of a worker, from change to change |
//! | `listener` | a worker's socket: receives, finds or begins sessions, sends answers |
//! | `session` | one client and one member: the socket between Shunt and the member |
//! | `run` | datagrams of one client that go on as a train |
//! | `data` | what rules see of the first datagram of a session |
//! | `spare` | sockets toward members that wait for the next question |
//! | `outbox` | answers that wait to be sent together |
//!
//! The kernel gives each client's datagrams to one worker (`SO_REUSEPORT`), so a session is one worker's. Datagrams are
//! received and sent many with one call; nothing is copied but answers, once.

mod data;
mod listener;
mod listeners;
mod outbox;
mod run;
mod session;
mod spare;

pub(crate) use listeners::UdpListeners;

use std::io;
use std::net::UdpSocket;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Has the worker wait for what is told of a socket.
#[expect(
    deprecated,
    reason = "what took its place is unsafe for what may not own its descriptor; a socket does"
)]
fn waited_for(socket: UdpSocket, interest: Interest) -> io::Result<AsyncFd<UdpSocket>> {
    AsyncFd::with_interest(socket, interest)
}
