//! The first packet of a probe: the stages that its clients pass, but for those that choose.

use shunt_wire::FlowKey;
use shunt_wire::tcp::SYN;

use super::selection::Chosen;
use super::{Choice, First};
use super::{compile, insert, lease, translation};
use crate::datapath::Datapath;
use crate::datapath::context::Context;
use crate::datapath::driver::Driver;
use crate::datapath::local::answer::refuse;
use crate::datapath::model::flow::FlowProtocol;
use crate::datapath::model::probe::{Notice, Probed};
use crate::datapath::model::reason::DropReason;
use crate::datapath::model::stage::Stage;
use crate::datapath::model::verdict::Verdict;
use crate::datapath::state::accounting::Accounting;
use crate::datapath::state::config::Config;
use crate::datapath::state::flows::Flows;
use crate::flow::{Direction, FlowId};
use crate::packet::FlowPacket;

impl Datapath {
    /// Forwards a probe to its member, as the virtual's clients are forwarded: by its mode, with a SNAT port where they
    /// have one. Limits, rules and persistence have no say in it, nor whether the member is down or disabled.
    pub(in crate::datapath) fn first_of_probe(
        &mut self,
        cx: &mut Context<'_, '_, impl Driver>,
        packet: &FlowPacket,
        probed: &Probed,
    ) -> Verdict {
        // The rest of an exchange that is over: its end needs no telling.
        if packet.tcp.is_some_and(|segment| segment.flags & SYN == 0) {
            return Verdict::Drop(DropReason::StrayProbe);
        }
        let Self { config, flows, accounting, trace, .. } = &mut *self;
        let index = probed.virtual_;
        let found = config.snapshot.virtual_(index).zip(config.snapshot.virtual_entry(index));
        let Some((virtual_, entry)) = found else { return Verdict::Drop(DropReason::StrayProbe) };
        trace.at(Stage::Virtual, || {
            let (member, name) = (probed.member, &virtual_.name);
            format!("a monitor probes {member} through {name}: limits, rules and balancing are skipped")
        });
        let first = First {
            now: cx.now,
            arrival: cx.arrival,
            packet,
            protocol: FlowProtocol::of(packet.key.protocol()),
            index,
            virtual_,
            entry,
            is_probe: true,
            trace,
        };
        match decide(config, flows, accounting, &first, probed, cx.driver) {
            Ok(id) => {
                notice_forwarded(flows, id, &packet.key, cx.driver);
                self.send(cx, (id, Direction::ToServer))
            }
            Err(reason) => refuse(config, accounting, cx, reason),
        }
    }
}

fn decide(
    config: &Config,
    flows: &mut Flows,
    accounting: &mut Accounting,
    first: &First<'_>,
    probed: &Probed,
    driver: &mut impl Driver,
) -> Result<FlowId, DropReason> {
    let mode = first.virtual_.modes.choose(probed.mode, probed.snat_pool);
    let mode = mode.map_err(|_| DropReason::ModeIncomplete)?;
    if !first.virtual_.may_use(mode.name()) {
        return Err(DropReason::ModeIncomplete);
    }
    let choice = Choice { pool: Some(probed.pool), named: Some(probed.member), mode, key: None };
    let pool = config.snapshot.pool(probed.pool).ok_or(DropReason::NoPool)?;
    let place = pool.position(probed.member).ok_or(DropReason::NoSuchMember)?;
    let member = pool.members.get(place).cloned().ok_or(DropReason::NoSuchMember)?;
    let entry = config.snapshot.member_entry(probed.pool, place).ok_or(DropReason::NoSuchMember)?;
    let chosen = Chosen { member, entry };
    let lease = lease::lease(config, &mut flows.leases, first, &choice, &chosen, driver)?;
    let seen = translation::seen(config, first, &choice, &chosen, lease.as_ref())?;
    let compiled = compile::compile(config, first, &choice, &chosen, seen)?;
    insert::insert(flows, accounting, first, &chosen, compiled, lease)
}

/// Says whom the member sees.
fn notice_forwarded(flows: &Flows, id: FlowId, key: &FlowKey, driver: &mut impl Driver) {
    let Some(flow) = flows.table.get(id) else { return };
    let seen = flow.reverse().map(FlowKey::destination);
    driver.noticed(key, Notice::Forwarded { from: seen.unwrap_or(key.source()) });
}
