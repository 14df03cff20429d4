//! The drop reason of each cause for which a frame is not read.

use super::reason::DropReason;
use crate::packet::Unreadable;

pub(super) const fn reason(cause: Unreadable) -> DropReason {
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
