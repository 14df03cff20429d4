//! The other end of a TUN device, packet by packet.

use std::io::Read;
use std::net::UdpSocket;

use anyhow::{Context, Result};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::PATIENCE;
use crate::host::Host;

/// A packet socket on a host whose one device carries IP datagrams without anything in front. What it sends comes to
/// whoever has the device's other end; what that one writes, and what the kernel sends there, it receives.
#[derive(Debug)]
pub struct Line {
    socket: Socket,
    device: SockAddr,
}

/// `ETH_P_ALL` of linux/if_ether.h, in the byte order of packet(7).
const EVERYTHING: i32 = 3u16.to_be() as i32;

/// By which it is known where the kernel sends packets.
const KNOCK: &[u8] = b"where does this go?";

impl Line {
    /// The host has a route that leads to the device, and somebody has its other end.
    ///
    /// # Errors
    /// It has none.
    pub fn open(host: &Host) -> Result<Self> {
        let (socket, knock) = host.within(|| -> Result<(Socket, UdpSocket)> {
            let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(EVERYTHING)))?;
            Ok((socket, UdpSocket::bind("0.0.0.0:0")?))
        })??;
        socket.set_read_timeout(Some(PATIENCE))?;
        // One cannot say its number without unsafe code, but hear it.
        knock.send_to(KNOCK, "198.18.0.1:9")?;
        let (_, device) = next(&socket, |it| it.ends_with(KNOCK))?;
        Ok(Line { socket, device })
    }

    /// Sends a datagram to the device's other end.
    ///
    /// # Errors
    /// As the kernel gives them.
    pub fn send(&self, datagram: &[u8]) -> Result<()> {
        self.socket.send_to(datagram, &self.device).map(drop).context("the device does not take it")
    }

    /// The next datagram that is `wanted`.
    ///
    /// # Errors
    /// None comes.
    pub fn receive(&self, wanted: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>> {
        next(&self.socket, wanted).map(|(datagram, _)| datagram)
    }
}

fn next(mut socket: &Socket, wanted: impl Fn(&[u8]) -> bool) -> Result<(Vec<u8>, SockAddr)> {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let from = socket.peek_sender().context("no such datagram comes")?;
        let length = socket.read(&mut buffer)?;
        let datagram = buffer.get(..length).unwrap_or_default();
        if wanted(datagram) {
            return Ok((datagram.to_vec(), from));
        }
    }
}
