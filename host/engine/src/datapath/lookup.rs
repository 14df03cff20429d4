//! Which virtual takes a packet: the most specific one that takes packets from its link.

use std::collections::HashMap;
use std::sync::Arc;

use shunt_wire::Endpoint;

use super::model::conflict::Conflict;
use super::model::flow::FlowProtocol;
use super::model::index::VirtualIndex;
use super::model::virtual_::{Transport, Virtual};
use crate::hash::Keyed;

/// Virtuals by what they listen on.
#[derive(Debug)]
pub(super) struct VirtualLookup {
    /// On any address several may stand beside each other, each on links of its own.
    virtuals: HashMap<(Endpoint, FlowProtocol), Vec<VirtualIndex>, Keyed>,
    forwards_every_protocol: bool,
}

/// Why no virtual takes a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoListener {
    /// None listens there.
    NoVirtual,
    /// One does, for packets of other links.
    WrongInterface,
}

/// All protocols without ports that have no name here are one.
const REST: FlowProtocol = FlowProtocol::Other(0);

impl VirtualLookup {
    /// # Errors
    /// Two virtuals that take the same packets.
    pub(super) fn new(virtuals: &[Virtual]) -> Result<Self, Conflict> {
        // Untrusted senders look keys up, but only the operator inserts any.
        let mut listening: HashMap<_, Vec<VirtualIndex>, _> = HashMap::with_hasher(Keyed::new([0, 0]));
        for (place, virtual_) in virtuals.iter().enumerate() {
            for protocol in virtual_.transport.with_ports() {
                let there = listening.entry((virtual_.listen, *protocol)).or_default();
                let mut others = there.iter().filter_map(|other| virtuals.get(other.0));
                if let Some(other) = others.find(|other| other.takes_the_same_as(virtual_)) {
                    return Err(Conflict::Listen([&other.name, &virtual_.name].map(Arc::clone)));
                }
                there.push(VirtualIndex(place));
            }
        }
        // Who has no port of its own comes first to what has no ports.
        for any_port in [true, false] {
            for (place, virtual_) in virtuals.iter().enumerate() {
                for protocol in virtual_.transport.without_ports() {
                    if any_port == (virtual_.listen.port == 0) {
                        let endpoint = Endpoint { port: 0, ..virtual_.listen };
                        listening.entry((endpoint, *protocol)).or_default().push(VirtualIndex(place));
                    }
                }
            }
        }
        let forwards_every_protocol = virtuals.iter().any(|virtual_| virtual_.transport == Transport::All);
        Ok(Self { virtuals: listening, forwards_every_protocol })
    }

    /// The virtual that takes packets to an endpoint, or to any address if that is unspecified: the one on its
    /// port, else the one on any port. What has no ports goes to the first virtual on the address that
    /// takes it.
    pub(super) fn find(
        &self,
        virtuals: &[Virtual],
        destination: Endpoint,
        protocol: FlowProtocol,
        link: u32,
    ) -> Result<VirtualIndex, NoListener> {
        let any_port = Endpoint { port: 0, ..destination };
        let places = match protocol {
            FlowProtocol::Tcp | FlowProtocol::Udp => {
                [Some((destination, protocol)), Some((any_port, protocol))]
            }
            // A reply has the identifier in the place of the port, and begins nothing.
            FlowProtocol::Icmp if destination.port != 0 => [None, None],
            FlowProtocol::Icmp => [Some((any_port, protocol)), None],
            FlowProtocol::Other(_) => [Some((any_port, REST)), None],
        };
        let mut why = NoListener::NoVirtual;
        for listening in places.into_iter().flatten().filter_map(|place| self.virtuals.get(&place)) {
            why = NoListener::WrongInterface;
            let takes = |index: &&VirtualIndex| {
                virtuals.get(index.0).is_some_and(|virtual_| virtual_.interfaces.contains(&link))
            };
            if let Some(index) = listening.iter().find(takes) {
                return Ok(*index);
            }
        }
        Err(why)
    }

    pub(super) const fn forwards_every_protocol(&self) -> bool {
        self.forwards_every_protocol
    }
}

impl Virtual {
    /// Of two that listen on the same endpoint: wildcards are distinguished by their links.
    fn takes_the_same_as(&self, other: &Self) -> bool {
        !self.is_wildcard() || self.interfaces.iter().any(|link| other.interfaces.contains(link))
    }
}

impl Transport {
    /// What it takes on the port of its virtual.
    const fn with_ports(self) -> &'static [FlowProtocol] {
        match self {
            Self::Tcp => &[FlowProtocol::Tcp],
            Self::Udp => &[FlowProtocol::Udp],
            Self::Any | Self::All => &[FlowProtocol::Tcp, FlowProtocol::Udp],
        }
    }

    /// What it takes that has no port.
    const fn without_ports(self) -> &'static [FlowProtocol] {
        match self {
            Self::Tcp | Self::Udp => &[],
            Self::Any => &[FlowProtocol::Icmp],
            Self::All => &[FlowProtocol::Icmp, REST],
        }
    }
}
