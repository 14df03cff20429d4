//! Where a frame goes within the datapath.

use shunt_wire::checksum::partial;
use shunt_wire::{Frame, Layout};

use super::context::Context;
use super::local::answer::{answer_arp, answer_solicitation};
use super::model::arrival::Arrival;
use super::model::unreadable;
use super::state::trace::Point;
use super::{Datapath, Driver, DropReason, Verdict};
use crate::fragment::FragmentOf;
use crate::packet::{FlowPacket, Kind, dissect};

impl Datapath {
    /// One frame in, and what becomes of it. May change the frame in place.
    ///
    /// `now` in milliseconds on a clock that does not go back; `ingress` is the interface that the frame
    /// came in by, as the kernel numbers them.
    pub fn receive(
        &mut self,
        now: u64,
        ingress: u32,
        frame: &mut Frame<'_>,
        driver: &mut impl Driver,
    ) -> Verdict {
        self.process(now, ingress, frame, (false, None), driver)
    }

    /// The same for a frame that another worker had [handed over](Driver::hand_over), with what it said.
    pub fn receive_handed_over(
        &mut self,
        now: u64,
        ingress: u32,
        frame: &mut Frame<'_>,
        part: Option<FragmentOf>,
        driver: &mut impl Driver,
    ) -> Verdict {
        self.process(now, ingress, frame, (true, part), driver)
    }

    #[inline]
    fn process(
        &mut self,
        now: u64,
        ingress: u32,
        frame: &mut Frame<'_>,
        (handed_over, part): (bool, Option<FragmentOf>),
        driver: &mut impl Driver,
    ) -> Verdict {
        self.accounting.tally.frames.received += 1;
        // Most hosts translate nothing.
        let translated = if self.config.snapshot.translators().is_empty() {
            None
        } else {
            self.translate(now, ingress, frame, driver)
        };
        let verdict = match translated {
            Some(verdict) => verdict,
            None => match dissect(frame.bytes()) {
                Ok(packet) => {
                    self.finish_checksum(&packet.layout, frame);
                    let arrival = Arrival { packet: &packet, ingress, again: false, handed_over, part };
                    self.dispatch(&mut Context { now, arrival, frame, driver })
                }
                Err(cause) => Verdict::Drop(unreadable::reason(cause)),
            },
        };
        self.accounting.tally.take(verdict);
        verdict
    }

    /// Completes the checksum of a packet whose sender left it to its device, before anything else is done with the
    /// packet: so rewrites change, tunnels cover, errors quote, and other workers get packets with whole checksums
    /// only, and no frame leaves with a partial one. Those of packets that an error quotes are whole: they left here.
    #[inline]
    pub(in crate::datapath) fn finish_checksum(&mut self, layout: &Layout, frame: &mut Frame<'_>) {
        if partial::finish(frame.bytes_mut(), layout) {
            self.accounting.tally.frames.checksums_finished += 1;
        }
    }

    /// What becomes of a frame that could be read.
    #[inline]
    pub(in crate::datapath) fn dispatch(&mut self, cx: &mut Context<'_, '_, impl Driver>) -> Verdict {
        match &cx.arrival.packet.kind {
            Kind::Flow(flow) => self.dispatch_flow(cx, flow),
            Kind::IcmpError(error) => self.deliver_error(cx, error),
            Kind::Arp(request) => answer_arp(&self.config, cx, request),
            Kind::NeighbourSolicitation(it) => answer_solicitation(&self.config, cx, it),
            Kind::Fragment(fragment) => self.dispatch_fragment(cx, fragment),
            Kind::Other(other) => {
                match other.flow().filter(|_| self.config.snapshot.forwards_every_protocol()) {
                    Some(flow) => self.dispatch_flow(cx, &flow),
                    None => Verdict::Drop(match self.config.snapshot.owned(other.destination) {
                        Some(_) => DropReason::OtherProtocol,
                        None => DropReason::NotOurs,
                    }),
                }
            }
        }
    }

    /// What becomes of a packet of a flow, or of its first fragment.
    #[inline]
    pub(in crate::datapath) fn dispatch_flow(
        &mut self,
        cx: &mut Context<'_, '_, impl Driver>,
        flow: &FlowPacket,
    ) -> Verdict {
        let verdict = self.hit_or_first(cx, flow);
        if let Some(reason) = verdict.reason() {
            self.tell_of_refusal(cx, flow, reason);
        }
        verdict
    }

    #[inline]
    fn hit_or_first(&mut self, cx: &mut Context<'_, '_, impl Driver>, flow: &FlowPacket) -> Verdict {
        if let Some(verdict) = self.hit(cx, flow) {
            return verdict;
        }
        if cx.arrival.again {
            // Its flow ended while it waited.
            return Verdict::Drop(DropReason::NextHopSilent);
        }
        if let Some(verdict) = self.not_owned_here(cx) {
            return verdict;
        }
        if let Some(verdict) = self.about_probes(cx, flow) {
            return verdict;
        }
        self.first_packet(cx, flow)
    }

    /// What becomes of a packet of no flow of this worker, before anything is asked about it.
    pub(in crate::datapath) fn not_owned_here(
        &self,
        cx: &mut Context<'_, '_, impl Driver>,
    ) -> Option<Verdict> {
        if cx.arrival.packet.destination_mac.is_group() {
            return Some(Verdict::Drop(DropReason::GroupMac));
        }
        let worker = self.owner(&cx.arrival)?;
        let options = &self.config.options;
        self.trace.note(Point::Worker, || format!("worker {worker} of {} owns the flow", options.workers));
        (worker != options.worker).then(|| hand_over(worker, cx))
    }

    /// The worker that a frame belongs to; `None` where any worker will do.
    pub(in crate::datapath) fn owner(&self, arrival: &Arrival<'_>) -> Option<usize> {
        self.config.owner(self.flows.leases.blocks(), arrival)
    }
}

/// Hands a frame to the worker that it belongs to, with the packet that it is a fragment of where that is known.
fn hand_over(worker: usize, cx: &mut Context<'_, '_, impl Driver>) -> Verdict {
    let Arrival { ingress, part, handed_over, .. } = cx.arrival;
    // Workers take a new snapshot one after the other, and two that have different ones could pass a
    // frame on for ever.
    if handed_over || !cx.driver.hand_over(worker, ingress, cx.frame.bytes(), part) {
        return Verdict::Drop(DropReason::HandOverFull);
    }
    Verdict::HandOver { worker }
}
