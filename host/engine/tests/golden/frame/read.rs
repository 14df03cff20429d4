//! Text to bytes.

use std::net::IpAddr;

use etherparse::{
    IpDscp, IpEcn, IpFragOffset, Ipv4Header, Ipv6FlowLabel, Ipv6FragmentHeader, Ipv6Header, TcpHeader,
    UdpHeader, ip_number,
};

use super::layer::{Check, Layer, icmp_checksum, pseudo, quotes};
use super::words::{Words, hex, mac, number, say, split, v4, v6};

/// The bytes of a frame, from its first Ethernet byte on.
pub(crate) fn read(text: &str) -> Result<Vec<u8>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let mut layers = Vec::new();
    let (mut cut, mut pad) = (None, None);
    for words in split(text)? {
        let mut words = Words::new(words);
        match words.first() {
            "cut" => cut = Some(words.number()?),
            "pad" => pad = Some(words.number()?),
            _ => layers.push(layer(&mut words)?),
        }
        words.end()?;
    }
    let quoted =
        layers.iter().any(|layer| matches!(layer, Layer::Icmp { six, kind, .. } if quotes(*six, *kind)));
    let mut bytes = build(&layers, None, cut.filter(|_| quoted))?;
    if let Some(cut) = cut.filter(|_| !quoted) {
        bytes.truncate(cut);
    }
    if let Some(pad) = pad {
        bytes.resize(bytes.len().max(pad), 0);
    }
    Ok(bytes)
}

fn layer(words: &mut Words) -> Result<Layer, String> {
    let name = words.first().to_owned();
    if let Some(text) = name.strip_prefix('"') {
        return Ok(Layer::Payload(text.as_bytes().to_vec()));
    }
    match name.as_str() {
        "eth" => {
            let (source, destination) = words.pair(mac)?;
            Ok(Layer::Ethernet { source, destination, ether_type: words.optional("type")? })
        }
        "vlan" => Ok(Layer::Vlan {
            id: words.number()?,
            pcp: words.optional("pcp")?.unwrap_or(0),
            dei: words.flag("dei"),
        }),
        "arp" => arp(words),
        "ip4" => ip4(words),
        "ip6" => ip6(words),
        "hop-by-hop" => extension(words, ip_number::IPV6_HOP_BY_HOP),
        "dest-options" => extension(words, ip_number::IPV6_DEST_OPTIONS),
        "routing" => extension(words, ip_number::IPV6_ROUTE),
        "fragment" => Ok(Layer::Fragment {
            header: Ipv6FragmentHeader::new(
                etherparse::IpNumber(0),
                fragment_offset(words)?,
                words.flag("mf"),
                words.optional("id")?.unwrap_or(0),
            ),
            next: words.optional("next")?,
        }),
        "tcp" => tcp(words),
        "udp" => {
            let (source_port, destination_port) = words.pair(number)?;
            let check = if words.flag("no-checksum") { Check::Given(0) } else { check(words)? };
            let header = UdpHeader { source_port, destination_port, length: 0, checksum: 0 };
            Ok(Layer::Udp { header, len: words.optional("len")?, check })
        }
        "icmp4" => icmp(words, false),
        "icmp6" => icmp(words, true),
        "part" => Ok(Layer::Part { from: words.number()?, len: words.number()? }),
        "gre" => Ok(Layer::Gre),
        "gue" => Ok(Layer::Gue),
        "hex" => Ok(Layer::Payload(words.hex()?)),
        "bytes" => {
            let count: usize = words.number()?;
            let first: usize = words.optional("from")?.unwrap_or(0);
            Ok(Layer::Payload((first..first + count).map(|at| at as u8).collect()))
        }
        other => Err(format!("no layer is called {other}")),
    }
}

fn arp(words: &mut Words) -> Result<Layer, String> {
    let operation = match words.next()?.as_str() {
        "request" => 1,
        "reply" => 2,
        other => number(other)?,
    };
    let sender_mac = mac(&words.next()?)?;
    let (sender, target) = words.pair(v4)?;
    let target_mac = words.optional_with("mac", mac)?.unwrap_or_default();
    Ok(Layer::Arp { operation, sender: (sender_mac, sender), target: (target_mac, target) })
}

