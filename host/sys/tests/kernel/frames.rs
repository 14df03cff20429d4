//! Frames, byte by byte, so that nothing under test has a hand in them.

use std::net::IpAddr;

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const FRAGMENT: u8 = 44;
pub(crate) const ICMPV6: u8 = 58;

/// The MAC of the interface under test.
pub(crate) const OWN_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub(crate) const OTHER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// An Ethernet frame to `OWN_MAC`.
pub(crate) fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    [&OWN_MAC, &OTHER_MAC, ether_type.to_be_bytes().as_slice(), payload].concat()
}

/// The same frame, to another MAC.
pub(crate) fn to(mac: [u8; 6], mut frame: Vec<u8>) -> Vec<u8> {
    frame[..6].copy_from_slice(&mac);
    frame
}

/// The same frame, in VLAN 7 and with a priority.
pub(crate) fn tagged(mut frame: Vec<u8>) -> Vec<u8> {
    frame.splice(12..12, [0x81, 0x00, 0x60, 0x07]);
    frame
}

/// A frame with an IP packet.
pub(crate) fn packet(source: &str, destination: &str, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let bytes = ip(source, destination, protocol, payload);
    ethernet(if bytes[0] >> 4 == 4 { 0x0800 } else { 0x86dd }, &bytes)
}

/// An IP packet without options; checksums are nobody's business here.
pub(crate) fn ip(source: &str, destination: &str, protocol: u8, payload: &[u8]) -> Vec<u8> {
    match (source.parse().unwrap(), destination.parse().unwrap()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let length = (20 + payload.len() as u16).to_be_bytes();
            let start = [0x45, 0, length[0], length[1], 0, 1, 0, 0, 64, protocol, 0, 0];
            [start.as_slice(), &source.octets(), &destination.octets(), payload].concat()
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let length = (payload.len() as u16).to_be_bytes();
            let start = [0x60, 0, 0, 0, length[0], length[1], protocol, 64];
            [&start, source.octets().as_slice(), &destination.octets(), payload].concat()
        }
        _ => panic!("addresses of one family"),
    }
}

/// The IPv4 packet of a frame with so many words of options, all "no operation".
pub(crate) fn with_options(mut frame: Vec<u8>, words: u8) -> Vec<u8> {
    frame[14] = 0x45 + words;
    frame.splice(34..34, vec![1; usize::from(words) * 4]);
    frame
}

/// The IPv4 packet of a frame as a fragment, which starts at eight times `offset`.
pub(crate) fn fragment_v4(mut frame: Vec<u8>, offset: u16, more: bool) -> Vec<u8> {
    frame[20..22].copy_from_slice(&(offset | u16::from(more) << 13).to_be_bytes());
    frame
}

/// An IPv6 fragment header before `payload`.
pub(crate) fn fragment_v6(next: u8, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let place = (offset << 3 | u16::from(more)).to_be_bytes();
    [&[next, 0, place[0], place[1], 0, 0, 0, 9], payload].concat()
}

/// An IPv6 options header of 16 bytes before `payload` (padding, RFC 8200 section 4.2).
pub(crate) fn options_v6(next: u8, payload: &[u8]) -> Vec<u8> {
    [&[next, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], payload].concat()
}

/// The ports with which the headers of TCP and UDP begin, and as many bytes as UDP has.
pub(crate) fn ports(source: u16, destination: u16) -> Vec<u8> {
    [source.to_be_bytes(), destination.to_be_bytes(), [0, 8], [0, 0]].concat()
}

/// An ICMP message with `kind` as its type.
pub(crate) fn icmp(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&[kind, 0, 0, 0, 0, 0, 0, 0], payload].concat()
}

/// An ARP packet of IPv4 on Ethernet, to all. Operation 1 asks, 2 answers.
pub(crate) fn arp(operation: u8, sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let body = [&[0, 1, 8, 0, 6, 4, 0, operation], OTHER_MAC.as_slice(), &sender, &[0; 6], &target].concat();
    to([0xff; 6], ethernet(0x0806, &body))
}

/// Who has `target`? To its solicited-node group (RFC 4861 section 7.2.2).
pub(crate) fn solicitation(target: &str) -> Vec<u8> {
    let IpAddr::V6(address) = target.parse().unwrap() else { panic!("an IPv6 address") };
    let [.., a, b, c] = address.octets();
    let group = format!("ff02::1:ff{a:02x}:{:x}", u16::from_be_bytes([b, c]));
    let frame = packet("fe80::2", &group, ICMPV6, &icmp(135, &address.octets()));
    to([0x33, 0x33, 0xff, a, b, c], frame)
}
