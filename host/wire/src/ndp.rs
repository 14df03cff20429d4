//! Neighbour discovery: the part of a host that has an address (RFC 4861).

use core::net::Ipv6Addr;

pub use crate::names::{NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION};

use crate::bytes::put;
use crate::ethernet::{self, EtherType};
use crate::ip::{self, Header};
use crate::{Frame, Mac};

/// The hop limit that proves that no router passed a message on (RFC 4861 section 3.1).
pub const HOP_LIMIT: u8 = 255;

/// `ff02::1`.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// An advertisement with a target link-layer address option (RFC 4861 sections 4.4 and 4.6.1).
const ADVERTISEMENT_LEN: usize = 32;
/// Flags of an advertisement: it was asked for; it replaces what is known.
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

/// A valid question for the station that has `target` (RFC 4861 section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Solicitation {
    /// Unspecified if who asks wants the address itself (RFC 4862 section 5.4).
    pub source: Ipv6Addr,
    /// The source link-layer address option; without it, who asks is where the frame came from.
    pub source_mac: Option<Mac>,
    pub target: Ipv6Addr,
}

/// The group that a station with the address listens to: `ff02::1:ff` and its last 24 bits (RFC 4291 section
/// 2.7.1).
#[must_use]
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(0xff02_0000_0000_0000_0000_0001_ff00_0000 | address.to_bits() & 0xff_ffff)
}

/// Makes of a solicitation, whose IPv6 header stands at `l3`, the advertisement that `mac` has the
/// address (RFC 4861 section 7.2.4). None if the buffer has no room for it.
pub fn answer(frame: &mut Frame<'_>, l3: u16, solicitation: &Solicitation, mac: Mac) -> Option<()> {
    let asked_from = solicitation.source_mac.or(ethernet::source(frame.bytes()))?;
    let l3 = usize::from(l3);
    frame.set_len(l3 + ip::V6_HEADER_LEN + ADVERTISEMENT_LEN)?;
    let bytes = frame.bytes_mut();
    // A host without an address yet gets the advertisement by multicast.
    let (to, to_mac, flags) = if solicitation.source.is_unspecified() {
        (ALL_NODES, Mac::of_multicast(ALL_NODES), OVERRIDE)
    } else {
        (solicitation.source, asked_from, SOLICITED | OVERRIDE)
    };
    write(bytes.get_mut(l3..)?, solicitation.target, to, mac, flags)?;
    ethernet::readdress(bytes, to_mac, mac)
}

/// Writes into an empty frame the unsolicited advertisement that `mac` has `address` (RFC 4861 section
/// 7.2.6), to all nodes. `vlan` is the tag control information of a tag. None if the buffer is too short.
pub fn announce(frame: &mut Frame<'_>, vlan: Option<u16>, mac: Mac, address: Ipv6Addr) -> Option<()> {
    let l3 = ethernet::start(frame, Mac::of_multicast(ALL_NODES), mac, vlan, EtherType::IPV6)?;
    frame.grow_back(ip::V6_HEADER_LEN + ADVERTISEMENT_LEN)?;
    write(frame.bytes_mut().get_mut(l3..)?, address, ALL_NODES, mac, OVERRIDE)
}

fn write(bytes: &mut [u8], target: Ipv6Addr, to: Ipv6Addr, mac: Mac, flags: u8) -> Option<()> {
    let ip = Header { hop_limit: HOP_LIMIT, ..Header::new(target.into(), to.into(), ip::ICMPV6) };
    let mut message = [0; ADVERTISEMENT_LEN];
    message[0] = NEIGHBOUR_ADVERTISEMENT;
    message[4] = flags;
    message[8..24].copy_from_slice(&target.octets());
    // Target link-layer address, one unit of eight bytes.
    message[24..26].copy_from_slice(&[2, 1]);
    message[26..32].copy_from_slice(&mac.0);
    let check = ip.pseudo(ADVERTISEMENT_LEN).bytes(&message).checksum();
    message[2..4].copy_from_slice(&check.to_be_bytes());
    put(bytes, ip::V6_HEADER_LEN, message)?;
    ip.write(bytes, ADVERTISEMENT_LEN)
}
