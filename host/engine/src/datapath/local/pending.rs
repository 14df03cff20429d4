//! Packets pending for a next hop: kept, sent when it answers, given up when it does not.

use shunt_wire::Frame;
use shunt_wire::frame::HEADROOM;

use super::answer::refuse;
use crate::datapath::Datapath;
use crate::datapath::context::Context;
use crate::datapath::driver::Driver;
use crate::datapath::model::arrival::Arrival;
use crate::datapath::model::reason::DropReason;
use crate::datapath::model::verdict::Verdict;
use crate::datapath::state::pending::{Full, PendingFrame};
use crate::network::Via;
use crate::packet::{Kind, dissect};

impl Datapath {
    /// Keeps a packet, as it came, until the MAC of its next hop is known.
    pub(in crate::datapath) fn defer(&mut self, cx: &mut Context<'_, '_, impl Driver>, via: &Via) -> Verdict {
        let Arrival { ingress, part, .. } = cx.arrival;
        self.keep(cx.now, via, PendingFrame { ingress, part, bytes: cx.frame.bytes().into() }, cx.driver)
    }

    /// The same for a packet of which no more is known than where it came in.
    pub(in crate::datapath) fn keep(
        &mut self,
        now: u64,
        via: &Via,
        pending: PendingFrame,
        driver: &mut impl Driver,
    ) -> Verdict {
        match self.pending.next_hops.keep(now, via, pending) {
            Ok(first) => {
                if first {
                    driver.solicit(via.link, via.neighbour);
                }
                Verdict::Pending
            }
            Err(Full) => Verdict::Drop(DropReason::HoldFull),
        }
    }

    /// Sends what waited for neighbours that are known now.
    pub(in crate::datapath) fn release_pending(&mut self, now: u64, driver: &mut impl Driver) {
        if self.pending.next_hops.is_empty() {
            return;
        }
        let network = &self.config.network;
        for pending in
            self.pending.next_hops.release(|key| network.neighbour(key.link, key.neighbour).is_some())
        {
            let translated = self.anew(&pending, driver, |datapath, frame, driver| {
                datapath.translate(now, pending.ingress, frame, driver)
            });
            if translated {
                continue;
            }
            self.resume(now, &pending, true, driver, |datapath, cx| datapath.dispatch(cx));
        }
    }

    /// Answers the senders of packets that were pending for too long, and has the others asked for again.
    pub(in crate::datapath) fn expire_pending(&mut self, now: u64, driver: &mut impl Driver) {
        if self.pending.next_hops.is_empty() {
            return;
        }
        for pending in self.pending.next_hops.give_up(now) {
            let ingress = pending.ingress;
            if self
                .anew(&pending, driver, |datapath, frame, _| datapath.expire_translation(now, ingress, frame))
            {
                continue;
            }
            self.resume(now, &pending, true, driver, |datapath, cx| {
                if let Kind::Flow(packet) = &cx.arrival.packet.kind {
                    datapath.tell_of_refusal(cx, packet, DropReason::NextHopSilent);
                }
                refuse(&datapath.config, &mut datapath.accounting, cx, DropReason::NextHopSilent)
            });
        }
        for key in self.pending.next_hops.ask_again(now) {
            driver.solicit(key.link, key.neighbour);
        }
    }

    /// Resumes a pending packet; `again` if it was counted when it came.
    pub(in crate::datapath) fn resume<W: Driver>(
        &mut self,
        now: u64,
        pending: &PendingFrame,
        again: bool,
        driver: &mut W,
        act: impl FnOnce(&mut Self, &mut Context<'_, '_, W>) -> Verdict,
    ) {
        self.anew(pending, driver, |datapath, frame, driver| {
            // It was read when it came.
            let packet = dissect(frame.bytes()).ok()?;
            let PendingFrame { ingress, part, .. } = *pending;
            let arrival = Arrival { packet: &packet, ingress, again, handed_over: false, part };
            Some(act(datapath, &mut Context { now, arrival, frame, driver }))
        });
    }

    /// Gives a pending packet a frame of its own, and sends what becomes of it. False if nothing did.
    fn anew<W: Driver>(
        &mut self,
        pending: &PendingFrame,
        driver: &mut W,
        act: impl FnOnce(&mut Self, &mut Frame<'_>, &mut W) -> Option<Verdict>,
    ) -> bool {
        let mut buffer = vec![0; HEADROOM + pending.bytes.len() + HEADROOM];
        let end = HEADROOM + pending.bytes.len();
        buffer[HEADROOM..end].copy_from_slice(&pending.bytes);
        let mut frame = Frame::new(&mut buffer, HEADROOM, end);
        let Some(verdict) = act(self, &mut frame, driver) else { return false };
        self.accounting.tally.take(verdict);
        if let Some(interface) = verdict.interface() {
            driver.send(interface, frame.bytes());
        }
        true
    }
}
