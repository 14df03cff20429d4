//! Packets that wait for a next hop: kept, sent when it answers, given up when it does not.

use shunt_wire::Frame;
use shunt_wire::frame::HEADROOM;

use super::hold::{Full, Waiting};
use super::reason::DropReason;
use super::verdict::Verdict;
use super::world::World;
use super::{Arrival, Datapath};
use crate::network::Via;
use crate::packet::{Kind, Packet, dissect};

impl Datapath {
    /// Keeps a packet, as it came, until the MAC of its next hop is known.
    pub(super) fn wait(
        &mut self,
        now: u64,
        via: &Via,
        arrival: &Arrival<'_>,
        frame: &Frame<'_>,
        world: &mut impl World,
    ) -> Verdict {
        let waiting = Waiting { ingress: arrival.ingress, part: arrival.part, bytes: frame.bytes().into() };
        match self.hold.keep(now, via, waiting) {
            Ok(first) => {
                if first {
                    world.solicit(via.link, via.neighbour);
                }
                Verdict::Held
            }
            Err(Full) => Verdict::Drop(DropReason::HoldFull),
        }
    }

    /// Sends what waited for neighbours that are known now.
    pub(super) fn release_waiting(&mut self, now: u64, world: &mut impl World) {
        if self.hold.is_empty() {
            return;
        }
        let network = &self.network;
        for waiting in self.hold.release(|key| network.neighbour(key.link, key.neighbour).is_some()) {
            self.take_up(&waiting, true, world, |datapath, arrival, frame, world| {
                datapath.carry(now, arrival, frame, world)
            });
        }
    }

    /// Tells the senders of packets that have waited for too long, and has the others asked for again.
    pub(super) fn give_up_waiting(&mut self, now: u64, world: &mut impl World) {
        if self.hold.is_empty() {
            return;
        }
        for waiting in self.hold.give_up(now) {
            self.take_up(&waiting, true, world, |datapath, arrival, frame, world| {
                if let Kind::Flow(packet) = &arrival.packet.kind {
                    datapath.tell_of_refusal(arrival, packet, DropReason::NextHopSilent, world);
                }
                datapath.refuse(now, arrival, frame, DropReason::NextHopSilent)
            });
        }
        for key in self.hold.ask_again(now) {
            world.solicit(key.link, key.neighbour);
        }
    }

    /// Takes up a packet that waited; `again` if it was counted when it came.
    pub(super) fn take_up<W: World>(
        &mut self,
        waiting: &Waiting,
        again: bool,
        world: &mut W,
        act: impl FnOnce(&mut Self, &Arrival<'_>, &mut Frame<'_>, &mut W) -> Verdict,
    ) {
        let mut buffer = vec![0; HEADROOM + waiting.bytes.len() + HEADROOM];
        let end = HEADROOM + waiting.bytes.len();
        buffer[HEADROOM..end].copy_from_slice(&waiting.bytes);
        let mut frame = Frame::new(&mut buffer, HEADROOM, end);
        let packet: Packet = match dissect(frame.bytes()) {
            Ok(packet) => packet,
            // It was read when it came.
            Err(_) => return,
        };
        let Waiting { ingress, part, .. } = *waiting;
        let arrival = Arrival { packet: &packet, ingress, again, handed_over: false, part };
        let verdict = act(self, &arrival, &mut frame, world);
        self.tally.take(verdict);
        if let Some(interface) = verdict.interface() {
            world.send(interface, frame.bytes());
        }
    }
}
