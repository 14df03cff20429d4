//! The slow path: the first packet of a flow passes these stages, in this order.

pub(super) mod compile;
mod insert;
mod lease;
mod limits;
mod persistence;
mod probe;
mod rule;
mod selection;
mod translation;
mod virtual_;

use std::sync::Arc;

use shunt_wire::Endpoint;
use virtual_::NotFound;

use crate::datapath::Datapath;
use crate::datapath::context::Context;
use crate::datapath::driver::Driver;
use crate::datapath::local::answer::{answer_echo, refuse};
use crate::datapath::model::arrival::Arrival;
use crate::datapath::model::flow::{FlowProtocol, Traffic};
use crate::datapath::model::id::EntryId;
use crate::datapath::model::index::{PoolIndex, VirtualIndex};
use crate::datapath::model::mode::Mode;
use crate::datapath::model::pool::OnEmpty;
use crate::datapath::model::reason::DropReason;
use crate::datapath::model::ruling::{Done, NewFlow, Outcome};
use crate::datapath::model::stage::Stage;
use crate::datapath::model::verdict::Verdict;
use crate::datapath::model::virtual_::Virtual;
use crate::datapath::state::accounting::Accounting;
use crate::datapath::state::config::Config;
use crate::datapath::state::flows::Flows;
use crate::datapath::state::trace::Trace;
use crate::flow::tcp::{TcpTracker, Visibility};
use crate::flow::{Direction, FlowId};
use crate::packet::FlowPacket;
use crate::persistence::Key;

/// The first packet of a flow.
pub(super) struct First<'a> {
    now: u64,
    arrival: Arrival<'a>,
    packet: &'a FlowPacket,
    protocol: FlowProtocol,
    index: VirtualIndex,
    virtual_: &'a Virtual,
    entry: EntryId,
    /// A monitor sent it.
    is_probe: bool,
    trace: &'a Trace,
}

/// What the stages decided so far.
struct Choice {
    /// `None`: to where the client's packets are addressed.
    pool: Option<PoolIndex>,
    /// The member that a rule named.
    named: Option<Endpoint>,
    mode: Mode,
    /// By what the client is bound to a member.
    key: Option<Key>,
}

impl Choice {
    /// Goes on where the pool says that flows go without a member, if it does. Pools do not stand in for each other in a
    /// circle: a [`Snapshot`](crate::datapath::Snapshot) is not made of such.
    fn stand_in(&mut self, config: &Config, first: &First<'_>) -> bool {
        let empty = self.pool.and_then(|pool| config.snapshot.pool(pool));
        let next = match empty.map(|pool| pool.on_empty) {
            Some(OnEmpty::Pool(next)) => Some(next),
            Some(OnEmpty::Route) if first.virtual_.has_destinations(self.mode) => None,
            Some(OnEmpty::Route | OnEmpty::Nowhere) | None => return false,
        };
        first.trace.at(Stage::Selection, || match next.map(|next| config.snapshot.pool(next)) {
            Some(pool) => {
                format!("no member can be chosen: pool {} stands in", pool.map_or("", |pool| &pool.name))
            }
            None => "no member can be chosen: the flow goes to its own destination".to_owned(),
        });
        (self.pool, self.named) = (next, None);
        true
    }
}

