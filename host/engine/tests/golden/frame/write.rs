//! Bytes to text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{
    Ethernet2Header, IpNumber, Ipv4Header, Ipv6FragmentHeader, Ipv6Header, SingleVlanHeader, TcpHeader,
    UdpHeader, ip_number,
};

use super::layer::{GUE_PORT, icmp_checksum, pseudo, quotes};
use super::read;

/// A frame as text that [`read`] reads back. What is not known, or cut short, is in hexadecimal.
pub(crate) fn write(bytes: &[u8]) -> String {
    let mut layers = Vec::new();
    ethernet(bytes, &mut layers);
    let plain = layers.join(" | ");
    let padded = format!("{plain} | pad {}", bytes.len());
    for text in [plain, padded] {
        if read(&text).is_ok_and(|back| back == bytes) {
            return text;
        }
    }
    let mut layers = Vec::new();
    opaque(bytes, &mut layers);
    layers.join(" | ")
}

/// A frame that has no other form: bits that are reserved, padding that is not zero.
fn opaque(bytes: &[u8], layers: &mut Layers) {
    let Ok((header, rest)) = Ethernet2Header::from_slice(bytes) else { return payload(bytes, layers) };
    let (source, destination) = (mac(header.source), mac(header.destination));
    layers.push(format!("eth {source} > {destination} type 0x{:04x}", header.ether_type.0));
    payload(rest, layers);
}

type Layers = Vec<String>;

/// Bytes that count up at the end of others are worth a word of their own from so many on.
const LONG: usize = 32;

fn ethernet(bytes: &[u8], layers: &mut Layers) {
    let Ok((header, rest)) = Ethernet2Header::from_slice(bytes) else { return payload(bytes, layers) };
    let addresses = format!("eth {} > {}", mac(header.source), mac(header.destination));
    let mut inner = Layers::new();
    network(header.ether_type.0, rest, &mut inner);
    // A type that says itself is not written.
    let known = inner.first().is_some_and(|layer| !is_payload(layer));
    layers.push(if known { addresses } else { format!("{addresses} type 0x{:04x}", header.ether_type.0) });
    layers.append(&mut inner);
}

/// What an Ethernet type announces.
fn network(ether_type: u16, bytes: &[u8], layers: &mut Layers) {
    match ether_type {
        0x8100 => vlan(bytes, layers),
        0x0806 => arp(bytes, layers),
        0x0800 => ip4(bytes, layers),
        0x86dd => ip6(bytes, layers),
        _ => payload(bytes, layers),
    }
}

fn vlan(bytes: &[u8], layers: &mut Layers) {
    let Ok((header, rest)) = SingleVlanHeader::from_slice(bytes) else { return payload(bytes, layers) };
    let mut inner = Layers::new();
    network(header.ether_type.0, rest, &mut inner);
    if inner.first().is_none_or(|layer| is_payload(layer)) {
        return payload(bytes, layers);
    }
    let mut text = format!("vlan {}", header.vlan_id.value());
    optional(&mut text, "pcp", header.pcp.value().into());
    flag(&mut text, "dei", header.drop_eligible_indicator);
    layers.push(text);
    layers.append(&mut inner);
}

fn arp(bytes: &[u8], layers: &mut Layers) {
    let Some((packet, rest)) = bytes.split_first_chunk::<28>() else { return payload(bytes, layers) };
    if packet[..6] != [0, 1, 8, 0, 6, 4] {
        return payload(bytes, layers);
    }
    let operation = match u16::from_be_bytes([packet[6], packet[7]]) {
        1 => "request".to_owned(),
        2 => "reply".to_owned(),
        other => other.to_string(),
    };
    let macs = [six(&packet[8..]), six(&packet[18..])];
    let addresses = [v4(&packet[14..]), v4(&packet[24..])];
    let mut text = format!("arp {operation} {} {} > {}", mac(macs[0]), addresses[0], addresses[1]);
    if macs[1] != [0; 6] {
        text += &format!(" mac {}", mac(macs[1]));
    }
    layers.push(text);
    payload(rest, layers);
}

