//! Telling the neighbours where Shunt's addresses are.

use shunt_wire::frame::HEADROOM;
use shunt_wire::{Address, Frame, arp, ndp};

use crate::datapath::Datapath;
use crate::datapath::driver::Driver;
use crate::datapath::snapshot::Owned;
use crate::network::{Interface, NextHop};

/// An Ethernet header with tag, an IPv6 header and an advertisement with its option: rounded up.
const LONGEST: usize = 128;

impl Datapath {
    /// Tells the neighbours on every link that Shunt's addresses are here (gratuitous ARP, unsolicited
    /// advertisements). One worker does it when it starts.
    ///
    /// A VIP is announced where its virtuals take clients from; an address that Shunt speaks to members from, or
    /// probes, on the link that it is on. One that is on no link is reached by a route, and needs no announcement.
    pub fn announce(&self, driver: &mut impl Driver) {
        for virtual_ in self.config.snapshot.virtuals().iter().filter(|virtual_| !virtual_.is_wildcard()) {
            for link in &virtual_.interfaces {
                self.announce_on(*link, virtual_.listen.address, driver);
            }
        }
        for (address, owned) in self.config.snapshot.owned_addresses() {
            if owned == Owned::Probe {
                // Its route leads to the probe interface; members ask for it on the links that have its prefix.
                let near = self.config.network.interfaces().filter(|link| link.has_on_link(address));
                near.for_each(|link| self.announce_on(link.index, address, driver));
            }
            if let Owned::Snat(_) | Owned::TunnelSource = owned
                && let NextHop::Known(via, _) | NextHop::NeedsSolicitation(via) =
                    self.config.network.next_hop(address)
                && via.on_link
            {
                self.announce_on(via.link, address, driver);
            }
        }
    }

    fn announce_on(&self, link: u32, address: Address, driver: &mut impl Driver) {
        let Some(Interface { mac, vlan, index, point_to_point: false, .. }) =
            self.config.network.interface(link)
        else {
            return;
        };
        let (carrier, tag) = vlan.map_or((*index, None), |vlan| (vlan.parent, Some(vlan.id)));
        let mut buffer = [0; HEADROOM + LONGEST];
        let mut frame = Frame::new(&mut buffer, HEADROOM, HEADROOM);
        let written = match address.to_ip() {
            std::net::IpAddr::V4(address) => arp::announce(&mut frame, tag, *mac, address),
            std::net::IpAddr::V6(address) => ndp::announce(&mut frame, tag, *mac, address),
        };
        if written.is_some() {
            driver.send(carrier, frame.bytes());
        }
    }
}