fn ip4(words: &mut Words) -> Result<Layer, String> {
    let (source, destination) = words.pair(v4)?;
    let tos: u8 = words.optional("tos")?.unwrap_or(0);
    let header = Ipv4Header {
        dscp: IpDscp::try_new(tos >> 2).map_err(say)?,
        ecn: IpEcn::try_new(tos & 3).map_err(say)?,
        identification: words.optional("id")?.unwrap_or(0),
        dont_fragment: words.flag("df"),
        more_fragments: words.flag("mf"),
        fragment_offset: fragment_offset(words)?,
        time_to_live: words.optional("ttl")?.unwrap_or(64),
        source,
        destination,
        options: words
            .optional_with("options", hex)?
            .unwrap_or_default()
            .as_slice()
            .try_into()
            .map_err(say)?,
        ..Ipv4Header::default()
    };
    let (protocol, len, check) = (words.optional("proto")?, words.optional("len")?, words.optional("check")?);
    Ok(Layer::Ip4 { header, protocol, len, check })
}

fn ip6(words: &mut Words) -> Result<Layer, String> {
    let (source, destination) = words.pair(v6)?;
    let header = Ipv6Header {
        traffic_class: words.optional("class")?.unwrap_or(0),
        flow_label: Ipv6FlowLabel::try_new(words.optional("flow")?.unwrap_or(0)).map_err(say)?,
        hop_limit: words.optional("hop")?.unwrap_or(64),
        source,
        destination,
        ..Ipv6Header::default()
    };
    Ok(Layer::Ip6 { header, next: words.optional("next")?, len: words.optional("len")? })
}

fn extension(words: &mut Words, kind: etherparse::IpNumber) -> Result<Layer, String> {
    let body = words.hex()?;
    if body.len() % 8 != 6 {
        return Err(
            "an extension header is a multiple of eight bytes long, two of which are not given".to_owned()
        );
    }
    Ok(Layer::Extension { kind, body, next: words.optional("next")? })
}

fn fragment_offset(words: &mut Words) -> Result<IpFragOffset, String> {
    let bytes: u16 = words.optional("off")?.unwrap_or(0);
    if !bytes.is_multiple_of(8) {
        return Err("fragments start at multiples of eight bytes".to_owned());
    }
    IpFragOffset::try_new(bytes / 8).map_err(say)
}

fn tcp(words: &mut Words) -> Result<Layer, String> {
    let (source, destination) = words.pair(number)?;
    let flags = words.next()?;
    if flags.chars().any(|flag| !"FSRPAUEC-".contains(flag)) {
        return Err(format!("no flags of TCP: {flags}"));
    }
    let has = |flag| flags.contains(flag);
    let mut header = TcpHeader {
        acknowledgment_number: words.optional("ack")?.unwrap_or(0),
        urgent_pointer: words.optional("urg")?.unwrap_or(0),
        fin: has('F'),
        syn: has('S'),
        rst: has('R'),
        psh: has('P'),
        ack: has('A'),
        urg: has('U'),
        ece: has('E'),
        cwr: has('C'),
        ..TcpHeader::new(
            source,
            destination,
            words.optional("seq")?.unwrap_or(0),
            words.optional("win")?.unwrap_or(65535),
        )
    };
    let mut options = Vec::new();
    if let Some(mss) = words.optional::<u16>("mss")? {
        options.extend([2, 4]);
        options.extend(mss.to_be_bytes());
    }
    options.extend(words.optional_with("options", hex)?.unwrap_or_default());
    header.set_options_raw(&options).map_err(say)?;
    Ok(Layer::Tcp { header, check: check(words)? })
}

fn check(words: &mut Words) -> Result<Check, String> {
    if words.flag("partial") {
        return Ok(Check::Partial);
    }
    Ok(words.optional("check")?.map_or(Check::Computed, Check::Given))
}

