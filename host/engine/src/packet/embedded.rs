//! The packet that an ICMP error is about.

use shunt_wire::{FlowKey, icmp, ip};

use super::network::{self, Datagram};
use super::{ErrorPacket, Unreadable, transport};

/// The header of an error, in front of what it quotes (RFC 792, RFC 4443).
const HEADER_LEN: usize = 8;

/// Reads what the error `outer` quotes.
pub(super) fn read(
    bytes: &[u8],
    outer: &Datagram,
    icmp_type: u8,
    icmp_code: u8,
    mtu: Option<u32>,
) -> Result<ErrorPacket, Unreadable> {
    let bytes = bytes.get(..usize::from(outer.layout.end)).unwrap_or_default();
    let l3 = usize::from(outer.layout.l4) + HEADER_LEN;
    let quoted = network::read_quoted(bytes, l3, outer.layout.family).map_err(|_| Unreadable::Embedded)?;
    Ok(ErrorPacket {
        source: outer.source,
        destination: outer.destination,
        embedded: key(bytes, &quoted).ok_or(Unreadable::Embedded)?,
        embedded_layout: quoted.layout,
        icmp_type,
        icmp_code,
        mtu,
        ttl: outer.ttl,
        length: outer.layout.datagram_len(),
    })
}

/// The flow of the quoted packet. Eight bytes of its payload are there at least (RFC 792), which hold the
/// ports.
fn key(bytes: &[u8], quoted: &Datagram) -> Option<FlowKey> {
    let payload = bytes.get(usize::from(quoted.layout.l4)..usize::from(quoted.layout.end))?;
    let [a, b, c, d, e, f, ..] = *payload.first_chunk::<8>()?;
    // An IPv6 header with v4-mapped addresses is of no flow.
    let family = quoted.layout.family;
    let mapped = quoted.source.family() != family || quoted.destination.family() != family;
    if mapped || !quoted.layout.has_transport() {
        return None;
    }
    match quoted.layout.protocol {
        ip::TCP | ip::UDP => {
            Some(transport::key(quoted, u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
        }
        protocol if protocol == icmp::protocol_of(family) => {
            let half = icmp::echo(family, a)?;
            Some(transport::echo_key(quoted, half, u16::from_be_bytes([e, f])))
        }
        ip::ICMP | ip::ICMPV6 => None,
        _ => Some(transport::key(quoted, 0, 0)),
    }
}
