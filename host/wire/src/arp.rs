//! ARP for IPv4 over Ethernet (RFC 826, RFC 5227).

use core::net::Ipv4Addr;

use crate::bytes::put;
use crate::ethernet::{self, EtherType};
use crate::{Frame, Mac};

/// Hardware Ethernet, protocol IPv4, with addresses of 6 and 4 bytes.
const ETHERNET_AND_IPV4: [u8; 6] = [0, 1, 0x08, 0x00, 6, 4];
const LEN: usize = 28;
const REQUEST: u16 = 1;
const REPLY: u16 = 2;

/// A question for the station that has `target`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    pub sender_mac: Mac,
    /// Unspecified in a probe (RFC 5227 section 2.1.1), which is answered like any other.
    pub sender: Ipv4Addr,
    pub target: Ipv4Addr,
}

/// Makes of a request, whose ARP header stands at `l3`, the reply that `mac` has the address. None if
/// the frame is shorter than that.
pub fn answer(frame: &mut Frame<'_>, l3: u16, request: &Request, mac: Mac) -> Option<()> {
    let bytes = frame.bytes_mut();
    let sender = (mac, request.target);
    write(bytes.get_mut(l3.into()..)?, REPLY, sender, (request.sender_mac, request.sender))?;
    ethernet::readdress(bytes, request.sender_mac, mac)
}

/// Writes into an empty frame the announcement that `mac` has `address` (RFC 5227 section 2.3: a request
/// for it, broadcast). `vlan` is the tag control information of a tag. None if the buffer is too short.
pub fn announce(frame: &mut Frame<'_>, vlan: Option<u16>, mac: Mac, address: Ipv4Addr) -> Option<()> {
    let l3 = ethernet::start(frame, Mac::BROADCAST, mac, vlan, EtherType::ARP)?;
    frame.grow_back(LEN)?;
    write(frame.bytes_mut().get_mut(l3..)?, REQUEST, (mac, address), (Mac::default(), address))
}

fn write(bytes: &mut [u8], operation: u16, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> Option<()> {
    let mut packet = [0; LEN];
    packet[..6].copy_from_slice(&ETHERNET_AND_IPV4);
    packet[6..8].copy_from_slice(&operation.to_be_bytes());
    packet[8..14].copy_from_slice(&sender.0.0);
    packet[14..18].copy_from_slice(&sender.1.octets());
    packet[18..24].copy_from_slice(&target.0.0);
    packet[24..28].copy_from_slice(&target.1.octets());
    put(bytes, 0, packet)
}
