//! Frames as the simulated hosts send and read them: by etherparse alone.

use std::net::{IpAddr, SocketAddr};

use etherparse::checksum::Sum16BitWords;
use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};

pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const RST: u8 = 4;
pub(super) const PSH: u8 = 8;
pub(super) const ACK: u8 = 16;

/// A segment or a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
    /// None: a datagram.
    pub(super) tcp: Option<Tcp>,
    pub(super) payload: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tcp {
    pub(super) flags: u8,
    pub(super) seq: u32,
    pub(super) ack: u32,
}

impl Message {
    /// In a frame from one MAC to another.
    pub(super) fn frame(&self, from: [u8; 6], to: [u8; 6]) -> Vec<u8> {
        let ethernet = PacketBuilder::ethernet2(from, to);
        let ip = match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                ethernet.ipv4(source.octets(), destination.octets(), 64)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                ethernet.ipv6(source.octets(), destination.octets(), 64)
            }
            _ => panic!("{self:?} is of two families"),
        };
        let (source, destination) = (self.source.port(), self.destination.port());
        let mut frame = Vec::new();
        match self.tcp {
            Some(Tcp { flags, seq, ack }) => {
                let mut tcp = ip.tcp(source, destination, seq, 65_535);
                tcp = if flags & SYN != 0 { tcp.syn() } else { tcp };
                tcp = if flags & FIN != 0 { tcp.fin() } else { tcp };
                tcp = if flags & RST != 0 { tcp.rst() } else { tcp };
                tcp = if flags & PSH != 0 { tcp.psh() } else { tcp };
                tcp = if flags & ACK != 0 { tcp.ack(ack) } else { tcp };
                tcp.write(&mut frame, &self.payload).unwrap();
            }
            None => ip.udp(source, destination).write(&mut frame, &self.payload).unwrap(),
        }
        frame
    }

    /// What a frame carries, in a tunnel or not, with its checksums verified; none if it is something else
    /// (an ICMP error, ARP). The flag: it was in a tunnel.
    pub(super) fn read(frame: &[u8]) -> Option<(Self, bool)> {
        let packet = SlicedPacket::from_ethernet(frame).ok()?;
        let payload = match packet.net.as_ref()? {
            NetSlice::Ipv4(ip) => ip.payload(),
            NetSlice::Ipv6(ip) => ip.payload(),
            NetSlice::Arp(_) => return None,
        };
        // IP in IP: protocols 4 and 41.
        if matches!(payload.ip_number.0, 4 | 41) {
            let inner = SlicedPacket::from_ip(payload.payload).ok()?;
            return Some((Self::of(&inner)?, true));
        }
        Some((Self::of(&packet)?, false))
    }

    fn of(packet: &SlicedPacket<'_>) -> Option<Self> {
        let (source, destination) = match packet.net.as_ref()? {
            NetSlice::Ipv4(ip) => {
                let header = ip.header();
                assert_eq!(header.header_checksum(), header.to_header().calc_header_checksum());
                (IpAddr::V4(header.source_addr()), IpAddr::V4(header.destination_addr()))
            }
            NetSlice::Ipv6(ip) => {
                (IpAddr::V6(ip.header().source_addr()), IpAddr::V6(ip.header().destination_addr()))
            }
            NetSlice::Arp(_) => return None,
        };
        match packet.transport.as_ref()? {
            TransportSlice::Tcp(tcp) => {
                let header = tcp.to_header();
                let expected = match (source, destination) {
                    (IpAddr::V4(source), IpAddr::V4(destination)) => {
                        header.calc_checksum_ipv4_raw(source.octets(), destination.octets(), tcp.payload())
                    }
                    (IpAddr::V6(source), IpAddr::V6(destination)) => {
                        header.calc_checksum_ipv6_raw(source.octets(), destination.octets(), tcp.payload())
                    }
                    _ => panic!("two families"),
                };
                assert_eq!(Ok(tcp.checksum()), expected.map_err(|_| ()), "the checksum of {packet:?}");
                let bit = |set: bool, flag: u8| if set { flag } else { 0 };
                let flags = bit(tcp.fin(), FIN)
                    | bit(tcp.syn(), SYN)
                    | bit(tcp.rst(), RST)
                    | bit(tcp.psh(), PSH)
                    | bit(tcp.ack(), ACK);
                Some(Self {
                    source: SocketAddr::new(source, tcp.source_port()),
                    destination: SocketAddr::new(destination, tcp.destination_port()),
                    tcp: Some(Tcp { flags, seq: tcp.sequence_number(), ack: tcp.acknowledgment_number() }),
                    payload: tcp.payload().to_vec(),
                })
            }
            TransportSlice::Udp(udp) => {
                let header = udp.to_header();
                let expected = match (source, destination) {
                    (IpAddr::V4(source), IpAddr::V4(destination)) => {
                        header.calc_checksum_ipv4_raw(source.octets(), destination.octets(), udp.payload())
                    }
                    (IpAddr::V6(source), IpAddr::V6(destination)) => {
                        header.calc_checksum_ipv6_raw(source.octets(), destination.octets(), udp.payload())
                    }
                    _ => panic!("two families"),
                };
                assert_eq!(Ok(udp.checksum()), expected.map_err(|_| ()), "the checksum of {packet:?}");
                Some(Self {
                    source: SocketAddr::new(source, udp.source_port()),
                    destination: SocketAddr::new(destination, udp.destination_port()),
                    tcp: None,
                    payload: udp.payload().to_vec(),
                })
            }
            _ => None,
        }
    }
}

/// Leaves the checksum of a packet without options to the device: what stands there is the sum of the pseudo-header.
pub(super) fn leave_checksum(frame: &mut [u8]) {
    let (l4, addresses, protocol) = match frame[14] >> 4 {
        4 => (14 + 20, 14 + 12..14 + 20, frame[14 + 9]),
        _ => (14 + 40, 14 + 8..14 + 40, frame[14 + 6]),
    };
    let len = (frame.len() - l4) as u32;
    let sum = Sum16BitWords::new().add_slice(&frame[addresses]);
    let mut sum = sum.add_2bytes([0, protocol]);
    let sum = sum.add_4bytes(len.to_be_bytes());
    let at = if protocol == 6 { 16 } else { 6 };
    frame[l4 + at..][..2].copy_from_slice(&(!sum.ones_complement()).to_ne_bytes());
}
