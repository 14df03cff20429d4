//! TCP, UDP and ICMP.

use etherparse::icmpv6::{NdpOptionSlice, NeighborSolicitationPayloadSlice};
use etherparse::{Icmpv4Slice, Icmpv6Slice, TcpHeaderSlice, TcpSlice, UdpHeaderSlice, UdpSlice};
use shunt_wire::checksum::Sum;
use shunt_wire::icmp::{self, Echo};
use shunt_wire::layout::Part;
use shunt_wire::{Endpoint, Family, FlowKey, Mac, ip, ndp};

use super::network::Datagram;
use super::{FlowPacket, Fragment, Kind, OtherPacket, TcpSegment, Unreadable, embedded};

/// RFC 768: the length counts the header.
const UDP_HEADER_LEN: u16 = 8;

/// What the datagram carries.
#[inline]
pub(super) fn read(bytes: &[u8], datagram: &Datagram) -> Result<Kind, Unreadable> {
    let (l4, end) = (usize::from(datagram.layout.l4), usize::from(datagram.layout.end));
    let payload = bytes.get(l4..end).ok_or(Unreadable::IpLength)?;
    if datagram.layout.part != Part::Whole {
        return Ok(Kind::Fragment(fragment(datagram, payload)));
    }
    match (datagram.layout.family, datagram.layout.protocol) {
        (_, ip::TCP) => tcp(datagram, payload),
        (_, ip::UDP) => udp(datagram, payload),
        (Family::V4, ip::ICMP) => icmp_v4(bytes, datagram, payload),
        (Family::V6, ip::ICMPV6) => icmp_v6(bytes, datagram, payload),
        _ => Ok(other(datagram)),
    }
}

/// The flow of a datagram between two ports.
#[inline]
pub(super) fn key(datagram: &Datagram, source: u16, destination: u16) -> FlowKey {
    FlowKey::new(
        Endpoint { address: datagram.source, port: source },
        Endpoint { address: datagram.destination, port: destination },
        datagram.layout.protocol,
    )
}

/// The flow of a half of an echo exchange.
pub(super) fn echo_key(datagram: &Datagram, echo: Echo, identifier: u16) -> FlowKey {
    match echo {
        Echo::Request => key(datagram, identifier, 0),
        Echo::Reply => key(datagram, 0, identifier),
    }
}

#[inline]
fn tcp(datagram: &Datagram, payload: &[u8]) -> Result<Kind, Unreadable> {
    let segment = TcpSlice::from_slice(payload).map_err(|_| Unreadable::Tcp)?;
    let [.., flags] = segment.header_slice().first_chunk::<14>().copied().unwrap_or_default();
    let said = TcpSegment {
        flags,
        seq: segment.sequence_number(),
        ack: segment.acknowledgment_number(),
        window: segment.window_size(),
        payload: segment.payload().len() as u16,
    };
    let key = key(datagram, segment.source_port(), segment.destination_port());
    Ok(Kind::Flow(flow(datagram, key, Some(said))))
}

#[inline]
fn udp(datagram: &Datagram, payload: &[u8]) -> Result<Kind, Unreadable> {
    let udp = UdpSlice::from_slice(payload).map_err(|_| Unreadable::Udp)?;
    // Zero is a jumbogram's (RFC 2675 section 4), which no frame here holds.
    if udp.length() < UDP_HEADER_LEN {
        return Err(Unreadable::Udp);
    }
    let key = key(datagram, udp.source_port(), udp.destination_port());
    Ok(Kind::Flow(flow(datagram, key, None)))
}

fn icmp_v4(bytes: &[u8], datagram: &Datagram, payload: &[u8]) -> Result<Kind, Unreadable> {
    let message = Icmpv4Slice::from_slice(payload).map_err(|_| Unreadable::Icmp)?;
    let (kind, code) = (message.type_u8(), message.code_u8());
    match kind {
        icmp::V4_ECHO_REQUEST | icmp::V4_ECHO_REPLY if code == 0 => {
            Ok(echo(datagram, kind, message.bytes5to8()))
        }
        icmp::V4_UNREACHABLE | icmp::V4_TIME_EXCEEDED | icmp::V4_PARAMETER_PROBLEM => {
            check(Sum::new(), payload)?;
            // Code 4 of "unreachable" is "fragmentation needed"; its MTU is 16 bits (RFC 1191 section 4).
            let [_, _, high, low] = message.bytes5to8();
            let too_big = kind == icmp::V4_UNREACHABLE && code == 4;
            let mtu = too_big.then_some(u32::from(u16::from_be_bytes([high, low])));
            embedded::read(bytes, datagram, kind, code, mtu).map(Kind::IcmpError)
        }
        _ => Ok(other(datagram)),
    }
}

fn icmp_v6(bytes: &[u8], datagram: &Datagram, payload: &[u8]) -> Result<Kind, Unreadable> {
    let message = Icmpv6Slice::from_slice(payload).map_err(|_| Unreadable::Icmp)?;
    let (kind, code) = (message.type_u8(), message.code_u8());
    if datagram.source == std::net::Ipv6Addr::UNSPECIFIED.into() && kind != ndp::NEIGHBOUR_SOLICITATION {
        return Err(Unreadable::Source);
    }
    match kind {
        icmp::V6_ECHO_REQUEST | icmp::V6_ECHO_REPLY if code == 0 => {
            Ok(echo(datagram, kind, message.bytes5to8()))
        }
        icmp::V6_UNREACHABLE | icmp::V6_TOO_BIG | icmp::V6_TIME_EXCEEDED | icmp::V6_PARAMETER_PROBLEM => {
            check(pseudo(datagram, payload), payload)?;
            let mtu = (kind == icmp::V6_TOO_BIG).then_some(u32::from_be_bytes(message.bytes5to8()));
            embedded::read(bytes, datagram, kind, code, mtu).map(Kind::IcmpError)
        }
        ndp::NEIGHBOUR_SOLICITATION => {
            check(pseudo(datagram, payload), payload)?;
            solicitation(datagram, &message).ok_or(Unreadable::NeighbourDiscovery)
        }
        _ => Ok(other(datagram)),
    }
}

