//! New addresses and ports in the other family: `nat` and `snat` between IPv4 and IPv6.

use super::Rewrite;
use crate::translation::{self, About, Fit, LOWEST_IPV6_MTU, Pair, Way};
use crate::{Address, Endpoint, Family, FlowKey, Frame, Layout, RewriteError};

/// New addresses and ports, of the other family, for the packets of one direction of a flow (RFC 7915).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct FamilyTranslation {
    source: Address,
    destination: Address,
    source_port: u16,
    destination_port: u16,
    lowest_ipv6_mtu: u16,
}

impl FamilyTranslation {
    /// Packets of the flow `of` become packets from `source` to `destination`. None unless the flow is of one
    /// family and both of these are of the other one.
    ///
    /// In an ICMP echo flow, the port that stands for the identifier becomes the identifier; the other one
    /// means nothing.
    #[must_use]
    pub const fn new(of: &FlowKey, source: Endpoint, destination: Endpoint) -> Option<Self> {
        let old = of.family() as u8;
        let new = source.address.family() as u8;
        if of.destination().address.family() as u8 != old
            || destination.address.family() as u8 != new
            || new == old
        {
            return None;
        }
        Some(Self {
            source: source.address,
            destination: destination.address,
            source_port: source.port,
            destination_port: destination.port,
            lowest_ipv6_mtu: LOWEST_IPV6_MTU,
        })
    }

    /// IPv4 packets that may be fragmented become IPv6 packets of `mtu` bytes at most, instead of 1280 (RFC 7915
    /// section 4.1).
    #[must_use]
    pub const fn with_lowest_ipv6_mtu(self, mtu: u16) -> Self {
        Self { lowest_ipv6_mtu: mtu, ..self }
    }

    #[must_use]
    pub const fn source(&self) -> Endpoint {
        Endpoint { address: self.source, port: self.source_port }
    }

    #[must_use]
    pub const fn destination(&self) -> Endpoint {
        Endpoint { address: self.destination, port: self.destination_port }
    }

    /// By how many bytes a packet without options, extension headers and fragment header gets longer.
    pub(super) const fn growth(&self) -> i16 {
        match self.source.family() {
            Family::V4 => -(translation::GROWTH as i16),
            Family::V6 => translation::GROWTH as i16,
        }
    }

    /// Returns how long a datagram of the result may be.
    #[inline]
    pub(super) fn apply(
        &self,
        rewrite: &Rewrite,
        frame: &mut Frame<'_>,
        layout: &Layout,
        fit: Fit,
    ) -> Result<u16, RewriteError> {
        let way = Way {
            mtu: rewrite.mtu,
            mtu_back: u16::MAX,
            lowest_ipv6_mtu: self.lowest_ipv6_mtu,
            hop: rewrite.hop,
            mss: rewrite.mss,
            fit,
        };
        let pair = Pair { source: self.source(), destination: self.destination(), with_ports: true };
        // A router between Shunt and the member has an address that the client need not know, nor be able to
        // reach: the flow's own source stands for it in errors too. The packet in one went the other way (RFC
        // 6146 sections 3.5.1.3 and 3.5.3).
        translation::relay(frame, layout, &pair, About::Reversed, &way)
    }
}
