//! Packets of Shunt's own: replies to ARP, neighbour discovery and pings of its addresses, and refusals.

use shunt_wire::icmp::{self, Report};
use shunt_wire::vlan;
use shunt_wire::{Address, Frame, arp, ethernet, ip, ndp, tcp};

use crate::datapath::context::Context;
use crate::datapath::model::arrival::{About, Arrival};
use crate::datapath::model::reason::DropReason;
use crate::datapath::model::verdict::Verdict;
use crate::datapath::snapshot::Owned;
use crate::datapath::state::accounting::Accounting;
use crate::datapath::state::config::Config;
use crate::mapping::packet::Pair;
use crate::network::Network;
use crate::network::NextHop;
use crate::packet::{Kind, Packet};

/// How the sender of a packet that is not forwarded is answered.
enum Telling {
    /// Without a reply.
    Silence,
    /// As a host whose port is closed: a TCP reset, or an ICMP error where the transport has none.
    Closed(Report),
    /// As a router: an ICMP error, whatever the transport.
    Report(Report),
}

/// Whom a refusal concerns. What floods, forgeries and the network's own noise bring in is not
/// answered; a client is answered at once, so that it does not wait for a time-out.
const fn telling(reason: DropReason) -> Telling {
    match reason {
        DropReason::NoVirtual
        | DropReason::VirtualFull
        | DropReason::TableFull
        | DropReason::NoPool
        | DropReason::NoSuchMember
        | DropReason::BoundMemberDown
        | DropReason::NoMember
        | DropReason::MidStream
        | DropReason::OtherFamily
        | DropReason::ClientUnmapped
        | DropReason::SnatExhausted
        | DropReason::SnatFamily
        | DropReason::NoPorts
        | DropReason::ModeIncomplete
        | DropReason::NotOnLink
        | DropReason::NoTunnelSource
        | DropReason::TupleTaken
        | DropReason::MemberDown
        | DropReason::VirtualGone
        | DropReason::SnatGone
        | DropReason::NoFlow => Telling::Closed(Report::PortUnreachable),
        DropReason::RuleReject | DropReason::RuleFault => Telling::Closed(Report::Prohibited),
        DropReason::NoRoute | DropReason::NextHopSilent => Telling::Report(Report::HostUnreachable),
        DropReason::HopLimit => Telling::Report(Report::HopLimit),
        // Told with the size that fits, see `refuse_too_big`.
        DropReason::TooBig => Telling::Silence,
        DropReason::Malformed
        | DropReason::BadChecksum
        | DropReason::OtherEthertype
        | DropReason::Forged
        | DropReason::FragmentOrphan
        | DropReason::FragmentRefused
        | DropReason::FragmentTiny
        | DropReason::FragmentOverlap
        | DropReason::FragmentLength
        | DropReason::FragmentTwice
        | DropReason::FragmentFull
        | DropReason::OtherProtocol
        | DropReason::NotOurs
        | DropReason::GroupMac
        | DropReason::WrongInterface
        | DropReason::AddressConflict
        | DropReason::NoMapping
        | DropReason::NoChecksum
        | DropReason::ExtendedFragment
        | DropReason::SourceRoute
        | DropReason::Untranslatable
        | DropReason::SynRate
        | DropReason::FlowRate
        | DropReason::RuleDrop
        | DropReason::LateReset
        | DropReason::StrayProbe
        | DropReason::StrayError
        | DropReason::TunnelTooBig
        | DropReason::TunnelRefused
        | DropReason::TunnelUnreachable
        | DropReason::NoRoom
        | DropReason::HoldFull
        | DropReason::HandOverFull
        | DropReason::SendFull => Telling::Silence,
    }
}

/// Turns a frame that is not forwarded into the reply to its sender.
pub(in crate::datapath) fn refuse<W>(
    config: &Config,
    accounting: &mut Accounting,
    cx: &mut Context<'_, '_, W>,
    reason: DropReason,
) -> Verdict {
    let arrival = cx.arrival;
    let report = match telling(reason) {
        Telling::Silence => return Verdict::Drop(reason),
        Telling::Closed(_) if arrival.packet.layout.protocol == ip::TCP => {
            return match tcp::refuse(cx.frame, &arrival.packet.layout) {
                Some(()) => Verdict::Refuse { interface: arrival.ingress, reason },
                None => Verdict::Drop(reason),
            };
        }
        // No reply to a reply is expected, and an echo request has no port that could be closed.
        Telling::Closed(_) if is_echo(&arrival) && reason == DropReason::NoFlow => {
            return Verdict::Drop(reason);
        }
        Telling::Closed(Report::PortUnreachable) if is_echo(&arrival) => Report::HostUnreachable,
        Telling::Closed(report) | Telling::Report(report) => report,
    };
    report_arrival(config, accounting, cx, reason, report)
}

/// Sends the sender of a packet an ICMP error with the size that fits.
///
/// Also where an IPv4 packet lets routers fragment it: Shunt does not, and every host that can receive
/// the error lowers its path MTU by it (RFC 1191 section 3), whatever the bit said.
pub(in crate::datapath) fn refuse_too_big<W>(
    config: &Config,
    accounting: &mut Accounting,
    cx: &mut Context<'_, '_, W>,
    mtu: u16,
) -> Verdict {
    report_arrival(config, accounting, cx, DropReason::TooBig, Report::TooBig { mtu })
}

