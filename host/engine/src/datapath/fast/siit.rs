//! Mode `siit`: packets translated between IPv4 and IPv6 one by one, without flows (RFC 7915).

use shunt_wire::icmp::Report;
use shunt_wire::layout::Part;
use shunt_wire::translation::{self, Limits, Mapped};
use shunt_wire::{Family, Frame, Layout, Mac, ethernet, fragment, ip};
use shunt_wire::{Hop, RewriteError, vlan};

use crate::datapath::Datapath;
use crate::datapath::driver::Driver;
use crate::datapath::local::answer;
use crate::datapath::model::arrival::About;
use crate::datapath::model::index::TranslatorIndex;
use crate::datapath::model::reason::DropReason;
use crate::datapath::model::stage::Stage;
use crate::datapath::model::unreadable;
use crate::datapath::model::verdict::Verdict;
use crate::datapath::snapshot::Snapshot;
use crate::datapath::state::config::Config;
use crate::datapath::state::pending::PendingFrame;
use crate::mapping::packet::{Across, Half, Pair, Untranslatable};
use crate::network::Network;
use crate::network::{NextHop, Via};
use crate::packet::{Routed, routed};

/// What becomes of a packet: decided by its addresses, before anything is written.
struct Route {
    first: Mapped,
    /// The second half of a hairpin (RFC 7757 section 4.2.2): the packet becomes what it was, with other addresses.
    second: Option<Mapped>,
    via: Via,
    mac: Mac,
    /// Of the first half.
    limits: Limits,
}

/// Why a packet is not translated now.
enum Stopped {
    Because(DropReason),
    TooBig {
        mtu: u16,
    },
    SourceRoute {
        pointer: u16,
    },
    /// The MAC of the next hop has to be asked for.
    Unresolved(Via),
}

impl From<DropReason> for Stopped {
    fn from(reason: DropReason) -> Self {
        Self::Because(reason)
    }
}

impl Datapath {
    /// Translates a frame that came in by an interface of a virtual of mode `siit`. `None` if it is none of its
    /// packets: it did not come in there, is not IP, or is for an address of Shunt's.
    pub(in crate::datapath) fn translate(
        &mut self,
        now: u64,
        ingress: u32,
        frame: &mut Frame<'_>,
        driver: &mut impl Driver,
    ) -> Option<Verdict> {
        if self.config.snapshot.translators().is_empty() {
            return None;
        }
        let link = self.config.network.link(ingress, vlan::of(frame.bytes()).and_then(vlan::number));
        let index = self.config.snapshot.translating(link)?;
        let packet = match routed(frame.bytes()) {
            Ok(packet) => packet?,
            // Which virtual it belongs to is known by the link alone.
            Err(cause) => return Some(Verdict::Drop(unreadable::reason(cause))),
        };
        if !is_translated(&self.config.snapshot, &packet) {
            return None;
        }
        let verdict = if packet.destination_mac.is_group() {
            Verdict::Drop(DropReason::GroupMac)
        } else {
            self.finish_checksum(&packet.layout, frame);
            self.translate_packet(now, index, (ingress, link), &packet, frame, driver)
        };
        let number = self.config.snapshot.translator_number(index);
        self.accounting.tally.translated(number, &packet, verdict);
        Some(verdict)
    }

    /// Is a frame translated that comes in by an interface?
    pub(in crate::datapath) fn translates(&self, ingress: u32, bytes: &[u8]) -> bool {
        let link = self.config.network.link(ingress, vlan::of(bytes).and_then(vlan::number));
        let takes = match routed(bytes) {
            Ok(packet) => packet.is_some_and(|packet| is_translated(&self.config.snapshot, &packet)),
            Err(_) => true,
        };
        takes && self.config.snapshot.translating(link).is_some()
    }

    /// Answers the sender of a packet that was pending for too long for its next hop.
    pub(in crate::datapath) fn expire_translation(
        &mut self,
        now: u64,
        ingress: u32,
        frame: &mut Frame<'_>,
    ) -> Option<Verdict> {
        let packet = routed(frame.bytes()).ok()??;
        let link = self.config.network.link(ingress, packet.vlan.and_then(vlan::number));
        self.config.snapshot.translating(link).filter(|_| is_translated(&self.config.snapshot, &packet))?;
        let about = about(&packet, ingress, link);
        Some(answer::report(
            &self.config,
            &mut self.accounting,
            now,
            &about,
            frame,
            (DropReason::NextHopSilent, Report::HostUnreachable),
        ))
    }

