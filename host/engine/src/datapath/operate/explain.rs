//! Cause a packet goes where it goes: it takes its way, and the way leaves no trace.
//!
//! A packet of a known flow is rewritten as that flow's packets are. Any other passes the very stages
//! that it would pass, in a datapath apart: with copies of the counters, limits and turns, and with the
//! flow table and the SNAT ports lent for the moment, so that both are as full as they are. The flow that comes
//! of it is taken out again, and its port is free at once. Rules are really asked, and told of the end: what
//! they count themselves counts this packet.

mod asked;
mod shown;

pub use asked::{Asked, Question, Unasked};

use std::sync::Arc;

use shunt_wire::checksum::partial;
use shunt_wire::frame::HEADROOM;
use shunt_wire::{Address, FlowKey, Frame};

use crate::datapath::compile::render;
use crate::datapath::context::Context;
use crate::datapath::driver::Driver;
use crate::datapath::end::Cause;
use crate::datapath::fast::hit;
use crate::datapath::fast::hit::PacketClass;
use crate::datapath::local::answer::refuse;
use crate::datapath::model::arrival::Arrival;
use crate::datapath::model::index::VirtualIndex;
use crate::datapath::model::probe::{Notice, Probed};
use crate::datapath::model::reason::DropReason;
use crate::datapath::model::ruling::{Done, NewFlow, Ruling};
use crate::datapath::model::stage::Stage;
use crate::datapath::model::unreadable;
use crate::datapath::model::verdict::Verdict;
use crate::datapath::operate::list::FlowDetails;
use crate::datapath::state::flow::FlowState;
use crate::datapath::state::trace::{Considered, Found, Note, Point, Trace};
use crate::datapath::{Datapath, Options};
use crate::flow::{Direction, Ending, FlowId};
use crate::fragment::FragmentOf;
use crate::packet::{FlowPacket, Kind, dissect};

/// Flows that a datapath apart holds of its own.
const APART: usize = 4;

/// What becomes of one packet, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The link that it came in by.
    pub link: Arc<str>,
    /// It came in there because nothing else was said, and the way back to its source leads there.
    pub link_is_a_guess: bool,
    /// The packet as it came in, a line for each header.
    pub frame: Vec<String>,
    /// What was found on its way, in order.
    pub notes: Vec<Note>,
    /// The rules of its virtual were asked.
    pub rules_were_asked: bool,
    /// The members of the pool that it was to go to; empty where it came to no choice.
    pub members: Vec<Considered>,
    /// The flow that it belongs to, or the one that it would begin.
    pub flow: Option<FlowDetails>,
    /// That flow is in the table. Else it was only decided about.
    pub flow_is_there: bool,
    pub verdict: Verdict,
    /// It never comes here: the kernel program leaves it to the kernel of this host. The verdict is what would
    /// become of it if it came.
    pub is_the_kernels: bool,
    /// What leaves, in order.
    pub leaves: Vec<Leaving>,
}

/// A frame that leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// The name of the interface.
    pub interface: String,
    pub bytes: Vec<u8>,
    /// A line for each header.
    pub frame: Vec<String>,
}

