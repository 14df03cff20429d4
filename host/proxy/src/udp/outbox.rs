//! Answers that wait to be sent together: those of all sessions whose members have answered since the worker looked.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::BorrowedFd;

use shunt_sys::datagrams::{self, MOST, Outgoing, Train};

use super::run::joins;

/// Bytes that wait at most, and trains; what comes then is lost, as at a router.
const MOST_BYTES: usize = 4 << 20;
const MOST_WAITING: usize = 1 << 14;

/// Answers in the order in which they came.
#[derive(Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    waiting: Vec<Waiting>,
    /// Those before it are sent.
    next: usize,
}

struct Waiting {
    bytes: Range<usize>,
    segment: usize,
    to: SocketAddr,
    from: Option<IpAddr>,
}

/// What came of sending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// The kernel has no room for more now.
    pub(super) is_full: bool,
    /// Datagrams that cannot be sent.
    pub(super) lost: usize,
}

impl Outbox {
    /// Takes an answer; `false`: there is no room.
    pub(super) fn push(&mut self, train: &Train<'_>, to: SocketAddr, from: Option<IpAddr>) -> bool {
        let (at, end) = (self.bytes.len(), self.bytes.len() + train.bytes.len());
        if end > MOST_BYTES || self.waiting.len() >= MOST_WAITING {
            return false;
        }
        self.bytes.extend_from_slice(train.bytes);
        // Answers to one client go as one train, as far as none of it is being sent.
        let begun = self.waiting.len() <= self.next;
        if let Some(last) = self.waiting.last_mut().filter(|_| !begun)
            && (last.to, last.from) == (to, from)
            && joins(last.segment, last.bytes.len(), train)
        {
            last.bytes.end = end;
            return true;
        }
        self.waiting.push(Waiting { bytes: at..end, segment: train.segment, to, from });
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Sends as much as the kernel takes.
    pub(super) fn send(&mut self, socket: BorrowedFd<'_>) -> Sent {
        let mut lost = 0;
        while self.next < self.waiting.len() {
            let nothing = Outgoing { bytes: &[], segment: 0, to: SocketAddr::from(([0; 4], 0)), from: None };
            let mut outgoing = [nothing; MOST];
            let waiting = self.waiting.get(self.next..).unwrap_or_default();
            let count = waiting.len().min(MOST);
            for (into, it) in outgoing.iter_mut().zip(waiting) {
                let bytes = self.bytes.get(it.bytes.clone()).unwrap_or_default();
                *into = Outgoing { bytes, segment: it.segment, to: it.to, from: it.from };
            }
            match datagrams::send(socket, outgoing.get(..count).unwrap_or_default()) {
                Ok(sent) => self.next += sent.max(1),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Sent { is_full: true, lost };
                }
                // It is about the first alone.
                Err(error) => {
                    lost += one_by_one(socket, &outgoing[0], &error);
                    self.next += 1;
                }
            }
        }
        self.bytes.clear();
        self.waiting.clear();
        self.next = 0;
        Sent { is_full: false, lost }
    }
}

/// Sends the datagrams of a train, where the way out takes no trains. Gives how many were lost.
fn one_by_one(socket: BorrowedFd<'_>, train: &Outgoing<'_>, error: &io::Error) -> usize {
    if train.segment >= train.bytes.len() {
        tracing::debug!(client = %train.to, %error, "an answer cannot be sent");
        return 1;
    }
    let sent =
        |bytes| datagrams::send(socket, &[Outgoing { bytes, segment: train.segment, ..*train }]).is_ok();
    train.bytes.chunks(train.segment.max(1)).filter(|bytes| !sent(*bytes)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    #[test]
    fn what_waits_is_sent_in_its_order() {
        let (server, client) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let to = client.local_addr().unwrap();
        let mut outbox = Outbox::default();
        for number in 0..100u8 {
            let bytes = [number; 3];
            // Each third is a train of three datagrams.
            let segment = if number % 3 == 0 { 1 } else { 3 };
            assert!(outbox.push(&Train { bytes: &bytes, segment, from: to, to: None }, to, None));
        }
        assert_eq!(outbox.send(server.as_fd()), Sent::default());
        assert!(outbox.is_empty());
        let mut buffer = [0; 8];
        for number in 0..100u8 {
            let length = if number % 3 == 0 { 1 } else { 3 };
            for _ in 0..3 / length {
                let got = client.recv(&mut buffer).unwrap();
                assert_eq!(buffer[..got], vec![number; length]);
            }
        }
    }

    #[test]
    fn what_cannot_be_sent_keeps_nothing_up() {
        let (server, client) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let mut outbox = Outbox::default();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        for to in [nowhere, client.local_addr().unwrap()] {
            outbox.push(&Train { bytes: b"x", segment: 1, from: to, to: None }, to, None);
        }
        assert_eq!(outbox.send(server.as_fd()), Sent { is_full: false, lost: 1 });
        assert_eq!(client.recv(&mut [0; 8]).unwrap(), 1);
    }

    #[test]
    fn there_is_a_bound() {
        let mut outbox = Outbox::default();
        let to = SocketAddr::from(([127, 0, 0, 1], 9));
        let bytes = vec![0; 60_000];
        let train = Train { bytes: &bytes, segment: 60_000, from: to, to: None };
        assert_eq!((0..100).filter(|_| outbox.push(&train, to, None)).count(), MOST_BYTES / 60_000);
    }
}