    fn translate_packet(
        &mut self,
        now: u64,
        index: TranslatorIndex,
        (ingress, link): (u32, u32),
        packet: &Routed,
        frame: &mut Frame<'_>,
        driver: &mut impl Driver,
    ) -> Verdict {
        let done = match route(&self.config, index, link, packet) {
            Ok(route) => {
                self.trace.at(Stage::Translation, || describe(&self.config.snapshot, index, packet, &route));
                send(&route, packet, frame, driver)
            }
            Err(stopped) => Err(stopped),
        };
        let (reason, report) = match done {
            Ok(interface) => return Verdict::Send { interface },
            Err(Stopped::Unresolved(via)) => {
                let pending = PendingFrame { ingress, part: None, bytes: frame.bytes().into() };
                return self.keep(now, &via, pending, driver);
            }
            Err(Stopped::TooBig { mtu }) => (DropReason::TooBig, Some(Report::TooBig { mtu })),
            Err(Stopped::SourceRoute { pointer }) => {
                (DropReason::SourceRoute, Some(Report::SourceRoute { pointer }))
            }
            Err(Stopped::Because(reason)) => (reason, telling(reason, packet)),
        };
        match report {
            Some(report) => answer::report(
                &self.config,
                &mut self.accounting,
                now,
                &about(packet, ingress, link),
                frame,
                (reason, report),
            ),
            None => Verdict::Drop(reason),
        }
    }
}

/// Is it for a host beyond, and not for Shunt itself (RFC 7915 sections 4.6 and 5.6)?
fn is_translated(snapshot: &Snapshot, packet: &Routed) -> bool {
    packet.is_for_elsewhere() && snapshot.owned(packet.ends.destination).is_none()
}

/// Where the packet goes, and under which addresses.
fn route(config: &Config, index: TranslatorIndex, link: u32, packet: &Routed) -> Result<Route, Stopped> {
    let translator = config.snapshot.translator(index).ok_or(DropReason::NoVirtual)?;
    let mapping = &translator.translation.mapping;
    let refused = |why: Untranslatable| match why {
        Untranslatable::Illegal => DropReason::Forged,
        Untranslatable::Source | Untranslatable::Destination | Untranslatable::Inner => DropReason::NoMapping,
    };
    let first = mapping.packet(packet.ends, packet.inner, Half::First).map_err(refused)?;
    let (first, second) = if first.hairpin {
        let first = mapped(&config.network, &first, link)?;
        let ends = Pair { source: first.source, destination: first.destination };
        let inner = first.inner.map(|(source, destination)| Pair { source, destination });
        (first, Some(mapping.packet(ends, inner, Half::Hairpin).map_err(refused)?))
    } else {
        (mapped(&config.network, &first, link)?, None)
    };
    let destination = second.map_or(first.destination, |second| second.destination);
    let (via, mac) = match config.network.next_hop(destination) {
        NextHop::Known(via, mac) => (via, mac),
        NextHop::NeedsSolicitation(via) => return Err(Stopped::Unresolved(via)),
        NextHop::NoRoute => return Err(DropReason::NoRoute.into()),
    };
    let second = match second {
        // Back in the family that it came from it is no longer than it was.
        Some(_) if packet.layout.datagram_len() > via.mtu => {
            return Err(Stopped::TooBig { mtu: via.mtu });
        }
        Some(second) => Some(mapped(&config.network, &second, via.link)?),
        None => None,
    };
    let mtu_back = config.network.interface(link).map_or(u16::MAX, |interface| interface.mtu);
    let limits = Limits {
        mtu: if second.is_some() { u16::MAX } else { via.mtu },
        mtu_back,
        lowest_ipv6_mtu: translator.translation.lowest_ipv6_mtu,
        hop: Hop::Decrement,
    };
    Ok(Route { first, second, via, mac, limits })
}

/// The addresses of a packet, with one of Shunt's own for a router that has none.
fn mapped(network: &Network, across: &Across, link: u32) -> Result<Mapped, DropReason> {
    let own = || {
        let way = match network.next_hop(across.destination) {
            NextHop::Known(via, _) | NextHop::NeedsSolicitation(via) => via.link,
            NextHop::NoRoute => link,
        };
        network.own_address(way, across.destination).or_else(|| network.own_address(link, across.destination))
    };
    Ok(Mapped {
        source: across.source.or_else(own).ok_or(DropReason::NoMapping)?,
        destination: across.destination,
        inner: across.inner.map(|inner| (inner.source, inner.destination)),
    })
}

