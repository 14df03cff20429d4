//! Virtual: whose packet it is.

use shunt_wire::Address;
use shunt_wire::tcp::RST;

use crate::datapath::reason::DropReason;
use crate::datapath::snapshot::{Owned, VirtualIndex};
use crate::datapath::stage::Stage;
use crate::datapath::world::FlowProtocol;
use crate::datapath::{Arrival, Datapath};
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
        let Some(protocol) = FlowProtocol::of(packet.key.protocol()) else {
            return Err(NotFound::Because(DropReason::OtherProtocol));
        };
        match self.snapshot.owned(destination.address) {
            Some(Owned::Vip) => {}
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
            // The kernel program lets through what members send; anything else was never meant for Shunt.
            None if self.is_from_member(packet) => {
                self.trace.at(Stage::Virtual, || format!("{} is a member's", packet.key.source()));
                return Err(otherwise(DropReason::NoFlow));
            }
            None => {
                self.trace.at(Stage::Virtual, || format!("{} is not Shunt's", destination.address));
                return Err(NotFound::Because(DropReason::NotOurs));
            }
        }
        let Some(index) = self.snapshot.listening(destination, protocol) else {
            self.trace.at(Stage::Virtual, || self.what_listens(destination.address));
            return Err(match protocol {
                FlowProtocol::Icmp if is_echo => NotFound::Ping,
                FlowProtocol::Icmp => NotFound::Because(DropReason::NoFlow),
                FlowProtocol::Tcp | FlowProtocol::Udp => otherwise(DropReason::NoVirtual),
            });
        };
        let virtual_ = self.snapshot.virtual_(index).ok_or(NotFound::Because(DropReason::NoVirtual))?;
        let link = arrival.link(&self.network);
        self.trace.at(Stage::Virtual, || {
            let (name, listen, transport) = (&virtual_.name, virtual_.listen, virtual_.transport.as_str());
            format!("{name} listens on {listen}, {transport}, on {}", self.links(&virtual_.interfaces))
        });
        if !virtual_.interfaces.contains(&link) {
            self.trace.at(Stage::Virtual, || format!("it came in by {}", self.links(&[link])));
            return Err(NotFound::Because(DropReason::WrongInterface));
        }
        if is_reset {
            return Err(NotFound::Because(DropReason::LateReset));
        }
        Ok(index)
    }

    /// What the virtuals on an address take.
    fn what_listens(&self, address: Address) -> String {
        let here = self.snapshot.virtuals().iter().filter(|virtual_| virtual_.listen.address == address);
        let each = here.map(|it| format!("{} (port {}, {})", it.name, it.listen.port, it.transport.as_str()));
        format!("on {address} there are: {}", each.collect::<Vec<_>>().join(", "))
    }

    fn is_from_member(&self, packet: &FlowPacket) -> bool {
        let source = packet.key.source();
        self.snapshot.pools().iter().flat_map(|pool| &pool.members).any(|member| {
            member.endpoint.address == source.address
                && (member.endpoint.port == source.port || packet.tcp.is_none())
        })
    }
}