impl Datapath {
    /// Tells what would become of a packet now, and why. Changes nothing for any flow.
    ///
    /// [`Verdict::HandOver`] names the worker that has to be asked instead.
    ///
    /// # Errors
    ///
    /// Cause there can be no such packet.
    pub fn explain(
        &mut self,
        now: u64,
        question: &Question,
        driver: &mut impl Driver,
    ) -> Result<Explanation, Unasked> {
        let asked::Arriving { ingress, link, link_is_a_guess, bytes } = self.arriving(question)?;
        let mut silent = Silent { driver, sent: Vec::new(), asked: false };
        let mut buffer = vec![0; HEADROOM + bytes.len() + HEADROOM];
        let end = HEADROOM + bytes.len();
        if let Some(room) = buffer.get_mut(HEADROOM..end) {
            room.copy_from_slice(&bytes);
        }
        let mut frame = Frame::new(&mut buffer, HEADROOM, end);
        let before = self.shown(&bytes);
        let packet = dissect(&bytes);
        let was_partial =
            packet.as_ref().is_ok_and(|packet| partial::finish(frame.bytes_mut(), &packet.layout));
        let asked_about = match &packet {
            Ok(packet) => match &packet.kind {
                Kind::Flow(flow) => Some(flow),
                _ => None,
            },
            Err(_) => None,
        };
        let is_for_host = asked_about.filter(|flow| self.is_for_host(flow));
        let mut outcome = match &packet {
            _ if let Some(flow) = is_for_host => {
                let text = format!("{} is an address of this host", flow.key.destination().address);
                Outcome::unseen(Point::Shunt, text, DropReason::NotOurs)
            }
            _ if self.translates(ingress, &bytes) => {
                self.apart(now, Trace::listening(), Lends::All, |apart| {
                    let verdict = apart.translate(now, ingress, &mut frame, &mut silent);
                    apart.over(verdict.unwrap_or(Verdict::Drop(DropReason::NotOurs)))
                })
            }
            Ok(packet) => {
                let arrival = Arrival { packet, ingress, again: false, handed_over: false, part: None };
                self.take_way(&mut Context { now, arrival, frame: &mut frame, driver: &mut silent })
            }
            Err(cause) => {
                let text = format!("the packet cannot be read: {}", unreadable::describe(*cause));
                Outcome::unseen(Point::Frame, text, unreadable::reason(*cause))
            }
        };
        if matches!(outcome.verdict, Verdict::HandOver { .. }) {
            outcome.found.members.clear();
        }
        if was_partial {
            let text = "the sender left the checksum unfinished, and Shunt finishes it".to_owned();
            outcome.found.notes.insert(0, Note { at: Point::Frame, text });
        }
        let is_not_ours = outcome.verdict == Verdict::Drop(DropReason::NotOurs);
        let is_the_kernels = asked_about
            .is_some_and(|flow| is_for_host.is_some() || is_not_ours && self.leaves_to_kernel(link, flow));
        if let Some(reason) = outcome.verdict.reason().filter(|_| !is_the_kernels) {
            let at = outcome.ended_at(reason);
            outcome.found.notes.push(Note { at, text: format!("not forwarded: {reason}") });
        }
        let beside = std::mem::take(&mut silent.sent);
        let last = outcome.verdict.interface().map(|interface| (interface, frame.bytes().to_vec()));
        let leaves = beside.iter().chain(&last).map(|(interface, bytes)| Leaving {
            interface: render::links(&self.config.network, &[*interface]),
            frame: self.shown(bytes),
            bytes: bytes.clone(),
        });
        Ok(Explanation {
            link: render::links(&self.config.network, &[link]).into(),
            link_is_a_guess,
            frame: before,
            rules_were_asked: silent.asked,
            leaves: leaves.collect(),
            notes: outcome.found.notes,
            members: outcome.found.members,
            flow: outcome.flow,
            flow_is_there: outcome.is_there,
            verdict: outcome.verdict,
            is_the_kernels,
        })
    }