impl Datapath {
    /// Decides about a flow by its first packet.
    pub(in crate::datapath) fn first_packet(
        &mut self,
        cx: &mut Context<'_, '_, impl Driver>,
        packet: &FlowPacket,
    ) -> Verdict {
        let Self { config, flows, accounting, trace, .. } = &mut *self;
        let index = match virtual_::find(config, trace, &cx.arrival, packet) {
            Ok(index) => index,
            Err(NotFound::Ping) => return answer_echo(cx),
            Err(NotFound::Because(reason)) => return refuse(config, accounting, cx, reason),
        };
        let found = config.snapshot.virtual_(index).zip(config.snapshot.virtual_entry(index));
        let Some((virtual_, entry)) = found else { return Verdict::Drop(DropReason::NoVirtual) };
        let first = First {
            now: cx.now,
            arrival: cx.arrival,
            packet,
            protocol: FlowProtocol::of(packet.key.protocol()),
            index,
            virtual_,
            entry,
            is_probe: false,
            trace,
        };
        let verdict = match admit(flows, accounting, &first) {
            Ok(()) => match decide(config, flows, accounting, &first, cx.driver) {
                Ok(id) => self.send(cx, (id, Direction::ToServer)),
                Err(reason) => {
                    done_before_it_began(flows, &first, cx.driver);
                    refuse(config, accounting, cx, reason)
                }
            },
            Err(reason) => refuse(config, accounting, cx, reason),
        };
        if verdict.reason().is_some()
            && let Some(entry) = self.accounting.entries.virtual_mut(entry)
        {
            entry.refused += 1;
        }
        verdict
    }
}

/// What stands between a flood and the rules.
fn admit(flows: &Flows, accounting: &mut Accounting, first: &First<'_>) -> Result<(), DropReason> {
    // A segment that can begin nothing takes up nothing.
    first.tracker(Visibility::Both)?;
    limits::admit(flows, accounting, first)
}

/// The stages from the rules to the table. [`Stage`](super::Stage) lists them for everyone.
fn decide(
    config: &Config,
    flows: &mut Flows,
    accounting: &mut Accounting,
    first: &First<'_>,
    driver: &mut impl Driver,
) -> Result<FlowId, DropReason> {
    let mut choice = rule::choose(config, flows.table.next_id(), first, driver)?;
    let member = loop {
        let bound = persistence::bound(config, first, &choice);
        match selection::select(config, accounting, first, &choice, bound) {
            Err(DropReason::NoMember) if choice.stand_in(config, first) => {}
            selected => break selected?,
        }
    };
    let lease = lease::lease(config, &mut flows.leases, first, &choice, &member, driver)?;
    let seen = translation::seen(config, first, &choice, &member, lease.as_ref())?;
    let compiled = compile::compile(config, first, &choice, &member, seen)?;
    insert::insert(flows, accounting, first, &member, compiled, lease)
}

/// Tells the rules of a flow that was refused after they had been asked.
fn done_before_it_began(flows: &mut Flows, first: &First<'_>, driver: &mut impl Driver) {
    if first.virtual_.hooks.on_done {
        driver.on_done(&Done {
            flow: first.new_flow(flows.table.next_id()),
            virtual_: Arc::clone(&first.virtual_.name),
            index: Some(first.index),
            pool: None,
            member: None,
            mode: None,
            outcome: Outcome::Refused,
            to_server: Traffic { packets: 1, bytes: u64::from(first.packet.length) },
            to_client: Traffic::default(),
            duration: 0,
            first_answer: None,
        });
    }
    flows.table.skip_id();
}

impl First<'_> {
    /// What rules are shown of it; it gets this number if it begins.
    fn new_flow(&self, id: FlowId) -> NewFlow {
        NewFlow {
            id,
            client: self.client(),
            vip: self.vip(),
            protocol: self.protocol,
            ingress: self.arrival.ingress,
        }
    }

    /// The middle of a connection: no worker here saw its beginning.
    fn is_mid_stream(&self) -> bool {
        self.packet.tcp.is_some_and(|segment| segment.flags & shunt_wire::tcp::SYN == 0)
    }

    fn client(&self) -> Endpoint {
        self.packet.key.source()
    }

    fn vip(&self) -> Endpoint {
        self.packet.key.destination()
    }

    /// The connection that it begins; an error if it is a segment that can begin none.
    fn tracker(&self, visibility: Visibility) -> Result<Option<TcpTracker>, DropReason> {
        match &self.packet.tcp {
            Some(segment) => TcpTracker::begin(segment, visibility).map(Some).ok_or(DropReason::MidStream),
            None => Ok(None),
        }
    }
}
