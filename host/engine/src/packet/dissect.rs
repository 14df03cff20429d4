use std::net::Ipv4Addr;

use etherparse::{ArpHardwareId, ArpOperation, ArpPacketSlice, EtherType, Ethernet2Slice, SingleVlanSlice};
use shunt_wire::layout::Part;
use shunt_wire::{Family, Layout, Mac, arp, ethernet};

use super::{Kind, Packet, Unreadable, network, transport};

/// Reads a frame from its first Ethernet byte on.
///
/// A single VLAN tag is read; lengths and the checksum of an IPv4 header are checked, those of TCP and UDP
/// are left to the end that they are for.
///
/// # Errors
///
/// Why it cannot be read, or must not be forwarded.
pub fn dissect(bytes: &[u8]) -> Result<Packet, Unreadable> {
    if bytes.len() > usize::from(u16::MAX) {
        return Err(Unreadable::TooLong);
    }
    let frame = Ethernet2Slice::from_slice_without_fcs(bytes).map_err(|_| Unreadable::Ethernet)?;
    let (l3, vlan, ether_type) = if frame.ether_type() == EtherType::VLAN_TAGGED_FRAME {
        let tag = SingleVlanSlice::from_slice(frame.payload_slice()).map_err(|_| Unreadable::Ethernet)?;
        (ethernet::HEADER_LEN + ethernet::VLAN_LEN, Some(control(&tag)), tag.ether_type())
    } else {
        (ethernet::HEADER_LEN, None, frame.ether_type())
    };
    let (source_mac, destination_mac) = (Mac(frame.source()), Mac(frame.destination()));
    let family = match ether_type {
        EtherType::IPV4 => Family::V4,
        EtherType::IPV6 => Family::V6,
        EtherType::ARP => {
            let (layout, kind) = arp_request(bytes, l3)?;
            return Ok(Packet { layout, source_mac, destination_mac, vlan, kind });
        }
        other => return Err(Unreadable::EtherType(other.0)),
    };
    let datagram = network::read(bytes, l3, family)?;
    let kind = transport::read(bytes, &datagram)?;
    Ok(Packet { layout: datagram.layout, source_mac, destination_mac, vlan, kind })
}

/// The tag control information (IEEE 802.1Q section 9.6).
pub(super) fn control(tag: &SingleVlanSlice<'_>) -> u16 {
    u16::from(tag.priority_code_point().value()) << 13
        | u16::from(tag.drop_eligible_indicator()) << 12
        | tag.vlan_identifier().value()
}

fn arp_request(bytes: &[u8], l3: usize) -> Result<(Layout, Kind), Unreadable> {
    let arp = ArpPacketSlice::from_slice(bytes.get(l3..).unwrap_or_default()).map_err(|_| Unreadable::Arp)?;
    if arp.hw_addr_type() != ArpHardwareId::ETHERNET || arp.proto_addr_type() != EtherType::IPV4 {
        return Err(Unreadable::Arp);
    }
    if arp.operation() != ArpOperation::REQUEST {
        return Err(Unreadable::ArpOperation(arp.operation().0));
    }
    let request = arp::Request {
        sender_mac: Mac(arp.sender_hw_addr().try_into().map_err(|_| Unreadable::Arp)?),
        sender: v4(arp.sender_protocol_addr())?,
        target: v4(arp.target_protocol_addr())?,
    };
    let l3 = l3 as u16;
    let end = l3 + arp.slice().len() as u16;
    let layout = Layout { l3, l4: end, end, family: Family::V4, protocol: 0, part: Part::Whole };
    Ok((layout, Kind::Arp(request)))
}

fn v4(address: &[u8]) -> Result<Ipv4Addr, Unreadable> {
    let octets: [u8; 4] = address.try_into().map_err(|_| Unreadable::Arp)?;
    Ok(octets.into())
}