/// The rules of RFC 4861 section 7.1.1.
fn solicitation(datagram: &Datagram, message: &Icmpv6Slice<'_>) -> Option<Kind> {
    let body = NeighborSolicitationPayloadSlice::from_slice(message.payload()).ok()?;
    let target = body.target_address();
    if datagram.ttl != ndp::HOP_LIMIT || message.code_u8() != 0 || target.is_multicast() {
        return None;
    }
    let mut source_mac = None;
    for option in body.options_iterator() {
        if let NdpOptionSlice::SourceLinkLayerAddress(address) = option.ok()? {
            source_mac = Some(Mac(address.link_layer_address().try_into().ok()?));
        }
    }
    let source = match datagram.source.to_ip() {
        std::net::IpAddr::V6(source) => source,
        std::net::IpAddr::V4(_) => return None,
    };
    let solicited = ndp::solicited_node(target).into();
    if source.is_unspecified() && (source_mac.is_some() || datagram.destination != solicited) {
        return None;
    }
    Some(Kind::NeighbourSolicitation(ndp::Solicitation { source, source_mac, target }))
}

fn echo(datagram: &Datagram, kind: u8, rest: [u8; 4]) -> Kind {
    let [high, low, ..] = rest;
    let identifier = u16::from_be_bytes([high, low]);
    match icmp::echo(datagram.layout.family, kind) {
        Some(half) => Kind::Flow(flow(datagram, echo_key(datagram, half, identifier), None)),
        None => other(datagram),
    }
}

#[inline]
const fn flow(datagram: &Datagram, key: FlowKey, tcp: Option<TcpSegment>) -> FlowPacket {
    FlowPacket {
        key,
        tcp,
        ttl: datagram.ttl,
        traffic_class: datagram.traffic_class,
        dont_fragment: datagram.dont_fragment,
        length: datagram.layout.datagram_len(),
    }
}

fn fragment(datagram: &Datagram, payload: &[u8]) -> Fragment {
    let first = datagram.layout.part == Part::First;
    Fragment {
        source: datagram.source,
        destination: datagram.destination,
        protocol: datagram.layout.protocol,
        head: if first { head(datagram, payload) } else { None },
        identification: datagram.piece.identification,
        identification_at: datagram.piece.identification_at,
        offset: datagram.piece.offset,
        payload: datagram.layout.end - datagram.piece.start,
        more: datagram.piece.more,
        length: datagram.layout.datagram_len(),
    }
}

/// What a first fragment says of its flow. Its transport header has to be whole, options included: one that
/// is cut hides from filters what the packet is (RFC 1858 section 3, RFC 7112 section 5). Only
/// the payload behind it may be.
fn head(datagram: &Datagram, payload: &[u8]) -> Option<FlowPacket> {
    match datagram.layout.protocol {
        ip::TCP => {
            let header = TcpHeaderSlice::from_slice(payload).ok()?;
            let [.., flags] = *header.slice().first_chunk::<14>()?;
            let said = TcpSegment {
                flags,
                seq: header.sequence_number(),
                ack: header.acknowledgment_number(),
                window: header.window_size(),
                payload: (payload.len() - header.slice().len()) as u16,
            };
            let key = key(datagram, header.source_port(), header.destination_port());
            Some(flow(datagram, key, Some(said)))
        }
        ip::UDP => {
            let header = UdpHeaderSlice::from_slice(payload).ok()?;
            Some(flow(datagram, key(datagram, header.source_port(), header.destination_port()), None))
        }
        protocol if protocol == icmp::protocol_of(datagram.layout.family) => {
            let [kind, code, _, _, high, low, ..] = *payload.first_chunk::<8>()?;
            let half = icmp::echo(datagram.layout.family, kind).filter(|_| code == 0)?;
            Some(flow(datagram, echo_key(datagram, half, u16::from_be_bytes([high, low])), None))
        }
        ip::ICMP | ip::ICMPV6 => None,
        _ => Some(flow(datagram, key(datagram, 0, 0), None)),
    }
}

fn other(datagram: &Datagram) -> Kind {
    Kind::Other(OtherPacket {
        source: datagram.source,
        destination: datagram.destination,
        protocol: datagram.layout.protocol,
        ttl: datagram.ttl,
        traffic_class: datagram.traffic_class,
        dont_fragment: datagram.dont_fragment,
        length: datagram.layout.datagram_len(),
    })
}

fn pseudo(datagram: &Datagram, payload: &[u8]) -> Sum {
    Sum::pseudo(datagram.source, datagram.destination, datagram.layout.protocol, payload.len() as u32)
}

fn check(sum: Sum, payload: &[u8]) -> Result<(), Unreadable> {
    if sum.bytes(payload).is_valid() { Ok(()) } else { Err(Unreadable::IcmpChecksum) }
}
