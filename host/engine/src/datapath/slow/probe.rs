//! The first packet of a probe: the stages that its clients pass, but for those that choose.

use shunt_wire::Frame;
use shunt_wire::tcp::SYN;

use super::selection::Chosen;
use super::{Choice, First};
use crate::datapath::Datapath;
use crate::datapath::driver::World;
use crate::datapath::model::arrival::Arrival;
use crate::datapath::model::flow::FlowProtocol;
use crate::datapath::model::mode::Mode;
use crate::datapath::model::probe::{Notice, Probed};
use crate::datapath::model::reason::DropReason;
use crate::datapath::model::stage::Stage;
use crate::datapath::model::verdict::Verdict;
use crate::flow::{Direction, FlowId};
use crate::packet::FlowPacket;

impl Datapath {
    /// Carries a probe to its member, as the virtual's clients are carried: by its mode, with a SNAT port where they
    /// have one. Limits, rules and persistence have no say in it, nor whether the member is down or disabled.
    pub(in crate::datapath) fn first_of_probe(
        &mut self,
        now: u64,
        arrival: &Arrival<'_>,
        packet: &FlowPacket,
        probed: &Probed,
        frame: &mut Frame<'_>,
        world: &mut impl World,
    ) -> Verdict {
        // The rest of an exchange that is over: its end needs no telling.
        if packet.tcp.is_some_and(|segment| segment.flags & SYN == 0) {
            return Verdict::Drop(DropReason::StrayProbe);
        }
        let index = probed.virtual_;
        self.trace.at(Stage::Virtual, || {
            let name = self.snapshot.virtual_(index).map(|virtual_| &*virtual_.name).unwrap_or_default();
            format!(
                "a monitor probes {} through {name}: limits, rules and choices are passed by",
                probed.member
            )
        });
        let Some(seat) = self.seats.of_virtual(index) else { return Verdict::Drop(DropReason::StrayProbe) };
        let protocol = FlowProtocol::of(packet.key.protocol());
        let first = First { now, arrival, packet, protocol, index, seat, is_probe: true };
        match self.decide_probe(&first, probed, world) {
            Ok(id) => {
                self.notice_carried(id, &packet.key, world);
                self.send(now, (id, Direction::ToServer), arrival, frame, world)
            }
            Err(reason) => self.refuse(now, arrival, frame, reason),
        }
    }

    fn decide_probe(
        &mut self,
        first: &First<'_>,
        probed: &Probed,
        world: &mut impl World,
    ) -> Result<FlowId, DropReason> {
        let mode: Mode =
            self.snapshot.virtual_(first.index).ok_or(DropReason::NoVirtual)?.modes.default_mode();
        let choice = Choice { pool: Some(probed.pool), named: Some(probed.member), mode, key: None };
        let pool = self.snapshot.pool(probed.pool).ok_or(DropReason::NoPool)?;
        let place = pool.position(probed.member).ok_or(DropReason::NoSuchMember)?;
        let member = pool.members.get(place).cloned().ok_or(DropReason::NoSuchMember)?;
        let seat = self.seats.of_member(probed.pool, place).ok_or(DropReason::NoSuchMember)?;
        let chosen = Chosen { member, seat };
        let lease = self.snat_lease(first, &choice, &chosen, world)?;
        let seen = self.translation(first, &choice, &chosen, lease.as_ref())?;
        let compiled = self.compile(first, &choice, &chosen, seen)?;
        self.insert(first, &chosen, compiled, lease)
    }

    /// Says whom the member sees.
    fn notice_carried(&self, id: FlowId, key: &shunt_wire::FlowKey, world: &mut impl World) {
        let Some(flow) = self.flows.get(id) else { return };
        let seen = flow.reverse().map(shunt_wire::FlowKey::destination);
        world.noticed(key, Notice::Carried { from: seen.unwrap_or(key.source()) });
    }
}
