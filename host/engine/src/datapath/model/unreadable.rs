//! The drop reason of each cause for which a frame is not read.

use super::reason::DropReason;
use crate::packet::Unreadable;

pub(in crate::datapath) const fn reason(cause: Unreadable) -> DropReason {
    match cause {
        Unreadable::EtherType(_) => DropReason::OtherEthertype,
        // The kernel's neighbour table takes in replies; they come here where the address is Shunt's.
        Unreadable::ArpOperation(_) => DropReason::NotOurs,
        Unreadable::IpChecksum | Unreadable::IcmpChecksum => DropReason::BadChecksum,
        Unreadable::Source | Unreadable::Mapped | Unreadable::SourceRoute => DropReason::Forged,
        Unreadable::TooLong
        | Unreadable::Ethernet
        | Unreadable::Arp
        | Unreadable::IpVersion
        | Unreadable::IpHeader
        | Unreadable::IpLength
        | Unreadable::Fragment
        | Unreadable::Tcp
        | Unreadable::Udp
        | Unreadable::Icmp
        | Unreadable::Embedded
        | Unreadable::NeighbourDiscovery => DropReason::Malformed,
    }
}

/// What is wrong with it.
pub(in crate::datapath) const fn describe(cause: Unreadable) -> &'static str {
    match cause {
        Unreadable::TooLong => "it is longer than 65,535 bytes",
        Unreadable::Ethernet => "it ends within its Ethernet header or VLAN tag",
        Unreadable::EtherType(_) => "it is neither IPv4, IPv6 nor ARP, or has two VLAN tags",
        Unreadable::Arp => "it is no ARP for IPv4 over Ethernet, or cut short",
        Unreadable::ArpOperation(_) => "it is ARP, but no request",
        Unreadable::IpVersion => "its IP version is not the one that its Ethernet type names",
        Unreadable::IpHeader => "its IP header is cut short, or has an impossible length",
        Unreadable::IpLength => "it is shorter than its IP header says",
        Unreadable::IpChecksum => "the checksum of its IP header is wrong",
        Unreadable::Source => "no host has its source address",
        Unreadable::Mapped => "an IPv4 address stands in its IPv6 header",
        Unreadable::SourceRoute => "it names the way to go",
        Unreadable::Fragment => "as a fragment it is impossible",
        Unreadable::Tcp => "its TCP header is cut short, or has an impossible length",
        Unreadable::Udp => "its UDP header is cut short, or has an impossible length",
        Unreadable::Icmp => "its ICMP header is cut short",
        Unreadable::IcmpChecksum => "its ICMP checksum is wrong",
        Unreadable::Embedded => "the packet that the ICMP error is about cannot be told",
        Unreadable::NeighbourDiscovery => "it is invalid neighbour discovery",
    }
}