    /// The way of a packet that could be read.
    fn take_way(&mut self, cx: &mut Context<'_, '_, impl Driver>) -> Outcome {
        let trace = Trace::listening();
        let (now, arrived) = (cx.now, cx.arrival.packet);
        let packet = match &arrived.kind {
            Kind::Flow(packet) => Some(*packet),
            Kind::Other(other) => other.flow(),
            _ => None,
        };
        let (known, is_of_flows) = match (&packet, &arrived.kind) {
            (Some(packet), _) => (self.flows.table.find(&packet.key), true),
            (None, Kind::IcmpError(error)) => (self.flows.table.find(&error.embedded.reversed()), true),
            (None, Kind::Fragment(fragment)) => {
                let here = self.owner(&cx.arrival).is_none_or(|worker| worker == self.config.options.worker);
                let flow = self.pending.fragments.flow_of(fragment).filter(|_| here);
                (flow.and_then(|flow| self.flows.table.find(&flow)), flow.is_some())
            }
            (None, _) => (None, false),
        };
        let Some((id, direction)) = known else {
            if is_of_flows {
                trace.note(Point::Table, || "the packet belongs to no flow of this worker".to_owned());
            }
            return self.apart(now, trace, Lends::All, |apart| apart.flow_miss(cx));
        };
        let before = self.flows.get(id).map(FlowState::standing);
        let head = match &arrived.kind {
            Kind::Fragment(fragment) => fragment.head.as_ref(),
            _ => packet.as_ref(),
        };
        let outcome = match head {
            Some(packet) => match self.reception(cx, (id, direction), packet, &trace) {
                Reception::Continues => self.apart(now, trace, Lends::All, |apart| {
                    let verdict = match &arrived.kind {
                        Kind::Fragment(_) => apart.dispatch(cx),
                        _ => apart.send(cx, (id, direction)),
                    };
                    apart.known(now, id, verdict)
                }),
                Reception::Ends(reason) => self.apart(now, trace, Lends::All, |apart| {
                    apart.reset_ends(now, id, Some(direction), cx.driver);
                    let verdict = refuse(&apart.config, &mut apart.accounting, cx, reason);
                    apart.known(now, id, verdict)
                }),
                Reception::Lost(verdict) => {
                    self.apart(now, trace, Lends::All, |apart| apart.known(now, id, verdict))
                }
                Reception::IsNew => self.apart(now, trace, Lends::Ports, |apart| apart.flow_miss(cx)),
            },
            None => {
                let error = matches!(arrived.kind, Kind::IcmpError(_));
                let what = if error { "an ICMP error about a packet" } else { "a fragment of a packet" };
                trace.note(Point::Table, || format!("{what} of flow {id}"));
                let orphaned = self.flows.orphaned(&self.config, id);
                self.apart(now, trace, Lends::All, |apart| {
                    let verdict = match orphaned {
                        // No ICMP error is sent about an ICMP error (RFC 1812 section 4.3.2.7).
                        Some(reason) => {
                            apart.reset_ends(now, id, Some(direction), cx.driver);
                            Verdict::Drop(reason)
                        }
                        None => apart.dispatch(cx),
                    };
                    apart.known(now, id, verdict)
                })
            }
        };
        // Even that its rewrite was brought up to date would hide from its next packet that it has to be.
        if let (Some(before), Some(flow)) = (before, self.flows.table.get_mut(id)) {
            flow.value.restore(before);
        }
        outcome
    }

    /// What a packet means to its flow, with all that can have happened to that.
    fn reception(
        &mut self,
        cx: &mut Context<'_, '_, impl Driver>,
        (id, direction): (FlowId, Direction),
        packet: &FlowPacket,
        trace: &Trace,
    ) -> Reception {
        let way = asked::toward(direction);
        trace.note(Point::Table, || format!("the packet belongs to flow {id}, {way}"));
        if let Some(reason) = self.flows.orphaned(&self.config, id) {
            return Reception::Ends(reason);
        }
        let (reception, text) = match hit::classify(&self.flows, (id, direction), packet) {
            Some(PacketClass::Existing) | None => (Reception::Continues, "its compiled rewrite is applied"),
            Some(PacketClass::NewConnection) => {
                (Reception::IsNew, "that flow has ended: the packet begins another")
            }
            Some(PacketClass::MemberDown) if hit::can_reselect(&self.flows, id, packet) => (
                Reception::IsNew,
                "the member of the flow is down or disabled: the packet begins another flow",
            ),
            Some(PacketClass::MemberDown) => {
                (Reception::Ends(DropReason::MemberDown), "the member of the flow is down or disabled")
            }
            Some(PacketClass::Probe) => match self.observe_probe(cx, (id, direction), packet) {
                Ok(()) => (
                    Reception::Continues,
                    "the packet is of a probe: the compiled rewrite of its flow is applied",
                ),
                Err(None) => (Reception::IsNew, "the flow was of a probe: the packet begins another probe"),
                Err(Some(verdict)) => {
                    (Reception::Lost(verdict), "the packet is of a probe, and is not forwarded")
                }
            },
        };
        trace.note(Point::Table, || text.to_owned());
        reception
    }

    /// Acts on a datapath that is as this one, and gives back what it lent.
    fn apart(
        &mut self,
        now: u64,
        trace: Trace,
        lends: Lends,
        act: impl FnOnce(&mut Self) -> Outcome,
    ) -> Outcome {
        let options = Options { flows: APART, ..self.config.options };
        let (snapshot, network) = (Arc::clone(&self.config.snapshot), Arc::clone(&self.config.network));
        let mut apart = Self::new(now, options, snapshot, network);
        apart.config.epoch = self.config.epoch;
        apart.accounting.errors = self.accounting.errors;
        apart.accounting.entries = self.accounting.entries.clone();
        apart.pending = self.pending.clone();
        apart.trace = trace;
        let counts = self.flows.leases.counts();
        let swap = |apart: &mut Self, own: &mut Self| {
            std::mem::swap(&mut apart.flows.leases, &mut own.flows.leases);
            if lends == Lends::All {
                std::mem::swap(&mut apart.flows.table, &mut own.flows.table);
                std::mem::swap(&mut apart.flows.timers, &mut own.flows.timers);
            }
        };
        swap(&mut apart, self);
        let outcome = act(&mut apart);
        swap(&mut apart, self);
        self.flows.leases.recount(counts);
        outcome
    }