fn icmp(words: &mut Words, six: bool) -> Result<Layer, String> {
    let choose = |four, other| if six { other } else { four };
    let mut rest = [0; 4];
    let mut body = Vec::new();
    let (kind, code) = match words.next()?.as_str() {
        half @ ("echo-request" | "echo-reply") => {
            rest[..2].copy_from_slice(&words.required::<u16>("id")?.to_be_bytes());
            rest[2..].copy_from_slice(&words.required::<u16>("seq")?.to_be_bytes());
            (if half == "echo-request" { choose(8, 128) } else { choose(0, 129) }, 0)
        }
        "too-big" => {
            rest = words.required::<u32>("mtu")?.to_be_bytes();
            (choose(3, 2), choose(4, 0))
        }
        "port-unreachable" => (choose(3, 1), choose(3, 4)),
        "host-unreachable" => (choose(3, 1), choose(1, 3)),
        "prohibited" => (choose(3, 1), choose(13, 1)),
        "time-exceeded" => (choose(11, 3), 0),
        "neighbour-solicitation" if six => {
            body.extend(v6(&words.next()?)?);
            neighbour_option(words, 1, &mut body)?;
            (135, 0)
        }
        "neighbour-advertisement" if six => {
            body.extend(v6(&words.next()?)?);
            rest[0] = u8::from(words.flag("solicited")) << 6 | u8::from(words.flag("override")) << 5;
            neighbour_option(words, 2, &mut body)?;
            (136, 0)
        }
        "type" => {
            let kind = words.number()?;
            let code = words.required("code")?;
            rest = words
                .optional_with("rest", hex)?
                .unwrap_or(vec![0; 4])
                .try_into()
                .map_err(|_| "rest is 4 bytes")?;
            (kind, code)
        }
        other => return Err(format!("no ICMP message is called {other}")),
    };
    Ok(Layer::Icmp { six, kind, code, rest, body, check: words.optional("check")? })
}

/// A link-layer address option (RFC 4861 section 4.6.1).
fn neighbour_option(words: &mut Words, kind: u8, body: &mut Vec<u8>) -> Result<(), String> {
    if let Some(mac) = words.optional_with("mac", mac)? {
        body.extend([kind, 1]);
        body.extend(mac);
    }
    Ok(())
}

