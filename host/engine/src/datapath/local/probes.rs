//! Probes of monitors: flows to one certain member, forwarded as those of a virtual's clients are.
//!
//! A monitor is a program with a socket. Its packets come in by a link of their own ([`OnPath::link`]) from an
//! address that Shunt owns, are forwarded as the virtual's clients are, and replies leave by that link again. What
//! becomes of them on the way is told to the driver: from that follows *why* a probe failed, which its end
//! alone cannot tell.
//!
//! [`OnPath::link`]: super::OnPath::link

use shunt_wire::vlan;
use shunt_wire::{Address, Family, Mac};

use crate::datapath::Datapath;
use crate::datapath::context::Context;
use crate::datapath::driver::Driver;
use crate::datapath::model::arrival::Arrival;
use crate::datapath::model::mode::ModeName;
use crate::datapath::model::probe::{Notice, Probed};
use crate::datapath::model::reason::DropReason;
use crate::datapath::model::verdict::Verdict;
use crate::datapath::snapshot::Owned;
use crate::flow::tcp::Step;
use crate::flow::{Direction, FlowId};
use crate::network::NextHop;
use crate::packet::{ErrorPacket, FlowPacket};

impl Datapath {
    /// What becomes of a packet of no flow if it has to do with probes.
    pub(in crate::datapath) fn about_probes(
        &mut self,
        cx: &mut Context<'_, '_, impl Driver>,
        packet: &FlowPacket,
    ) -> Option<Verdict> {
        if self.config.snapshot.is_for_probes(cx.arrival.ingress) {
            return Some(match cx.driver.probed(&packet.key) {
                Some(probed) => self.first_of_probe(cx, packet, &probed),
                None => Verdict::Drop(DropReason::StrayProbe),
            });
        }
        let (source, destination) = (packet.key.source().address, packet.key.destination().address);
        let owned = [source, destination].map(|address| self.config.snapshot.owned(address));
        match owned {
            [Some(Owned::Probe), _] => {
                cx.driver.noticed(&packet.key, Notice::Returned);
                Some(Verdict::Drop(DropReason::Forged))
            }
            // From a VIP to the host: the reply to a probe that the host sent under an address of its own.
            [_, Some(Owned::Probe)] | [Some(Owned::Vip), None] => self.deliver_to_probe(cx, packet),
            _ => None,
        }
    }

    /// Delivers the reply of a member that replies directly to the monitor.
    fn deliver_to_probe(
        &self,
        cx: &mut Context<'_, '_, impl Driver>,
        packet: &FlowPacket,
    ) -> Option<Verdict> {
        let probe = packet.key.reversed();
        if let Some(probed) = cx.driver.probed(&probe) {
            cx.driver.noticed(&probe, Notice::Answered);
            return Some(self.hand_in(cx, &probed));
        }
        if self.config.snapshot.owned(packet.key.destination().address) != Some(Owned::Probe) {
            return None;
        }
        // A ping of the address itself, which says whether a way leads to it, is answered as that of any other.
        let asks = packet.tcp.is_none() && packet.key.destination().port == 0;
        if asks && shunt_wire::icmp::protocol_of(cx.arrival.packet.layout.family) == packet.key.protocol() {
            return None;
        }
        cx.driver.noticed(&probe, Notice::AnsweredBy(packet.key.source()));
        Some(Verdict::Drop(DropReason::StrayProbe))
    }

    /// Delivers a later fragment of a reply, whose first one was [delivered](Self::deliver_to_probe) before.
    pub(in crate::datapath) fn part_of_answer_to_probe(
        &self,
        cx: &mut Context<'_, '_, impl Driver>,
    ) -> Option<Verdict> {
        let probed = cx.driver.probed(&cx.arrival.part?.flow.reversed())?;
        Some(self.hand_in(cx, &probed))
    }

    /// Notes an ICMP error to the probe source address, and delivers it if it quotes a probe as it was sent.
    pub(in crate::datapath) fn error_about_probe(
        &self,
        cx: &mut Context<'_, '_, impl Driver>,
        error: &ErrorPacket,
    ) -> Option<Verdict> {
        if self.config.snapshot.owned(error.destination) != Some(Owned::Probe) {
            return None;
        }
        cx.driver.noticed(&error.embedded, error.notice());
        let probed = cx.driver.probed(&error.embedded)?;
        Some(self.hand_in(cx, &probed))
    }

    /// Notes an error about a packet of a flow, if it is a probe's.
    pub(in crate::datapath) fn notice_error(
        &self,
        id: FlowId,
        error: &ErrorPacket,
        driver: &mut impl Driver,
    ) {
        if let Some(flow) = self.flows.table.get(id).filter(|flow| flow.value.is_probe) {
            driver.noticed(flow.forward(), error.notice());
        }
    }

