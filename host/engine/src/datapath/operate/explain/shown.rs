//! A frame as text: a line for each header, the outermost first. What is broken or cut short is told as far
//! as it goes.

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::{
    ArpPacketSlice, Icmpv4Slice, Icmpv6Slice, IpNumber, Ipv6FragmentHeader, LaxIpPayloadSlice,
    LaxLinkExtSlice, LaxNetSlice, LaxSlicedPacket, TcpOptionElement, TcpSlice, TransportSlice, UdpSlice,
    ip_number,
};
use shunt_wire::{Mac, ip};

use crate::datapath::Datapath;

/// Datagrams in datagrams at most: a tunnel, and what an ICMP error in it quotes.
const DEPTH: usize = 4;
/// A GRE header without options (RFC 2784), and a GUE header (Shunt's tunnels have no more).
const TUNNEL_HEADER: usize = 4;

impl Datapath {
    /// A frame, from its Ethernet header on.
    pub(super) fn shown(&self, frame: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        let Ok(packet) = LaxSlicedPacket::from_ethernet(frame) else {
            return vec![format!("{} bytes that are no Ethernet frame", frame.len())];
        };
        if let Some(ethernet) = packet.link.as_ref().and_then(|link| link.to_header()?.ethernet2()) {
            let (source, destination) = (Mac(ethernet.source), Mac(ethernet.destination));
            let tag = packet.link_exts.iter().find_map(|tag| match tag {
                LaxLinkExtSlice::Vlan(tag) => Some(format!(", VLAN {}", tag.vlan_identifier().value())),
                LaxLinkExtSlice::Macsec(_) => None,
            });
            lines.push(format!("Ethernet {source} > {destination}{}", tag.unwrap_or_default()));
            if packet.net.is_none() {
                lines.push(format!("of Ethernet type 0x{:04x}", ethernet.ether_type.0));
            }
        }
        self.show(&packet, DEPTH, &mut lines);
        lines
    }

    fn show(&self, packet: &LaxSlicedPacket<'_>, depth: usize, lines: &mut Vec<String>) {
        let payload = match &packet.net {
            Some(LaxNetSlice::Ipv4(datagram)) => {
                let header = datagram.header();
                let (source, destination) = (header.source_addr(), header.destination_addr());
                let free = if header.dont_fragment() { "" } else { ", may be fragmented" };
                lines.push(format!(
                    "IPv4 {source} > {destination}, {} bytes, time to live {}{}{free}",
                    header.total_len(),
                    header.ttl(),
                    class(header.dcp().value(), header.ecn().value()),
                ));
                if header.is_fragmenting_payload() {
                    let (offset, more) = (header.fragments_offset().value(), header.more_fragments());
                    lines.push(part(offset, more, header.identification().into()));
                }
                datagram.payload()
            }
            Some(LaxNetSlice::Ipv6(datagram)) => {
                let header = datagram.header();
                let (source, destination) = (header.source_addr(), header.destination_addr());
                lines.push(format!(
                    "IPv6 {source} > {destination}, {} bytes, hop limit {}{}",
                    usize::from(header.payload_length()) + header.slice().len(),
                    header.hop_limit(),
                    class(header.traffic_class() >> 2, header.traffic_class() & 3),
                ));
                if let Some(it) = fragment_header(header.next_header(), datagram.extensions().slice()) {
                    let (offset, more) = (it.fragment_offset.value(), it.more_fragments);
                    lines.push(part(offset, more, it.identification));
                }
                datagram.payload()
            }
            Some(LaxNetSlice::Arp(question)) => return lines.push(arp(question)),
            None => return,
        };
        match &packet.transport {
            Some(TransportSlice::Tcp(segment)) => lines.push(tcp(segment)),
            Some(TransportSlice::Udp(datagram)) => self.show_udp(datagram, depth, lines),
            Some(TransportSlice::Icmpv4(message)) => {
                lines.push(icmp_v4(message));
                let is_error = matches!(message.type_u8(), 3 | 11 | 12);
                self.show_inner(message.payload(), is_error, depth, lines);
            }
            Some(TransportSlice::Icmpv6(message)) => {
                lines.push(icmp_v6(message));
                self.show_inner(message.payload(), message.type_u8() < 128, depth, lines);
            }
            _ => self.show_other(payload, depth, lines),
        }
    }

