//! Datagrams in fragments of one's own cutting, in an order of one's own: what networks do, and kernels do not.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, bail};
use etherparse::{IpFragOffset, IpNumber, Ipv4Header, Ipv6FragmentHeader, Ipv6Header, UdpHeader, ip_number};
use socket2::{Domain, Protocol, Socket, Type};

use crate::host::Host;

/// The sender writes the IP header (raw(7)).
const RAW: i32 = 255;

const HOPS: u8 = 64;

impl Host {
    /// Sends a UDP datagram in fragments of at most `size` bytes, a multiple of 8, in the order of `order`, by their places:
    /// a place may come again or be left out.
    ///
    /// # Errors
    /// The kernel refuses one.
    pub fn send_pieces(
        &self,
        (from, to): (SocketAddr, SocketAddr),
        payload: &[u8],
        identification: u16,
        size: usize,
        order: &[usize],
    ) -> Result<()> {
        let datagram = udp(from, to, payload)?;
        let pieces: Vec<&[u8]> = datagram.chunks(size).collect();
        let domain = if to.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
        let socket = self.within(|| Socket::new(domain, Type::RAW, Some(Protocol::from(RAW))))??;
        for &place in order {
            let Some(piece) = pieces.get(place) else { bail!("there is no fragment {place}") };
            let (offset, more) = (place * size, place + 1 < pieces.len());
            let bytes = fragment(from.ip(), to.ip(), identification, offset, more, piece)?;
            socket.send_to(&bytes, &SocketAddr::new(to.ip(), 0).into())?;
        }
        Ok(())
    }
}

fn udp(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Result<Vec<u8>> {
    let (source, destination) = (from.port(), to.port());
    let header = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let ip = Ipv4Header::new(0, HOPS, ip_number::UDP, from.octets(), to.octets())?;
            UdpHeader::with_ipv4_checksum(source, destination, &ip, payload)?
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let (source_address, destination_address) = (from.octets(), to.octets());
            let ip = Ipv6Header {
                source: source_address,
                destination: destination_address,
                ..Ipv6Header::default()
            };
            UdpHeader::with_ipv6_checksum(source, destination, &ip, payload)?
        }
        _ => bail!("{from} and {to} are of two families"),
    };
    Ok([&header.to_bytes()[..], payload].concat())
}

fn fragment(
    from: IpAddr,
    to: IpAddr,
    identification: u16,
    offset: usize,
    more: bool,
    piece: &[u8],
) -> Result<Vec<u8>> {
    let offset = IpFragOffset::try_new(u16::try_from(offset / 8)?)?;
    let mut bytes = Vec::new();
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let length = u16::try_from(piece.len())?;
            let mut header = Ipv4Header::new(length, HOPS, ip_number::UDP, from.octets(), to.octets())?;
            (header.identification, header.dont_fragment) = (identification, false);
            (header.fragment_offset, header.more_fragments) = (offset, more);
            header.write(&mut bytes)?;
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let part = Ipv6FragmentHeader::new(ip_number::UDP, offset, more, identification.into());
            let header = Ipv6Header {
                payload_length: u16::try_from(Ipv6FragmentHeader::LEN + piece.len())?,
                next_header: IpNumber::IPV6_FRAGMENTATION_HEADER,
                hop_limit: HOPS,
                source: from.octets(),
                destination: to.octets(),
                ..Ipv6Header::default()
            };
            header.write(&mut bytes)?;
            part.write(&mut bytes)?;
        }
        _ => bail!("{from} and {to} are of two families"),
    }
    bytes.extend(piece);
    Ok(bytes)
}
