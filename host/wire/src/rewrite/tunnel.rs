//! A header in front of the packet: `l3dsr-ipip`, `l3dsr-gre` and `l3dsr-gue`.

use super::header;
use crate::bytes::{array_at, put, u16_at};
use crate::checksum::{Sum, sum};
use crate::ethernet::EtherType;
use crate::ip::{self, Header};
use crate::layout::Part;
use crate::{Address, Family, Frame, Hop, Layout};

/// A GRE header without options: flags, version and protocol (RFC 2784 section 2).
const GRE_LEN: usize = 4;
const UDP_LEN: usize = 8;
/// A GUE header without options: version 0, a length of zero, protocol and flags.
const GUE_LEN: usize = 4;

/// The header that is put in front of a packet; the packet in it may be of either family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Outer {
    source: Address,
    destination: Address,
    /// 20 bits that vary with the flow, for IPv6.
    flow_label: u32,
    tunnel: Tunnel,
}

/// What stands between the outer IP header and the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, u8)]
pub enum Tunnel {
    /// Nothing (RFC 2003; RFC 2473 and RFC 4213 where a family is IPv6).
    Ipip,
    /// A GRE header without options (RFC 2784, RFC 7676).
    Gre,
    /// UDP and a GUE header without options (draft-ietf-intarea-gue-09). The source port varies with the
    /// flow.
    Gue { source_port: u16, destination_port: u16 },
}

impl Outer {
    /// `entropy` varies with the flow: its low 20 bits become the flow label of an IPv6 header, by which the
    /// way to the member and its receive queues spread flows (RFC 6438 section 3). None if the families of
    /// the addresses differ.
    #[must_use]
    pub const fn new(source: Address, destination: Address, tunnel: Tunnel, entropy: u32) -> Option<Self> {
        if source.family() as u8 != destination.family() as u8 {
            return None;
        }
        Some(Self { source, destination, flow_label: entropy & 0xf_ffff, tunnel })
    }

    #[must_use]
    pub const fn source(&self) -> Address {
        self.source
    }

    #[must_use]
    pub const fn destination(&self) -> Address {
        self.destination
    }

    #[must_use]
    pub const fn tunnel(&self) -> Tunnel {
        self.tunnel
    }

    /// The length of everything that is put in front.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a header is never empty")]
    pub const fn len(&self) -> u16 {
        let shim = match self.tunnel {
            Tunnel::Ipip => 0,
            Tunnel::Gre => GRE_LEN,
            Tunnel::Gue { .. } => UDP_LEN + GUE_LEN,
        };
        (ip::header_len(self.source.family()) + shim) as u16
    }

    pub(super) fn apply(&self, frame: &mut Frame<'_>, layout: &Layout, hop: Hop) -> Option<()> {
        // Whoever encapsulates while forwarding counts a hop in the packet (RFC 2003 section 3.1, RFC 2473
        // section 3.1), and the outer header starts afresh.
        header::pass_on(frame.bytes_mut(), layout, hop)?;
        // Padding behind the packet is no part of it.
        frame.set_len(usize::from(layout.end))?;
        let inner = frame.bytes().get(usize::from(layout.l3)..)?;
        let (inner_len, traffic_class) = (inner.len(), traffic_class(inner, layout.family)?);
        let inner_sum = if self.sums_payload() { sum_of_datagram(inner, layout)? } else { 0 };

        let l3 = usize::from(layout.l3);
        let overhead = usize::from(self.len());
        frame.grow_front(overhead)?;
        let bytes = frame.bytes_mut();
        bytes.copy_within(overhead..overhead + l3, 0);
        put(bytes, l3.checked_sub(2)?, ether_type(self.source.family()).0.to_be_bytes())?;

        let outer = Header {
            // The DSCP field and the ECN field of the packet, so that it is treated alike and congestion
            // marks are not lost (RFC 6040 section 4.1, normal mode; RFC 9601 where a shim stands between).
            traffic_class,
            flow_label: self.flow_label,
            ..Header::new(self.source, self.destination, self.protocol(layout.family))
        };
        let header_len = ip::header_len(self.source.family());
        let payload_len = overhead - header_len + inner_len;
        let bytes = bytes.get_mut(l3..)?;
        outer.write(bytes, payload_len)?;
        let shim = bytes.get_mut(header_len..)?;
        match self.tunnel {
            Tunnel::Ipip => {}
            Tunnel::Gre => {
                put(shim, 0, [0, 0])?;
                put(shim, 2, ether_type(layout.family).0.to_be_bytes())?;
            }
            Tunnel::Gue { source_port, destination_port } => {
                put(shim, 0, source_port.to_be_bytes())?;
                put(shim, 2, destination_port.to_be_bytes())?;
                put(shim, 4, u16::try_from(payload_len).ok()?.to_be_bytes())?;
                put(shim, 6, [0, 0])?;
                put(shim, 8, [0, protocol(layout.family), 0, 0])?;
                if self.sums_payload() {
                    let head = outer.pseudo(payload_len).bytes(shim.get(..UDP_LEN + GUE_LEN)?);
                    put(shim, 6, head.u16(inner_sum).udp_checksum().to_be_bytes())?;
                }
            }
        }
        Some(())
    }

