//! A destination address and a mark: `l3dsr-dscp`.

use super::header;
use crate::checksum::Delta;
use crate::{Address, Family, FlowKey, Hop, Layout, ip};

/// A new destination address, and a code point by which the member knows the virtual server.
///
/// The transport checksum is mended, so that the packet is right on the wire; whoever puts the virtual
/// server's address back mends it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Dscp {
    destination: Address,
    /// The ones' complement sum of what the new address changes.
    addresses: u16,
    code_point: u8,
}

impl Dscp {
    /// Packets of the flow `of` go to `destination`, marked with `code_point` (0 to 63). None if the families
    /// differ or the code point has more than six bits (RFC 2474 section 3).
    #[must_use]
    pub const fn new(of: &FlowKey, destination: Address, code_point: u8) -> Option<Self> {
        let old = of.destination().address;
        if old.family() as u8 != destination.family() as u8 || code_point > 0x3f {
            return None;
        }
        let addresses = Delta::none().address(old, destination).folded();
        Some(Self { destination, addresses, code_point })
    }

    #[must_use]
    pub const fn destination(&self) -> Address {
        self.destination
    }

    #[must_use]
    pub const fn code_point(&self) -> u8 {
        self.code_point
    }

    #[inline]
    pub(super) fn apply(&self, bytes: &mut [u8], layout: &Layout, hop: Hop) -> Option<()> {
        let addresses = Delta::from_folded(self.addresses);
        match layout.family {
            Family::V4 => self.mark_v4(header::v4(bytes, layout)?, hop, addresses),
            Family::V6 => self.mark_v6(header::v6(bytes, layout)?, hop),
        }
        header::mend_transport(bytes, layout, addresses, Delta::none())
    }

    fn mark_v4(&self, header: &mut [u8; ip::V4_HEADER_LEN], hop: Hop, addresses: Delta) {
        let old = u16::from_be_bytes([header[0], header[1]]);
        header[1] = self.mark(header[1]);
        let new = u16::from_be_bytes([header[0], header[1]]);
        header[16..20].copy_from_slice(&ip::v4_octets(self.destination));
        header::change_v4(header, hop, addresses.u16(old, new));
    }

    fn mark_v6(&self, header: &mut [u8; ip::V6_HEADER_LEN], hop: Hop) {
        // The traffic class straddles the first two octets, between version and flow label.
        let class = self.mark(header[0] << 4 | header[1] >> 4);
        header[0] = 0x60 | class >> 4;
        header[1] = class << 4 | header[1] & 0x0f;
        header[24..40].copy_from_slice(&self.destination.octets());
        header::count_v6(header, hop);
    }

    /// The low two bits are the ECN field and stay (RFC 3168 section 5).
    const fn mark(&self, traffic_class: u8) -> u8 {
        self.code_point << 2 | traffic_class & 0x03
    }
}