    /// A packet of no flow. The flow that it may begin is taken out again.
    fn flow_miss(&mut self, cx: &mut Context<'_, '_, impl Driver>) -> Outcome {
        let next = self.flows.table.next_id();
        let verdict = self.dispatch(cx);
        let flow = self.flow(cx.now, next);
        if let Some(mut gone) = self.flows.table.remove(next) {
            self.flows.timers.cancel(next.slot());
            if let Some(lease) = gone.value.lease.take() {
                self.flows.leases.cancel(lease, cx.now);
            }
            let key = *gone.forward();
            self.settle(next, &key, &gone.value, (Cause::Deleted, Ending::Unknown), cx.driver);
        }
        Outcome { flow, ..self.over(verdict) }
    }

    /// What came of a packet of a flow that is there.
    fn known(&mut self, now: u64, id: FlowId, verdict: Verdict) -> Outcome {
        Outcome { flow: self.flow(now, id), is_there: true, ..self.over(verdict) }
    }

    fn over(&mut self, verdict: Verdict) -> Outcome {
        let found = std::mem::take(&mut self.trace).into_found();
        Outcome { verdict, found, flow: None, is_there: false }
    }
}

/// What a datapath apart gets for the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lends {
    All,
    /// Not the flows: the one that the packet belonged to must not be met again.
    Ports,
}

/// How a flow takes a packet of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reception {
    Continues,
    /// The flow ends, and the packet is not forwarded.
    Ends(DropReason),
    /// It gets this verdict.
    Lost(Verdict),
    /// The packet is the first of another flow.
    IsNew,
}

/// What came of a packet.
struct Outcome {
    verdict: Verdict,
    found: Found,
    flow: Option<FlowDetails>,
    is_there: bool,
}

impl Outcome {
    /// Of a packet that came to no decision.
    fn unseen(at: Point, text: String, reason: DropReason) -> Self {
        let found = Found { notes: vec![Note { at, text }], members: Vec::new() };
        Self { verdict: Verdict::Drop(reason), found, flow: None, is_there: false }
    }

    /// Where a packet was that was not forwarded.
    fn ended_at(&self, reason: DropReason) -> Point {
        match (reason.stage(), self.found.notes.last()) {
            (Some(stage), _) => Point::Stage(stage),
            // It was decided about, and what was decided could not be done to it.
            (None, _) if self.flow.is_some() => Point::Stage(Stage::Send),
            (None, Some(last)) => last.at,
            (None, None) => Point::Shunt,
        }
    }
}

/// A driver that asks rules, and sends nothing.
struct Silent<'a, W> {
    driver: &'a mut W,
    /// What would have been sent beside the packet.
    sent: Vec<(u32, Vec<u8>)>,
    asked: bool,
}

impl<W: Driver> Driver for Silent<'_, W> {
    fn on_flow(&mut self, virtual_: VirtualIndex, flow: &NewFlow) -> Ruling {
        self.asked = true;
        self.driver.on_flow(virtual_, flow)
    }

    fn on_done(&mut self, done: &Done) {
        self.driver.on_done(done);
    }

    fn send(&mut self, interface: u32, frame: &[u8]) {
        self.sent.push((interface, frame.to_vec()));
    }

    fn hand_over(&mut self, _: usize, _: u32, _: &[u8], _: Option<FragmentOf>) -> bool {
        true
    }

    fn solicit(&mut self, _: u32, _: Address) {}

    fn random(&mut self) -> u64 {
        self.driver.random()
    }

    fn probed(&mut self, flow: &FlowKey) -> Option<Probed> {
        self.driver.probed(flow)
    }

    fn noticed(&mut self, _: &FlowKey, _: Notice) {}
}
