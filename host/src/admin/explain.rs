//! The question how a packet would be handled, as it is sent.

use std::net::{IpAddr, SocketAddr};

use axum::http::StatusCode;
use shunt_api::requests::Packet;
use shunt_engine::datapath::{Asked, Unasked};
use shunt_wire::tcp::{ACK, FIN, PSH, RST, SYN};

use super::refusal::Refusal;
use super::routes::bad_request;
use crate::control::Unexplained;
use shunt_packets::explain::Query;

/// # Errors
/// What about it is not understood.
pub(super) fn query(packet: Packet) -> Result<Query, Refusal> {
    let Packet { protocol, source, destination, flags, hex, interface } = packet;
    let asked = match (hex, protocol, source, destination) {
        (Some(hex), None, None, None) if flags.is_none() => Asked::from_bytes(bytes(&hex)?),
        (None, Some(protocol), Some(source), Some(destination)) => {
            ends(&protocol, &source, &destination, flags.as_deref())?
        }
        _ => {
            return Err(bad_request("the body must have `protocol`, `source` and `destination`, or `hex` alone")
                .help("write {\"protocol\": \"tcp\", \"source\": \"192.0.2.7:40000\", \"destination\": \"203.0.113.1:80\"}"));
        }
    };
    Ok(Query { interface, asked })
}

fn ends(protocol: &str, source: &str, destination: &str, flags: Option<&str>) -> Result<Asked, Refusal> {
    if flags.is_some() && protocol != "tcp" {
        return Err(bad_request(format!("{protocol} has no flags")).help("use `flags` with tcp only"));
    }
    match protocol {
        "tcp" => {
            let flags = flags.map_or(Ok(SYN), flag_bits)?;
            Ok(Asked::Tcp {
                source: endpoint(source)?.into(),
                destination: endpoint(destination)?.into(),
                flags,
            })
        }
        "udp" => {
            Ok(Asked::Udp { source: endpoint(source)?.into(), destination: endpoint(destination)?.into() })
        }
        "icmp" => {
            let source =
                source.parse().or_else(|_| address(source).map(|it| SocketAddr::new(it, IDENTIFIER)))?;
            Ok(Asked::Echo { source: source.into(), destination: address(destination)?.into() })
        }
        other => Err(bad_request(format!("explain cannot make a packet of {other:?}"))
            .help("use tcp, udp or icmp; give any other packet as `hex`")),
    }
}

/// Of an echo request, where none is given.
const IDENTIFIER: u16 = 1;

fn endpoint(text: &str) -> Result<SocketAddr, Refusal> {
    text.parse().map_err(|_| {
        bad_request(format!("{text:?} is not an address and port"))
            .help("write an address and a port, such as 192.0.2.7:40000 or [2001:db8::7]:40000")
    })
}

fn address(text: &str) -> Result<IpAddr, Refusal> {
    text.parse().map_err(|_| {
        bad_request(format!("{text:?} is not an IP address"))
            .help("write an address without a port, such as 203.0.113.1: ICMP has none")
    })
}

fn flag_bits(text: &str) -> Result<u8, Refusal> {
    let bit = |flag: char| match flag.to_ascii_uppercase() {
        'S' => Ok(SYN),
        'A' => Ok(ACK),
        'F' => Ok(FIN),
        'R' => Ok(RST),
        'P' => Ok(PSH),
        _ => Err(bad_request(format!("{flag:?} is not a TCP flag"))
            .help("use S (SYN), A (ACK), F (FIN), R (RST), P (PSH), or several: SA")),
    };
    text.chars().map(bit).try_fold(0, |all, bit| Ok(all | bit?))
}

