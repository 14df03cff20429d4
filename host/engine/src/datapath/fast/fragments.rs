//! Fragments: each is rewritten as its packet would be. The first one names the flow; those that come before
//! it wait.
//!
//! With several workers the fragments of a packet, which the network card spreads at its pleasure, first meet
//! at the one that their addresses and identification choose. It knows the flow as soon as it has the first
//! fragment, and from then on hands each over to the flow's owner, with the flow's name beside it.

use shunt_wire::{icmp, ip};

use crate::datapath::Datapath;
use crate::datapath::context::Context;
use crate::datapath::driver::Driver;
use crate::datapath::model::arrival::Arrival;
use crate::datapath::model::reason::DropReason;
use crate::datapath::model::verdict::Verdict;
use crate::datapath::snapshot::Snapshot;
use crate::datapath::state::path::Blocked;
use crate::datapath::state::pending::PendingFrame;
use crate::datapath::state::trace::Point;
use crate::fragment::{FragmentOf, PacketId, PendingFragment, Refused, Standing, Why};
use crate::packet::Fragment;

impl Datapath {
    pub(in crate::datapath) fn dispatch_fragment(
        &mut self,
        cx: &mut Context<'_, '_, impl Driver>,
        fragment: &Fragment,
    ) -> Verdict {
        if cx.arrival.part.is_some() {
            return self.forward_fragment(cx, fragment);
        }
        if let Some(verdict) = self.not_owned_here(cx) {
            return verdict;
        }
        match self.pending.fragments.take(cx.now, fragment) {
            Ok(Standing::Known(part)) => {
                self.trace
                    .note(Point::Fragments, || format!("by its first fragment the packet is {}", part.flow));
                let arrival = Arrival { part: Some(part), handed_over: false, ..cx.arrival };
                self.forward_fragment(&mut cx.with(arrival), fragment)
            }
            Ok(Standing::Unknown) if fragment.offset == 0 => self.first_fragment(cx, fragment),
            Ok(Standing::Unknown) => {
                match self.pending.fragments.defer(fragment, cx.arrival.ingress, cx.frame.bytes()) {
                    Ok(()) => {
                        self.trace.note(Point::Fragments, || {
                            "the first fragment of the packet has not arrived".to_owned()
                        });
                        Verdict::Pending
                    }
                    Err(refused) => self.drop_fragments(refused),
                }
            }
            Err(refused) => self.drop_fragments(refused),
        }
    }

    /// Forgets packets that will never be whole.
    pub(in crate::datapath) fn expire_fragments(&mut self, now: u64) {
        let orphans = self.pending.fragments.give_up(now);
        self.accounting.tally.dropped_many(DropReason::FragmentOrphan, orphans);
    }

    /// The first fragment of a packet: it and those that waited for it go the way of its flow.
    fn first_fragment(&mut self, cx: &mut Context<'_, '_, impl Driver>, fragment: &Fragment) -> Verdict {
        let id = PacketId::of(fragment);
        let Some(head) = &fragment.head else {
            let pending = self.pending.fragments.refuse(&id);
            self.accounting.tally.dropped_many(DropReason::FragmentRefused, pending);
            return Verdict::Drop(headless(&self.config.snapshot, &cx.arrival, fragment));
        };
        // One identification must not reveal the next (RFC 7739 section 5).
        let part = FragmentOf { flow: head.key, identification: cx.driver.random() as u32 };
        let pending = self.pending.fragments.learn(&id, part);
        self.trace.note(Point::Fragments, || match pending.len() {
            0 => format!("the first fragment of a packet of {}", part.flow),
            count => {
                format!("the first fragment of a packet of {}; {count} others wait for it", part.flow)
            }
        });
        let arrival = Arrival { part: Some(part), handed_over: false, ..cx.arrival };
        let verdict = self.forward_fragment(&mut cx.with(arrival), fragment);
        if verdict.reason().is_some() {
            self.pending.fragments.refuse(&id);
            self.accounting.tally.dropped_many(DropReason::FragmentRefused, pending.len());
            return verdict;
        }
        if pending.is_empty() {
            return verdict;
        }
        let verdict = match verdict {
            Verdict::Send { interface } => {
                cx.driver.send(interface, cx.frame.bytes());
                Verdict::Sent
            }
            other => other,
        };
        for PendingFragment { ingress, bytes, .. } in pending {
            let pending = PendingFrame { ingress, part: Some(part), bytes };
            self.resume(cx.now, &pending, false, cx.driver, |datapath, cx| datapath.dispatch(cx));
        }
        verdict
    }

    /// A fragment whose flow is known: it is this worker's, or another's.
    fn forward_fragment(&mut self, cx: &mut Context<'_, '_, impl Driver>, fragment: &Fragment) -> Verdict {
        match &fragment.head {
            Some(head) => self.dispatch_flow(cx, head),
            None => self.later_fragment(cx, fragment),
        }
    }

    /// No ICMP error is sent about it: errors are about first fragments (RFC 1812 section 4.3.2.7).
    fn later_fragment(&mut self, cx: &mut Context<'_, '_, impl Driver>, fragment: &Fragment) -> Verdict {
        let found = cx.arrival.part.and_then(|part| self.flows.table.find(&part.flow));
        let Some((id, direction)) = found else {
            let elsewhere = if cx.arrival.again { None } else { self.not_owned_here(cx) };
            return elsewhere
                .or_else(|| self.part_of_answer_to_probe(cx))
                .unwrap_or(Verdict::Drop(DropReason::FragmentRefused));
        };
        let ready = self.ready(cx, id, direction);
        if let Err(Blocked::Refused(reason)) = ready {
            return Verdict::Drop(reason);
        }
        if !cx.arrival.again
            && let Some(flow) = self.flows.table.get_mut(id)
        {
            self.accounting.count(&mut flow.value, cx.now, direction, fragment.length);
        }
        match ready {
            Err(Blocked::Unresolved(via)) => self.defer(cx, &via),
            _ => self.replay(cx, id, direction),
        }
    }

    /// A fragment that is not taken, and those that go with it.
    fn drop_fragments(&mut self, refused: Refused) -> Verdict {
        let reason = match refused.why {
            Why::Twice => DropReason::FragmentTwice,
            Why::Overlap => DropReason::FragmentOverlap,
            Why::Length => DropReason::FragmentLength,
            Why::Full => DropReason::FragmentFull,
            Why::Refused => DropReason::FragmentRefused,
        };
        self.accounting.tally.dropped_many(reason, refused.pending);
        Verdict::Drop(reason)
    }
}

/// Why a first fragment names no flow.
fn headless(snapshot: &Snapshot, arrival: &Arrival<'_>, fragment: &Fragment) -> DropReason {
    let layout = &arrival.packet.layout;
    let echo = icmp::protocol_of(layout.family);
    let header = match fragment.protocol {
        // Eight bytes of ICMP are a message of another kind, or an error; those are never fragmented, for
        // they fit every link (RFC 1812 section 4.3.2.3, RFC 4443 section 2.4 c).
        protocol if protocol == echo => 8,
        ip::TCP | ip::UDP => u16::MAX,
        _ => 0,
    };
    if layout.end - layout.l4 < header {
        return DropReason::FragmentTiny;
    }
    match snapshot.owned(fragment.destination) {
        Some(_) => DropReason::OtherProtocol,
        None => DropReason::NotOurs,
    }
}