fn ip4(bytes: &[u8], layers: &mut Layers) {
    let Ok((header, rest)) = Ipv4Header::from_slice(bytes) else { return payload(bytes, layers) };
    let total = usize::from(header.total_len);
    let body = &rest[..total.saturating_sub(header.header_len()).min(rest.len())];
    let mut inner = Layers::new();
    let addresses = (header.source.into(), header.destination.into());
    if header.is_fragmenting_payload() {
        payload(body, &mut inner);
    } else {
        transport(header.protocol, body, addresses, &mut inner);
    }
    let mut text =
        format!("ip4 {} > {} ttl {}", v4(&header.source), v4(&header.destination), header.time_to_live);
    optional(&mut text, "tos", (header.dscp.value() << 2 | header.ecn.value()).into());
    optional(&mut text, "id", header.identification.into());
    flag(&mut text, "df", header.dont_fragment);
    flag(&mut text, "mf", header.more_fragments);
    optional(&mut text, "off", u32::from(header.fragment_offset.value()) * 8);
    if !header.options.is_empty() {
        text += &format!(" options {}", hex(&header.options));
    }
    if inner.first().is_none_or(|layer| is_payload(layer)) {
        text += &format!(" proto {}", header.protocol.0);
    }
    if total != header.header_len() + body.len() {
        text += &format!(" len {total}");
    }
    if header.header_checksum != header.calc_header_checksum() {
        text += &format!(" check 0x{:04x}", header.header_checksum);
    }
    layers.push(text);
    layers.append(&mut inner);
}

fn ip6(bytes: &[u8], layers: &mut Layers) {
    let Ok((header, rest)) = Ipv6Header::from_slice(bytes) else { return payload(bytes, layers) };
    let len = usize::from(header.payload_length);
    let body = &rest[..len.min(rest.len())];
    let mut inner = Layers::new();
    transport(header.next_header, body, (header.source.into(), header.destination.into()), &mut inner);
    let mut text =
        format!("ip6 {} > {} hop {}", v6(&header.source), v6(&header.destination), header.hop_limit);
    optional(&mut text, "class", header.traffic_class.into());
    optional(&mut text, "flow", header.flow_label.value());
    next(&mut text, header.next_header, &inner);
    if len != body.len() {
        text += &format!(" len {len}");
    }
    layers.push(text);
    layers.append(&mut inner);
}

/// What an IP header or an extension header announces.
fn transport(protocol: IpNumber, bytes: &[u8], addresses: (IpAddr, IpAddr), layers: &mut Layers) {
    match protocol {
        ip_number::IPV6_HOP_BY_HOP => extension("hop-by-hop", bytes, addresses, layers),
        ip_number::IPV6_DEST_OPTIONS => extension("dest-options", bytes, addresses, layers),
        ip_number::IPV6_ROUTE => extension("routing", bytes, addresses, layers),
        ip_number::IPV6_FRAG => fragment(bytes, addresses, layers),
        ip_number::TCP => tcp(bytes, addresses, layers),
        ip_number::UDP => udp(bytes, addresses, layers),
        ip_number::ICMP if addresses.0.is_ipv4() => icmp(bytes, addresses, false, layers),
        ip_number::IPV6_ICMP if addresses.0.is_ipv6() => icmp(bytes, addresses, true, layers),
        ip_number::IPV4 => ip4(bytes, layers),
        ip_number::IPV6 => ip6(bytes, layers),
        ip_number::GRE => gre(bytes, layers),
        _ => payload(bytes, layers),
    }
}

fn extension(name: &str, bytes: &[u8], addresses: (IpAddr, IpAddr), layers: &mut Layers) {
    let [protocol, units, ..] = *bytes else { return payload(bytes, layers) };
    let Some((header, rest)) = bytes.split_at_checked(8 + usize::from(units) * 8) else {
        return payload(bytes, layers);
    };
    let mut inner = Layers::new();
    transport(protocol.into(), rest, addresses, &mut inner);
    let mut text = format!("{name} {}", hex(&header[2..]));
    next(&mut text, protocol.into(), &inner);
    layers.push(text);
    layers.append(&mut inner);
}

fn fragment(bytes: &[u8], addresses: (IpAddr, IpAddr), layers: &mut Layers) {
    let Ok((header, rest)) = Ipv6FragmentHeader::from_slice(bytes) else { return payload(bytes, layers) };
    // The reserved bits are not written.
    if bytes[1] != 0 || bytes[3] & 0x06 != 0 {
        return payload(bytes, layers);
    }
    let mut inner = Layers::new();
    if header.is_fragmenting_payload() {
        payload(rest, &mut inner);
    } else {
        transport(header.next_header, rest, addresses, &mut inner);
    }
    let mut text = format!("fragment id {}", header.identification);
    optional(&mut text, "off", u32::from(header.fragment_offset.value()) * 8);
    flag(&mut text, "mf", header.more_fragments);
    next(&mut text, header.next_header, &inner);
    layers.push(text);
    layers.append(&mut inner);
}

