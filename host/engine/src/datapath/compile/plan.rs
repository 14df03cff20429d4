//! Compile: what is done to every packet of a direction, decided once.

use shunt_wire::rewrite::{self, Change, FamilyTranslation, Outer, Translate, Tunnel};
use shunt_wire::{Address, Endpoint, Family, FlowKey, Hop, Rewrite, icmp, ip};

use super::outer::Outside;
use crate::datapath::model::arrival::Sender;
use crate::datapath::model::mode::{Dscp, ModeName};
use crate::datapath::model::reason::DropReason;
use crate::flow::Direction;
use crate::network::{Network, NextHop, Via};

/// No network has this epoch: a path that bears it is compiled again before it is used.
pub(in crate::datapath) const NEVER: u32 = 0;

/// What was decided for a flow. With its [`Ends`] and the network its rewrites follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::datapath) struct Plan {
    pub(in crate::datapath) member: Endpoint,
    /// A hash of the flow: what varies in outer headers.
    pub(in crate::datapath) entropy: u32,
    pub(in crate::datapath) gue_port: u16,
    /// What SYNs may announce at most; 0 leaves them.
    pub(in crate::datapath) mss: u16,
    /// The longest IPv6 datagram that comes of an IPv4 packet that may be fragmented.
    pub(in crate::datapath) lowest_ipv6_mtu: u16,
    /// The number of the VIP, in mode `l3dsr-dscp`.
    pub(in crate::datapath) dscp: Option<Dscp>,
    /// How long it may be silent, in milliseconds; of TCP: while it is open. At most 49 days.
    pub(in crate::datapath) idle: u32,
}

/// Between whom a flow is, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::datapath) struct Ends {
    /// The client and the VIP.
    pub(in crate::datapath) forward: FlowKey,
    /// As whom the member sees the client, where its answers come through Shunt.
    pub(in crate::datapath) seen: Option<Endpoint>,
    pub(in crate::datapath) mode: ModeName,
    /// Whom answers go to, where not to whom the routes name.
    pub(in crate::datapath) sender: Option<Sender>,
}

/// What is replayed on the packets of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::datapath) struct Path {
    pub(in crate::datapath) rewrite: Rewrite,
    /// The VLAN that frames leave on.
    pub(in crate::datapath) vlan: Option<u16>,
}

/// A compiled direction; where the MAC of its next hop is not known, whom to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::datapath) struct Compiled {
    pub(in crate::datapath) path: Path,
    pub(in crate::datapath) unresolved: Option<Via>,
}

impl Plan {
    /// The key of the packets that the member sends, where they come through Shunt.
    pub(in crate::datapath) fn reverse(&self, ends: &Ends) -> Option<FlowKey> {
        if ends.mode == ModeName::Route {
            return Some(ends.forward.reversed());
        }
        let protocol = match ends.forward.protocol() {
            ip::ICMP | ip::ICMPV6 => icmp::protocol_of(self.member.address.family()),
            other => other,
        };
        Some(FlowKey::new(self.member, ends.seen?, protocol))
    }

    /// Compiles one direction for the network as it is now.
    pub(in crate::datapath) fn compile(
        &self,
        ends: &Ends,
        direction: Direction,
        outside: &Outside,
        network: &Network,
        epoch: u32,
    ) -> Result<Compiled, DropReason> {
        let hop = match direction {
            Direction::ToServer => network.next_hop(self.member.address),
            Direction::ToClient => way_back(ends.sender, ends.forward.source().address, network),
        };
        let (via, mac) = match hop {
            NextHop::Known(via, mac) => (via, Some(mac)),
            NextHop::NeedsSolicitation(via) => (via, None),
            NextHop::NoRoute => return Err(DropReason::NoRoute),
        };
        let rewrite = Rewrite {
            // What leads nowhere yet is compiled again with the next packet.
            epoch: if mac.is_some() { epoch } else { NEVER },
            interface: via.interface,
            destination_mac: mac.unwrap_or_default(),
            source_mac: via.source_mac,
            mtu: if ends.mode.is_tunnel() { via.mtu.min(outside.mtu) } else { via.mtu },
            mss: self.mss,
            hop: if ends.mode == ModeName::L2dsr { Hop::Keep } else { Hop::Decrement },
            change: self.change(ends, direction, outside, network, &via)?,
        };
        let unresolved = mac.is_none().then_some(via);
        Ok(Compiled { path: Path { rewrite, vlan: via.vlan }, unresolved })
    }

