//! New addresses and ports: `nat` and `snat`.

use super::header;
use crate::bytes::{put, u16_at};
use crate::checksum::Delta;
use crate::{Address, Endpoint, Family, FlowKey, Hop, Layout, icmp, ip};

/// New addresses and ports for the packets of one direction of a flow, with what they do to checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Translate {
    source: Address,
    destination: Address,
    source_port: u16,
    destination_port: u16,
    /// The ones' complement sum of what the new addresses change.
    addresses: u16,
    /// The same of the ports. What the identifier of an ICMP echo changes is seen in the packet.
    ports: u16,
    /// Is the source address another one than before?
    hides_source: bool,
}

impl Translate {
    /// Packets of the flow `of` become packets from `source` to `destination`. None if the addresses are
    /// not all of one family.
    ///
    /// In an ICMP echo flow, the port that stands for the identifier becomes the identifier; the other one
    /// means nothing.
    #[must_use]
    pub const fn new(of: &FlowKey, source: Endpoint, destination: Endpoint) -> Option<Self> {
        let (old_source, old_destination) = (of.source(), of.destination());
        let family = of.family() as u8;
        if old_destination.address.family() as u8 != family
            || source.address.family() as u8 != family
            || destination.address.family() as u8 != family
        {
            return None;
        }
        let addresses = Delta::none()
            .address(old_source.address, source.address)
            .address(old_destination.address, destination.address);
        let ports =
            Delta::none().u16(old_source.port, source.port).u16(old_destination.port, destination.port);
        Some(Self {
            source: source.address,
            destination: destination.address,
            source_port: source.port,
            destination_port: destination.port,
            addresses: addresses.folded(),
            ports: ports.folded(),
            hides_source: !same(old_source.address, source.address),
        })
    }

    #[must_use]
    pub const fn source(&self) -> Endpoint {
        Endpoint { address: self.source, port: self.source_port }
    }

    #[must_use]
    pub const fn destination(&self) -> Endpoint {
        Endpoint { address: self.destination, port: self.destination_port }
    }

    /// Does who receives these packets see another source address than who sent them has?
    pub(super) const fn hides_source(&self) -> bool {
        self.hides_source
    }

    #[inline]
    pub(super) fn apply(&self, bytes: &mut [u8], layout: &Layout, hop: Hop) -> Option<()> {
        let addresses = Delta::from_folded(self.addresses);
        match layout.family {
            Family::V4 => {
                let header = header::v4(bytes, layout)?;
                header[12..16].copy_from_slice(&ip::v4_octets(self.source));
                header[16..20].copy_from_slice(&ip::v4_octets(self.destination));
                header::change_v4(header, hop, addresses);
            }
            Family::V6 => {
                let header = header::v6(bytes, layout)?;
                header[8..24].copy_from_slice(&self.source.octets());
                header[24..40].copy_from_slice(&self.destination.octets());
                header::count_v6(header, hop);
            }
        }
        if !layout.has_transport() {
            return Some(());
        }
        let rest = match layout.protocol {
            ip::TCP | ip::UDP => self.set_ports(bytes, layout)?,
            ip::ICMP | ip::ICMPV6 => self.set_identifier(bytes, layout)?,
            _ => Delta::none(),
        };
        header::mend_transport(bytes, layout, addresses, rest)
    }

    #[inline]
    fn set_ports(&self, bytes: &mut [u8], layout: &Layout) -> Option<Delta> {
        let [a, b] = self.source_port.to_be_bytes();
        let [c, d] = self.destination_port.to_be_bytes();
        put(bytes, usize::from(layout.l4), [a, b, c, d])?;
        Some(Delta::from_folded(self.ports))
    }

    fn set_identifier(&self, bytes: &mut [u8], layout: &Layout) -> Option<Delta> {
        let l4 = usize::from(layout.l4);
        let new = match icmp::echo(layout.family, *bytes.get(l4)?) {
            Some(icmp::Echo::Request) => self.source_port,
            Some(icmp::Echo::Reply) => self.destination_port,
            None => return Some(Delta::none()),
        };
        let old = u16_at(bytes, l4 + 4)?;
        put(bytes, l4 + 4, new.to_be_bytes())?;
        Some(Delta::none().u16(old, new))
    }
}

const fn same(a: Address, b: Address) -> bool {
    a.hi == b.hi && a.lo == b.lo
}