fn tcp(bytes: &[u8], addresses: (IpAddr, IpAddr), layers: &mut Layers) {
    let Ok((header, rest)) = TcpHeader::from_slice(bytes) else { return payload(bytes, layers) };
    // The reserved bits are not written.
    if bytes[12] & 0x0f != 0 {
        return payload(bytes, layers);
    }
    let flags = [
        ('F', header.fin),
        ('S', header.syn),
        ('R', header.rst),
        ('P', header.psh),
        ('A', header.ack),
        ('U', header.urg),
        ('E', header.ece),
        ('C', header.cwr),
    ];
    let set: String = flags.into_iter().filter(|(_, set)| *set).map(|(flag, _)| flag).collect();
    let set = if set.is_empty() { "-" } else { &set };
    let mut text = format!(
        "tcp {} > {} {set} seq {}",
        header.source_port, header.destination_port, header.sequence_number
    );
    optional(&mut text, "ack", header.acknowledgment_number);
    text += &format!(" win {}", header.window_size);
    optional(&mut text, "urg", header.urgent_pointer.into());
    match *header.options.as_slice() {
        [] => {}
        [2, 4, high, low] => text += &format!(" mss {}", u16::from_be_bytes([high, low])),
        ref other => text += &format!(" options {}", hex(other)),
    }
    let computed = match addresses {
        (IpAddr::V4(from), IpAddr::V4(to)) => header.calc_checksum_ipv4_raw(from.octets(), to.octets(), rest),
        (IpAddr::V6(from), IpAddr::V6(to)) => header.calc_checksum_ipv6_raw(from.octets(), to.octets(), rest),
        _ => return payload(bytes, layers),
    };
    if computed != Ok(header.checksum) {
        text += &other_check(header.checksum, addresses, ip_number::TCP, bytes.len());
    }
    layers.push(text);
    payload(rest, layers);
}

fn udp(bytes: &[u8], addresses: (IpAddr, IpAddr), layers: &mut Layers) {
    let Ok((header, rest)) = UdpHeader::from_slice(bytes) else { return payload(bytes, layers) };
    let mut text = format!("udp {} > {}", header.source_port, header.destination_port);
    if usize::from(header.length) != bytes.len() {
        text += &format!(" len {}", header.length);
    }
    let computed = match addresses {
        (IpAddr::V4(from), IpAddr::V4(to)) => header.calc_checksum_ipv4_raw(from.octets(), to.octets(), rest),
        (IpAddr::V6(from), IpAddr::V6(to)) => header.calc_checksum_ipv6_raw(from.octets(), to.octets(), rest),
        _ => return payload(bytes, layers),
    };
    if header.checksum == 0 {
        text += " no-checksum";
    } else if computed != Ok(header.checksum) {
        text += &other_check(header.checksum, addresses, ip_number::UDP, bytes.len());
    }
    layers.push(text);
    match *rest {
        [0, protocol @ (4 | 41), 0, 0, ref inner @ ..] if header.destination_port == GUE_PORT => {
            layers.push("gue".to_owned());
            let at = layers.len();
            if protocol == 4 {
                ip4(inner, layers);
            } else {
                ip6(inner, layers);
            }
            if layers.get(at).is_none_or(|layer| is_payload(layer)) {
                layers.truncate(at - 1);
                payload(rest, layers);
            }
        }
        _ => payload(rest, layers),
    }
}

/// A checksum that is not what it should be.
fn other_check(check: u16, addresses: (IpAddr, IpAddr), protocol: IpNumber, len: usize) -> String {
    if pseudo(addresses, protocol, len) == Some(check) {
        " partial".to_owned()
    } else {
        format!(" check 0x{check:04x}")
    }
}