/// Blanks and colons between bytes are passed over, as dumps have them.
fn bytes(hex: &str) -> Result<Vec<u8>, Refusal> {
    let not_hex = || {
        bad_request("`hex` is not hexadecimal bytes")
            .help("write two digits for each byte, such as 4500002c…")
    };
    let digit = |it: char| it.to_digit(16).and_then(|digit| u8::try_from(digit).ok()).ok_or_else(not_hex);
    let digits = hex.chars().filter(|it| !it.is_whitespace() && *it != ':');
    let digits: Vec<u8> = digits.map(digit).collect::<Result<_, _>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() {
        return Err(not_hex());
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// Why there is no explanation, for who asked.
pub(super) fn refusal(why: Unexplained) -> Refusal {
    let why = match why {
        Unexplained::NoPacketVirtuals => {
            return Refusal::new(
                StatusCode::NOT_FOUND,
                "no-packet-virtuals",
                "no packet virtual is configured, so Shunt forwards no packets",
            )
            .help("for requests to proxies there is `shunt explain http`: the kernel handles their packets");
        }
        Unexplained::NoSuchPacket(why) => why,
    };
    match why {
        Unasked::Families => bad_request("the two addresses are of different IP families")
            .help("use two IPv4 or two IPv6 addresses"),
        Unasked::NoDatagram => bad_request("the bytes are neither an Ethernet frame nor an IP datagram"),
        Unasked::TooLong => bad_request("the bytes are longer than a frame can be"),
        Unasked::NoLink => bad_request("the interface that receives the packet is not known")
            .help("name it by `interface`: this host has no route to the source"),
        Unasked::UnknownLink => {
            bad_request("there is no such interface").help("`ip link` lists the interfaces")
        }
    }
}

/// The same of a request.
pub(crate) fn unasked(why: shunt_proxy::explain::Unasked) -> Refusal {
    use shunt_proxy::explain::Unasked as Why;
    match why {
        Why::NoVirtual { message, help } => {
            Refusal::new(StatusCode::NOT_FOUND, "no-virtual", message).help(help)
        }
        Why::NotARequest(why) => bad_request(why),
        Why::System(why) => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "system", why),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn query(sent: Value) -> Result<Query, Value> {
        super::query(serde_json::from_value::<Packet>(sent).unwrap())
            .map_err(|refusal| refusal.json()["error"].clone())
    }

    #[test]
    fn what_is_understood() {
        let tcp = |flags: Value| {
            let sent = json!({ "protocol": "tcp", "source": "192.0.2.7:1", "destination": "203.0.113.1:80", "flags": flags });
            match query(sent).unwrap().asked {
                Asked::Tcp { flags, .. } => flags,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!([json!(null), json!("SA"), json!("fa")].map(tcp), [SYN, SYN | ACK, FIN | ACK]);
        let echo = |source: &str| {
            let sent = json!({ "protocol": "icmp", "source": source, "destination": "2001:db8::1" });
            match query(sent).unwrap().asked {
                Asked::Echo { source, .. } => source.port,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(["2001:db8::7", "[2001:db8::7]:9"].map(echo), [IDENTIFIER, 9]);
        let hex = query(json!({ "hex": "45 00:00 04", "interface": "eth0" })).unwrap();
        assert_eq!(
            (hex.interface.as_deref(), hex.asked),
            (Some("eth0"), Asked::Datagram(vec![0x45, 0, 0, 4]))
        );
    }

    #[test]
    fn what_is_not_is_told() {
        let message = |sent| query(sent).unwrap_err()["message"].as_str().unwrap().to_owned();
        let ends = |protocol, source, destination| {
            message(json!({ "protocol": protocol, "source": source, "destination": destination }))
        };
        assert_eq!(ends("tcp", "192.0.2.7", "203.0.113.1:80"), "\"192.0.2.7\" is not an address and port");
        assert_eq!(ends("icmp", "192.0.2.7", "203.0.113.1:80"), "\"203.0.113.1:80\" is not an IP address");
        assert_eq!(ends("sctp", "192.0.2.7:1", "203.0.113.1:80"), "explain cannot make a packet of \"sctp\"");
        assert!(message(json!({})).starts_with("the body must have `protocol`"));
        assert!(
            message(json!({ "hex": "45", "protocol": "tcp" })).starts_with("the body must have `protocol`")
        );
        assert_eq!(message(json!({ "hex": "450" })), "`hex` is not hexadecimal bytes");
        let flags = json!({ "protocol": "tcp", "source": "192.0.2.7:1", "destination": "203.0.113.1:80", "flags": "SX" });
        assert_eq!(message(flags), "'X' is not a TCP flag");
    }
}
