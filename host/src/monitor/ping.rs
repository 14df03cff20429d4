//! An ICMP echo must come back (RFC 792, RFC 4443 section 4.1).

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

use shunt_config::monitors;
use shunt_sys::fragments::{self, Learned};
use shunt_wire::{checksum, ip};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::probe::{Ask, Failure, Good, ProbeTransport, Probing, is_too_long};

/// Type, code, checksum, identifier and sequence number.
const HEADER_LEN: usize = 8;
/// What an echo carries, so that no other program's is taken for it.
const PAYLOAD: &[u8] = b"shunt asks whether you are there";

impl Ask for monitors::Ping {
    async fn ask<S: ProbeTransport>(&self, mut probing: Probing<'_, S>) -> Result<Good, Failure> {
        let socket = Ping::open(&probing).map_err(Failure::Connect)?;
        let from = SocketAddr::new(probing.source().ip(), socket.identifier);
        probing.begin(socket.protocol(), from);
        socket.ask(probing.size).await?;
        Ok("got an echo reply".into())
    }
}

/// A socket for one echo. Linux has sockets that may do nothing but this, where `net.ipv4.ping_group_range` lets the
/// process have them; else it is a raw one, for which it needs CAP_NET_RAW.
struct Ping {
    socket: UdpSocket,
    identifier: u16,
    is_v4: bool,
}

impl Ping {
    /// # Errors
    /// As the kernel gives them.
    fn open<S: ProbeTransport>(probing: &Probing<'_, S>) -> io::Result<Ping> {
        let (to, from) = (probing.to.ip(), probing.from());
        let is_v4 = to.is_ipv4();
        let (domain, protocol) =
            if is_v4 { (Domain::IPV4, Protocol::ICMPV4) } else { (Domain::IPV6, Protocol::ICMPV6) };
        let open = |kind: Type| -> io::Result<Socket> {
            let socket = Socket::new(domain, kind.nonblocking().cloexec(), Some(protocol))?;
            probing.mark(&socket)?;
            if probing.size.is_some() {
                fragments::forbid(socket.as_fd(), is_v4, Learned::Ignored)?;
            }
            if let Some(from) = from {
                socket.bind(&SocketAddr::new(from, 0).into())?;
            }
            socket.connect(&SocketAddr::new(to, 0).into())?;
            Ok(socket)
        };
        let (socket, given) = match open(Type::DGRAM) {
            Ok(socket) => {
                let given = socket.local_addr()?.as_socket().map(|address| address.port());
                (socket, given)
            }
            Err(_) => (open(Type::RAW)?, None),
        };
        let identifier = given.filter(|it| *it != 0).unwrap_or_else(next_identifier);
        // To tokio any socket that sends and receives is one of datagrams.
        Ok(Ping { socket: UdpSocket::from_std(socket.into())?, identifier, is_v4 })
    }

    /// The IP protocol number.
    fn protocol(&self) -> u8 {
        if self.is_v4 { ip::ICMP } else { ip::ICMPV6 }
    }

    /// Asks, in a packet of this length if there is one, and waits for the answer.
    ///
    /// # Errors
    /// As the kernel gives them, which knows of ICMP errors too.
    async fn ask(&self, size: Option<u16>) -> Result<(), Failure> {
        let payload = payload(self.is_v4, size);
        let request = request(self.is_v4, self.identifier, &payload);
        self.socket.send(&request).await.map_err(|error| match size {
            Some(size) if is_too_long(&error) => Failure::TooLong(size),
            _ => Failure::Connect(error),
        })?;
        // With a header of IP before it, and its options.
        let mut buffer = vec![0; request.len() + 60];
        loop {
            let length = self.socket.recv(&mut buffer).await.map_err(Failure::Connect)?;
            let message = buffer.get(..length).unwrap_or_default();
            if is_reply(self.is_v4, self.identifier, &payload, message) {
                return Ok(());
            }
        }
    }
}

/// Each one after the other, so that a late answer is not taken for the next one's.
fn next_identifier() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    match NEXT.fetch_add(1, Relaxed) {
        0 => NEXT.fetch_add(1, Relaxed),
        identifier => identifier,
    }
}

/// What makes a packet of this length, or of the usual one.
fn payload(is_v4: bool, size: Option<u16>) -> Vec<u8> {
    let header = if is_v4 { 20 } else { 40 };
    let length = usize::from(size.unwrap_or_default()).saturating_sub(header + HEADER_LEN);
    PAYLOAD.iter().copied().cycle().take(length.max(PAYLOAD.len())).collect()
}

fn request(is_v4: bool, identifier: u16, payload: &[u8]) -> Vec<u8> {
    let kind = if is_v4 { 8 } else { 128 };
    let mut message = vec![0; HEADER_LEN];
    message[0] = kind;
    message[4..6].copy_from_slice(&identifier.to_be_bytes());
    message[6..8].copy_from_slice(&1u16.to_be_bytes());
    message.extend_from_slice(payload);
    if is_v4 {
        // Of ICMPv6 the kernel makes it, which knows the addresses (RFC 3542 section 3.1).
        let sum = !checksum::sum(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    message
}

/// Whether it is the answer; in IPv4 a raw socket shows the IP header in front (raw(7)).
fn is_reply(is_v4: bool, identifier: u16, payload: &[u8], bytes: &[u8]) -> bool {
    let header =
        bytes.first().filter(|first| is_v4 && **first >> 4 == 4).map(|first| usize::from(first & 15) * 4);
    let message = bytes.get(header.unwrap_or(0)..).unwrap_or_default();
    let kind = if is_v4 { 0 } else { 129 };
    let [high, low] = identifier.to_be_bytes();
    matches!(message, [first, 0, _, _, a, b, ..] if (*first, *a, *b) == (kind, high, low))
        && message.get(HEADER_LEN..) == Some(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_answer_is_one() {
        for (is_v4, size) in [(true, None), (false, None), (true, Some(1500)), (false, Some(1500))] {
            let payload = payload(is_v4, size);
            let is_reply = |identifier, message: &[u8]| is_reply(is_v4, identifier, &payload, message);
            let mut message = request(is_v4, 7, &payload);
            assert!(!is_reply(7, &message), "a request is no answer");
            message[0] = if is_v4 { 0 } else { 129 };
            assert!(is_reply(7, &message));
            assert!(!is_reply(8, &message));
            assert!(!is_reply(7, &message[..20]));
        }
        let mut raw = vec![0x45; 20];
        raw.extend(request(true, 7, PAYLOAD));
        raw[20] = 0;
        assert!(is_reply(true, 7, PAYLOAD, &raw));
        assert_eq!(checksum::sum(&request(true, 7, PAYLOAD)), 0xffff);
    }

    #[test]
    fn a_packet_has_the_length_that_is_asked_for() {
        let length = |is_v4, size| request(is_v4, 7, &payload(is_v4, size)).len();
        assert_eq!([length(true, Some(1500)), length(false, Some(1500))], [1480, 1460]);
        assert_eq!(length(true, None), HEADER_LEN + PAYLOAD.len());
    }
}
