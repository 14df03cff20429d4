//! Compile: what is done to every packet of a direction, decided once.

use std::hash::BuildHasher;

use shunt_wire::rewrite::{self, Change, Cross, Hop, Outer, Translate, Tunnel};
use shunt_wire::translation::LOWEST_IPV6_MTU;
use shunt_wire::{Address, Endpoint, Family, FlowKey, Mac, Rewrite, icmp, ip};

use super::selection::Chosen;
use super::{Choice, First};
use crate::datapath::Datapath;
use crate::datapath::mode::{Dscp, Mode, ModeName};
use crate::datapath::reason::DropReason;
use crate::datapath::stage::Stage;
use crate::datapath::tunnels::Outside;
use crate::flow::Direction;
use crate::network::{Network, NextHop, Via};

/// No network has this epoch: a path that bears it is compiled anew before it is used.
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

/// Who sent a packet of the client, and by where it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::datapath) struct Sender {
    pub(in crate::datapath) interface: u32,
    pub(in crate::datapath) vlan: Option<u16>,
    pub(in crate::datapath) mac: Mac,
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

impl Datapath {
    /// Compiles both directions; that of the answers only where they come through Shunt.
    pub(super) fn compile(
        &self,
        first: &First<'_>,
        choice: &Choice,
        chosen: &Chosen,
        seen: Option<Endpoint>,
    ) -> Result<(Plan, Ends, [Path; 2]), DropReason> {
        let virtual_ = self.snapshot.virtual_(first.index).ok_or(DropReason::NoVirtual)?;
        let mode = choice.mode.name();
        let two_way = mode.is_two_way();
        let sender = (two_way && virtual_.return_to_sender).then(|| first.arrival.sender());
        let ends = Ends { forward: first.packet.key, seen, mode, sender };
        let member = first.toward(chosen.member.endpoint);
        let client = first.client().address;
        // A router takes packets as they are; any other member takes those of its own family.
        let family = if mode == ModeName::Route { client.family() } else { member.address.family() };
        let ways = [
            (way_back(sender, client, &self.network), client.family()),
            (self.network.next_hop(member.address), family),
        ];
        let plan = Plan {
            member,
            entropy: self.options.key.hash_one(ends.forward) as u32,
            gue_port: virtual_.gue_port,
            mss: mss(virtual_.mss, if two_way { &ways } else { &[] }),
            lowest_ipv6_mtu: virtual_.translation.as_ref().map_or(LOWEST_IPV6_MTU, |it| it.lowest_ipv6_mtu),
            idle: first.idle(virtual_),
            dscp: match choice.mode {
                Mode::L3dsrDscp(dscp) => Some(dscp),
                _ => None,
            },
        };
        let outside = Outside::new(
            Some(virtual_),
            (member.address, Some(&*chosen.member.state)),
            plan.entropy,
            first.now,
        );
        let compile = |direction| {
            self.trace.at(Stage::Compile, || match (direction, ends.sender) {
                (Direction::ToServer, _) => self.way(plan.member.address),
                (Direction::ToClient, None) => self.way(client),
                (Direction::ToClient, Some(Sender { mac, .. })) => {
                    format!("answers go back to {mac}, which sent it")
                }
            });
            plan.compile(&ends, direction, &outside, &self.network, self.epoch)
        };
        let to_server = compile(Direction::ToServer)?.path;
        let to_client = if two_way { compile(Direction::ToClient)?.path } else { to_server };
        Ok((plan, ends, [to_server, to_client]))
    }
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
            // What leads nowhere yet is compiled anew with the next packet.
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
                let cross = Cross::new(of, source, destination);
                cross.map(|cross| Change::Cross(cross.with_lowest_ipv6_mtu(self.lowest_ipv6_mtu)))
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
                // RFC 6335 section 6: a source port that nobody listens on.
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

/// What SYNs of a flow may announce: as the virtual says, and where both halves of the conversation pass
/// here no more than either link carries, so that no segment meets a link that it does not fit.
///
/// Where the member answers directly, the client's SYN bounds segments that never come here; what
/// comes here is bounded by the member's own SYN-ACK. So there only what the virtual says counts.
fn mss(configured: Option<u16>, ways: &[(NextHop, Family)]) -> u16 {
    let of = |(hop, family): &(NextHop, Family)| match hop {
        NextHop::Known(via, _) | NextHop::NeedsSolicitation(via) => Some(segment(via.mtu, *family)),
        NextHop::NoRoute => None,
    };
    ways.iter().map(of).chain([configured]).flatten().min().unwrap_or(0)
}

/// Where answers go.
fn way_back(sender: Option<Sender>, client: Address, network: &Network) -> NextHop {
    let Some(Sender { interface, vlan, mac }) = sender else { return network.next_hop(client) };
    let via = network.on_link(network.link(interface, vlan), client);
    via.map_or(NextHop::NoRoute, |via| NextHop::Known(via, mac))
}
