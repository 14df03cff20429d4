//! Fragments: each is rewritten as its packet would be. The first one names the flow; those that come before
//! it wait.
//!
//! With several workers the fragments of a packet, which the network card spreads at its pleasure, first meet
//! at the one that their addresses and identification choose. It knows the flow as soon as it has the first
//! fragment, and from then on hands each over to the flow's owner, with the flow's name beside it.

use shunt_wire::{Frame, icmp, ip};

use crate::datapath::Datapath;
use crate::datapath::driver::World;
use crate::datapath::model::arrival::Arrival;
use crate::datapath::model::reason::DropReason;
use crate::datapath::model::verdict::Verdict;
use crate::datapath::state::path::Blocked;
use crate::datapath::state::pending::Waiting;
use crate::datapath::state::trace::Point;
use crate::fragment::{Held, PacketId, PartOf, Refused, Standing, Why};
use crate::packet::Fragment;

impl Datapath {
    pub(in crate::datapath) fn carry_fragment(
        &mut self,
        now: u64,
        arrival: &Arrival<'_>,
        fragment: &Fragment,
        frame: &mut Frame<'_>,
        world: &mut impl World,
    ) -> Verdict {
        if arrival.part.is_some() {
            return self.carry_part(now, arrival, fragment, frame, world);
        }
        if let Some(verdict) = self.stranger(arrival, frame, world) {
            return verdict;
        }
        match self.fragments.take(now, fragment) {
            Ok(Standing::Known(part)) => {
                self.trace
                    .note(Point::Fragments, || format!("the first fragment said that it is {}", part.flow));
                let arrival = Arrival { part: Some(part), handed_over: false, ..*arrival };
                self.carry_part(now, &arrival, fragment, frame, world)
            }
            Ok(Standing::Unknown) if fragment.offset == 0 => {
                self.first_fragment(now, arrival, fragment, frame, world)
            }
            Ok(Standing::Unknown) => match self.fragments.hold(fragment, arrival.ingress, frame.bytes()) {
                Ok(()) => {
                    self.trace.note(Point::Fragments, || {
                        "the first fragment of its packet has not come".to_owned()
                    });
                    Verdict::Held
                }
                Err(refused) => self.drop_fragments(refused),
            },
            Err(refused) => self.drop_fragments(refused),
        }
    }

    /// Forgets packets that will never be whole.
    pub(in crate::datapath) fn give_up_fragments(&mut self, now: u64) {
        let orphans = self.fragments.give_up(now);
        self.tally.dropped_many(DropReason::FragmentOrphan, orphans);
    }

    /// The first fragment of a packet: it and those that waited for it go the way of its flow.
    fn first_fragment(
        &mut self,
        now: u64,
        arrival: &Arrival<'_>,
        fragment: &Fragment,
        frame: &mut Frame<'_>,
        world: &mut impl World,
    ) -> Verdict {
        let id = PacketId::of(fragment);
        let Some(head) = &fragment.head else {
            let waiting = self.fragments.refuse(&id);
            self.tally.dropped_many(DropReason::FragmentRefused, waiting);
            return Verdict::Drop(self.headless(arrival, fragment));
        };
        // Nobody who sees one number can tell the next (RFC 7739 section 5).
        let part = PartOf { flow: head.key, identification: world.random() as u32 };
        let waiting = self.fragments.learn(&id, part);
        self.trace.note(Point::Fragments, || match waiting.len() {
            0 => format!("it is the first fragment of a packet of {}", part.flow),
            count => {
                format!("it is the first fragment of a packet of {}, and {count} wait for it", part.flow)
            }
        });
        let arrival = Arrival { part: Some(part), handed_over: false, ..*arrival };
        let verdict = self.carry_part(now, &arrival, fragment, frame, world);
        if verdict.reason().is_some() {
            self.fragments.refuse(&id);
            self.tally.dropped_many(DropReason::FragmentRefused, waiting.len());
            return verdict;
        }
        if waiting.is_empty() {
            return verdict;
        }
        let verdict = match verdict {
            Verdict::Send { interface } => {
                world.send(interface, frame.bytes());
                Verdict::Sent
            }
            other => other,
        };
        for Held { ingress, bytes, .. } in waiting {
            let waiting = Waiting { ingress, part: Some(part), bytes };
            self.take_up(&waiting, false, world, |datapath, arrival, frame, world| {
                datapath.carry(now, arrival, frame, world)
            });
        }
        verdict
    }

    /// Why a first fragment names no flow.
    fn headless(&self, arrival: &Arrival<'_>, fragment: &Fragment) -> DropReason {
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
        match self.snapshot.owned(fragment.destination) {
            Some(_) => DropReason::OtherProtocol,
            None => DropReason::NotOurs,
        }
    }

    /// A fragment whose flow is known: it is this worker's, or another's.
    fn carry_part(
        &mut self,
        now: u64,
        arrival: &Arrival<'_>,
        fragment: &Fragment,
        frame: &mut Frame<'_>,
        world: &mut impl World,
    ) -> Verdict {
        match &fragment.head {
            Some(head) => self.carry_flow(now, arrival, head, frame, world),
            None => self.later_fragment(now, arrival, fragment, frame, world),
        }
    }

    /// Nobody is told of what becomes of it: errors are about first fragments (RFC 1812 section 4.3.2.7).
    fn later_fragment(
        &mut self,
        now: u64,
        arrival: &Arrival<'_>,
        fragment: &Fragment,
        frame: &mut Frame<'_>,
        world: &mut impl World,
    ) -> Verdict {
        let found = arrival.part.and_then(|part| self.flows.find(&part.flow));
        let Some((id, direction)) = found else {
            let elsewhere = if arrival.again { None } else { self.stranger(arrival, frame, world) };
            return elsewhere
                .or_else(|| self.part_of_answer_to_probe(arrival, frame, world))
                .unwrap_or(Verdict::Drop(DropReason::FragmentRefused));
        };
        let ready = self.ready(now, id, direction, world);
        if let Err(Blocked::Refused(reason)) = ready {
            return Verdict::Drop(reason);
        }
        if !arrival.again {
            self.count(now, id, direction, fragment.length);
        }
        match ready {
            Err(Blocked::Unresolved(via)) => self.wait(now, &via, arrival, frame, world),
            _ => self.replay(now, id, direction, arrival, frame, world),
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
        self.tally.dropped_many(reason, refused.waiting);
        Verdict::Drop(reason)
    }
}
