//! ICMP errors about a packet that was translated: `nat` and `snat`.

use super::{Translate, header};
use crate::bytes::{put, u16_at};
use crate::checksum::Delta;
use crate::{Address, Endpoint, Family, Hop, Layout, icmp, ip};

/// Does the packet lie wholly within the body of the error, behind its eight bytes of header?
pub(super) fn fits(layout: &Layout, embedded: &Layout) -> bool {
    usize::from(embedded.l3) >= usize::from(layout.l4) + 8
        && usize::from(embedded.l3) + ip::header_len(embedded.family) <= usize::from(embedded.l4)
        && embedded.l4 <= embedded.end
        && embedded.end <= layout.end
        && embedded.family == layout.family
}

impl Translate {
    /// The packet in the error went the other way, so what this direction does to sources it undoes in
    /// destinations, and the other way round (RFC 5508 section 4.2, requirements 4 and 5).
    ///
    /// The error's own source becomes the source of this direction where this direction has a new one: a
    /// router between Shunt and the member has an address that the client need not know, nor be able to
    /// reach.
    pub(super) fn apply_to_error(
        &self,
        bytes: &mut [u8],
        layout: &Layout,
        embedded: &Layout,
        hop: Hop,
    ) -> Option<()> {
        let body = self.restore(bytes, embedded)?;
        let (source, destination) = ip::addresses(bytes.get(usize::from(layout.l3)..)?, layout.family)?;
        let new_source = if self.hides_source() { self.source().address } else { source };
        let new_destination = self.destination().address;
        let addresses = Delta::none().address(source, new_source).address(destination, new_destination);
        match layout.family {
            Family::V4 => {
                let header = header::v4(bytes, layout)?;
                header[12..16].copy_from_slice(&ip::v4_octets(new_source));
                header[16..20].copy_from_slice(&ip::v4_octets(new_destination));
                header::change_v4(header, hop, addresses);
            }
            Family::V6 => {
                let header = header::v6(bytes, layout)?;
                header[8..24].copy_from_slice(&new_source.octets());
                header[24..40].copy_from_slice(&new_destination.octets());
                header::count_v6(header, hop);
            }
        }
        header::mend_transport(bytes, layout, addresses, body)
    }

    /// Makes the embedded packet what its sender sent. Returns what that changed in the body of the error,
    /// where all of it lies at even offsets.
    fn restore(&self, bytes: &mut [u8], embedded: &Layout) -> Option<Delta> {
        let mut body = Delta::none();
        let (source, destination) = (self.destination(), self.source());
        let addresses = restore_addresses(bytes, embedded, source.address, destination.address, &mut body)?;
        if embedded.has_transport() {
            restore_transport(bytes, embedded, source, destination, addresses, &mut body);
        }
        Some(body)
    }
}

/// Returns what the new addresses change in a pseudo-header; `body` gets all changes.
fn restore_addresses(
    bytes: &mut [u8],
    embedded: &Layout,
    source: Address,
    destination: Address,
    body: &mut Delta,
) -> Option<Delta> {
    let l3 = usize::from(embedded.l3);
    let (old_source, old_destination) = ip::addresses(bytes.get(l3..)?, embedded.family)?;
    let addresses = Delta::none().address(old_source, source).address(old_destination, destination);
    *body = body.and(addresses);
    match embedded.family {
        Family::V4 => {
            put(bytes, l3 + 12, ip::v4_octets(source))?;
            put(bytes, l3 + 16, ip::v4_octets(destination))?;
            replace(bytes, l3 + 10, |check| addresses.apply(check), body)?;
        }
        Family::V6 => {
            put(bytes, l3 + 8, source.octets())?;
            put(bytes, l3 + 24, destination.octets())?;
        }
    }
    Some(addresses)
}

/// Writes what is there of the transport header: eight bytes are enough for an error over IPv4 (RFC 792), and
/// the checksum of TCP stands behind them.
fn restore_transport(
    bytes: &mut [u8],
    embedded: &Layout,
    source: Endpoint,
    destination: Endpoint,
    addresses: Delta,
    body: &mut Delta,
) {
    let l4 = usize::from(embedded.l4);
    let Some(quoted) = bytes.get_mut(..usize::from(embedded.end)) else { return };
    let mut rest = Delta::none();
    match embedded.protocol {
        ip::TCP | ip::UDP => {
            replace(quoted, l4, |_| source.port, &mut rest);
            replace(quoted, l4 + 2, |_| destination.port, &mut rest);
        }
        ip::ICMP | ip::ICMPV6 => {
            let identifier = match quoted.get(l4).and_then(|kind| icmp::echo(embedded.family, *kind)) {
                Some(icmp::Echo::Request) => source.port,
                Some(icmp::Echo::Reply) => destination.port,
                None => return,
            };
            replace(quoted, l4 + 4, |_| identifier, &mut rest);
        }
        _ => return,
    }
    *body = body.and(rest);
    match embedded.protocol {
        ip::TCP => replace(quoted, l4 + 16, |check| addresses.and(rest).apply(check), body),
        ip::UDP => replace(quoted, l4 + 6, |check| addresses.and(rest).apply_udp(check), body),
        ip::ICMP => replace(quoted, l4 + 2, |check| rest.apply(check), body),
        _ => replace(quoted, l4 + 2, |check| addresses.and(rest).apply(check), body),
    };
}

/// Changes the 16-bit field at `at`, if it is there, and notes the change.
fn replace(bytes: &mut [u8], at: usize, change: impl FnOnce(u16) -> u16, delta: &mut Delta) -> Option<()> {
    let old = u16_at(bytes, at)?;
    let new = change(old);
    *delta = delta.u16(old, new);
    put(bytes, at, new.to_be_bytes())
}