    /// A tunnel, or a protocol that no virtual takes.
    fn show_other(&self, payload: &LaxIpPayloadSlice<'_>, depth: usize, lines: &mut Vec<String>) {
        if payload.fragmented {
            return lines.push(format!("{} bytes of it", payload.payload.len()));
        }
        match payload.ip_number.0 {
            ip::IPIP | ip::IPV6 => self.show_inner(payload.payload, true, depth, lines),
            ip::GRE => {
                lines.push("GRE".to_owned());
                self.show_inner(payload.payload.get(TUNNEL_HEADER..).unwrap_or_default(), true, depth, lines);
            }
            protocol => lines.push(format!("protocol {protocol}, {} bytes", payload.payload.len())),
        }
    }

    fn show_udp(&self, udp: &UdpSlice<'_>, depth: usize, lines: &mut Vec<String>) {
        let (source, destination) = (udp.source_port(), udp.destination_port());
        let is_gue = self.config.snapshot.virtuals().iter().any(|virtual_| virtual_.gue_port == destination);
        let inner = udp
            .payload()
            .get(TUNNEL_HEADER..)
            .filter(|inner| is_gue && inner.first().is_some_and(|first| matches!(first >> 4, 4 | 6)));
        match inner {
            Some(inner) => {
                lines.push(format!("GUE from UDP port {source} to {destination}"));
                self.show_inner(inner, true, depth, lines);
            }
            None => lines.push(format!("UDP {source} > {destination}, {} bytes", udp.payload().len())),
        }
    }

    fn show_inner(&self, bytes: &[u8], is_datagram: bool, depth: usize, lines: &mut Vec<String>) {
        if is_datagram
            && depth > 0
            && let Ok(inner) = LaxSlicedPacket::from_ip(bytes)
        {
            self.show(&inner, depth - 1, lines);
        }
    }
}

/// The fragment header of a chain of extension headers, which may be cut anywhere (RFC 8200 section 4).
/// Etherparse's iterator takes it to be whole.
fn fragment_header(first: IpNumber, chain: &[u8]) -> Option<Ipv6FragmentHeader> {
    let (mut kind, mut chain) = (first, chain);
    loop {
        let [next, units, ..] = *chain else { return None };
        let len = match kind {
            ip_number::IPV6_HOP_BY_HOP | ip_number::IPV6_ROUTE | ip_number::IPV6_DEST_OPTIONS => {
                usize::from(units) * 8 + 8
            }
            // RFC 4302 section 2.2.
            ip_number::AUTH => usize::from(units) * 4 + 8,
            ip_number::IPV6_FRAG => return Some(Ipv6FragmentHeader::from_slice(chain).ok()?.0),
            _ => return None,
        };
        (kind, chain) = (IpNumber(next), chain.get(len..)?);
    }
}

/// DSCP and ECN, where they are not zero.
fn class(dscp: u8, ecn: u8) -> String {
    let of = |name, value| if value == 0 { String::new() } else { format!(", {name} {value}") };
    of("DSCP", dscp) + &of("ECN", ecn)
}

/// `offset` in units of eight bytes.
fn part(offset: u16, more: bool, identification: u32) -> String {
    let last = if more { "" } else { ", the last" };
    format!("fragment of packet {identification}, from byte {}{last}", u32::from(offset) * 8)
}