fn report_arrival<W>(
    config: &Config,
    accounting: &mut Accounting,
    cx: &mut Context<'_, '_, W>,
    reason: DropReason,
    report: Report,
) -> Verdict {
    let Arrival { packet, ingress, .. } = cx.arrival;
    let Some((source, destination)) = ends(packet) else { return Verdict::Drop(reason) };
    let about = About {
        layout: packet.layout,
        ends: Pair { source, destination },
        to_group: packet.destination_mac.is_group(),
        ingress,
        link: cx.arrival.link(&config.network),
    };
    self::report(config, accounting, cx.now, &about, cx.frame, (reason, report))
}

/// Turns a frame that is not forwarded into an ICMP error about it.
pub(in crate::datapath) fn report(
    config: &Config,
    accounting: &mut Accounting,
    now: u64,
    about: &About,
    frame: &mut Frame<'_>,
    (reason, report): (DropReason, Report),
) -> Verdict {
    let Pair { source, destination } = about.ends;
    if about.to_group {
        return Verdict::Drop(reason);
    }
    if !accounting.errors.take(now) {
        accounting.tally.frames.answers_withheld += 1;
        return Verdict::Drop(reason);
    }
    // The source is the address that the client sent to; toward a member it is that of the interface that it sends to.
    let speaker = match config.snapshot.owned(destination) {
        Some(_) => Some(destination),
        None => config.network.own_address(about.link, source),
    };
    match icmp::report(frame, &about.layout, speaker.unwrap_or(destination), report) {
        Ok(()) => Verdict::Refuse { interface: way_back(&config.network, about, frame), reason },
        Err(_) => Verdict::Drop(reason),
    }
}

/// By which interface an error leaves: back to the station that the packet came from. Behind a TUN that is
/// the host, which forwards nothing of IPv4 that bears an address of its own: there it is the route of the sender.
fn way_back(network: &Network, about: &About, frame: &mut Frame<'_>) -> u32 {
    if network.interface(about.link).is_none_or(|link| !link.point_to_point) {
        return about.ingress;
    }
    let NextHop::Known(via, mac) = network.next_hop(about.ends.source) else { return about.ingress };
    let readdressed = ethernet::readdress(frame.bytes_mut(), mac, via.source_mac);
    if readdressed.is_none() || via.vlan.is_some() && vlan::change(frame, None, via.vlan).is_none() {
        return about.ingress;
    }
    via.interface
}

/// Replies to an ARP request.
pub(in crate::datapath) fn answer_arp<W>(
    config: &Config,
    cx: &mut Context<'_, '_, W>,
    request: &arp::Request,
) -> Verdict {
    let Some(mac) = speaks_for(config, &cx.arrival, request.target.into()) else {
        return Verdict::Drop(DropReason::NotOurs);
    };
    if request.sender == request.target {
        // An announcement (RFC 5227 section 2.3): our own that came back, or another host's claim.
        let ours = request.sender_mac == mac;
        return Verdict::Drop(if ours { DropReason::NotOurs } else { DropReason::AddressConflict });
    }
    match arp::answer(cx.frame, cx.arrival.packet.layout.l3, request, mac) {
        Some(()) => Verdict::Answer { interface: cx.arrival.ingress },
        None => Verdict::Drop(DropReason::NoRoom),
    }
}

/// Replies to a neighbour solicitation, also of a host that checks whether the address is free.
pub(in crate::datapath) fn answer_solicitation<W>(
    config: &Config,
    cx: &mut Context<'_, '_, W>,
    solicitation: &ndp::Solicitation,
) -> Verdict {
    let Some(mac) = speaks_for(config, &cx.arrival, solicitation.target.into()) else {
        return Verdict::Drop(DropReason::NotOurs);
    };
    match ndp::answer(cx.frame, cx.arrival.packet.layout.l3, solicitation, mac) {
        Some(()) => Verdict::Answer { interface: cx.arrival.ingress },
        None => Verdict::Drop(DropReason::NoRoom),
    }
}

/// Replies to a ping of an address of Shunt's that no virtual takes.
pub(in crate::datapath) fn answer_echo<W>(cx: &mut Context<'_, '_, W>) -> Verdict {
    match icmp::echo_reply(cx.frame, &cx.arrival.packet.layout) {
        Some(()) => Verdict::Answer { interface: cx.arrival.ingress },
        None => Verdict::Drop(DropReason::NoFlow),
    }
}

/// The MAC that has the address on the link of a frame, if Shunt answers for it there: for a VIP where its
/// virtuals take clients from, for an address that it speaks to members from wherever one asks.
fn speaks_for(config: &Config, arrival: &Arrival<'_>, address: Address) -> Option<shunt_wire::Mac> {
    let here = match config.snapshot.owned(address)? {
        Owned::Snat(_) | Owned::Probe | Owned::TunnelSource => true,
        Owned::Vip => config.snapshot.virtuals().iter().any(|virtual_| {
            virtual_.listen.address == address && virtual_.interfaces.contains(&arrival.link(&config.network))
        }),
    };
    if here { Some(config.network.interface(arrival.link(&config.network))?.mac) } else { None }
}

fn is_echo(arrival: &Arrival<'_>) -> bool {
    matches!(arrival.packet.layout.protocol, ip::ICMP | ip::ICMPV6)
}

/// Source and destination of an IP packet.
const fn ends(packet: &Packet) -> Option<(Address, Address)> {
    match &packet.kind {
        Kind::Flow(flow) => Some((flow.key.source().address, flow.key.destination().address)),
        Kind::IcmpError(error) => Some((error.source, error.destination)),
        Kind::Fragment(fragment) => Some((fragment.source, fragment.destination)),
        Kind::Other(other) => Some((other.source, other.destination)),
        Kind::Arp(_) | Kind::NeighbourSolicitation(_) => None,
    }
}