/// The bytes of the layers, from the inside out. `cut` shortens what an ICMP error quotes.
fn build(
    layers: &[Layer],
    addresses: Option<(IpAddr, IpAddr)>,
    cut: Option<usize>,
) -> Result<Vec<u8>, String> {
    let Some((layer, inner)) = layers.split_first() else { return Ok(Vec::new()) };
    let ether_type = || inner.first().and_then(Layer::ether_type);
    let protocol =
        || inner.iter().find(|layer| !matches!(layer, Layer::Part { .. })).and_then(Layer::protocol);
    let mut bytes = Vec::new();
    match layer {
        Layer::Ethernet { source, destination, ether_type: given } => {
            bytes.extend(destination);
            bytes.extend(source);
            bytes
                .extend(given.or_else(ether_type).ok_or("what Ethernet carries needs a type")?.to_be_bytes());
            bytes.extend(build(inner, None, cut)?);
        }
        Layer::Vlan { id, pcp, dei } => {
            bytes.extend((u16::from(*pcp) << 13 | u16::from(*dei) << 12 | id).to_be_bytes());
            bytes.extend(ether_type().ok_or("what a tag stands before is not known")?.to_be_bytes());
            bytes.extend(build(inner, None, cut)?);
        }
        Layer::Arp { operation, sender, target } => {
            bytes.extend([0, 1, 8, 0, 6, 4]);
            bytes.extend(operation.to_be_bytes());
            for (mac, address) in [sender, target] {
                bytes.extend(mac);
                bytes.extend(address);
            }
        }
        Layer::Ip4 { header, protocol: given, len, check } => {
            let both = (IpAddr::from(header.source), IpAddr::from(header.destination));
            let payload = build(inner, Some(both), cut)?;
            let mut header = header.clone();
            header.protocol = given.or_else(protocol).ok_or("what ip4 carries needs proto")?.into();
            header.total_len = len.unwrap_or((header.header_len() + payload.len()) as u16);
            header.header_checksum = check.unwrap_or_else(|| header.calc_header_checksum());
            header.write_raw(&mut bytes).map_err(say)?;
            bytes.extend(payload);
        }
        Layer::Ip6 { header, next, len } => {
            let both = (IpAddr::from(header.source), IpAddr::from(header.destination));
            let payload = build(inner, Some(both), cut)?;
            let mut header = header.clone();
            header.next_header = next.or_else(protocol).ok_or("what ip6 carries needs next")?.into();
            header.payload_length = len.unwrap_or(payload.len() as u16);
            header.write(&mut bytes).map_err(say)?;
            bytes.extend(payload);
        }
        Layer::Extension { body, next, .. } => {
            bytes.push(next.or_else(protocol).ok_or("what the header stands before needs next")?);
            bytes.push((body.len() / 8) as u8);
            bytes.extend(body);
            bytes.extend(build(inner, addresses, cut)?);
        }
        Layer::Fragment { header, next } => {
            let mut header = header.clone();
            header.next_header = next.or_else(protocol).ok_or("what a fragment holds needs next")?.into();
            header.write(&mut bytes).map_err(say)?;
            bytes.extend(build(inner, addresses, cut)?);
        }
        Layer::Tcp { header, check } => {
            let payload = build(inner, None, cut)?;
            let mut header = header.clone();
            header.checksum = match (check, addresses) {
                (Check::Given(check), _) => *check,
                (Check::Partial, Some(addresses)) => {
                    let len = header.header_len() + payload.len();
                    pseudo(addresses, ip_number::TCP, len).ok_or("one packet of two families")?
                }
                (Check::Computed, Some((IpAddr::V4(from), IpAddr::V4(to)))) => {
                    header.calc_checksum_ipv4_raw(from.octets(), to.octets(), &payload).map_err(say)?
                }
                (Check::Computed, Some((IpAddr::V6(from), IpAddr::V6(to)))) => {
                    header.calc_checksum_ipv6_raw(from.octets(), to.octets(), &payload).map_err(say)?
                }
                _ => return Err("tcp stands in no IP packet".to_owned()),
            };
            header.write(&mut bytes).map_err(say)?;
            bytes.extend(payload);
        }
        Layer::Udp { header, len, check } => {
            let payload = build(inner, None, cut)?;
            let mut header = header.clone();
            header.length = len.unwrap_or((8 + payload.len()) as u16);
            header.checksum = match (check, addresses) {
                (Check::Given(check), _) => *check,
                (Check::Partial, Some(addresses)) => {
                    let len = header.header_len() + payload.len();
                    pseudo(addresses, ip_number::UDP, len).ok_or("one packet of two families")?
                }
                (Check::Computed, Some((IpAddr::V4(from), IpAddr::V4(to)))) => {
                    header.calc_checksum_ipv4_raw(from.octets(), to.octets(), &payload).map_err(say)?
                }
                (Check::Computed, Some((IpAddr::V6(from), IpAddr::V6(to)))) => {
                    header.calc_checksum_ipv6_raw(from.octets(), to.octets(), &payload).map_err(say)?
                }
                _ => return Err("udp stands in no IP packet".to_owned()),
            };
            header.write(&mut bytes).map_err(say)?;
            bytes.extend(payload);
        }
        Layer::Icmp { six, kind, code, rest, body, check } => {
            bytes.extend([*kind, *code, 0, 0]);
            bytes.extend(rest);
            bytes.extend(body);
            let mut payload = build(inner, None, None)?;
            payload.truncate(cut.unwrap_or(usize::MAX));
            bytes.extend(payload);
            let check = check.unwrap_or_else(|| icmp_checksum(&bytes, addresses.filter(|_| *six)));
            bytes[2..4].copy_from_slice(&check.to_be_bytes());
        }
        Layer::Part { from, len } => {
            let whole = build(inner, addresses, cut)?;
            bytes.extend(whole.get(*from..from + len).ok_or("a part that is not there")?);
        }
        Layer::Gre => {
            bytes.extend([0, 0]);
            bytes.extend(ether_type().ok_or("what gre carries is not known")?.to_be_bytes());
            bytes.extend(build(inner, None, cut)?);
        }
        Layer::Gue => {
            bytes.extend([0, protocol().ok_or("what gue carries is not known")?, 0, 0]);
            bytes.extend(build(inner, None, cut)?);
        }
        Layer::Payload(payload) => {
            bytes.extend(payload);
            bytes.extend(build(inner, addresses, cut)?);
        }
    }
    Ok(bytes)
}