    /// The protocol of the outer header, for a packet of `inner`.
    const fn protocol(&self, inner: Family) -> u8 {
        match self.tunnel {
            Tunnel::Ipip => protocol(inner),
            Tunnel::Gre => ip::GRE,
            Tunnel::Gue { .. } => ip::UDP,
        }
    }

    /// Over IPv4 the outer UDP header says that it has no checksum (RFC 768): the packet has its own. Over
    /// IPv6 a receiver drops such datagrams unless it was told of the tunnel (RFC 8200 section 8.1, RFC
    /// 6935 section 5), and an IPv6 header has no checksum of its own that would guard its addresses: there
    /// it is computed.
    const fn sums_payload(&self) -> bool {
        matches!(self.tunnel, Tunnel::Gue { .. }) && matches!(self.source.family(), Family::V6)
    }
}

/// The protocol number of a packet in a tunnel.
const fn protocol(family: Family) -> u8 {
    match family {
        Family::V4 => ip::IPIP,
        Family::V6 => ip::IPV6,
    }
}

const fn ether_type(family: Family) -> EtherType {
    match family {
        Family::V4 => EtherType::IPV4,
        Family::V6 => EtherType::IPV6,
    }
}

/// DSCP and ECN of the IP header at the start of `bytes`.
fn traffic_class(bytes: &[u8], family: Family) -> Option<u8> {
    let [first, second] = array_at(bytes, 0)?;
    Some(match family {
        Family::V4 => second,
        Family::V6 => first << 4 | second >> 4,
    })
}

/// The ones' complement sum of a datagram. A transport header that holds the right checksum makes what it
/// covers sum to all ones, so the rest follows from the pseudo-header and no payload is read. If the
/// checksum is wrong, so is this sum, and the packet is refused one header earlier than it would have been.
fn sum_of_datagram(datagram: &[u8], layout: &Layout) -> Option<u16> {
    let at = usize::from(layout.l4.checked_sub(layout.l3)?);
    let (network, transport) = datagram.split_at_checked(at)?;
    let (source, destination) = ip::addresses(datagram, layout.family)?;
    let len = u32::try_from(transport.len()).ok()?;
    let covered = match (layout.part, layout.protocol) {
        (Part::Whole, ip::TCP | ip::ICMPV6) => true,
        // Not if it has none, nor if it does not reach to the end.
        (Part::Whole, ip::UDP) => u16_at(transport, 6)? != 0 && u32::from(u16_at(transport, 4)?) == len,
        _ => false,
    };
    let rest = if covered {
        Sum::pseudo(source, destination, layout.protocol, len).checksum()
    } else {
        sum(transport)
    };
    Some(!Sum::new().bytes(network).u16(rest).checksum())
}