fn icmp(bytes: &[u8], addresses: (IpAddr, IpAddr), six: bool, layers: &mut Layers) {
    let Some((header, rest)) = bytes.split_first_chunk::<8>() else { return payload(bytes, layers) };
    let [kind, code, high, low, a, b, c, d] = *header;
    let (first, second) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let zero = first == 0 && second == 0;
    let mut rest = rest;
    let message = match (six, kind, code) {
        (false, 8, 0) | (true, 128, 0) => format!("echo-request id {first} seq {second}"),
        (false, 0, 0) | (true, 129, 0) => format!("echo-reply id {first} seq {second}"),
        (false, 3, 4) | (true, 2, 0) => format!("too-big mtu {}", u32::from_be_bytes([a, b, c, d])),
        (false, 3, 3) | (true, 1, 4) if zero => "port-unreachable".to_owned(),
        (false, 3, 1) | (true, 1, 3) if zero => "host-unreachable".to_owned(),
        (false, 3, 13) | (true, 1, 1) if zero => "prohibited".to_owned(),
        (false, 11, 0) | (true, 3, 0) if zero => "time-exceeded".to_owned(),
        (true, 135, 0) if zero && rest.len() >= 16 => neighbour("neighbour-solicitation", 1, "", &mut rest),
        (true, 136, 0) if rest.len() >= 16 && a & 0x9f == 0 && [b, c, d] == [0; 3] => {
            let flags = match a {
                0x60 => " solicited override",
                0x40 => " solicited",
                0x20 => " override",
                _ => "",
            };
            neighbour("neighbour-advertisement", 2, flags, &mut rest)
        }
        _ => format!("type {kind} code {code} rest {}", hex(&[a, b, c, d])),
    };
    let mut text = format!("icmp{} {message}", if six { 6 } else { 4 });
    let check = u16::from_be_bytes([high, low]);
    let mut unsummed = bytes.to_vec();
    unsummed[2..4].fill(0);
    if check != icmp_checksum(&unsummed, Some(addresses).filter(|_| six)) {
        text += &format!(" check 0x{check:04x}");
    }
    layers.push(text);
    match rest.first().map(|first| first >> 4) {
        Some(4) if !six && quotes(six, kind) => ip4(rest, layers),
        Some(6) if six && quotes(six, kind) => ip6(rest, layers),
        _ => payload(rest, layers),
    }
}

fn neighbour(name: &str, option: u8, flags: &str, rest: &mut &[u8]) -> String {
    let (target, options) = rest.split_at(16);
    let mut text = format!("{name} {}{flags}", v6(target));
    *rest = options;
    if let Some((body, behind)) = options.split_first_chunk::<8>()
        && body[..2] == [option, 1]
    {
        text += &format!(" mac {}", mac(six(&body[2..])));
        *rest = behind;
    }
    text
}

fn gre(bytes: &[u8], layers: &mut Layers) {
    let mut inner = Layers::new();
    match *bytes {
        [0, 0, 0x08, 0x00, ref rest @ ..] => ip4(rest, &mut inner),
        [0, 0, 0x86, 0xdd, ref rest @ ..] => ip6(rest, &mut inner),
        _ => {}
    }
    if inner.first().is_none_or(|layer| is_payload(layer)) {
        return payload(bytes, layers);
    }
    layers.push("gre".to_owned());
    layers.append(&mut inner);
}

/// Text where it is printable, the number of bytes where they count up, else hexadecimal; long ones that count up
/// behind something else, as those of a fragment do, in two.
fn payload(bytes: &[u8], layers: &mut Layers) {
    let start = bytes.windows(2).rposition(|pair| pair[1] != pair[0].wrapping_add(1)).map_or(0, |at| at + 1);
    if bytes.len() - start >= LONG {
        let (head, tail) = bytes.split_at(start);
        if !head.is_empty() {
            layers.push(format!("hex {}", hex(head)));
        }
        let mut text = format!("bytes {}", tail.len());
        optional(&mut text, "from", tail[0].into());
        layers.push(text);
        return;
    }
    let printable = |byte: &u8| (b' '..=b'~').contains(byte) && *byte != b'"';
    if bytes.is_empty() {
    } else if bytes.len() > 3 && bytes.iter().enumerate().all(|(at, byte)| at as u8 == *byte) {
        layers.push(format!("bytes {}", bytes.len()));
    } else if bytes.iter().all(printable) {
        layers.push(format!("\"{}\"", String::from_utf8_lossy(bytes)));
    } else {
        layers.push(format!("hex {}", hex(bytes)));
    }
}

fn is_payload(layer: &str) -> bool {
    ["\"", "hex ", "bytes "].iter().any(|start| layer.starts_with(start))
}

/// The protocol, where what follows does not say it.
fn next(text: &mut String, protocol: IpNumber, inner: &Layers) {
    if inner.first().is_none_or(|layer| is_payload(layer)) {
        *text += &format!(" next {}", protocol.0);
    }
}

fn optional(text: &mut String, name: &str, value: u32) {
    if value != 0 {
        *text += &format!(" {name} {value}");
    }
}

fn flag(text: &mut String, name: &str, set: bool) {
    if set {
        *text += &format!(" {name}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn mac(bytes: [u8; 6]) -> String {
    bytes.map(|byte| format!("{byte:02x}")).join(":")
}

fn six(bytes: &[u8]) -> [u8; 6] {
    bytes.first_chunk().copied().unwrap_or_default()
}

fn v4(bytes: &[u8]) -> Ipv4Addr {
    bytes.first_chunk::<4>().copied().unwrap_or_default().into()
}

fn v6(bytes: &[u8]) -> Ipv6Addr {
    bytes.first_chunk::<16>().copied().unwrap_or_default().into()
}