fn tcp(segment: &TcpSlice<'_>) -> String {
    let flags = [
        (segment.syn(), "SYN"),
        (segment.fin(), "FIN"),
        (segment.rst(), "RST"),
        (segment.psh(), "PSH"),
        (segment.ack(), "ACK"),
    ];
    let flags: Vec<&str> = flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect();
    let flags = if flags.is_empty() { "no flags".to_owned() } else { flags.join(" ") };
    let (source, destination) = (segment.source_port(), segment.destination_port());
    let mut line = format!("TCP {source} > {destination}, {flags}, sequence {}", segment.sequence_number());
    if segment.ack() {
        line.push_str(&format!(", acknowledges {}", segment.acknowledgment_number()));
    }
    let most = segment.options_iterator().flatten().find_map(|option| match option {
        TcpOptionElement::MaximumSegmentSize(most) => Some(most),
        _ => None,
    });
    if let Some(most) = most {
        line.push_str(&format!(", segments of {most} bytes at most"));
    }
    if !segment.payload().is_empty() {
        line.push_str(&format!(", {} bytes", segment.payload().len()));
    }
    line
}

fn icmp_v4(message: &Icmpv4Slice<'_>) -> String {
    let [a, b, c, d] = message.bytes5to8();
    let number = u16::from_be_bytes;
    match (message.type_u8(), message.code_u8()) {
        (8, 0) => format!("ICMP echo request, identifier {}", number([a, b])),
        (0, 0) => format!("ICMP echo reply, identifier {}", number([a, b])),
        (3, 1) => "ICMP host unreachable, about".to_owned(),
        (3, 3) => "ICMP port unreachable, about".to_owned(),
        (3, 4) => format!("ICMP too big, {} bytes would fit, about", number([c, d])),
        (3, 13) => "ICMP prohibited, about".to_owned(),
        (11, 0) => "ICMP time exceeded, about".to_owned(),
        (kind, code) => format!("ICMP type {kind} code {code}"),
    }
}

fn icmp_v6(message: &Icmpv6Slice<'_>) -> String {
    let [a, b, ..] = message.bytes5to8();
    let identifier = u16::from_be_bytes([a, b]);
    match (message.type_u8(), message.code_u8()) {
        (128, 0) => format!("ICMPv6 echo request, identifier {identifier}"),
        (129, 0) => format!("ICMPv6 echo reply, identifier {identifier}"),
        (1, 1) => "ICMPv6 prohibited, about".to_owned(),
        (1, 3) => "ICMPv6 address unreachable, about".to_owned(),
        (1, 4) => "ICMPv6 port unreachable, about".to_owned(),
        (2, 0) => {
            let mtu = u32::from_be_bytes(message.bytes5to8());
            format!("ICMPv6 too big, {mtu} bytes would fit, about")
        }
        (3, 0) => "ICMPv6 time exceeded, about".to_owned(),
        (135, 0) => "ICMPv6 neighbour solicitation".to_owned(),
        (136, 0) => "ICMPv6 neighbour advertisement".to_owned(),
        (kind, code) => format!("ICMPv6 type {kind} code {code}"),
    }
}

fn arp(packet: &ArpPacketSlice<'_>) -> String {
    let address = |octets: &[u8]| match (<[u8; 4]>::try_from(octets), <[u8; 16]>::try_from(octets)) {
        (Ok(octets), _) => Ipv4Addr::from(octets).to_string(),
        (_, Ok(octets)) => Ipv6Addr::from(octets).to_string(),
        _ => "somebody".to_owned(),
    };
    let (sender, target) = (address(packet.sender_protocol_addr()), address(packet.target_protocol_addr()));
    let mac = <[u8; 6]>::try_from(packet.sender_hw_addr()).map(Mac).unwrap_or_default();
    match packet.operation().0 {
        1 => format!("ARP: who has {target}? asks {sender}"),
        2 => format!("ARP: {sender} is at {mac}"),
        operation => format!("ARP operation {operation}"),
    }
}
