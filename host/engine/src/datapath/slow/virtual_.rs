//! Virtual: whose packet it is.

use shunt_wire::Address;
use shunt_wire::tcp::{ACK, RST, SYN};

use crate::datapath::compile::render;
use crate::datapath::lookup::NoListener;
use crate::datapath::model::arrival::Arrival;
use crate::datapath::model::flow::FlowProtocol;
use crate::datapath::model::index::VirtualIndex;
use crate::datapath::model::reason::DropReason;
use crate::datapath::model::stage::Stage;
use crate::datapath::snapshot::{Owned, Snapshot};
use crate::datapath::state::config::Config;
use crate::datapath::state::trace::Trace;
use crate::packet::FlowPacket;

/// Why there is no virtual.
pub(super) enum NotFound {
    /// None is needed: Shunt replies to pings of its addresses itself.
    Ping,
    Because(DropReason),
}

/// The virtual that takes a packet.
pub(super) fn find(
    config: &Config,
    trace: &Trace,
    arrival: &Arrival<'_>,
    packet: &FlowPacket,
) -> Result<VirtualIndex, NotFound> {
    let is_reset = packet.tcp.is_some_and(|segment| segment.flags & RST != 0);
    let otherwise = |reason| NotFound::Because(if is_reset { DropReason::LateReset } else { reason });
    let destination = packet.key.destination();
    let is_echo = packet.tcp.is_none() && destination.port == 0;
    let protocol = FlowProtocol::of(packet.key.protocol());
    let link = arrival.link(&config.network);
    let found = match config.snapshot.owned(destination.address) {
        Some(Owned::Vip) => config.snapshot.lookup(destination, protocol, link),
        Some(Owned::Snat(_) | Owned::Probe | Owned::TunnelSource)
            if protocol == FlowProtocol::Icmp && is_echo =>
        {
            return Err(NotFound::Ping);
        }
        Some(Owned::Snat(_)) => {
            trace.at(Stage::Virtual, || format!("{} is of a SNAT pool", destination.address));
            return Err(otherwise(DropReason::NoFlow));
        }
        Some(Owned::Probe) => {
            trace.at(Stage::Virtual, || format!("monitors probe from {}", destination.address));
            return Err(NotFound::Because(DropReason::StrayProbe));
        }
        Some(Owned::TunnelSource) => {
            trace.at(Stage::Virtual, || format!("tunnels start at {}", destination.address));
            return Err(otherwise(DropReason::NoVirtual));
        }
        None => match anywhere(&config.snapshot, packet, protocol, link) {
            Some(index) => Ok(index),
            // The kernel program lets through what members send; anything else was never meant for Shunt.
            None if is_from_member(&config.snapshot, packet, protocol) => {
                trace.at(Stage::Virtual, || format!("{} is a member's", packet.key.source()));
                return Err(otherwise(DropReason::NoFlow));
            }
            None => {
                trace.at(Stage::Virtual, || format!("{} is not Shunt's", destination.address));
                return Err(NotFound::Because(DropReason::NotOurs));
            }
        },
    };
    match found {
        Ok(index) => {
            trace.at(Stage::Virtual, || what_is_found(config, index));
            if is_reset { Err(NotFound::Because(DropReason::LateReset)) } else { Ok(index) }
        }
        Err(NoListener::WrongInterface) => {
            trace.at(Stage::Virtual, || what_listens(config, destination.address));
            trace.at(Stage::Virtual, || {
                format!("the packet was received on {}", render::links(&config.network, &[link]))
            });
            Err(NotFound::Because(DropReason::WrongInterface))
        }
        Err(NoListener::NoVirtual) => {
            trace.at(Stage::Virtual, || what_listens(config, destination.address));
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
fn what_is_found(config: &Config, index: VirtualIndex) -> String {
    let Some(virtual_) = config.snapshot.virtual_(index) else { return String::new() };
    let (name, listen, transport) = (&virtual_.name, virtual_.listen, virtual_.transport.as_str());
    format!(
        "{name} listens on {listen}, {transport}, on {}",
        render::links(&config.network, &virtual_.interfaces)
    )
}

/// What the virtuals on an address take.
fn what_listens(config: &Config, address: Address) -> String {
    let here = config.snapshot.virtuals().iter().filter(|virtual_| virtual_.listen.address == address);
    let each = here.map(|it| {
        let (name, port, links) = (&it.name, it.listen.port, render::links(&config.network, &it.interfaces));
        format!("{name} (port {port}, {}, on {links})", it.transport.as_str())
    });
    format!("on {address} there are: {}", each.collect::<Vec<_>>().join(", "))
}

/// The virtual on any address that takes a packet between two hosts that are not Shunt's. Not one that continues with what a
/// member was asked: its flow has ended.
fn anywhere(
    snapshot: &Snapshot,
    packet: &FlowPacket,
    protocol: FlowProtocol,
    link: u32,
) -> Option<VirtualIndex> {
    let (source, destination) = (packet.key.source(), packet.key.destination());
    let goes_on = packet.tcp.is_some_and(|segment| segment.flags & (SYN | ACK) != SYN);
    if ![source, destination].iter().all(|it| it.address.is_forwarded())
        || goes_on && is_from_member(snapshot, packet, protocol)
    {
        return None;
    }
    snapshot.lookup_wildcard(destination, protocol, link)
}

fn is_from_member(snapshot: &Snapshot, packet: &FlowPacket, protocol: FlowProtocol) -> bool {
    snapshot.is_member(packet.key.source(), protocol)
}