    /// Sends a frame as it came to the probe interface.
    fn hand_in<W>(&self, cx: &mut Context<'_, '_, W>, probed: &Probed) -> Verdict {
        let virtual_ = self.config.snapshot.virtual_(probed.virtual_);
        let Some(on_path) = virtual_.and_then(|it| it.on_path.as_ref()) else {
            return Verdict::Drop(DropReason::StrayProbe);
        };
        match vlan::change(cx.frame, cx.arrival.packet.vlan, None) {
            Some(()) => Verdict::Send { interface: on_path.link },
            None => Verdict::Drop(DropReason::NoRoom),
        }
    }

    /// Takes a packet into what is known of a probe's flow. What is not to continue has a verdict; `None` within:
    /// another probe begins.
    pub(in crate::datapath) fn observe_probe(
        &mut self,
        cx: &mut Context<'_, '_, impl Driver>,
        (id, direction): (FlowId, Direction),
        packet: &FlowPacket,
    ) -> Result<(), Option<Verdict>> {
        if direction == Direction::ToServer && !self.config.snapshot.is_for_probes(cx.arrival.ingress) {
            // Sent to the member once more it would go round for as many times as it has hops left.
            cx.driver.noticed(&packet.key, Notice::Returned);
            return Err(Some(Verdict::Drop(DropReason::Forged)));
        }
        if direction == Direction::ToServer && self.is_another(id, packet, cx.driver) {
            return Err(None);
        }
        let detour = match direction {
            Direction::ToServer => None,
            Direction::ToClient => self.detour(id, &cx.arrival, cx.driver),
        };
        let Some(flow) = self.flows.table.get_mut(id) else { return Err(None) };
        let key = *flow.forward();
        let state = &mut flow.value;
        if let Some(gateway) = detour {
            cx.driver.noticed(&key, Notice::Detour { gateway });
            return Err(Some(Verdict::Drop(DropReason::StrayProbe)));
        }
        if let (Some(tracker), Some(segment)) = (&mut state.tracker, &packet.tcp) {
            match tracker.observe(direction, segment) {
                Step::Unchanged => {}
                Step::NewConnection => return Err(None),
                Step::Changed => {
                    self.flows.timers.schedule_by(id.slot(), cx.now.saturating_add(state.lifetime()));
                }
            }
        }
        if direction == Direction::ToClient && state.answered(cx.now) {
            cx.driver.noticed(&key, Notice::Answered);
        }
        state.last = cx.now;
        state.traffic[direction as usize].add(packet.length);
        Ok(())
    }

    /// Does the monitor mean another member by these addresses and ports than it did before?
    fn is_another(&self, id: FlowId, packet: &FlowPacket, driver: &mut impl Driver) -> bool {
        let (Some(flow), Some(probed)) = (self.flows.table.get(id), driver.probed(&packet.key)) else {
            return false;
        };
        let place = self.config.snapshot.pool(probed.pool).and_then(|pool| pool.position(probed.member));
        let member = place.and_then(|place| self.config.snapshot.member_entry(probed.pool, place));
        let virtual_ = self.config.snapshot.virtual_entry(probed.virtual_);
        let modes = self.config.snapshot.virtual_(probed.virtual_).map(|it| it.modes);
        let mode = modes.and_then(|modes| modes.choose(probed.mode, probed.snat_pool).ok());
        let found = (virtual_, member, mode.map(|mode| mode.name()));
        found != (Some(flow.value.virtual_), Some(flow.value.member), Some(flow.value.mode))
    }

    /// The gateway toward clients, if a reply in mode `nat` came from there and the member is not behind it. To
    /// a client the member would have replied past Shunt: only the probe's address led here.
    fn detour(&self, id: FlowId, arrival: &Arrival<'_>, driver: &mut impl Driver) -> Option<Address> {
        let state = &self.flows.table.get(id)?.value;
        let from = arrival.packet.source_mac;
        if state.mode != ModeName::Nat || state.path(Direction::ToServer).rewrite.destination_mac == from {
            return None;
        }
        let (gateway, mac, link) = self.gateway(arrival.packet.layout.family, driver)?;
        (mac == from && link == arrival.link(&self.config.network)).then_some(gateway)
    }

    /// The next hop of the default route. Until its MAC is known, which nothing else may ask for, the next reply
    /// decides.
    fn gateway(&self, family: Family, driver: &mut impl Driver) -> Option<(Address, Mac, u32)> {
        // No route but the default one is for the unspecified address.
        match self.config.network.next_hop(family.unspecified()) {
            NextHop::Known(via, mac) if !via.on_link => Some((via.neighbour, mac, via.link)),
            NextHop::NeedsSolicitation(via) if !via.on_link => {
                driver.solicit(via.link, via.neighbour);
                None
            }
            _ => None,
        }
    }

    /// Tells the driver that a packet of a probe was not forwarded.
    pub(in crate::datapath) fn tell_of_refusal(
        &self,
        cx: &mut Context<'_, '_, impl Driver>,
        packet: &FlowPacket,
        reason: DropReason,
    ) {
        if self.config.snapshot.is_for_probes(cx.arrival.ingress) {
            cx.driver.noticed(&packet.key, Notice::Refused(reason));
        }
    }
}
