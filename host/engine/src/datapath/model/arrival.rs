//! A frame that came in.

use shunt_wire::{Layout, Mac, vlan};

use crate::fragment::FragmentOf;
use crate::mapping::packet::Pair;
use crate::network::Network;
use crate::packet::Packet;

/// A frame that came in, as it was read.
#[derive(Clone, Copy)]
pub(in crate::datapath) struct Arrival<'a> {
    pub(in crate::datapath) packet: &'a Packet,
    /// The interface that it came in by.
    pub(in crate::datapath) ingress: u32,
    /// It waited for its next hop, and was counted when it came.
    pub(in crate::datapath) again: bool,
    /// Another worker had it before, and it goes no further.
    pub(in crate::datapath) handed_over: bool,
    /// If it is a fragment: of what, once that is known.
    pub(in crate::datapath) part: Option<FragmentOf>,
}

/// Who sent a packet of the client, and by where it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::datapath) struct Sender {
    pub(in crate::datapath) interface: u32,
    pub(in crate::datapath) vlan: Option<u16>,
    pub(in crate::datapath) mac: Mac,
}

/// A packet that an ICMP error is about.
pub(in crate::datapath) struct About {
    pub(in crate::datapath) layout: Layout,
    pub(in crate::datapath) ends: Pair,
    /// Its link-layer address is a group of stations.
    pub(in crate::datapath) to_group: bool,
    /// The interface that it came in by.
    pub(in crate::datapath) ingress: u32,
    /// The VLAN on it, if the packet has a tag that names one; else the interface itself.
    pub(in crate::datapath) link: u32,
}

impl Arrival<'_> {
    /// The link that it came in by: the VLAN, if it has a tag that names one.
    pub(in crate::datapath) fn link(&self, network: &Network) -> u32 {
        network.link(self.ingress, self.packet.vlan.and_then(vlan::number))
    }

    /// Who sent it.
    pub(in crate::datapath) fn sender(&self) -> Sender {
        let vlan = self.packet.vlan.and_then(vlan::number);
        Sender { interface: self.ingress, vlan, mac: self.packet.source_mac }
    }
}