/// What becomes of the addresses, and who says so.
fn describe(snapshot: &Snapshot, index: TranslatorIndex, packet: &Routed, route: &Route) -> String {
    let name = snapshot.translator(index).map(|it| &*it.name).unwrap_or_default();
    let Pair { source, destination } = packet.ends;
    let Mapped { source: new_source, destination: new_destination, .. } = route.second.unwrap_or(route.first);
    let turns = if route.second.is_some() { ", and back in its own family" } else { "" };
    format!(
        "{name} makes source {source} {new_source} and destination {destination} {new_destination}{turns}"
    )
}

/// Rewrites the packet, and sends all of it but the last part. Returns the interface that this leaves by.
fn send(
    route: &Route,
    packet: &Routed,
    frame: &mut Frame<'_>,
    driver: &mut impl Driver,
) -> Result<u32, Stopped> {
    let mut longest = translate(frame, &packet.layout, &route.first, &route.limits)?;
    if let Some(second) = &route.second {
        let layout = Layout {
            end: u16::try_from(frame.len()).map_err(|_| DropReason::NoRoom)?,
            l4: packet.layout.l3 + ip::V4_HEADER_LEN as u16,
            family: Family::V4,
            ..packet.layout
        };
        // One router, one hop.
        let limits = Limits { mtu: route.via.mtu, hop: Hop::Keep, ..route.limits };
        longest = match translate(frame, &layout, second, &limits) {
            Ok(longest) => longest,
            // The packet is not what its sender sent any more, so no ICMP error is sent.
            Err(Stopped::Because(reason)) => return Err(reason.into()),
            Err(_) => return Err(DropReason::Untranslatable.into()),
        };
    }
    let Via { interface, vlan, source_mac, .. } = route.via;
    ethernet::readdress(frame.bytes_mut(), route.mac, source_mac).ok_or(DropReason::Malformed)?;
    if packet.vlan != vlan {
        vlan::change(frame, packet.vlan, vlan).ok_or(DropReason::NoRoom)?;
    }
    if let Some(longest) = longest {
        fragment::cut(frame, longest, |part| driver.send(interface, part))
            .ok_or(DropReason::Untranslatable)?;
    }
    Ok(interface)
}

/// Translates a packet; returns how long the parts may be that it is to be cut into.
fn translate(
    frame: &mut Frame<'_>,
    layout: &Layout,
    mapped: &Mapped,
    limits: &Limits,
) -> Result<Option<u16>, Stopped> {
    match translation::translate(frame, layout, mapped, limits) {
        Ok(()) => Ok(None),
        Err(RewriteError::MustFragment) => {
            translation::translate_to_cut(frame, layout, mapped, limits).map(Some).map_err(stopped)
        }
        Err(error) => Err(stopped(error)),
    }
}

fn stopped(error: RewriteError) -> Stopped {
    match error {
        RewriteError::TooBig { mtu } => Stopped::TooBig { mtu },
        RewriteError::SourceRoute { pointer } => Stopped::SourceRoute { pointer },
        other => Stopped::Because(DropReason::of_rewrite_error(other)),
    }
}

/// The ICMP error to the sender. RFC 7915 sections 4.4 and 5.4: administratively prohibited, unless they say otherwise;
/// and none about messages of ICMPv6.
fn telling(reason: DropReason, packet: &Routed) -> Option<Report> {
    match reason {
        DropReason::HopLimit => Some(Report::HopLimit),
        DropReason::NoRoute => Some(Report::HostUnreachable),
        _ if packet.layout.protocol == ip::ICMPV6 => None,
        DropReason::NoMapping | DropReason::NoChecksum | DropReason::ExtendedFragment => {
            Some(Report::Prohibited)
        }
        // RFC 7915 section 1.2: a ping in parts. Its sender waits for a reply.
        DropReason::Untranslatable if is_part_of_ping(packet) => Some(Report::Prohibited),
        _ => None,
    }
}

/// The first part of one, or of an ICMP error, about which no ICMP error is sent.
fn is_part_of_ping(packet: &Routed) -> bool {
    packet.layout.protocol == ip::ICMP && packet.layout.part == Part::First
}

const fn about(packet: &Routed, ingress: u32, link: u32) -> About {
    About {
        layout: packet.layout,
        ends: packet.ends,
        to_group: packet.destination_mac.is_group(),
        ingress,
        link,
    }
}
