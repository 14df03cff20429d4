//! Virtual: whose packet it is.

use shunt_wire::Address;
use shunt_wire::tcp::{ACK, RST, SYN};

use crate::datapath::Datapath;
use crate::datapath::lookup::{Deaf, may_travel};
use crate::datapath::model::arrival::Arrival;
use crate::datapath::model::flow::FlowProtocol;
use crate::datapath::model::index::VirtualIndex;
use crate::datapath::model::reason::DropReason;
use crate::datapath::model::stage::Stage;
use crate::datapath::snapshot::Owned;
use crate::packet::FlowPacket;

/// Why there is no virtual.
pub(super) enum NotFound {
    /// None is needed: Shunt answers pings of its addresses itself.
    Ping,
    Because(DropReason),
}

impl Datapath {
    pub(super) fn find_virtual(
        &self,
        arrival: &Arrival<'_>,
        packet: &FlowPacket,
    ) -> Result<VirtualIndex, NotFound> {
        let is_reset = packet.tcp.is_some_and(|segment| segment.flags & RST != 0);
        let otherwise = |reason| NotFound::Because(if is_reset { DropReason::LateReset } else { reason });
        let destination = packet.key.destination();
        let is_echo = packet.tcp.is_none() && destination.port == 0;
        let protocol = FlowProtocol::of(packet.key.protocol());
        let link = arrival.link(&self.network);
        let found = match self.snapshot.owned(destination.address) {
            Some(Owned::Vip) => self.snapshot.listening(destination, protocol, link),
            Some(Owned::Snat(_) | Owned::Probe | Owned::TunnelSource)
                if protocol == FlowProtocol::Icmp && is_echo =>
            {
                return Err(NotFound::Ping);
            }
            Some(Owned::Snat(_)) => {
                self.trace.at(Stage::Virtual, || format!("{} is of a SNAT pool", destination.address));
                return Err(otherwise(DropReason::NoFlow));
            }
            Some(Owned::Probe) => {
                self.trace.at(Stage::Virtual, || format!("monitors probe from {}", destination.address));
                return Err(NotFound::Because(DropReason::StrayProbe));
            }
            Some(Owned::TunnelSource) => {
                self.trace.at(Stage::Virtual, || format!("tunnels start at {}", destination.address));
                return Err(otherwise(DropReason::NoVirtual));
            }
            None => match self.anywhere(packet, protocol, link) {
                Some(index) => Ok(index),
                // The kernel program lets through what members send; anything else was never meant for Shunt.
                None if self.is_from_member(packet, protocol) => {
                    self.trace.at(Stage::Virtual, || format!("{} is a member's", packet.key.source()));
                    return Err(otherwise(DropReason::NoFlow));
                }
                None => {
                    self.trace.at(Stage::Virtual, || format!("{} is not Shunt's", destination.address));
                    return Err(NotFound::Because(DropReason::NotOurs));
                }
            },
        };
        match found {
            Ok(index) => {
                self.trace.at(Stage::Virtual, || self.what_is_found(index));
                if is_reset { Err(NotFound::Because(DropReason::LateReset)) } else { Ok(index) }
            }
            Err(Deaf::OtherLink) => {
                self.trace.at(Stage::Virtual, || self.what_listens(destination.address));
                self.trace.at(Stage::Virtual, || format!("it came in by {}", self.links(&[link])));
                Err(NotFound::Because(DropReason::WrongInterface))
            }
            Err(Deaf::Nobody) => {
                self.trace.at(Stage::Virtual, || self.what_listens(destination.address));
                Err(match protocol {
                    FlowProtocol::Icmp if is_echo => NotFound::Ping,
                    FlowProtocol::Icmp => NotFound::Because(DropReason::NoFlow),
                    FlowProtocol::Tcp | FlowProtocol::Udp => otherwise(DropReason::NoVirtual),
                    FlowProtocol::Other(_) => NotFound::Because(DropReason::OtherProtocol),
                })
            }
        }
    }

    /// A virtual that takes the packet.
    fn what_is_found(&self, index: VirtualIndex) -> String {
        let Some(virtual_) = self.snapshot.virtual_(index) else { return String::new() };
        let (name, listen, transport) = (&virtual_.name, virtual_.listen, virtual_.transport.as_str());
        format!("{name} listens on {listen}, {transport}, on {}", self.links(&virtual_.interfaces))
    }

    /// What the virtuals on an address take.
    fn what_listens(&self, address: Address) -> String {
        let here = self.snapshot.virtuals().iter().filter(|virtual_| virtual_.listen.address == address);
        let each = here.map(|it| {
            let (name, port, links) = (&it.name, it.listen.port, self.links(&it.interfaces));
            format!("{name} (port {port}, {}, on {links})", it.transport.as_str())
        });
        format!("on {address} there are: {}", each.collect::<Vec<_>>().join(", "))
    }

    /// The virtual on any address that takes a packet between strangers. Not one that goes on with what a
    /// member was asked: its flow has ended.
    fn anywhere(&self, packet: &FlowPacket, protocol: FlowProtocol, link: u32) -> Option<VirtualIndex> {
        let (source, destination) = (packet.key.source(), packet.key.destination());
        let goes_on = packet.tcp.is_some_and(|segment| segment.flags & (SYN | ACK) != SYN);
        if !may_travel(source.address, destination.address)
            || goes_on && self.is_from_member(packet, protocol)
        {
            return None;
        }
        self.snapshot.listening_anywhere(destination, protocol, link)
    }

    fn is_from_member(&self, packet: &FlowPacket, protocol: FlowProtocol) -> bool {
        self.snapshot.is_member(packet.key.source(), protocol)
    }
}