    fn change(
        &self,
        ends: &Ends,
        direction: Direction,
        outside: &Outside,
        network: &Network,
        via: &Via,
    ) -> Result<Change, DropReason> {
        let forward = &ends.forward;
        if ends.mode == ModeName::Route {
            let to_itself = self.member.address == forward.destination().address;
            let reached = direction == Direction::ToClient || to_itself || via.on_link;
            return if reached { Ok(Change::None) } else { Err(DropReason::NotOnLink) };
        }
        let translate = |of: &FlowKey, source, destination: Endpoint| {
            let changed = if of.family() == destination.address.family() {
                Translate::new(of, source, destination).map(Change::Translate)
            } else {
                let cross = FamilyTranslation::new(of, source, destination);
                cross.map(|cross| Change::TranslateFamily(cross.with_lowest_ipv6_mtu(self.lowest_ipv6_mtu)))
            };
            changed.ok_or(DropReason::OtherFamily)
        };
        if direction == Direction::ToClient {
            let reverse = self.reverse(ends).ok_or(DropReason::NoFlow)?;
            return translate(&reverse, forward.destination(), forward.source());
        }
        match ends.mode {
            ModeName::Nat | ModeName::Snat => {
                translate(forward, ends.seen.ok_or(DropReason::NoFlow)?, self.member)
            }
            ModeName::Route => Ok(Change::None),
            ModeName::L2dsr if via.on_link => Ok(Change::None),
            ModeName::L2dsr => Err(DropReason::NotOnLink),
            ModeName::L3dsrDscp => {
                let code_point = self.dscp.ok_or(DropReason::ModeIncomplete)?.get();
                let marked = rewrite::Dscp::new(forward, self.member.address, code_point);
                marked.map(Change::Dscp).ok_or(DropReason::OtherFamily)
            }
            ModeName::L3dsrIpip => self.encapsulate(outside, network, via, Tunnel::Ipip),
            ModeName::L3dsrGre => self.encapsulate(outside, network, via, Tunnel::Gre),
            ModeName::L3dsrGue => {
                // RFC 6335 section 6: a source port that no service listens on.
                let source_port = 49_152 | self.entropy as u16 & 0x3fff;
                let tunnel = Tunnel::Gue { source_port, destination_port: self.gue_port };
                self.encapsulate(outside, network, via, tunnel)
            }
        }
    }

    /// The outer source is one that the virtual was given, else the interface's own address: members know it,
    /// and errors about the tunnel come back to this host.
    fn encapsulate(
        &self,
        outside: &Outside,
        network: &Network,
        via: &Via,
        tunnel: Tunnel,
    ) -> Result<Change, DropReason> {
        let own = || network.own_address(via.link, self.member.address);
        let source = outside.source.or_else(own).ok_or(DropReason::NoTunnelSource)?;
        let outer = Outer::new(source, self.member.address, tunnel, self.entropy);
        outer.map(Change::Encapsulate).ok_or(DropReason::NoTunnelSource)
    }
}

/// The largest TCP segment in a datagram of `mtu` bytes, without options (RFC 6691 section 2).
const fn segment(mtu: u16, family: Family) -> u16 {
    let headers = match family {
        Family::V4 => 20 + 20,
        Family::V6 => 40 + 20,
    };
    mtu.saturating_sub(headers)
}

/// What SYNs of a flow may announce: as the virtual says, and where both halves of the connection pass
/// here no more than either link carries, so that no segment meets a link that it does not fit.
///
/// Where the member sends replies directly to the client, the client's SYN bounds segments that never come here; what
/// comes here is bounded by the member's own SYN-ACK. So there only what the virtual says counts.
pub(in crate::datapath) fn mss(configured: Option<u16>, ways: &[(NextHop, Family)]) -> u16 {
    let of = |(hop, family): &(NextHop, Family)| match hop {
        NextHop::Known(via, _) | NextHop::NeedsSolicitation(via) => Some(segment(via.mtu, *family)),
        NextHop::NoRoute => None,
    };
    ways.iter().map(of).chain([configured]).flatten().min().unwrap_or(0)
}

/// Where answers go.
pub(in crate::datapath) fn way_back(sender: Option<Sender>, client: Address, network: &Network) -> NextHop {
    let Some(Sender { interface, vlan, mac }) = sender else { return network.next_hop(client) };
    let via = network.on_link(network.link(interface, vlan), client);
    via.map_or(NextHop::NoRoute, |via| NextHop::Known(via, mac))
}
